/* SPDX-License-Identifier: MIT */
/* Importers: foreign model files as a config and named tensors of floats.
 *
 * Pull-based and blind to where the data goes: the store's writer asks for
 * rows in the order in which it needs them. An importer holds no tensor; it
 * reads and converts what is asked for. A handle is for one thread at a time;
 * open m2c_import_cols are read by any number of threads. */
#ifndef M2C_IMPORT_IMPORT_H
#define M2C_IMPORT_IMPORT_H

#include "base/plugin.h"
#include "ops/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tensors of a Llama-like model. Matrices are [out][in], row-major, as the
 * op MATMUL wants them; vectors have one row. Query and key rows are in the
 * order of the model's own RoPE style (m2c_model_cfg.rope). */
enum m2c_tensor_kind {
    M2C_T_EMBED,      /* [vocab][dim] */
    M2C_T_HEAD,       /* [vocab][dim]; absent when tied */
    M2C_T_FINAL_NORM, /* [1][dim] */
    M2C_T_ATTN_NORM,  /* [1][dim], a layer each from here */
    M2C_T_WQ,         /* [heads · head_dim][dim] */
    M2C_T_WK,         /* [kv_heads · head_dim][dim] */
    M2C_T_WV,         /* [kv_heads · head_dim][dim] */
    M2C_T_WO,         /* [dim][heads · head_dim] */
    M2C_T_FFN_NORM,   /* [1][dim] */
    M2C_T_GATE,       /* [hidden][dim]; absent without gate */
    M2C_T_UP,         /* [hidden][dim] */
    M2C_T_DOWN,       /* [dim][hidden] */
    M2C_N_TENSOR_KINDS
};

/* "wq"; the name of the dataset in a store, too. */
const char *m2c_tensor_kind_name(enum m2c_tensor_kind kind);
bool m2c_tensor_kind_per_layer(enum m2c_tensor_kind kind);
/* Shape by the config; false when the model has no such tensor. */
bool m2c_tensor_shape(const struct m2c_model_cfg *cfg, enum m2c_tensor_kind kind,
                      uint32_t *rows, uint32_t *cols);

/* What the command line may add to what the file says. */
struct m2c_import_opts {
    const char *format; /* "auto" or an importer's name */
    int act;            /* enum m2c_act, or -1: as the file says */
    float act_shift;    /* see m2c_model_cfg; 0 by default */
    bool input_relu;
    float input_relu_shift;
};

struct m2c_import;

const struct m2c_plugin *const *m2c_import_list(void); /* NULL-terminated */

/* Opens a file or folder; checks header, shapes and sizes against the bytes
 * that are there, so that later reads fail only on I/O errors. Errors name
 * file and offset (or JSON key). */
M2C_MUST_USE int m2c_import_open(struct m2c_import **out, const char *path,
                                 const struct m2c_import_opts *opts, struct m2c_err *err);
void m2c_import_close(struct m2c_import *im); /* accepts NULL */
const char *m2c_import_format(const struct m2c_import *im);
const struct m2c_model_cfg *m2c_import_cfg(const struct m2c_import *im);

/* The widest type that loses nothing of the source's ("f16" for an f16
 * file, F32 for bf16 and q80). */
enum m2c_type m2c_import_type(const struct m2c_import *im, enum m2c_tensor_kind kind,
                              uint32_t layer);

/* Rows [row, row + n) as f32 to out[n][cols]. */
M2C_MUST_USE int m2c_import_rows(struct m2c_import *im, enum m2c_tensor_kind kind,
                                 uint32_t layer, uint32_t row, uint32_t n, float *out,
                                 struct m2c_err *err);

/* The raw bytes of the whole tensor as stored in the source, for the one
 * tensor that is read across its rows (down): a handle that serves columns
 * [col, col + n) as f32 to out[n][rows], out[c][r] = W[r][col + c]. Holds at
 * most one tensor at the source's width. */
struct m2c_import_cols;
M2C_MUST_USE int m2c_import_cols_open(struct m2c_import *im, enum m2c_tensor_kind kind,
                                      uint32_t layer, struct m2c_import_cols **out,
                                      struct m2c_err *err);
void m2c_import_cols_get(const struct m2c_import_cols *c, uint32_t col, uint32_t n,
                         float *out);
void m2c_import_cols_close(struct m2c_import_cols *c); /* accepts NULL */

/* Where the source's tokenizer probably is (beside the model); NULL: none
 * found. Borrowed. */
const char *m2c_import_tokenizer(const struct m2c_import *im);

#ifdef __cplusplus
}
#endif
#endif
