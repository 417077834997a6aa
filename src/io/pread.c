/* SPDX-License-Identifier: MIT */
/* pread(2) on worker threads: works on every file system, direct or not.
 *
 * Pieces move from `todo` through one worker to `done`, both under the lock;
 * while a worker reads, its piece is nobody else's. */
#include "io/io_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WORKERS = 16 };

struct pr {
    struct m2c_io *io;
    pthread_mutex_t lock;
    pthread_cond_t work, finished;
    bool have_lock, have_work, have_finished, quit;
    struct m2c_io_pieces todo, done;
    unsigned n_workers;
    pthread_t worker[MAX_WORKERS];
};

static void *run(void *arg)
{
    struct pr *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->todo.first && !s->quit)
            pthread_cond_wait(&s->work, &s->lock);
        struct m2c_io_piece *p = m2c_io_pop(&s->todo);
        if (!p)
            break;
        pthread_mutex_unlock(&s->lock);
        ssize_t n = pread(s->io->fd, p->buf, p->bytes, (off_t)p->off);
        p->res = n < 0 ? -errno : (int32_t)n;
        pthread_mutex_lock(&s->lock);
        m2c_io_push(&s->done, p);
        pthread_cond_signal(&s->finished);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static int open_sync(struct pr *s)
{
    pthread_condattr_t attr;
    int r = pthread_condattr_init(&attr);
    if (r)
        return r;
    r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (r == 0)
        s->have_finished = (r = pthread_cond_init(&s->finished, &attr)) == 0;
    pthread_condattr_destroy(&attr);
    if (r == 0)
        s->have_work = (r = pthread_cond_init(&s->work, NULL)) == 0;
    if (r == 0)
        s->have_lock = (r = pthread_mutex_init(&s->lock, NULL)) == 0;
    return r;
}

static int open_pread(struct m2c_io *io, struct m2c_err *err)
{
    struct pr *s = io->priv;
    s->io = io;
    int r = open_sync(s);
    if (r)
        return m2c_fail(err, -r, "pread: locks: %s", strerror(r));
    unsigned want = M2C_MIN(io->cfg.queue_depth, (unsigned)MAX_WORKERS);
    for (; s->n_workers < want; s->n_workers++) {
        r = pthread_create(&s->worker[s->n_workers], NULL, run, s);
        if (r)
            return m2c_fail(err, -r, "pread: thread %u of %u: %s", s->n_workers + 1, want,
                            strerror(r));
    }
    return 0;
}

static void close_pread(struct m2c_io *io)
{
    struct pr *s = io->priv;
    if (s->n_workers) {
        pthread_mutex_lock(&s->lock);
        s->quit = true;
        pthread_cond_broadcast(&s->work);
        pthread_mutex_unlock(&s->lock);
    }
    for (unsigned i = 0; i < s->n_workers; i++)
        pthread_join(s->worker[i], NULL);
    if (s->have_lock)
        pthread_mutex_destroy(&s->lock);
    if (s->have_work)
        pthread_cond_destroy(&s->work);
    if (s->have_finished)
        pthread_cond_destroy(&s->finished);
}

static int submit(struct m2c_io *io, struct m2c_io_piece **p, unsigned n)
{
    struct pr *s = io->priv;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < n; i++) {
        m2c_io_push(&s->todo, p[i]);
        pthread_cond_signal(&s->work);
    }
    pthread_mutex_unlock(&s->lock);
    return (int)n;
}

static int reap(struct m2c_io *io, struct m2c_io_piece **out, unsigned max,
                int64_t timeout_ns)
{
    struct pr *s = io->priv;
    uint64_t until = timeout_ns > 0 ? m2c_now_ns() + (uint64_t)timeout_ns : 0;
    struct timespec t = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
    unsigned n = 0;
    int r = 0;
    pthread_mutex_lock(&s->lock);
    while (timeout_ns && !s->done.first && r == 0)
        r = until ? pthread_cond_timedwait(&s->finished, &s->lock, &t)
                  : pthread_cond_wait(&s->finished, &s->lock);
    while (n < max && s->done.first)
        out[n++] = m2c_io_pop(&s->done);
    pthread_mutex_unlock(&s->lock);
    return r && r != ETIMEDOUT ? -r : (int)n;
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
