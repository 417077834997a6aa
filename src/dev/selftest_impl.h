/* SPDX-License-Identifier: MIT */
/* What the files of the self-test share: selftest_cases.c makes calls and
 * their data, selftest.c runs and compares them. */
#ifndef M2C_DEV_SELFTEST_IMPL_H
#define M2C_DEV_SELFTEST_IMPL_H

#include "base/rng.h"
#include "dev/dev_impl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The operands of a case lie one after another in one buffer, which exists
 * twice: for the reference, and on the device. A case is built twice, to the
 * same offsets: with `filled` for the reference, where it writes its data,
 * then for the device. */
struct m2c_selftest {
    struct m2c_dev *dev;
    struct m2c_buf *buf;
    bool filled;
    struct m2c_rng rng;
    size_t used;
    struct m2c_mem out; /* what the call writes: n elements of f32 or f16 */
    uint32_t n_out;     /* 0: all memory must be the reference's, byte by byte */
    enum m2c_type out_type;
    struct m2c_ffn_unit unit; /* the call may point here */
};

/* An op and the type of its weights, and which of its variants (activation,
 * rows, add, style ...) to build. */
struct m2c_selftest_case {
    enum m2c_op op;
    enum m2c_type type;
    unsigned variant;
};

/* Variants of an op: 0 .. n - 1. */
unsigned m2c_selftest_variants(enum m2c_op op);
void m2c_selftest_build(struct m2c_selftest *s, const struct m2c_selftest_case *c,
                        struct m2c_call *call);

#ifdef __cplusplus
}
#endif
#endif
