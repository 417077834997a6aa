/* SPDX-License-Identifier: MIT */
/* Names of ops and activations. */
#include "ops/op.h"

static const char *const op_names[M2C_N_OPS] = {
    [M2C_OP_FILL] = "fill",           [M2C_OP_EMBED] = "embed",
    [M2C_OP_NORM] = "norm",           [M2C_OP_MATMUL] = "matmul",
    [M2C_OP_ROPE] = "rope",           [M2C_OP_KV_APPEND] = "kv_append",
    [M2C_OP_ATTENTION] = "attention", [M2C_OP_FFN_UP] = "ffn_up",
    [M2C_OP_FFN_DOWN] = "ffn_down",   [M2C_OP_FFN_SUM] = "ffn_sum",
    [M2C_OP_ARGMAX] = "argmax",       [M2C_OP_SELECT] = "select",
    [M2C_OP_LOOKUP] = "lookup",
};

static const char *const act_names[M2C_N_ACTS] = {
    [M2C_ACT_SILU] = "silu", [M2C_ACT_GELU] = "gelu", [M2C_ACT_RELU] = "relu"};

const char *m2c_op_name(enum m2c_op op)
{
    return (unsigned)op < M2C_N_OPS ? op_names[op] : "?";
}

const char *m2c_act_name(enum m2c_act act)
{
    return (unsigned)act < M2C_N_ACTS ? act_names[act] : "?";
}
