/* SPDX-License-Identifier: MIT */
/* What the files of this module share about an open store.
 *
 * After open nothing in here changes, so every function that takes a const
 * store may run on any thread. */
#ifndef M2C_STORE_STORE_IMPL_H
#define M2C_STORE_STORE_IMPL_H

#include "store/config_h5_impl.h"
#include "store/file_impl.h"
#include "store/plan.h"
#include "store/store.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { M2C_TOK_KIND = 32 };

struct m2c_store {
    char *path;
    int fd;
    struct m2c_userblock head;
    struct m2c_plan plan; /* model, layout, datasets with their offsets */
    struct m2c_hash128 model, order;
    uint64_t *sums; /* plan.n_sums, by m2c_dset.first_sum */
    bool has_tok;
    char tok_kind[M2C_TOK_KIND];
    void *tok;
    size_t tok_n;
};

/* Types that a dense tensor may have: f32, f16, i8, i4. */
static inline bool m2c_dense_type_ok(enum m2c_type type)
{
    return type == M2C_F32 || type == M2C_F16 || type == M2C_I8 || type == M2C_I4;
}

/* -ENODATA: what reads payload answers this for a shape. */
int m2c_store_no_weights(const struct m2c_store *s, struct m2c_err *err);

/* The type of a payload dataset's elements on disk, and its shape: returns
 * the rank (2 or 3). */
int m2c_dset_shape(const struct m2c_plan *p, const struct m2c_dset *d,
                   const struct m2c_h5_type **type, hsize_t dims[3]);

/* What lies in the head beside metadata. */
struct m2c_head_places {
    uint64_t sums, tok, tok_n; /* offsets, and the tokenizer's bytes */
    const char *tok_kind;      /* NULL: there is none */
};
/* The index of a store; NULL: no memory. */
json_t *m2c_store_index(const struct m2c_plan *p, struct m2c_hash128 model,
                        struct m2c_hash128 order, const struct m2c_head_places *at);
/* Fills in all but path, fd and head. */
M2C_MUST_USE int m2c_store_index_read(struct m2c_store *s, const json_t *index,
                                      struct m2c_err *err);

/* The sum of block i of a dataset against what lies in memory; -EIO names
 * file, dataset, record and offset. */
M2C_MUST_USE int m2c_store_check_block(const struct m2c_store *s,
                                       const struct m2c_dset *d, uint64_t i,
                                       const void *bytes, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
