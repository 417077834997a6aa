/* SPDX-License-Identifier: MIT */
/* The tensors of a Llama-like model: names and shapes. */
#include "import/import_impl.h"

static const char *const names[M2C_N_TENSOR_KINDS] = {
    [M2C_T_EMBED] = "embed",
    [M2C_T_HEAD] = "head",
    [M2C_T_FINAL_NORM] = "final_norm",
    [M2C_T_ATTN_NORM] = "attn_norm",
    [M2C_T_WQ] = "wq",
    [M2C_T_WK] = "wk",
    [M2C_T_WV] = "wv",
    [M2C_T_WO] = "wo",
    [M2C_T_FFN_NORM] = "ffn_norm",
    [M2C_T_GATE] = "gate",
    [M2C_T_UP] = "up",
    [M2C_T_DOWN] = "down",
};

const char *m2c_tensor_kind_name(enum m2c_tensor_kind kind)
{
    return (unsigned)kind < M2C_N_TENSOR_KINDS ? names[kind] : "?";
}

bool m2c_tensor_kind_per_layer(enum m2c_tensor_kind kind)
{
    return kind >= M2C_T_ATTN_NORM && kind < M2C_N_TENSOR_KINDS;
}

bool m2c_tensor_kind_is_norm(enum m2c_tensor_kind kind)
{
    return kind == M2C_T_ATTN_NORM || kind == M2C_T_FFN_NORM || kind == M2C_T_FINAL_NORM;
}

bool m2c_tensor_shape(const struct m2c_model_cfg *cfg, enum m2c_tensor_kind kind,
                      uint32_t *rows, uint32_t *cols)
{
    uint32_t q = cfg->heads * cfg->head_dim, kv = cfg->kv_heads * cfg->head_dim;
    *cols = cfg->dim;
    switch (kind) {
    case M2C_T_EMBED:
        *rows = cfg->vocab;
        return true;
    case M2C_T_HEAD:
        *rows = cfg->vocab;
        return !cfg->tied_head;
    case M2C_T_FINAL_NORM:
    case M2C_T_ATTN_NORM:
    case M2C_T_FFN_NORM:
        *rows = 1;
        return true;
    case M2C_T_WQ:
        *rows = q;
        return true;
    case M2C_T_WK:
    case M2C_T_WV:
        *rows = kv;
        return true;
    case M2C_T_WO:
        *rows = cfg->dim;
        *cols = q;
        return true;
    case M2C_T_GATE:
        *rows = cfg->hidden;
        return cfg->has_gate;
    case M2C_T_UP:
        *rows = cfg->hidden;
        return true;
    case M2C_T_DOWN:
        *rows = cfg->dim;
        *cols = cfg->hidden;
        return true;
    case M2C_N_TENSOR_KINDS:
        break;
    }
    *rows = *cols = 0;
    return false;
}
