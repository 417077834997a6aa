/* SPDX-License-Identifier: MIT */
/* The shadow: gate and up of every neuron at the widest class, outside the
 * tiers, from which the true activations are computed for informed selectors
 * and for measuring recall. Its bytes and time are reported apart. Inside the
 * module. */
#ifndef M2C_INFER_SHADOW_H
#define M2C_INFER_SHADOW_H

#include "dev/dev.h"
#include "store/store.h"

struct m2c_shadow;

uint64_t m2c_shadow_bytes(const struct m2c_store *s);
M2C_MUST_USE int m2c_shadow_open(struct m2c_shadow **out, struct m2c_dev *dev,
                                 const struct m2c_store *s, struct m2c_err *err);
void m2c_shadow_close(struct m2c_shadow *sh); /* accepts NULL */

/* Enqueues the computation of |h| of all neurons of a layer for one row x
 * (f32[dim]) and waits; *truth is f32[hidden], valid until the next call. */
M2C_MUST_USE int m2c_shadow_truth(struct m2c_shadow *sh, struct m2c_queue *queue,
                                  uint32_t layer, struct m2c_mem x, const float **truth,
                                  struct m2c_err *err);
/* Vector 0 (1 where there is no gate) of every neuron, decoded: f32[n][dim]. Waits
 * for what is on the queue. */
M2C_MUST_USE int m2c_shadow_gate(struct m2c_shadow *sh, struct m2c_queue *queue,
                                 uint32_t layer, float *out, struct m2c_err *err);

#endif
