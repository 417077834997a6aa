/* SPDX-License-Identifier: MIT */
/* Random weights at the speed of the disk.
 *
 * Drawing and encoding every weight of a large model would take longer than writing
 * it. So some groups of 32 normal numbers are drawn and encoded once, for all parts
 * of the layout; every vector of the model is a run of consecutive groups from a
 * place that a hash of its address gives. A code knows nothing beyond its group, so
 * each part of such a run is what the codec makes of the same numbers: classes agree
 * as they do in a real store. Two vectors may share groups; nothing depends on that.
 *
 * After open nothing changes, so any number of threads may read. */
#include "store/write_impl.h"

#include "base/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Llama's and Falcon's initializer_range is 0.02. */
#define DEVIATION 0.02f
enum {
    MIN_GROUPS = 1 << 10,
    MAX_GROUPS = 1 << 16,
    VECTORS = 64 /* at most, of a neuron */
};

struct m2c_bank {
    uint64_t seed;
    uint32_t dim;
    size_t drawn;  /* groups */
    size_t groups; /* and again from the first as many as the longest row has */
    enum m2c_type dense, type[M2C_LAYOUT_PARTS];
    uint32_t n_parts;
    unsigned char *code[M2C_LAYOUT_PARTS + 1],
        *scale[M2C_LAYOUT_PARTS + 1]; /* last: dense */
};

static enum m2c_type type_of(const struct m2c_bank *b, uint32_t part)
{
    return part < b->n_parts ? b->type[part] : b->dense;
}

/* Where the codes and the scale of a group lie. */
static unsigned char *codes_at(const struct m2c_bank *b, uint32_t part, size_t group)
{
    return b->code[part] + group * m2c_code_bytes(type_of(b, part), M2C_GROUP);
}

static unsigned char *scales_at(const struct m2c_bank *b, uint32_t part, size_t group)
{
    return b->scale[part] + group * m2c_scale_bytes(type_of(b, part), M2C_GROUP);
}

static bool alloc_bank(struct m2c_bank *b)
{
    bool ok = true;
    for (uint32_t q = 0; q <= b->n_parts && ok; q++) {
        b->code[q] = malloc(b->groups * m2c_code_bytes(type_of(b, q), M2C_GROUP));
        b->scale[q] = malloc(b->groups * m2c_scale_bytes(type_of(b, q), M2C_GROUP) + 1);
        ok = b->code[q] && b->scale[q];
    }
    return ok;
}

static int fill_group(struct m2c_bank *b, const struct m2c_layout *layout,
                      const struct m2c_quant *quant, struct m2c_rng *rng, size_t group,
                      struct m2c_err *err)
{
    float x[M2C_GROUP];
    struct m2c_coded part[M2C_LAYOUT_PARTS] = {0};
    for (int i = 0; i < M2C_GROUP; i++)
        x[i] = DEVIATION * m2c_rng_normal(rng);
    for (uint32_t q = 0; q < b->n_parts; q++) {
        part[q].plane[0] = codes_at(b, q, group);
        part[q].scales = scales_at(b, q, group);
    }
    int rc = m2c_layout_encode(layout, quant, x, NULL, M2C_GROUP, part, err);
    return rc ? rc
              : m2c_encode(b->dense, x, M2C_GROUP, codes_at(b, b->n_parts, group),
                           scales_at(b, b->n_parts, group), err);
}

static int fill_bank(struct m2c_bank *b, const struct m2c_layout *layout,
                     struct m2c_err *err)
{
    const struct m2c_quant *quant = m2c_quant_find("rtn", err);
    struct m2c_rng rng;
    if (!quant)
        return -ENOENT;
    m2c_rng_init(&rng, b->seed, 0);
    int rc = 0;
    for (size_t g = 0; !rc && g < b->drawn; g++)
        rc = fill_group(b, layout, quant, &rng, g, err);
    for (size_t g = b->drawn; !rc && g < b->groups; g++) {
        for (uint32_t q = 0; q <= b->n_parts; q++) {
            memcpy(codes_at(b, q, g), codes_at(b, q, g % b->drawn),
                   m2c_code_bytes(type_of(b, q), M2C_GROUP));
            memcpy(scales_at(b, q, g), scales_at(b, q, g % b->drawn),
                   m2c_scale_bytes(type_of(b, q), M2C_GROUP));
        }
    }
    return rc;
}

int m2c_bank_open(struct m2c_bank **out, const struct m2c_model_cfg *cfg,
                  const struct m2c_layout *layout, enum m2c_type dense, uint64_t seed,
                  struct m2c_err *err)
{
    size_t longest = M2C_MAX((size_t)cfg->dim, (size_t)cfg->heads * cfg->head_dim);
    if (!m2c_dense_type_ok(dense))
        return m2c_fail(err, -EINVAL,
                        "dense tensors cannot be %s (known: f32, f16, i8, i4)",
                        m2c_type_name(dense));
    struct m2c_bank *b = calloc(1, sizeof *b);
    if (!b)
        return m2c_fail(err, -ENOMEM, "no memory for random weights");
    b->seed = seed;
    b->dim = cfg->dim;
    b->dense = dense;
    b->n_parts = layout->n_parts;
    b->drawn =
        MIN_GROUPS; /* what a small layer would need, and no more than fits a cache */
    while (b->drawn < MAX_GROUPS &&
           b->drawn < (uint64_t)cfg->hidden * cfg->dim / M2C_GROUP)
        b->drawn *= 2;
    b->groups = b->drawn + (longest + M2C_GROUP - 1) / M2C_GROUP;
    for (uint32_t q = 0; q < b->n_parts; q++)
        b->type[q] = layout->part[q].type;
    int rc = alloc_bank(b) ? fill_bank(b, layout, err)
                           : m2c_fail(err, -ENOMEM, "no memory for random weights");
    if (rc) {
        m2c_bank_close(b);
        return rc;
    }
    *out = b;
    return 0;
}

void m2c_bank_close(struct m2c_bank *b)
{
    if (!b)
        return;
    for (uint32_t q = 0; q < M2C_COUNTOF(b->code); q++) {
        free(b->code[q]);
        free(b->scale[q]);
    }
    free(b);
}

/* The first group of a vector. */
static size_t place(const struct m2c_bank *b, uint32_t kind, uint32_t layer, uint32_t row)
{
    const uint64_t address[3] = {b->seed, (uint64_t)kind << 32 | layer, row};
    return m2c_hash64(address, sizeof address) % b->drawn;
}

static void copy_run(const struct m2c_bank *b, uint32_t part, size_t group, uint32_t n,
                     unsigned char *codes, unsigned char *scales)
{
    enum m2c_type type = type_of(b, part);
    size_t bytes = m2c_code_bytes(type, n);
    memcpy(codes, codes_at(b, part, group), bytes);
    memcpy(scales, scales_at(b, part, group), m2c_scale_bytes(type, n));
    if (n % 2 && (type == M2C_I4 || type == M2C_D4))
        codes[bytes - 1] &= 0x0f; /* no code lies in the high half */
}

void m2c_bank_rows(const struct m2c_bank *b, const struct m2c_dset *d, uint32_t row,
                   uint32_t n, unsigned char *codes, unsigned char *scales)
{
    size_t code_row = m2c_code_bytes(d->type, d->cols);
    size_t scale_row = m2c_scale_bytes(d->type, d->cols);
    const float one = 1;
    for (uint32_t i = 0; i < n; i++, codes += code_row, scales += scale_row) {
        if (m2c_writer_norm(d->kind)) {
            for (uint32_t k = 0; k < d->cols; k++)
                memcpy(codes + k * sizeof one, &one, sizeof one);
            continue;
        }
        size_t group = place(b, VECTORS + (uint32_t)d->kind, d->layer, row + i);
        copy_run(b, b->n_parts, group, d->cols, codes, scales);
    }
}

void m2c_bank_vector(const struct m2c_bank *b, uint32_t layer, uint32_t neuron,
                     unsigned v, uint32_t part, unsigned char *codes,
                     unsigned char *scales)
{
    copy_run(b, part, place(b, v, layer, neuron), b->dim, codes, scales);
}
