/* SPDX-License-Identifier: MIT */
/* The dense weights (embedding, attention, norms, head), resident in device
 * memory. Inside the module. */
#ifndef M2C_INFER_DENSE_H
#define M2C_INFER_DENSE_H

#include "dev/dev.h"
#include "store/store.h"

struct m2c_dense_layer {
    struct m2c_tensor wq, wk, wv, wo;
    struct m2c_mem attn_norm, ffn_norm; /* f32[dim] */
};

struct m2c_dense {
    struct m2c_dev *dev;
    struct m2c_buf *buf; /* all of it */
    struct m2c_tensor embed, head;
    struct m2c_mem final_norm, inv_freq; /* f32[dim], f32[head_dim / 2] */
    uint32_t n_layers;
    struct m2c_dense_layer *layer;
};

/* Device bytes that m2c_dense_open will take. */
uint64_t m2c_dense_bytes(const struct m2c_store *s);
/* Reads and checks every dense tensor; uses `queue` where the device's memory
 * is not the host's. */
M2C_MUST_USE int m2c_dense_open(struct m2c_dense **out, struct m2c_dev *dev,
                                struct m2c_queue *queue, const struct m2c_store *s,
                                struct m2c_err *err);
void m2c_dense_close(struct m2c_dense *d); /* accepts NULL */

#endif
