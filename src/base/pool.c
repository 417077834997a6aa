/* SPDX-License-Identifier: MIT */
/* The thread pool.
 *
 * Owns the worker threads and the one loop in flight; knows nothing of what
 * the loop computes. Invariant: a worker reads the loop's fields only between
 * raising `inside` and lowering it, having seen `open` after raising it, and
 * the caller writes them only while `open` is false and `inside` is zero. So
 * a worker that wakes late misses the loop instead of holding it up. */
#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT */
#include "base/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_THREADS = 1024,
    SPINS = 2000 /* pauses before sleeping: some ten microseconds */
};

struct worker {
    struct m2c_pool *pool;
    pthread_t thread;
    unsigned index;
};

struct m2c_pool {
    struct worker *workers; /* threads - 1 of them; indices from 1 */
    unsigned threads, started;
    unsigned spins; /* 0 where there are more threads than CPUs */
    bool have_sync;

    pthread_mutex_t lock;
    pthread_cond_t work, done;
    atomic_uint sleepers;
    atomic_bool caller_sleeps, stop;
    atomic_ulong generation; /* of loops; what a sleeping worker waits for */

    atomic_bool open;
    atomic_uint inside;
    atomic_size_t next; /* the first item not handed out; may pass n */
    size_t n, chunk;
    m2c_pool_fn fn;
    void *ctx;
};

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static unsigned cpus_allowed(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than cpu_set_t holds */
    return n > 0 && n <= MAX_THREADS ? (unsigned)n : 1;
}

static void work_on(struct m2c_pool *p, unsigned index)
{
    const size_t n = p->n, chunk = p->chunk;
    for (;;) {
        size_t begin = atomic_fetch_add_explicit(&p->next, chunk, memory_order_relaxed);
        if (begin >= n)
            return;
        p->fn(p->ctx, begin, chunk < n - begin ? begin + chunk : n, index);
    }
}

static void leave(struct m2c_pool *p)
{
    if (atomic_fetch_sub(&p->inside, 1) != 1 || !atomic_load(&p->caller_sleeps))
        return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->done);
    pthread_mutex_unlock(&p->lock);
}

/* Waits for a loop after `seen`; returns its generation. */
static unsigned long next_generation(struct m2c_pool *p, unsigned long seen)
{
    for (unsigned i = 0; i < p->spins; i++) {
        if (atomic_load(&p->generation) != seen)
            return atomic_load(&p->generation);
        pause_cpu();
    }
    pthread_mutex_lock(&p->lock);
    /* Raised before the look at `generation`, as the caller raises that
     * before it looks at `sleepers`: one of the two sees the other. */
    atomic_fetch_add(&p->sleepers, 1);
    while (atomic_load(&p->generation) == seen)
        pthread_cond_wait(&p->work, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
    return atomic_load(&p->generation);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct m2c_pool *p = w->pool;
    for (unsigned long seen = 0;;) {
        seen = next_generation(p, seen);
        if (atomic_load(&p->stop))
            return NULL;
        atomic_fetch_add(&p->inside, 1);
        if (atomic_load(&p->open))
            work_on(p, w->index);
        leave(p);
    }
}

static void announce(struct m2c_pool *p)
{
    atomic_fetch_add(&p->generation, 1);
    if (atomic_load(&p->sleepers) == 0)
        return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
}

static void wait_all_out(struct m2c_pool *p)
{
    for (unsigned i = 0; i < p->spins; i++) {
        if (atomic_load(&p->inside) == 0)
            return;
        pause_cpu();
    }
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, true);
    while (atomic_load(&p->inside) != 0)
        pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->caller_sleeps, false);
    pthread_mutex_unlock(&p->lock);
}

void m2c_pool_run(struct m2c_pool *p, size_t n, size_t chunk, m2c_pool_fn fn, void *ctx)
{
    if (n == 0)
        return;
    if (chunk == 0)
        chunk = n / p->threads + (n % p->threads != 0);
    /* `next` passes n by up to a chunk for every thread; keep that in range. */
    if (chunk > n)
        chunk = n;
    if (p->threads == 1 || chunk == n || n > SIZE_MAX / 2 / p->threads) {
        for (size_t begin = 0; begin < n;) {
            size_t end = chunk < n - begin ? begin + chunk : n;
            fn(ctx, begin, end, 0);
            begin = end;
        }
        return;
    }
    p->n = n;
    p->chunk = chunk;
    p->fn = fn;
    p->ctx = ctx;
    atomic_store(&p->next, 0);
    atomic_store(&p->open, true);
    announce(p);
    work_on(p, 0);
    atomic_store(&p->open, false);
    wait_all_out(p);
}

unsigned m2c_pool_threads(const struct m2c_pool *p)
{
    return p->threads;
}

static int start_workers(struct m2c_pool *p, struct m2c_err *err)
{
    /* Signals belong to the threads that the tool made. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = 0;
    for (unsigned i = 0; i + 1 < p->threads && rc == 0; i++) {
        struct worker *w = &p->workers[i];
        w->pool = p;
        w->index = i + 1;
        rc = pthread_create(&w->thread, NULL, worker_main, w);
        p->started += rc == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc)
        return m2c_fail(err, -rc, "cannot start thread %u of %u: %s", p->started + 2,
                        p->threads, strerror(rc));
    return 0;
}

static int init_sync(struct m2c_pool *p)
{
    if (pthread_mutex_init(&p->lock, NULL))
        return -ENOMEM;
    if (pthread_cond_init(&p->work, NULL)) {
        pthread_mutex_destroy(&p->lock);
        return -ENOMEM;
    }
    if (pthread_cond_init(&p->done, NULL)) {
        pthread_cond_destroy(&p->work);
        pthread_mutex_destroy(&p->lock);
        return -ENOMEM;
    }
    p->have_sync = true;
    return 0;
}

int m2c_pool_open(struct m2c_pool **out, unsigned threads, struct m2c_err *err)
{
    unsigned cpus = cpus_allowed();
    if (threads == 0)
        threads = M2C_MIN(cpus, (unsigned)MAX_THREADS);
    if (threads > MAX_THREADS)
        return m2c_fail(err, -EINVAL, "%u threads: at most %d", threads, MAX_THREADS);
    int rc;
    struct m2c_pool *p = calloc(1, sizeof *p);
    if (p)
        p->workers = calloc(threads, sizeof *p->workers);
    if (!p || !p->workers || init_sync(p)) {
        rc = m2c_fail(err, -ENOMEM, "no memory for a pool of %u threads", threads);
        goto fail;
    }
    p->threads = threads;
    p->spins = threads <= cpus ? SPINS : 0;
    rc = start_workers(p, err);
    if (rc)
        goto fail;
    *out = p;
    return 0;
fail:
    m2c_pool_close(p);
    return rc;
}

void m2c_pool_close(struct m2c_pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    if (p->have_sync)
        announce(p);
    for (unsigned i = 0; i < p->started; i++)
        pthread_join(p->workers[i].thread, NULL);
    if (p->have_sync) {
        pthread_cond_destroy(&p->done);
        pthread_cond_destroy(&p->work);
        pthread_mutex_destroy(&p->lock);
    }
    free(p->workers);
    free(p);
}
