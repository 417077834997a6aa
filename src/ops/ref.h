/* SPDX-License-Identifier: MIT */
/* The reference of every op, in plain C, accumulating in double. It defines
 * the op, it is never optimised, and every backend is tested against it. */
#ifndef M2C_OPS_REF_H
#define M2C_OPS_REF_H

#include "ops/op.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*m2c_ref_fn)(const struct m2c_call *call);

/* All operands must be host-visible. Never NULL for op < M2C_N_OPS. */
m2c_ref_fn m2c_ref(enum m2c_op op);

/* Element i of row `row` of a tensor, dequantised. */
float m2c_ref_weight(const struct m2c_tensor *t, uint32_t row, uint32_t col);
/* Element i of vector v (0 gate, 1 up, 2 down) of a neuron, dequantised. */
double m2c_ref_neuron_weight(const struct m2c_ffn_unit *u, const struct m2c_neuron_ref *n,
                             int v, uint32_t i);

#ifdef __cplusplus
}
#endif
#endif
