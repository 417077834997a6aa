/* SPDX-License-Identifier: MIT */
/* From a config with axes to the list of points. */
#ifndef M2C_EXP_SWEEP_H
#define M2C_EXP_SWEEP_H

#include "base/hash.h"
#include "base/opt.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One point: a config without axes. Its hash is over the canonical text of
 * every key but output.*, experiment.repeat and experiment.name. */
struct m2c_point {
    struct m2c_optset *set;
    struct m2c_hash128 hash;
    uint32_t index; /* in the whole sweep, duplicates dropped */
};

struct m2c_sweep {
    struct m2c_point *point;
    uint32_t n;
};

/* The cross product of the axes in the order written, the first slowest;
 * points that come to the same config are kept once. -E2BIG past 100,000. */
M2C_MUST_USE int m2c_sweep_expand(const struct m2c_optset *set, struct m2c_sweep *out,
                                  struct m2c_err *err);
void m2c_sweep_free(struct m2c_sweep *s);

#ifdef __cplusplus
}
#endif
#endif
