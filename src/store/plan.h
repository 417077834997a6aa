/* SPDX-License-Identifier: MIT */
/* Which datasets a store has, in which order, and how large: all of it
 * follows from the model, the layout and the type of each dense tensor, so the
 * writer lays it out and the reader knows what must be there.
 *
 * Order: for each dense tensor in the order of m2c_tensor_kind (global ones,
 * then layer by layer) its codes, then its scales; then the FFN's extents,
 * layer by layer. Sums are numbered in the same order.
 *
 * An extent is a dataset of FFN records: that of one part, or the one of all
 * parts, by the store's arrangement. Either way each record of a part has a
 * sum of its own. */
#ifndef M2C_STORE_PLAN_H
#define M2C_STORE_PLAN_H

#include "import/import.h"
#include "quant/layout.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { M2C_STORE_BLOCK = 1 << 20 }; /* bytes of a dense tensor under one sum */
enum { M2C_PLAN_QUANT = 16 };
enum { M2C_STORE_PATH = 64 };       /* enough for any dataset's path */

enum m2c_dset_role { M2C_DSET_CODES, M2C_DSET_SCALES, M2C_DSET_FFN };

/* One payload dataset. bytes == 0: the model or type has no such dataset. */
struct m2c_dset {
    enum m2c_dset_role role;
    enum m2c_tensor_kind kind; /* codes, scales */
    uint32_t layer, extent;
    enum m2c_type type;  /* of the tensor */
    uint32_t rows, cols; /* of the tensor; of an extent: neurons, their bytes */
    uint64_t offset;     /* in the file */
    uint64_t bytes;
    uint64_t block;      /* bytes under `block_sums` sums (the last may be short) */
    uint32_t block_sums; /* 1, or the parts of a neuron */
    uint64_t first_sum, n_sums;
};

struct m2c_plan {
    struct m2c_model_cfg cfg;
    struct m2c_layout layout;
    enum m2c_arrange arrange;
    char quant[M2C_PLAN_QUANT]; /* the FFN's quantiser, for people */
    struct m2c_geom geom[M2C_LAYOUT_PARTS]; /* packed records */
    uint32_t n_extents;                     /* of a layer */
    uint32_t part_off[M2C_LAYOUT_PARTS];    /* of a part in its extent's rows */
    uint32_t n_global, n_layer; /* dense tensors, of the model and of a layer */
    size_t n_dense;             /* tensors; datasets are twice as many */
    size_t n_dsets;
    struct m2c_dset *dset;
    uint64_t n_sums, dense_bytes, ffn_bytes;
};

/* Lists the datasets; types of dense tensors are still to be set. cfg and
 * layout are checked by the caller. -ENOMEM, -EINVAL. */
M2C_MUST_USE int m2c_plan_init(struct m2c_plan *p, const struct m2c_model_cfg *cfg,
                               const struct m2c_layout *layout, enum m2c_arrange arrange,
                               const char *quant, struct m2c_err *err);
void m2c_plan_fini(struct m2c_plan *p);

/* Sets the type of dense tensor i (its codes and scales). */
void m2c_plan_set_type(struct m2c_plan *p, size_t i, enum m2c_type type);
/* Sizes and sum numbers, once all types are set. -EOVERFLOW. */
M2C_MUST_USE int m2c_plan_sizes(struct m2c_plan *p, struct m2c_err *err);

/* Index of a dense tensor; false: a kind that is not dense, or out of range. */
bool m2c_plan_dense(const struct m2c_plan *p, enum m2c_tensor_kind kind, uint32_t layer,
                    size_t *i);
static inline size_t m2c_plan_extent(const struct m2c_plan *p, uint32_t layer,
                                     uint32_t extent)
{
    return 2 * p->n_dense + (size_t)layer * p->n_extents + extent;
}
/* The extent that has a part. */
static inline uint32_t m2c_plan_extent_of(const struct m2c_plan *p, uint32_t part)
{
    return p->arrange == M2C_ARRANGE_NEURON ? 0 : part;
}
/* The bytes [*at, *at + result) of a dataset are those under its sum i. */
uint64_t m2c_plan_summed(const struct m2c_plan *p, const struct m2c_dset *d, uint64_t i,
                         uint64_t *at);

/* The datasets that have bytes, by their offset: *n pointers into the plan,
 * freed by the caller. NULL: no memory. */
const struct m2c_dset **m2c_plan_by_offset(const struct m2c_plan *p, size_t *n);

/* "/dense/3/wq", "/dense/3/wq.scales", "/ffn/3/i8", "/ffn/3/neurons". */
void m2c_dset_path(const struct m2c_plan *p, const struct m2c_dset *d,
                   char out[M2C_STORE_PATH]);

#ifdef __cplusplus
}
#endif
#endif
