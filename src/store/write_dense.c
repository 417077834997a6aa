/* SPDX-License-Identifier: MIT */
/* Dense tensors on their way into a store: rows come in, are hashed, encoded
 * and written in blocks of one sum each. */
#include "store/write_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 8 << 20 };

/* A dataset that is written front to back, block by block. */
struct block_out {
    const struct m2c_dset *d;
    unsigned char *buf; /* M2C_STORE_BLOCK */
    size_t fill;
    uint64_t blocks; /* written */
};

static int flush_block(struct m2c_writer *w, struct block_out *b, struct m2c_err *err)
{
    if (!b->fill)
        return 0;
    uint64_t sum = m2c_hash64(b->buf, b->fill);
    int rc = m2c_pwrite_all(w->fd, w->path, b->buf, b->fill,
                            b->d->offset + b->blocks * M2C_STORE_BLOCK, err);
    if (!rc)
        rc = m2c_writer_sums(w, b->d, b->blocks, &sum, 1, err);
    w->done += b->fill;
    b->blocks++;
    b->fill = 0;
    m2c_progress_set(w->progress, w->done);
    return rc;
}

static int add_bytes(struct m2c_writer *w, struct block_out *b, const unsigned char *p,
                     size_t n, struct m2c_err *err)
{
    int rc = 0;
    while (!rc && n) {
        size_t k = M2C_MIN(n, M2C_STORE_BLOCK - b->fill);
        memcpy(b->buf + b->fill, p, k);
        b->fill += k;
        p += k;
        n -= k;
        if (b->fill == M2C_STORE_BLOCK)
            rc = flush_block(w, b, err);
    }
    return rc;
}

/* One chunk of rows, encoded by the pool. */
struct chunk {
    enum m2c_type type;
    size_t cols, code_row, scale_row;
    float *x;
    unsigned char *codes, *scales;
    atomic_size_t bad; /* the first row that cannot be encoded */
};

static void encode_rows(void *ctx, size_t begin, size_t end, unsigned worker)
{
    struct chunk *c = ctx;
    (void)worker;
    for (size_t r = begin; r < end; r++) {
        if (m2c_encode(c->type, c->x + r * c->cols, c->cols, c->codes + r * c->code_row,
                       c->scales + r * c->scale_row, NULL) == 0)
            continue;
        size_t least = atomic_load(&c->bad);
        while (r < least && !atomic_compare_exchange_weak(&c->bad, &least, r))
            ;
    }
}

size_t m2c_encode_culprit(enum m2c_type type, const float *x, size_t n)
{
    float code, scale; /* room for one element of any type */
    size_t i = 0;
    while (i < n && m2c_encode(type, x + i, 1, &code, &scale, NULL) == 0)
        i++;
    return i;
}

static int report_bad(const struct m2c_writer *w, const struct m2c_dset *d,
                      const struct chunk *c, uint32_t row0, struct m2c_err *err)
{
    size_t r = atomic_load(&c->bad);
    const float *x = c->x + r * c->cols;
    size_t col = M2C_MIN(m2c_encode_culprit(c->type, x, c->cols), c->cols - 1);
    return m2c_fail(err, -EINVAL,
                    "%s: tensor %s of layer %u, row %zu, column %zu: %g does "
                    "not fit %s",
                    w->path, m2c_tensor_kind_name(d->kind), d->layer, row0 + r, col,
                    (double)x[col], m2c_type_name(c->type));
}

/* n rows of the source, hashed and encoded. */
static int encode_source(struct m2c_writer *w, const struct m2c_dset *d, struct chunk *c,
                         uint32_t row, uint32_t n, struct m2c_hasher *h,
                         struct m2c_err *err)
{
    int rc = m2c_import_rows(w->src, d->kind, d->layer, row, n, c->x, err);
    if (rc)
        return rc;
    m2c_hasher_add(h, c->x, n * c->cols * sizeof *c->x);
    atomic_store(&c->bad, SIZE_MAX);
    m2c_pool_run(w->pool, n, 0, encode_rows, c);
    return atomic_load(&c->bad) == SIZE_MAX ? 0 : report_bad(w, d, c, row, err);
}

static int stream_rows(struct m2c_writer *w, const struct m2c_dset *d, struct chunk *c,
                       uint32_t per_chunk, struct block_out out[2], struct m2c_hasher *h,
                       struct m2c_err *err)
{
    for (uint32_t row = 0; row < d->rows;) {
        uint32_t n = M2C_MIN(per_chunk, d->rows - row);
        int rc = m2c_writer_stopped(w, err);
        if (!rc && w->bank)
            m2c_bank_rows(w->bank, d, row, n, c->codes, c->scales);
        else if (!rc)
            rc = encode_source(w, d, c, row, n, h, err);
        if (!rc)
            rc = add_bytes(w, &out[0], c->codes, n * c->code_row, err);
        if (!rc)
            rc = add_bytes(w, &out[1], c->scales, n * c->scale_row, err);
        if (rc)
            return rc;
        row += n;
    }
    int rc = flush_block(w, &out[0], err);
    return rc ? rc : flush_block(w, &out[1], err);
}

int m2c_writer_dense(struct m2c_writer *w, size_t i, struct m2c_err *err)
{
    const struct m2c_dset *d = &w->plan.dset[2 * i];
    if (d->rows == 0)
        return 0;
    if (w->from)
        return m2c_from_dense(w, i, err);
    struct chunk c = {.type = d->type, .cols = d->cols};
    c.code_row = m2c_code_bytes(d->type, d->cols);
    c.scale_row = m2c_scale_bytes(d->type, d->cols);
    size_t row_bytes = c.cols * sizeof *c.x;
    uint32_t n = (uint32_t)M2C_MIN(M2C_MAX(CHUNK_BYTES / row_bytes, (size_t)1), d->rows);
    struct block_out out[2] = {{.d = d}, {.d = d + 1}};
    struct m2c_hasher *h = NULL;
    c.x = malloc(n * row_bytes);
    c.codes = malloc(n * c.code_row);
    c.scales = malloc(n * c.scale_row + 1);
    out[0].buf = malloc(M2C_STORE_BLOCK);
    out[1].buf = malloc(M2C_STORE_BLOCK);
    int rc = 0;
    if (!c.x || !c.codes || !c.scales || !out[0].buf || !out[1].buf ||
        m2c_hasher_open(&h))
        rc = m2c_fail(err, -ENOMEM, "%s: no memory for %u rows of %s", w->path, n,
                      m2c_tensor_kind_name(d->kind));
    if (!rc)
        rc = stream_rows(w, d, &c, n, out, h, err);
    if (!rc && w->src)
        m2c_model_hash_tensor(w->hash, m2c_hasher_end(h));
    m2c_hasher_close(h);
    free(out[1].buf);
    free(out[0].buf);
    free(c.scales);
    free(c.codes);
    free(c.x);
    return rc;
}
