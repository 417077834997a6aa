/* SPDX-License-Identifier: MIT */
/* pread(2) on worker threads: works on every file system, direct or not. */
#include "io/io_impl.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_WORKERS = 16 };

struct pr {
    struct m2c_io *io;
    pthread_mutex_t lock;
    pthread_cond_t work, finished;
    bool have_sync, quit;
    struct m2c_io_piece *todo, *todo_tail, *done;
    unsigned n_workers;
    pthread_t worker[MAX_WORKERS];
};

static void *run(void *arg)
{
    struct pr *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->todo && !s->quit)
            pthread_cond_wait(&s->work, &s->lock);
        if (!s->todo)
            break;
        struct m2c_io_piece *p = s->todo;
        s->todo = p->next;
        if (!s->todo)
            s->todo_tail = NULL;
        pthread_mutex_unlock(&s->lock);
        ssize_t n = pread(s->io->fd, p->buf, p->bytes, (off_t)p->off);
        p->res = n < 0 ? -errno : (int32_t)n;
        pthread_mutex_lock(&s->lock);
        p->next = s->done;
        s->done = p;
        pthread_cond_signal(&s->finished);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static int open_pread(struct m2c_io *io, struct m2c_err *err)
{
    struct pr *s = io->priv;
    s->io = io;
    if (pthread_mutex_init(&s->lock, NULL) || pthread_cond_init(&s->work, NULL) ||
        pthread_cond_init(&s->finished, NULL))
        return m2c_fail(err, -ENOMEM, "pread: no memory for locks");
    s->have_sync = true;
    unsigned want = M2C_MIN(io->cfg.queue_depth, (unsigned)MAX_WORKERS);
    for (; s->n_workers < want; s->n_workers++) {
        int r = pthread_create(&s->worker[s->n_workers], NULL, run, s);
        if (r)
            return m2c_fail(err, -r, "pread: thread %u of %u: %s", s->n_workers + 1, want,
                            strerror(r));
    }
    return 0;
}

static void close_pread(struct m2c_io *io)
{
    struct pr *s = io->priv;
    if (!s->have_sync)
        return;
    pthread_mutex_lock(&s->lock);
    s->quit = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->n_workers; i++)
        pthread_join(s->worker[i], NULL);
    pthread_cond_destroy(&s->finished);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
}

static int submit(struct m2c_io *io, struct m2c_io_piece *p)
{
    struct pr *s = io->priv;
    p->next = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->todo_tail)
        s->todo_tail->next = p;
    else
        s->todo = p;
    s->todo_tail = p;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static int reap(struct m2c_io *io, struct m2c_io_piece **out, unsigned min, unsigned max)
{
    struct pr *s = io->priv;
    unsigned n = 0;
    pthread_mutex_lock(&s->lock);
    while (min && !s->done)
        pthread_cond_wait(&s->finished, &s->lock);
    for (; n < max && s->done; n++) {
        out[n] = s->done;
        s->done = s->done->next;
    }
    pthread_mutex_unlock(&s->lock);
    return (int)n;
}

const struct m2c_io_ops m2c_io_pread = {
    .p = {.name = "pread",
          .desc = "pread(2) on up to 16 threads",
          .priv_size = sizeof(struct pr)},
    .open = open_pread,
    .close = close_pread,
    .submit = submit,
    .reap = reap,
};
