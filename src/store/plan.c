/* SPDX-License-Identifier: MIT */
/* The list of a store's datasets. Touches no file. */
#include "store/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_dense(enum m2c_tensor_kind kind)
{
    return kind != M2C_T_GATE && kind != M2C_T_UP && kind != M2C_T_DOWN;
}

/* Kinds come in the order of the enum, the global ones first. */
static enum m2c_tensor_kind nth_dense(bool per_layer, uint32_t n)
{
    for (unsigned k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        enum m2c_tensor_kind kind = (enum m2c_tensor_kind)k;
        if (is_dense(kind) && m2c_tensor_kind_per_layer(kind) == per_layer && n-- == 0)
            return kind;
    }
    return M2C_N_TENSOR_KINDS;
}

bool m2c_plan_dense(const struct m2c_plan *p, enum m2c_tensor_kind kind, uint32_t layer,
                    size_t *i)
{
    if ((unsigned)kind >= M2C_N_TENSOR_KINDS || !is_dense(kind))
        return false;
    bool per_layer = m2c_tensor_kind_per_layer(kind);
    if (per_layer ? layer >= p->cfg.layers : layer != 0)
        return false;
    uint32_t at = 0;
    while (nth_dense(per_layer, at) != kind)
        at++;
    *i = per_layer ? p->n_global + (size_t)layer * p->n_layer + at : at;
    return true;
}

static void add_dense(struct m2c_plan *p, size_t i, enum m2c_tensor_kind kind,
                      uint32_t layer)
{
    struct m2c_dset d = {.role = M2C_DSET_CODES, .kind = kind, .layer = layer};
    if (!m2c_tensor_shape(&p->cfg, kind, &d.rows, &d.cols))
        d.rows = d.cols = 0;
    p->dset[2 * i] = d;
    d.role = M2C_DSET_SCALES;
    p->dset[2 * i + 1] = d;
}

static void add_extents(struct m2c_plan *p, uint32_t layer)
{
    for (uint32_t e = 0; e < p->n_extents; e++) {
        struct m2c_dset d = {.role = M2C_DSET_FFN,
                             .kind = M2C_N_TENSOR_KINDS,
                             .layer = layer,
                             .extent = e,
                             .rows = p->cfg.hidden};
        for (uint32_t q = 0; q < p->layout.n_parts; q++) {
            if (m2c_plan_extent_of(p, q) != e)
                continue;
            p->part_off[q] = d.cols;
            d.cols += p->geom[q].bytes;
            d.block_sums++;
        }
        p->dset[m2c_plan_extent(p, layer, e)] = d;
    }
}

int m2c_plan_init(struct m2c_plan *p, const struct m2c_model_cfg *cfg,
                  const struct m2c_layout *layout, enum m2c_arrange arrange,
                  const char *quant, struct m2c_err *err)
{
    *p = (struct m2c_plan){.cfg = *cfg, .layout = *layout, .arrange = arrange};
    snprintf(p->quant, sizeof p->quant, "%s", quant);
    p->n_extents = arrange == M2C_ARRANGE_NEURON ? 1 : layout->n_parts;
    while (nth_dense(false, p->n_global) != M2C_N_TENSOR_KINDS)
        p->n_global++;
    while (nth_dense(true, p->n_layer) != M2C_N_TENSOR_KINDS)
        p->n_layer++;
    p->n_dense = p->n_global + (size_t)cfg->layers * p->n_layer;
    p->n_dsets = 2 * p->n_dense + (size_t)cfg->layers * p->n_extents;
    p->dset = calloc(p->n_dsets, sizeof *p->dset);
    if (!p->dset)
        return m2c_fail(err, -ENOMEM, "no memory for the list of %zu datasets",
                        p->n_dsets);
    for (uint32_t k = 0; k < p->n_global; k++)
        add_dense(p, k, nth_dense(false, k), 0);
    for (size_t i = p->n_global; i < p->n_dense; i++) {
        size_t at = i - p->n_global;
        add_dense(p, i, nth_dense(true, (uint32_t)(at % p->n_layer)),
                  (uint32_t)(at / p->n_layer));
    }
    for (uint32_t q = 0; q < layout->n_parts; q++)
        m2c_record_geom(layout->part[q].type, cfg->dim, cfg->has_gate, &p->geom[q]);
    for (uint32_t l = 0; l < cfg->layers; l++)
        add_extents(p, l);
    return 0;
}

void m2c_plan_fini(struct m2c_plan *p)
{
    free(p->dset);
    p->dset = NULL;
}

void m2c_plan_set_type(struct m2c_plan *p, size_t i, enum m2c_type type)
{
    p->dset[2 * i].type = p->dset[2 * i + 1].type = type;
}

static bool add_u64(uint64_t *sum, uint64_t x)
{
    if (x > UINT64_MAX - *sum)
        return false;
    *sum += x;
    return true;
}

static bool dset_sizes(const struct m2c_plan *p, struct m2c_dset *d)
{
    size_t row = d->cols, n = d->rows, bytes = 0;
    d->block = M2C_STORE_BLOCK;
    if (d->role != M2C_DSET_FFN)
        d->block_sums = 1;
    if (d->role == M2C_DSET_CODES)
        row = m2c_code_bytes(d->type, d->cols);
    else if (d->role == M2C_DSET_SCALES)
        row = m2c_scale_bytes(d->type, d->cols);
    else
        d->block = row;
    if (d->role == M2C_DSET_FFN && !m2c_mul_size(n, p->cfg.experts, &n))
        return false;
    if (!m2c_mul_size(row, n, &bytes))
        return false;
    d->bytes = bytes;
    d->n_sums = bytes / d->block + (bytes % d->block != 0);
    d->n_sums *= d->block_sums;
    return true;
}

uint64_t m2c_plan_summed(const struct m2c_plan *p, const struct m2c_dset *d, uint64_t i,
                         uint64_t *at)
{
    *at = i / d->block_sums * d->block;
    if (d->block_sums == 1)
        return M2C_MIN(d->block, d->bytes - *at);
    *at += p->part_off[i % d->block_sums];
    return p->geom[i % d->block_sums].bytes;
}

int m2c_plan_sizes(struct m2c_plan *p, struct m2c_err *err)
{
    p->n_sums = p->dense_bytes = p->ffn_bytes = 0;
    for (size_t i = 0; i < p->n_dsets; i++) {
        struct m2c_dset *d = &p->dset[i];
        uint64_t *total = d->role == M2C_DSET_FFN ? &p->ffn_bytes : &p->dense_bytes;
        if (!dset_sizes(p, d) || !add_u64(total, d->bytes))
            return m2c_fail(err, -EOVERFLOW, "the model's size overflows 64 bits");
        d->first_sum = p->n_sums;
        p->n_sums += d->n_sums;
    }
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct m2c_dset *x = *(const struct m2c_dset *const *)a;
    const struct m2c_dset *y = *(const struct m2c_dset *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

const struct m2c_dset **m2c_plan_by_offset(const struct m2c_plan *p, size_t *n)
{
    const struct m2c_dset **list = calloc(p->n_dsets, sizeof *list);
    *n = 0;
    for (size_t i = 0; list && i < p->n_dsets; i++) {
        if (p->dset[i].bytes)
            list[(*n)++] = &p->dset[i];
    }
    if (list)
        qsort(list, *n, sizeof *list, by_offset);
    return list;
}

void m2c_dset_path(const struct m2c_plan *p, const struct m2c_dset *d,
                   char out[M2C_STORE_PATH])
{
    if (d->role == M2C_DSET_FFN) {
        snprintf(out, M2C_STORE_PATH, "/ffn/%" PRIu32 "/%s", d->layer,
                 p->arrange == M2C_ARRANGE_NEURON ? "neurons"
                                                  : p->layout.part[d->extent].name);
        return;
    }
    const char *name = m2c_tensor_kind_name(d->kind);
    const char *tail = d->role == M2C_DSET_SCALES ? ".scales" : "";
    if (m2c_tensor_kind_per_layer(d->kind))
        snprintf(out, M2C_STORE_PATH, "/dense/%" PRIu32 "/%s%s", d->layer, name, tail);
    else
        snprintf(out, M2C_STORE_PATH, "/dense/%s%s", name, tail);
}
