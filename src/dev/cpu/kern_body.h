/* SPDX-License-Identifier: MIT */
/* The kernels of kern_impl.h, written once on the vectors of simd_*.h. Each
 * instruction set's .c file includes its simd header, then this one.
 *
 * Order of sums: a dot product has one vector of partial sums, fed a group of
 * M2C_GROUP elements at a time in the type's order, and reduced at the end; a
 * grouped type's codes are summed over the group first and then scaled. An
 * axpy is one chain of additions an element; a grouped type's codes meet
 * scale·h, rounded. Both follow from the operands alone: blocks, tiles and
 * prefetches below change no bit. */
#ifndef M2C_DEV_CPU_KERN_BODY_H
#define M2C_DEV_CPU_KERN_BODY_H

#include "dev/cpu/kern_impl.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum {
    SCALE_BLOCK = 16,                      /* groups whose scales are read at once */
    BLOCK_ELEMS = SCALE_BLOCK * M2C_GROUP, /* 512 */
    ROWS_VECTORS = 4,                      /* vectors decoded at once for many rows */
    AXPY_TILE = 4                          /* groups of accumulators in registers */
};

ALWAYS_INLINE bool grouped(enum m2c_type type)
{
    return type == M2C_I8 || type == M2C_I4;
}

/* Bytes of the codes of one group. */
ALWAYS_INLINE size_t group_bytes(enum m2c_type type)
{
    return type == M2C_F32 ? 4 * M2C_GROUP
           : type == M2C_I8 ? M2C_GROUP
           : type == M2C_I4 ? M2C_GROUP / 2
                            : 2 * M2C_GROUP;
}

/* Bytes of the codes of the n elements of a short group. */
ALWAYS_INLINE size_t tail_bytes(enum m2c_type type, size_t n)
{
    return type == M2C_I4 ? (n + 1) / 2 : n * (group_bytes(type) / M2C_GROUP);
}

/* A short last group, padded with zeros so that it can be used like a full
 * one without reading past the vector. */
struct tail {
    uint8_t codes[4 * M2C_GROUP];
    float scale[SCALE_BLOCK]; /* the first one; scales_16 writes all */
};

ALWAYS_INLINE void read_tail(enum m2c_type type, const struct m2c_vec *w, size_t group,
                             size_t n, struct tail *t)
{
    memset(t->codes, 0, sizeof(t->codes));
    memcpy(t->codes, w->codes + group * group_bytes(type), tail_bytes(type, n));
    if (type == M2C_I4 && n % 2) /* the odd nibble at the end is nobody's */
        t->codes[n / 2] &= 15;
    t->scale[0] = 0;
    if (grouped(type))
        scales_16(w->scales + 2 * group, 1, t->scale);
}

/* Groups whose codes fill a cache line, or one. */
ALWAYS_INLINE unsigned line_groups(enum m2c_type type)
{
    return group_bytes(type) < 64 ? (unsigned)(64 / group_bytes(type)) : 1;
}

/* Asks for the codes of a line's groups from g on, of a vector that comes
 * later; called line by line, so that requests are spread over the arithmetic.
 * They go to L2: L1 has no room for vectors that are not in use yet. */
ALWAYS_INLINE void prefetch_line(enum m2c_type type, const struct m2c_vec *w, size_t g)
{
    const uint8_t *p = w->codes + g * group_bytes(type);
    for (size_t i = 0; i < line_groups(type) * group_bytes(type); i += 64)
        prefetch(p + i);
}

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
        const uint8_t *c = w[k].codes + g * group_bytes(type);
        if (tile == line_groups(type))
            prefetch_line(type, &next[k], g);
#pragma GCC unroll 4
        for (unsigned t = 0; t < tile; t++)
            acc[k] = dot_group(type, vg_codes(type, c + t * group_bytes(type)), xs[t],
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
            scales_16(w[k].scales + 2 * g, m, scales[k]);
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
            acc[k] = dot_group(type, vg_codes(type, t.codes), vg_load(type, xt), t.scale,
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
    case M2C_N_TYPES: break;
    }
}

/* ---- dot_rows ---- */

/* Some vectors' values and scales over one block, decoded in the type's
 * order; a short last group is padded with zeros. */
struct decoded {
    float w[ROWS_VECTORS][BLOCK_ELEMS], scale[ROWS_VECTORS][SCALE_BLOCK];
};

ALWAYS_INLINE void decode_group(enum m2c_type type, const uint8_t *codes, float *out)
{
    vg d = vg_codes(type, codes);
    for (int k = 0; k < VG_PARTS; k++)
        vf_store(out + k * VF_LANES, d.v[k]);
}

/* Elements [at, at + n) of vector w as vector k of the block. */
ALWAYS_INLINE void decode_block(enum m2c_type type, const struct m2c_vec *w, size_t at,
                                size_t n, struct decoded *d, unsigned k)
{
    size_t g = at / M2C_GROUP, full = n / M2C_GROUP, rest = n % M2C_GROUP;
    if (grouped(type) && full)
        scales_16(w->scales + 2 * g, full, d->scale[k]);
    for (size_t i = 0; i < full; i++)
        decode_group(type, w->codes + (g + i) * group_bytes(type), d->w[k] + i * M2C_GROUP);
    if (rest) {
        struct tail t;
        read_tail(type, w, g + full, rest, &t);
        decode_group(type, t.codes, d->w[k] + full * M2C_GROUP);
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
        bool pack = type == M2C_I4 || m % M2C_GROUP;
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
        case M2C_N_TYPES: break;
        }
    }
}

/* ---- axpy ---- */

/* What the codes of a vector's groups are multiplied by: scale·h, or h alone. */
struct axpy_factors {
    float f[M2C_AXPY_MAX][SCALE_BLOCK];
};

ALWAYS_INLINE void read_factors(const struct m2c_vec *w, float h, size_t g, size_t m,
                                float *f)
{
    if (grouped(w->type))
        scales_16(w->scales + 2 * g, m, f);
    for (size_t i = 0; i < SCALE_BLOCK; i += VF_LANES)
        vf_store(f + i, grouped(w->type) ? vf_mul(vf_load(f + i), vf_set(h)) : vf_set(h));
}

/* acc[j] += sum of f[k]·w[k][j] over the groups [g, g + tile), whose factors
 * begin at fs->f[k][i]. `same`: all vectors have the type `type`. */
ALWAYS_INLINE void axpy_tile(bool same, enum m2c_type type, unsigned nv, unsigned n_next,
                             const struct m2c_vec *w, const struct axpy_factors *fs,
                             size_t g, size_t i, unsigned tile, float *acc)
{
    /* Where all are of one type the sums stay in its order, else in that of
     * the elements. */
    enum m2c_type order = same ? type : M2C_F32;
    vg sum[AXPY_TILE];
    for (unsigned t = 0; t < tile; t++)
        sum[t] = vg_load(order, acc + (g + t) * M2C_GROUP);
    for (unsigned k = 0; k < nv; k++) {
        enum m2c_type kt = same ? type : w[k].type;
        const uint8_t *c = w[k].codes + g * group_bytes(kt);
        if (k < n_next && tile == AXPY_TILE)
            for (unsigned t = 0; t < tile; t += line_groups(same ? type : w[nv + k].type))
                prefetch_line(same ? type : w[nv + k].type, &w[nv + k], g + t);
#define STEP(T)                                                                          \
    for (unsigned t = 0; t < tile; t++) {                                                \
        vg d = vg_codes(T, c + t * group_bytes(T));                                      \
        if (!same)                                                                       \
            d = vg_natural(T, d);                                                        \
        for (int p = 0; p < VG_PARTS; p++)                                               \
            sum[t].v[p] = vf_fma(d.v[p], vf_set(fs->f[k][grouped(T) ? i + t : 0]),       \
                                 sum[t].v[p]);                                           \
    }
        switch (kt) {
        case M2C_F32: STEP(M2C_F32) break;
        case M2C_F16: STEP(M2C_F16) break;
        case M2C_BF16: STEP(M2C_BF16) break;
        case M2C_I8: STEP(M2C_I8) break;
        case M2C_I4: STEP(M2C_I4) break;
        case M2C_N_TYPES: break;
        }
#undef STEP
    }
    for (unsigned t = 0; t < tile; t++)
        vg_store(order, acc + (g + t) * M2C_GROUP, sum[t]);
}

ALWAYS_INLINE void axpy_groups(bool same, enum m2c_type type, const struct m2c_vec *w,
                               unsigned nv, unsigned n_next, const float *h, float *acc,
                               size_t begin, size_t end)
{
    struct axpy_factors fs;
    for (size_t g = begin; g < end; g += SCALE_BLOCK) {
        size_t m = M2C_MIN(end - g, (size_t)SCALE_BLOCK), i = 0;
        for (unsigned k = 0; k < nv; k++)
            read_factors(&w[k], h[k], g, m, fs.f[k]);
        for (unsigned k = nv; k < nv + n_next; k++)
            if (grouped(w[k].type))
                prefetch(w[k].scales + 2 * g);
        for (; i + AXPY_TILE <= m; i += AXPY_TILE)
            axpy_tile(same, type, nv, n_next, w, &fs, g + i, i, AXPY_TILE, acc);
        for (; i < m; i++)
            axpy_tile(same, type, nv, n_next, w, &fs, g + i, i, 1, acc);
    }
}

/* A group's values in the order of the elements. */
ALWAYS_INLINE vg natural_codes(enum m2c_type type, const uint8_t *c)
{
    switch (type) {
    case M2C_F32: return vg_codes(M2C_F32, c);
    case M2C_F16: return vg_codes(M2C_F16, c);
    case M2C_BF16: return vg_codes(M2C_BF16, c);
    case M2C_I8: return vg_codes(M2C_I8, c);
    case M2C_I4: return vg_natural(M2C_I4, vg_codes(M2C_I4, c));
    case M2C_N_TYPES: break;
    }
    return vg_zero();
}

/* The short last group. */
static void axpy_rest(const struct m2c_vec *w, unsigned nv, const float *h, float *acc,
                      size_t group, size_t n)
{
    float y[M2C_GROUP] = {0};
    memcpy(y, acc + group * M2C_GROUP, n * sizeof(*acc));
    vg sum = vg_load(M2C_F32, y);
    for (unsigned k = 0; k < nv; k++) {
        struct tail t;
        read_tail(w[k].type, &w[k], group, n, &t);
        vg d = natural_codes(w[k].type, t.codes);
        vf f = vf_set(grouped(w[k].type) ? t.scale[0] * h[k] : h[k]);
        for (int p = 0; p < VG_PARTS; p++)
            sum.v[p] = vf_fma(d.v[p], f, sum.v[p]);
    }
    vg_store(M2C_F32, y, sum);
    memcpy(acc + group * M2C_GROUP, y, n * sizeof(*acc));
}

/* Full batches of the types that weights have are worth code of their own. */
ALWAYS_INLINE void axpy_same(enum m2c_type type, const struct m2c_vec *w, unsigned nv,
                             unsigned n_next, const float *h, float *acc, size_t begin,
                             size_t end)
{
    if (nv == M2C_AXPY_MAX && n_next == M2C_AXPY_MAX && w[nv].type == type)
        axpy_groups(true, type, w, M2C_AXPY_MAX, M2C_AXPY_MAX, h, acc, begin, end);
    else
        axpy_groups(true, type, w, nv, 0, h, acc, begin, end);
}

static void axpy_row(const struct m2c_vec *w, unsigned nv, unsigned n_next, const float *h,
                     float *acc, size_t begin, size_t end)
{
    size_t g = begin / M2C_GROUP, ge = end / M2C_GROUP;
    bool same = true;
    for (unsigned k = 1; k < nv; k++)
        same = same && w[k].type == w[0].type;
    if (!same)
        axpy_groups(false, M2C_F32, w, nv, n_next, h, acc, g, ge);
    else if (w[0].type == M2C_I4)
        axpy_same(M2C_I4, w, nv, n_next, h, acc, g, ge);
    else if (w[0].type == M2C_I8)
        axpy_same(M2C_I8, w, nv, n_next, h, acc, g, ge);
    else if (w[0].type == M2C_F16)
        axpy_same(M2C_F16, w, nv, n_next, h, acc, g, ge);
    else
        axpy_groups(false, M2C_F32, w, nv, n_next, h, acc, g, ge);
    if (end % M2C_GROUP)
        axpy_rest(w, nv, h, acc, ge, end % M2C_GROUP);
}

static void kern_axpy(const struct m2c_vec *w, unsigned nv, const float *h, size_t ld_h,
                      float *acc, size_t ld_acc, unsigned rows, size_t begin, size_t end)
{
    unsigned now = M2C_MIN(nv, (unsigned)M2C_AXPY_MAX);
    for (unsigned r = 0; r < rows; r++)
        axpy_row(w, now, r ? 0 : M2C_MIN(nv - now, (unsigned)M2C_AXPY_MAX), h + r * ld_h,
                 acc + r * ld_acc, begin, end);
}

/* ---- exp ---- */

static float kern_exp_sum(float *s, size_t n, float top)
{
    vf sum = vf_set(0), t = vf_set(-top);
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES) {
        vf e = vf_exp(vf_add(vf_load(s + i), t));
        vf_store(s + i, e);
        sum = vf_add(sum, e);
    }
    float total = vf_sum(sum);
    if (i < n) {
        float rest[VF_LANES] = {0};
        memcpy(rest, s + i, (n - i) * sizeof(*s));
        vf_store(rest, vf_exp(vf_add(vf_load(rest), t)));
        memcpy(s + i, rest, (n - i) * sizeof(*s));
        for (size_t k = 0; i + k < n; k++)
            total += rest[k];
    }
    return total;
}

#endif
