/* SPDX-License-Identifier: MIT */
/* Spinning, then sleeping, until somebody rings. */
#include "dev/bell.h"

#include "base/clock.h"

#include <errno.h>
#include <sched.h>

enum {
    SPIN_NS = 40000, /* about what sleeping and being woken takes */
    POLLS = 8        /* between yields: others may have the work that is waited for */
};

int m2c_bell_init(struct m2c_bell *b)
{
    if (pthread_mutex_init(&b->lock, NULL))
        return -ENOMEM;
    if (pthread_cond_init(&b->cond, NULL)) {
        pthread_mutex_destroy(&b->lock);
        return -ENOMEM;
    }
    b->made = true;
    return 0;
}

void m2c_bell_fini(struct m2c_bell *b)
{
    if (!b->made)
        return;
    pthread_cond_destroy(&b->cond);
    pthread_mutex_destroy(&b->lock);
    b->made = false;
}

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool spin(bool (*done)(const void *), const void *arg)
{
    uint64_t start = m2c_now_ns();
    do {
        for (int i = 0; i < POLLS; i++) {
            if (done(arg))
                return true;
            pause_cpu();
        }
        sched_yield();
    } while (m2c_now_ns() - start < SPIN_NS);
    return false;
}

void m2c_bell_wait(struct m2c_bell *b, bool (*done)(const void *), const void *arg)
{
    if (done(arg) || spin(done, arg))
        return;
    pthread_mutex_lock(&b->lock);
    __atomic_add_fetch(&b->sleepers, 1, __ATOMIC_SEQ_CST);
    while (!done(arg))
        pthread_cond_wait(&b->cond, &b->lock);
    __atomic_sub_fetch(&b->sleepers, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&b->lock);
}

void m2c_bell_ring(struct m2c_bell *b)
{
    if (__atomic_load_n(&b->sleepers, __ATOMIC_SEQ_CST) == 0)
        return;
    pthread_mutex_lock(&b->lock);
    pthread_cond_broadcast(&b->cond);
    pthread_mutex_unlock(&b->lock);
}
