/* SPDX-License-Identifier: MIT */
/* A layer's FFN on its way into a store: gate and up come by rows, down by
 * columns, and each neuron becomes one record in every part. */
#include "store/write_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 16 << 20 };

static const enum m2c_tensor_kind vectors[M2C_LAYOUT_VECTORS] = {M2C_T_GATE, M2C_T_UP,
                                                                 M2C_T_DOWN};

struct ffn {
    const struct m2c_plan *plan;
    uint32_t layer, dim, v0; /* v0: the first vector, 1 without gate */
    uint32_t per_chunk;      /* neurons */
    const struct m2c_bank *bank; /* where weights are made up; then the chunk's first */
    uint32_t first;              /* neuron, too */
    float *x[M2C_LAYOUT_VECTORS];
    const struct m2c_quant *quant;
    const float *moments; /* of the layer's input, or NULL */
    unsigned char *rec[M2C_LAYOUT_PARTS]; /* by extent */
    uint64_t *sum[M2C_LAYOUT_PARTS];
    struct m2c_hasher *hash[M2C_LAYOUT_VECTORS];
    struct m2c_import_cols *down;
    struct m2c_from_rows from; /* where another store is the source */
    atomic_size_t bad; /* the first neuron of the chunk that cannot be encoded */
};

static void ffn_fini(struct ffn *f)
{
    for (int v = 0; v < M2C_LAYOUT_VECTORS; v++) {
        free(f->x[v]);
        m2c_hasher_close(f->hash[v]);
    }
    for (int q = 0; q < M2C_LAYOUT_PARTS; q++) {
        free(f->rec[q]);
        free(f->sum[q]);
    }
    m2c_import_cols_close(f->down);
    m2c_from_rows_free(&f->from);
}

static const struct m2c_dset *extent(const struct ffn *f, uint32_t e)
{
    return &f->plan->dset[m2c_plan_extent(f->plan, f->layer, e)];
}

/* Part q of neuron i of the chunk. */
static unsigned char *record(const struct ffn *f, size_t i, uint32_t q)
{
    uint32_t e = m2c_plan_extent_of(f->plan, q);
    return f->rec[e] + i * extent(f, e)->cols + f->plan->part_off[q];
}

static bool ffn_alloc(struct ffn *f)
{
    size_t neuron = (size_t)(M2C_LAYOUT_VECTORS - f->v0) * f->dim * sizeof(float);
    for (uint32_t e = 0; e < f->plan->n_extents; e++) {
        const struct m2c_dset *d = extent(f, e);
        neuron += d->cols + d->block_sums * sizeof(uint64_t);
    }
    size_t n = M2C_MAX(CHUNK_BYTES / neuron, (size_t)1);
    f->per_chunk = (uint32_t)M2C_MIN(n, (size_t)f->plan->cfg.hidden);
    bool ok = true;
    for (uint32_t v = f->v0; v < M2C_LAYOUT_VECTORS; v++) {
        f->x[v] = malloc(sizeof(float) * f->per_chunk * f->dim);
        ok = ok && f->x[v] && m2c_hasher_open(&f->hash[v]) == 0;
    }
    for (uint32_t e = 0; e < f->plan->n_extents; e++) {
        const struct m2c_dset *d = extent(f, e);
        f->rec[e] = malloc((size_t)f->per_chunk * d->cols);
        f->sum[e] = malloc((size_t)f->per_chunk * d->block_sums * sizeof(uint64_t));
        ok = ok && f->rec[e] && f->sum[e];
    }
    return ok;
}

static void sum_neuron(struct ffn *f, size_t i)
{
    for (uint32_t q = 0; q < f->plan->layout.n_parts; q++) {
        uint32_t e = m2c_plan_extent_of(f->plan, q), per = extent(f, e)->block_sums;
        f->sum[e][i * per + q % per] = m2c_hash64(record(f, i, q), f->plan->geom[q].bytes);
    }
}

/* false: some value does not fit. */
static bool encode_neuron(struct ffn *f, size_t i)
{
    const struct m2c_layout *l = &f->plan->layout;
    for (uint32_t v = f->v0; v < M2C_LAYOUT_VECTORS; v++) {
        struct m2c_coded part[M2C_LAYOUT_PARTS] = {0};
        for (uint32_t q = 0; q < l->n_parts; q++) {
            const struct m2c_geom *g = &f->plan->geom[q];
            part[q].plane[0] = record(f, i, q) + g->code_off[v];
            part[q].scales = record(f, i, q) + g->scale_off[v];
        }
        if (m2c_layout_encode(l, f->quant, f->x[v] + i * f->dim,
                              vectors[v] == M2C_T_DOWN ? NULL : f->moments, f->dim, part,
                              NULL))
            return false;
    }
    sum_neuron(f, i);
    return true;
}

static void encode_neurons(void *ctx, size_t begin, size_t end, unsigned worker)
{
    struct ffn *f = ctx;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        if (encode_neuron(f, i))
            continue;
        size_t least = atomic_load(&f->bad);
        while (i < least && !atomic_compare_exchange_weak(&f->bad, &least, i))
            ;
    }
}

/* Names the first value that does not fit by its place in the source. */
static int report_bad(const struct m2c_writer *w, const struct ffn *f, uint32_t first,
                      struct m2c_err *err)
{
    size_t i = atomic_load(&f->bad);
    for (uint32_t v = f->v0; v < M2C_LAYOUT_VECTORS; v++) {
        const float *x = f->x[v] + i * f->dim;
        for (uint32_t c = 0; c < f->plan->layout.n_classes; c++) {
            enum m2c_type type = f->plan->layout.cls[c].type;
            size_t at = m2c_encode_culprit(type, x, f->dim);
            if (at == f->dim)
                continue;
            bool down = vectors[v] == M2C_T_DOWN; /* its columns are the neurons */
            return m2c_fail(err, -EINVAL,
                            "%s: tensor %s of layer %u, row %zu, column %zu: %g does not "
                            "fit %s",
                            w->path, m2c_tensor_kind_name(vectors[v]), f->layer,
                            down ? at : first + i, down ? first + i : at, (double)x[at],
                            m2c_type_name(type));
        }
    }
    return m2c_fail(err, -EINVAL, "%s: neuron %zu of layer %u cannot be encoded", w->path,
                    first + i, f->layer);
}

/* The source's records as they are. */
static void copy_neurons(void *ctx, size_t begin, size_t end, unsigned worker)
{
    struct ffn *f = ctx;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        for (uint32_t q = 0; q < f->plan->layout.n_parts; q++)
            memcpy(record(f, i, q), m2c_from_record(&f->from, i, q),
                   f->plan->geom[q].bytes);
        sum_neuron(f, i);
    }
}

/* Made up. */
static void bank_neurons(void *ctx, size_t begin, size_t end, unsigned worker)
{
    struct ffn *f = ctx;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        for (uint32_t q = 0; q < f->plan->layout.n_parts; q++) {
            const struct m2c_geom *g = &f->plan->geom[q];
            for (uint32_t v = f->v0; v < M2C_LAYOUT_VECTORS; v++)
                m2c_bank_vector(f->bank, f->layer, f->first + (uint32_t)i, v, q,
                                record(f, i, q) + g->code_off[v],
                                record(f, i, q) + g->scale_off[v]);
        }
        sum_neuron(f, i);
    }
}

static void decode_neurons(void *ctx, size_t begin, size_t end, unsigned worker)
{
    struct ffn *f = ctx;
    (void)worker;
    for (size_t i = begin; i < end; i++)
        for (uint32_t v = f->v0; v < M2C_LAYOUT_VECTORS; v++)
            m2c_from_vector(&f->from, i, v, f->x[v] + i * f->dim);
}

static int fetch(const struct m2c_writer *w, struct ffn *f, uint32_t first, uint32_t n,
                 struct m2c_err *err)
{
    for (uint32_t v = f->v0; v < M2C_LAYOUT_VECTORS; v++) {
        if (vectors[v] == M2C_T_DOWN) {
            m2c_import_cols_get(f->down, first, n, f->x[v]);
        } else {
            int rc =
                m2c_import_rows(w->src, vectors[v], f->layer, first, n, f->x[v], err);
            if (rc)
                return rc;
        }
        m2c_hasher_add(f->hash[v], f->x[v], sizeof(float) * n * f->dim);
    }
    return 0;
}

static int store_records(struct m2c_writer *w, struct ffn *f, uint32_t first, uint32_t n,
                         struct m2c_err *err)
{
    int rc = 0;
    for (uint32_t e = 0; !rc && e < f->plan->n_extents; e++) {
        const struct m2c_dset *d = extent(f, e);
        size_t bytes = (size_t)n * d->cols;
        rc = m2c_pwrite_all(w->fd, w->path, f->rec[e], bytes,
                            d->offset + (uint64_t)first * d->cols, err);
        if (!rc)
            rc = m2c_writer_sums(w, d, (uint64_t)first * d->block_sums, f->sum[e],
                                 (size_t)n * d->block_sums, err);
        w->done += bytes;
    }
    m2c_progress_set(w->progress, w->done);
    return rc;
}

/* A chunk of neurons from the source to records and sums. */
static int make_records(const struct m2c_writer *w, struct ffn *f, uint32_t at, uint32_t n,
                        struct m2c_err *err)
{
    if (w->bank) {
        f->bank = w->bank;
        f->first = at;
        m2c_pool_run(w->pool, n, 0, bank_neurons, f);
        return 0;
    }
    int rc = w->from ? m2c_from_rows_read(w, f->layer, at, n, &f->from, err)
                     : fetch(w, f, at, n, err);
    if (rc)
        return rc;
    if (w->from && m2c_from_same(w)) {
        m2c_pool_run(w->pool, n, 0, copy_neurons, f);
        return 0;
    }
    if (w->from)
        m2c_pool_run(w->pool, n, 0, decode_neurons, f);
    atomic_store(&f->bad, SIZE_MAX);
    m2c_pool_run(w->pool, n, 0, encode_neurons, f);
    return atomic_load(&f->bad) == SIZE_MAX ? 0 : report_bad(w, f, at, err);
}

int m2c_writer_ffn(struct m2c_writer *w, uint32_t layer, struct m2c_err *err)
{
    const struct m2c_model_cfg *cfg = &w->plan.cfg;
    const float *moments = w->opts->moments;
    struct ffn f = {.plan = &w->plan,
                    .layer = layer,
                    .dim = cfg->dim,
                    .v0 = cfg->has_gate ? 0 : 1,
                    .moments = moments ? moments + (size_t)layer * cfg->dim : NULL};
    int rc = 0;
    f.quant = m2c_quant_find(w->opts->quant ? w->opts->quant : "rtn", err);
    if (!f.quant)
        return -ENOENT;
    if (!ffn_alloc(&f))
        rc = m2c_fail(err, -ENOMEM, "%s: no memory for %u neurons", w->path, f.per_chunk);
    if (!rc && w->src)
        rc = m2c_import_cols_open(w->src, M2C_T_DOWN, layer, &f.down, err);
    for (uint32_t at = 0; !rc && at < cfg->hidden; at += f.per_chunk) {
        uint32_t n = M2C_MIN(f.per_chunk, cfg->hidden - at);
        rc = m2c_writer_stopped(w, err);
        if (!rc)
            rc = make_records(w, &f, at, n, err);
        if (!rc)
            rc = store_records(w, &f, at, n, err);
    }
    for (uint32_t v = f.v0; !rc && w->src && v < M2C_LAYOUT_VECTORS; v++)
        m2c_model_hash_tensor(w->hash, m2c_hasher_end(f.hash[v]));
    ffn_fini(&f);
    return rc;
}
