/* SPDX-License-Identifier: MIT */
/* A pool of worker threads for loops over independent items.
 *
 * The caller's thread works too: a pool of 1 creates no thread. Items are
 * handed out in chunks by an atomic counter, so results must not depend on
 * which thread ran which item. Workers spin briefly before they sleep, since
 * decode hands out work every few microseconds. */
#ifndef M2C_BASE_POOL_H
#define M2C_BASE_POOL_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_pool;

/* Called for items [begin, end); `worker` < threads names the thread. */
typedef void (*m2c_pool_fn)(void *ctx, size_t begin, size_t end, unsigned worker);

/* threads = 0: as many as the process may run on (affinity mask). */
M2C_MUST_USE int m2c_pool_open(struct m2c_pool **out, unsigned threads, struct m2c_err *err);
void m2c_pool_close(struct m2c_pool *p); /* accepts NULL; no loop may be running */
unsigned m2c_pool_threads(const struct m2c_pool *p);

/* Runs fn over [0, n) in chunks of at most `chunk` (0: n split evenly, one
 * chunk a thread) and returns when all is done. One loop at a time. */
void m2c_pool_run(struct m2c_pool *p, size_t n, size_t chunk, m2c_pool_fn fn, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
