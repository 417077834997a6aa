/* SPDX-License-Identifier: MIT */
/* The shape of a model: what an importer reads, a store keeps and the
 * engine computes. */
#ifndef M2C_OPS_MODEL_H
#define M2C_OPS_MODEL_H

#include "ops/op.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_model_cfg {
    char name[128]; /* for people */
    char arch[32];  /* "llama" */
    char synthetic[48]; /* how its weights were made up; "": they were not */
    uint32_t dim, hidden, layers, heads, kv_heads, head_dim, vocab, ctx;
    uint32_t experts; /* 1 for dense models */
    bool tied_head;   /* the head is the embedding */
    bool has_gate;
    enum m2c_act act;
    float act_shift;        /* act(g - shift) */
    bool input_relu;        /* inputs of attention and FFN: relu(norm(x) - shift) */
    float input_relu_shift;
    float norm_eps;
    enum m2c_rope rope;
    double rope_theta;
    int32_t bos, eos; /* -1: none */
};

/* Every number in range and consistent (heads divide, sizes do not overflow,
 * floats finite); -EINVAL naming the field. */
M2C_MUST_USE int m2c_model_cfg_check(const struct m2c_model_cfg *cfg, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
