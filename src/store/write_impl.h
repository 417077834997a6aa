/* SPDX-License-Identifier: MIT */
/* What the files that write a store share. */
#ifndef M2C_STORE_WRITE_IMPL_H
#define M2C_STORE_WRITE_IMPL_H

#include "base/pool.h"
#include "quant/quant.h"
#include "store/store_impl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A model's identity while its tensors stream by: XXH3-128 of the config's
 * text and of each tensor's own XXH3-128, in the order of m2c_tensor_kind
 * (global, then layer by layer). A tensor is hashed as f32, row by row, down
 * as its transpose. The text leaves out what changes no number: name, ctx,
 * bos, eos. */
struct m2c_model_hash;
M2C_MUST_USE int m2c_model_hash_open(struct m2c_model_hash **out,
                                     const struct m2c_model_cfg *cfg);
void m2c_model_hash_close(struct m2c_model_hash *h); /* accepts NULL */
void m2c_model_hash_tensor(struct m2c_model_hash *h, struct m2c_hash128 tensor);
struct m2c_hash128 m2c_model_hash_end(const struct m2c_model_hash *h);
/* Of neurons in the source's order: XXH3-128 of u32 [layers][experts][neurons]. */
M2C_MUST_USE int m2c_identity_order(const struct m2c_model_cfg *cfg,
                                    struct m2c_hash128 *out);
/* Of an order on top of another: the same of `order` where `before` is that of
 * the identity, else XXH3-128 of `before` (hi, lo) and then `order`. */
M2C_MUST_USE int m2c_order_hash(const struct m2c_model_cfg *cfg, const uint32_t *order,
                                struct m2c_hash128 before, struct m2c_hash128 *out);

/* A store in the making. */
struct m2c_writer {
    const char *path, *tmp; /* the final name is for messages */
    int fd;
    struct m2c_import *src;
    const struct m2c_store *from; /* instead of src: another store (write_from.c) */
    const struct m2c_bank *bank;  /* instead of src: random groups (write_bank.c) */
    const uint32_t *order;        /* of its neurons: u32 [layers][hidden], or NULL */
    struct m2c_plan plan;
    uint64_t userblock, head_bytes, file_bytes;
    struct m2c_head_places at;
    const struct m2c_store_write_opts *opts;
    struct m2c_pool *pool;
    struct m2c_progress *progress;
    uint64_t done; /* payload bytes */
    struct m2c_model_hash *hash;
};

/* Makes the HDF5 file with all objects, without payload, and learns all
 * offsets. */
M2C_MUST_USE int m2c_writer_create(struct m2c_writer *w, const struct m2c_store_config *c,
                                   struct m2c_err *err);
/* Access to the file in the making; with `align`, new datasets begin on pages.
 * Negative: failed. The caller closes it. */
hid_t m2c_writer_access(bool align);
/* No less than the file's size; known before anything is created. */
uint64_t m2c_writer_estimate(const struct m2c_writer *w);

/* All tensors, from the source to the file, with their sums. */
M2C_MUST_USE int m2c_writer_payload(struct m2c_writer *w, struct m2c_err *err);
M2C_MUST_USE int m2c_writer_dense(struct m2c_writer *w, size_t i, struct m2c_err *err);
M2C_MUST_USE int m2c_writer_ffn(struct m2c_writer *w, uint32_t layer,
                                struct m2c_err *err);

/* ---- from a store ---- */

/* Rows of all extents of some neurons; zeroed to begin with. */
struct m2c_from_rows {
    const struct m2c_plan *plan; /* of the source */
    unsigned char *rows[M2C_LAYOUT_PARTS];
    uint32_t stride[M2C_LAYOUT_PARTS];
};
M2C_MUST_USE int m2c_from_dense(struct m2c_writer *w, size_t i, struct m2c_err *err);
bool m2c_from_same(const struct m2c_writer *w); /* both have one layout */
/* Neurons [first, first + n) of the new order; later calls for a layer ask for
 * no more than the first. */
M2C_MUST_USE int m2c_from_rows_read(const struct m2c_writer *w, uint32_t layer,
                                    uint32_t first, uint32_t n, struct m2c_from_rows *r,
                                    struct m2c_err *err);
void m2c_from_rows_free(struct m2c_from_rows *r);
/* A part of the i-th of them, and vector v as the widest class has it. */
const unsigned char *m2c_from_record(const struct m2c_from_rows *r, size_t i,
                                     uint32_t part);
void m2c_from_vector(const struct m2c_from_rows *r, size_t i, unsigned v, float *x);
/* -EINVAL unless each layer's part is a permutation. */
M2C_MUST_USE int m2c_check_order(const struct m2c_model_cfg *cfg, const uint32_t *order,
                                 struct m2c_err *err);

/* ---- random weights ---- */

/* Random groups, encoded once for every part of a layout and for one dense type. */
struct m2c_bank;
M2C_MUST_USE int m2c_bank_open(struct m2c_bank **out, const struct m2c_model_cfg *cfg,
                               const struct m2c_layout *layout, enum m2c_type dense,
                               uint64_t seed, struct m2c_err *err);
void m2c_bank_close(struct m2c_bank *b); /* accepts NULL */
/* Rows [row, row + n) of a dense tensor, codes and scales. */
void m2c_bank_rows(const struct m2c_bank *b, const struct m2c_dset *d, uint32_t row,
                   uint32_t n, unsigned char *codes, unsigned char *scales);
/* Vector v of a neuron, its codes and scales of one part. */
void m2c_bank_vector(const struct m2c_bank *b, uint32_t layer, uint32_t neuron,
                     unsigned v, uint32_t part, unsigned char *codes,
                     unsigned char *scales);

/* Norms are few bytes and many operations: always f32. */
bool m2c_writer_norm(enum m2c_tensor_kind kind);
/* -EINTR once the caller asked to stop. */
M2C_MUST_USE int m2c_writer_stopped(const struct m2c_writer *w, struct m2c_err *err);
/* Sums [first, first + n) of a dataset. */
M2C_MUST_USE int m2c_writer_sums(struct m2c_writer *w, const struct m2c_dset *d,
                                 uint64_t first, const uint64_t *sums, size_t n,
                                 struct m2c_err *err);

/* Which element of x m2c_encode refuses for this type; n: none. */
size_t m2c_encode_culprit(enum m2c_type type, const float *x, size_t n);

#ifdef __cplusplus
}
#endif
#endif
