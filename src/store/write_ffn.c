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
    float *x[M2C_LAYOUT_VECTORS];
    unsigned char *rec[M2C_LAYOUT_PARTS];
    uint64_t *sum[M2C_LAYOUT_PARTS];
    struct m2c_hasher *hash[M2C_LAYOUT_VECTORS];
    struct m2c_import_cols *down;
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
}

static bool ffn_alloc(struct ffn *f)
{
    size_t neuron = (size_t)(M2C_LAYOUT_VECTORS - f->v0) * f->dim * sizeof(float);
    for (uint32_t q = 0; q < f->plan->layout.n_parts; q++)
        neuron += f->plan->geom[q].bytes + sizeof(uint64_t);
    size_t n = M2C_MAX(CHUNK_BYTES / neuron, (size_t)1);
    f->per_chunk = (uint32_t)M2C_MIN(n, (size_t)f->plan->cfg.hidden);
    bool ok = true;
    for (uint32_t v = f->v0; v < M2C_LAYOUT_VECTORS; v++) {
        f->x[v] = malloc(sizeof(float) * f->per_chunk * f->dim);
        ok = ok && f->x[v] && m2c_hasher_open(&f->hash[v]) == 0;
    }
    for (uint32_t q = 0; q < f->plan->layout.n_parts; q++) {
        f->rec[q] = malloc((size_t)f->per_chunk * f->plan->geom[q].bytes);
        f->sum[q] = malloc(f->per_chunk * sizeof(uint64_t));
        ok = ok && f->rec[q] && f->sum[q];
    }
    return ok;
}

/* false: some value does not fit. */
static bool encode_neuron(struct ffn *f, size_t i)
{
    for (uint32_t q = 0; q < f->plan->layout.n_parts; q++) {
        const struct m2c_geom *g = &f->plan->geom[q];
        unsigned char *rec = f->rec[q] + i * g->bytes;
        for (uint32_t v = f->v0; v < M2C_LAYOUT_VECTORS; v++) {
            if (m2c_encode(f->plan->layout.part[q].type, f->x[v] + i * f->dim, f->dim,
                           rec + g->code_off[v], rec + g->scale_off[v], NULL))
                return false;
        }
        f->sum[q][i] = m2c_hash64(rec, g->bytes);
    }
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
        for (uint32_t q = 0; q < f->plan->layout.n_parts; q++) {
            enum m2c_type type = f->plan->layout.part[q].type;
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
    for (uint32_t q = 0; !rc && q < f->plan->layout.n_parts; q++) {
        const struct m2c_dset *d = &f->plan->dset[m2c_plan_part(f->plan, f->layer, q)];
        size_t bytes = (size_t)n * d->cols;
        rc = m2c_pwrite_all(w->fd, w->path, f->rec[q], bytes,
                            d->offset + (uint64_t)first * d->cols, err);
        if (!rc)
            rc = m2c_writer_sums(w, d, first, f->sum[q], n, err);
        w->done += bytes;
    }
    m2c_progress_set(w->progress, w->done);
    return rc;
}

int m2c_writer_ffn(struct m2c_writer *w, uint32_t layer, struct m2c_err *err)
{
    const struct m2c_model_cfg *cfg = &w->plan.cfg;
    struct ffn f = {
        .plan = &w->plan, .layer = layer, .dim = cfg->dim, .v0 = cfg->has_gate ? 0 : 1};
    int rc = 0;
    if (!ffn_alloc(&f))
        rc = m2c_fail(err, -ENOMEM, "%s: no memory for %u neurons", w->path, f.per_chunk);
    if (!rc)
        rc = m2c_import_cols_open(w->src, M2C_T_DOWN, layer, &f.down, err);
    for (uint32_t at = 0; !rc && at < cfg->hidden; at += f.per_chunk) {
        uint32_t n = M2C_MIN(f.per_chunk, cfg->hidden - at);
        rc = m2c_writer_stopped(w, err);
        if (!rc)
            rc = fetch(w, &f, at, n, err);
        if (rc)
            break;
        atomic_store(&f.bad, SIZE_MAX);
        m2c_pool_run(w->pool, n, 0, encode_neurons, &f);
        if (atomic_load(&f.bad) != SIZE_MAX)
            rc = report_bad(w, &f, at, err);
        else
            rc = store_records(w, &f, at, n, err);
    }
    for (uint32_t v = f.v0; !rc && v < M2C_LAYOUT_VECTORS; v++)
        m2c_model_hash_tensor(w->hash, m2c_hasher_end(f.hash[v]));
    ffn_fini(&f);
    return rc;
}
