/* SPDX-License-Identifier: MIT */
/* Virtual time: a heap of future events and the time of the last one taken.
 *
 * Simulated devices and I/O engines schedule completions here; advancing the
 * clock is taking the earliest event. Equal times come out in the order in
 * which they were scheduled, so a run is deterministic. */
#ifndef M2C_BASE_VCLOCK_H
#define M2C_BASE_VCLOCK_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_vclock;
typedef void (*m2c_vclock_fn)(void *ctx, uint64_t now_ns);

M2C_MUST_USE int m2c_vclock_open(struct m2c_vclock **out);
void m2c_vclock_close(struct m2c_vclock *c); /* accepts NULL; drops what is pending */
uint64_t m2c_vclock_now(const struct m2c_vclock *c);
/* at_ns must not lie in the past (-EINVAL). -ENOMEM. */
M2C_MUST_USE int m2c_vclock_at(struct m2c_vclock *c, uint64_t at_ns, m2c_vclock_fn fn,
                               void *ctx);
/* Moves to the earliest event and calls it; 0 when none is pending, else 1.
 * The callback may schedule more. */
int m2c_vclock_step(struct m2c_vclock *c);
/* Takes all events up to `to_ns`, those at it included, and then is there; a time
 * in the past changes nothing. */
void m2c_vclock_pass(struct m2c_vclock *c, uint64_t to_ns);

#ifdef __cplusplus
}
#endif
#endif
