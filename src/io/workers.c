/* SPDX-License-Identifier: MIT */
/* The threads of the engines whose reads block. */
#include "io/workers.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static void *run(void *arg)
{
    struct m2c_io_workers *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->todo.first && !w->quit)
            pthread_cond_wait(&w->work, &w->lock);
        struct m2c_io_piece *p = m2c_io_pop(&w->todo);
        if (!p)
            break;
        pthread_mutex_unlock(&w->lock);
        p->res = w->read(w->io, p);
        pthread_mutex_lock(&w->lock);
        m2c_io_push(&w->done, p);
        pthread_cond_signal(&w->finished);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static int open_sync(struct m2c_io_workers *w)
{
    pthread_condattr_t attr;
    int r = pthread_condattr_init(&attr);
    if (r)
        return r;
    r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (r == 0)
        w->have_finished = (r = pthread_cond_init(&w->finished, &attr)) == 0;
    pthread_condattr_destroy(&attr);
    if (r == 0)
        w->have_work = (r = pthread_cond_init(&w->work, NULL)) == 0;
    if (r == 0)
        w->have_lock = (r = pthread_mutex_init(&w->lock, NULL)) == 0;
    return r;
}

int m2c_io_workers_open(struct m2c_io_workers *w, struct m2c_io *io,
                        int32_t (*read)(struct m2c_io *, const struct m2c_io_piece *),
                        struct m2c_err *err)
{
    const char *engine = io->ops->p.name;
    w->io = io;
    w->read = read;
    int r = open_sync(w);
    if (r)
        return m2c_fail(err, -r, "%s: locks: %s", engine, strerror(r));
    unsigned want = M2C_MIN(io->cfg.queue_depth, (unsigned)M2C_IO_WORKERS_MAX);
    for (; w->n < want; w->n++) {
        r = pthread_create(&w->thread[w->n], NULL, run, w);
        if (r)
            return m2c_fail(err, -r, "%s: thread %u of %u: %s", engine, w->n + 1, want,
                            strerror(r));
    }
    return 0;
}

void m2c_io_workers_close(struct m2c_io_workers *w)
{
    if (w->n) {
        pthread_mutex_lock(&w->lock);
        w->quit = true;
        pthread_cond_broadcast(&w->work);
        pthread_mutex_unlock(&w->lock);
    }
    for (unsigned i = 0; i < w->n; i++)
        pthread_join(w->thread[i], NULL);
    if (w->have_lock)
        pthread_mutex_destroy(&w->lock);
    if (w->have_work)
        pthread_cond_destroy(&w->work);
    if (w->have_finished)
        pthread_cond_destroy(&w->finished);
}

int m2c_io_workers_submit(struct m2c_io_workers *w, struct m2c_io_piece **p, unsigned n)
{
    pthread_mutex_lock(&w->lock);
    for (unsigned i = 0; i < n; i++) {
        m2c_io_push(&w->todo, p[i]);
        pthread_cond_signal(&w->work);
    }
    pthread_mutex_unlock(&w->lock);
    return (int)n;
}

int m2c_io_workers_reap(struct m2c_io_workers *w, struct m2c_io_piece **out, unsigned max,
                        int64_t timeout_ns)
{
    uint64_t until = timeout_ns > 0 ? m2c_now_ns() + (uint64_t)timeout_ns : 0;
    struct timespec t = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
    unsigned n = 0;
    int r = 0;
    pthread_mutex_lock(&w->lock);
    while (timeout_ns && !w->done.first && r == 0)
        r = until ? pthread_cond_timedwait(&w->finished, &w->lock, &t)
                  : pthread_cond_wait(&w->finished, &w->lock);
    while (n < max && w->done.first)
        out[n++] = m2c_io_pop(&w->done);
    pthread_mutex_unlock(&w->lock);
    return r && r != ETIMEDOUT ? -r : (int)n;
}
