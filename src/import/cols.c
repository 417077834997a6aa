/* SPDX-License-Identifier: MIT */
/* One tensor, held as encoded in its file and read by columns. */
#include "import/import_impl.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct m2c_import_cols {
    struct m2c_source src;
    uint32_t rows, cols;
    uint8_t *codes, *scales;
    size_t code_bytes, scale_bytes;
};

int m2c_import_cols_open(struct m2c_import *im, enum m2c_tensor_kind kind, uint32_t layer,
                         struct m2c_import_cols **out, struct m2c_err *err)
{
    struct m2c_import_cols *c = calloc(1, sizeof *c);
    if (!c)
        return m2c_fail(err, -ENOMEM, "no memory to read %s", m2c_tensor_kind_name(kind));
    uint32_t layers = m2c_tensor_kind_per_layer(kind) ? im->cfg.layers : 1;
    int rc = 0;
    if (layer >= layers || !m2c_tensor_shape(&im->cfg, kind, &c->rows, &c->cols)) {
        rc = m2c_fail(err, -EINVAL, "%s of layer %u: no such tensor",
                      m2c_tensor_kind_name(kind), (unsigned)layer);
        goto fail;
    }
    uint64_t n = (uint64_t)c->rows * c->cols;
    im->ops->find(im, kind, layer, &c->src);
    c->code_bytes = (size_t)m2c_source_bytes(&c->src, 0, n);
    c->scale_bytes = (size_t)m2c_source_scale_bytes(&c->src, n);
    void *p = NULL;
    rc = m2c_pages_alloc(c->code_bytes, &p);
    c->codes = p;
    if (rc == 0) {
        rc = m2c_pages_alloc(c->scale_bytes, &p);
        c->scales = rc ? NULL : p;
    }
    if (rc) {
        m2c_fail(err, rc, "no memory for the %zu bytes of %s, layer %u",
                 c->code_bytes + c->scale_bytes, m2c_tensor_kind_name(kind),
                 (unsigned)layer);
        goto fail;
    }
    rc = m2c_import_file_read(c->src.file, c->src.offset, c->codes, c->code_bytes, err);
    if (rc == 0 && c->scale_bytes > 0)
        rc = m2c_import_file_read(c->src.file, c->src.scales, c->scales, c->scale_bytes,
                                  err);
    if (rc)
        goto fail;
    *out = c;
    return 0;
fail:
    m2c_import_cols_close(c);
    return rc;
}

void m2c_import_cols_get(const struct m2c_import_cols *c, uint32_t col, uint32_t n,
                         float *out)
{
    /* Tiles, so that each line of `out` is written once: with a power of two
     * of rows, whole columns would share a few cache sets. A tile is never wider
     * than a block, and begins with one where it can: a block is decoded whole. */
    enum { T = 16 };
    float tile[T][M2C_BLOCK_MAX];
    const struct m2c_source *s = &c->src;
    uint32_t width = M2C_MAX((uint32_t)T, m2c_enc_block(s->enc).elements);
    for (uint32_t r = 0; r < c->rows; r += T) {
        uint32_t nr = M2C_MIN(c->rows - r, (uint32_t)T), nj;
        for (uint32_t j = 0; j < n; j += nj) {
            nj = M2C_MIN(n - j, width - (col + j) % width);
            for (uint32_t i = 0; i < nr; i++) {
                uint64_t first = (uint64_t)(r + i) * c->cols + col + j;
                uint64_t scale = s->enc == M2C_ENC_Q80 ? first / s->group : 0;
                m2c_source_decode(s, c->codes + m2c_source_at(s, first),
                                  c->scales + scale * sizeof(float), first, nj, tile[i]);
            }
            for (uint32_t k = 0; k < nj; k++) {
                float *dst = out + (size_t)(j + k) * c->rows + r;
                for (uint32_t i = 0; i < nr; i++)
                    dst[i] = tile[i][k];
            }
        }
    }
}

void m2c_import_cols_close(struct m2c_import_cols *c)
{
    if (!c)
        return;
    m2c_pages_free(c->codes, c->code_bytes);
    m2c_pages_free(c->scales, c->scale_bytes);
    free(c);
}
