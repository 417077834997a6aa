/* SPDX-License-Identifier: MIT */
/* Dot products of a few vectors with one row or with many (see kern_body.h). */
#ifndef M2C_DEV_CPU_DOT_BODY_H
#define M2C_DEV_CPU_DOT_BODY_H

#include "dev/cpu/common_body.h"

/* ---- dot ---- */

/* acc += w·x over one group. */
ALWAYS_INLINE vf dot_group(enum m2c_type type, vg w, vg x, const float *scale, vf acc)
{
    if (!grouped(type)) {
        for (int i = 0; i < VG_PARTS; i++)
            acc = vf_fma(w.v[i], x.v[i], acc);
        return acc;
    }
    vf sum = vf_mul(w.v[0], x.v[0]);
    for (int i = 1; i < VG_PARTS; i++)
        sum = vf_fma(w.v[i], x.v[i], sum);
    return vf_fma(sum, vf_set(*scale), acc);
}

/* acc[k] += w[k]·x over `tile` groups from g on, whose scales begin at
 * scales[k][i]. */
ALWAYS_INLINE void dot_tile(enum m2c_type type, unsigned nv, unsigned tile,
                            const struct m2c_vec *w, const struct m2c_vec *next,
                            float (*scales)[SCALE_BLOCK], size_t g, size_t i,
                            const float *x, vf *acc)
{
    vg xs[4];
    for (unsigned t = 0; t < tile; t++)
        xs[t] = vg_load(type, x + (g + t) * M2C_GROUP);
#pragma GCC unroll 8
    for (unsigned k = 0; k < nv; k++) {
        if (tile == line_groups(type))
            prefetch_line(type, &next[k], g);
#pragma GCC unroll 4
        for (unsigned t = 0; t < tile; t++)
            acc[k] = dot_group(type, vec_group(type, &w[k], g + t), xs[t],
                               &scales[k][i + t], acc[k]);
    }
}

ALWAYS_INLINE void dot_typed(enum m2c_type type, unsigned nv, const struct m2c_vec *w,
                             const struct m2c_vec *next, const float *x, size_t n,
                             float *out)
{
    const size_t groups = n / M2C_GROUP, rest = n % M2C_GROUP;
    const unsigned tile = line_groups(type);
    float scales[M2C_DOT_MAX][SCALE_BLOCK];
    vf acc[M2C_DOT_MAX];
    for (unsigned k = 0; k < nv; k++)
        acc[k] = vf_set(0);
    for (size_t g = 0; g < groups; g += SCALE_BLOCK) {
        size_t m = M2C_MIN(groups - g, (size_t)SCALE_BLOCK), i = 0;
        for (unsigned k = 0; k < nv && grouped(type); k++) {
            vec_scales(type, &w[k], g, m, scales[k]);
            prefetch(next[k].scales + 2 * g);
        }
        for (; i + tile <= m; i += tile)
            dot_tile(type, nv, tile, w, next, scales, g + i, i, x, acc);
        for (; i < m; i++)
            dot_tile(type, nv, 1, w, next, scales, g + i, i, x, acc);
    }
    if (rest) {
        float xt[M2C_GROUP] = {0};
        memcpy(xt, x + groups * M2C_GROUP, rest * sizeof(*x));
        for (unsigned k = 0; k < nv; k++) {
            struct tail t;
            read_tail(type, &w[k], groups, rest, &t);
            acc[k] = dot_group(type, tail_group(type, &t), vg_load(type, xt), t.scale,
                               acc[k]);
        }
    }
    for (unsigned k = 0; k < nv; k++)
        out[k] = vf_sum(acc[k]);
}

/* Many vectors at once share the reads of x, and are as many streams of
 * memory as one core can keep busy. */
ALWAYS_INLINE void dot_any(enum m2c_type type, const struct m2c_vec *w, unsigned nv,
                           const struct m2c_vec *next, const float *x, size_t n, float *out)
{
    unsigned k = 0;
    if (nv == M2C_DOT_MAX) {
        dot_typed(type, M2C_DOT_MAX, w, next ? next : w, x, n, out);
        return;
    }
    for (; k + 4 <= nv; k += 4)
        dot_typed(type, 4, w + k, w + k, x, n, out + k);
    for (; k < nv; k++)
        dot_typed(type, 1, w + k, w + k, x, n, out + k);
}

static void kern_dot(const struct m2c_vec *w, unsigned nv, const struct m2c_vec *next,
                     const float *x, size_t n, float *out)
{
    switch (w[0].type) {
    case M2C_F32: dot_any(M2C_F32, w, nv, next, x, n, out); break;
    case M2C_F16: dot_any(M2C_F16, w, nv, next, x, n, out); break;
    case M2C_BF16: dot_any(M2C_BF16, w, nv, next, x, n, out); break;
    case M2C_I8: dot_any(M2C_I8, w, nv, next, x, n, out); break;
    case M2C_I4: dot_any(M2C_I4, w, nv, next, x, n, out); break;
    case M2C_P16: dot_any(M2C_P16, w, nv, next, x, n, out); break;
    case M2C_P8: dot_any(M2C_P8, w, nv, next, x, n, out); break;
    case M2C_D4:
    case M2C_D8:
    case M2C_N_TYPES: break;
    }
}

/* ---- dot_rows ---- */

/* Some vectors' values and scales over one block, decoded in the type's
 * order; a short last group is padded with zeros. */
struct decoded {
    float w[ROWS_VECTORS][BLOCK_ELEMS], scale[ROWS_VECTORS][SCALE_BLOCK];
};

ALWAYS_INLINE void store_group(vg d, float *out)
{
    for (int k = 0; k < VG_PARTS; k++)
        vf_store(out + k * VF_LANES, d.v[k]);
}

/* Elements [at, at + n) of vector w as vector k of the block. */
ALWAYS_INLINE void decode_block(enum m2c_type type, const struct m2c_vec *w, size_t at,
                                size_t n, struct decoded *d, unsigned k)
{
    size_t g = at / M2C_GROUP, full = n / M2C_GROUP, rest = n % M2C_GROUP;
    if (grouped(type) && full)
        vec_scales(type, w, g, full, d->scale[k]);
    for (size_t i = 0; i < full; i++)
        store_group(vec_group(type, w, g + i), d->w[k] + i * M2C_GROUP);
    if (rest) {
        struct tail t;
        read_tail(type, w, g + full, rest, &t);
        store_group(tail_group(type, &t), d->w[k] + full * M2C_GROUP);
        d->scale[k][full] = t.scale[0];
    }
}

/* acc[r][k] += w[k]·x[r] over `groups` groups of a block, for ROW_STEP rows. */
ALWAYS_INLINE void rows_step(enum m2c_type type, const struct decoded *d,
                             const float *const *x, size_t groups,
                             float (*acc)[ROWS_VECTORS][VF_LANES])
{
    vf sum[ROW_STEP][ROWS_VECTORS];
    for (int r = 0; r < ROW_STEP; r++)
        for (int k = 0; k < ROWS_VECTORS; k++)
            sum[r][k] = vf_load(acc[r][k]);
    for (size_t g = 0; g < groups; g++) {
        const size_t at = g * M2C_GROUP;
        if (!grouped(type)) { /* the order of dot_group, one vf at a time */
            for (size_t i = at; i < at + M2C_GROUP; i += VF_LANES)
                for (int r = 0; r < ROW_STEP; r++)
                    for (int k = 0; k < ROWS_VECTORS; k++)
                        sum[r][k] =
                            vf_fma(vf_load(d->w[k] + i), vf_load(x[r] + i), sum[r][k]);
            continue;
        }
        for (int k = 0; k < ROWS_VECTORS; k++) {
            vg w;
            for (int i = 0; i < VG_PARTS; i++)
                w.v[i] = vf_load(d->w[k] + at + (size_t)i * VF_LANES);
            for (int r = 0; r < ROW_STEP; r++) {
                vg xg;
                for (int i = 0; i < VG_PARTS; i++)
                    xg.v[i] = vf_load(x[r] + at + (size_t)i * VF_LANES);
                sum[r][k] = dot_group(type, w, xg, &d->scale[k][g], sum[r][k]);
            }
        }
    }
    for (int r = 0; r < ROW_STEP; r++)
        for (int k = 0; k < ROWS_VECTORS; k++)
            vf_store(acc[r][k], sum[r][k]);
}

/* n floats in the type's order, padded with zeros to whole groups. */
ALWAYS_INLINE void pack_row(enum m2c_type type, const float *x, size_t n, float *out)
{
    size_t full = n / M2C_GROUP * M2C_GROUP;
    float last[M2C_GROUP] = {0};
    if (n > full)
        memcpy(last, x + full, (n - full) * sizeof(*x));
    for (size_t i = 0; i < n; i += M2C_GROUP) {
        vg g = vg_load(type, i < full ? x + i : last);
        for (int k = 0; k < VG_PARTS; k++)
            vf_store(out + i + (size_t)k * VF_LANES, g.v[k]);
    }
}

/* Vectors beyond nv are zeros and rows beyond `rows` are the last row again;
 * both are dropped. */
ALWAYS_INLINE void rows_typed(enum m2c_type type, const struct m2c_vec *w, unsigned nv,
                              const float *x, size_t n, unsigned rows, float *out)
{
    struct decoded d;
    float packed[ROW_STEP][BLOCK_ELEMS];
    float acc[M2C_ROW_TILE + ROW_STEP][ROWS_VECTORS][VF_LANES];
    memset(acc, 0, sizeof(acc));
    memset(&d, 0, sizeof(d));
    for (size_t at = 0; at < n; at += BLOCK_ELEMS) {
        size_t m = M2C_MIN(n - at, (size_t)BLOCK_ELEMS);
        bool pack = paired(type) || m % M2C_GROUP;
        for (unsigned k = 0; k < nv; k++)
            decode_block(type, &w[k], at, m, &d, k);
        for (unsigned r = 0; r < rows; r += ROW_STEP) {
            const float *xr[ROW_STEP];
            for (unsigned i = 0; i < ROW_STEP; i++) {
                xr[i] = x + M2C_MIN(r + i, rows - 1) * n + at;
                if (pack) {
                    pack_row(type, xr[i], m, packed[i]);
                    xr[i] = packed[i];
                }
            }
            rows_step(type, &d, xr, (m + M2C_GROUP - 1) / M2C_GROUP, acc + r);
        }
    }
    for (unsigned r = 0; r < rows; r++)
        for (unsigned k = 0; k < nv; k++)
            out[r * M2C_DOT_MAX + k] = vf_sum(vf_load(acc[r][k]));
}

static void kern_dot_rows(const struct m2c_vec *w, unsigned nv, const float *x, size_t n,
                          unsigned rows, float *out)
{
    for (unsigned k = 0; k < nv; k += ROWS_VECTORS, w += ROWS_VECTORS, out += ROWS_VECTORS) {
        unsigned m = M2C_MIN(nv - k, (unsigned)ROWS_VECTORS);
        switch (w[0].type) {
        case M2C_F32: rows_typed(M2C_F32, w, m, x, n, rows, out); break;
        case M2C_F16: rows_typed(M2C_F16, w, m, x, n, rows, out); break;
        case M2C_BF16: rows_typed(M2C_BF16, w, m, x, n, rows, out); break;
        case M2C_I8: rows_typed(M2C_I8, w, m, x, n, rows, out); break;
        case M2C_I4: rows_typed(M2C_I4, w, m, x, n, rows, out); break;
        case M2C_P16: rows_typed(M2C_P16, w, m, x, n, rows, out); break;
        case M2C_P8: rows_typed(M2C_P8, w, m, x, n, rows, out); break;
        case M2C_D4:
        case M2C_D8:
        case M2C_N_TYPES: break;
        }
    }
}

#endif
