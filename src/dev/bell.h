/* SPDX-License-Identifier: MIT */
/* Where threads wait for one kind of change: they spin for some tens of
 * microseconds, then sleep. Decode hands over work every few microseconds,
 * and to sleep and be woken costs more than that; but cores are few, and a
 * spinner must not keep one from a thread that computes, so it yields.
 *
 * The change itself is atomic and the caller's. Order: whoever changes makes
 * the change and then looks for sleepers; whoever sleeps counts itself and
 * then looks at the change again. One of the two sees the other. */
#ifndef M2C_DEV_BELL_H
#define M2C_DEV_BELL_H

#include "base/base.h"

#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_bell {
    pthread_mutex_t lock; /* guards sleeping, nothing else */
    pthread_cond_t cond;
    int sleepers; /* atomic, by builtins: C++ cannot read C's atomic types */
    bool made;
};

M2C_MUST_USE int m2c_bell_init(struct m2c_bell *b); /* -ENOMEM */
void m2c_bell_fini(struct m2c_bell *b);             /* a zeroed one is fine */

/* Returns once done(arg) is true; done reads atomics only. */
void m2c_bell_wait(struct m2c_bell *b, bool (*done)(const void *arg), const void *arg);
/* After the change. */
void m2c_bell_ring(struct m2c_bell *b);

#ifdef __cplusplus
}
#endif
#endif
