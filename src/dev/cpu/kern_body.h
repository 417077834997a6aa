/* SPDX-License-Identifier: MIT */
/* The kernels of kern_impl.h, written once on the vectors of simd_*.h. Each
 * instruction set's .c file includes its simd header, then this one.
 *
 * Order of sums: a dot product has one vector of partial sums, fed a group of
 * M2C_GROUP elements at a time in the type's order, and reduced at the end.
 * An axpy is one chain of additions an element. Both follow from the operands
 * alone: blocks, tiles and prefetches below change no bit. */
#ifndef M2C_DEV_CPU_KERN_BODY_H
#define M2C_DEV_CPU_KERN_BODY_H

#include "dev/cpu/kern_impl.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum {
    SCALE_BLOCK = 16,                         /* groups whose scales are read at once */
    BLOCK_ELEMS = SCALE_BLOCK * M2C_GROUP,    /* 512 */
    ROW_STEP = 4,                             /* rows whose sums are in registers */
    AXPY_TILE = 4                             /* groups of accumulators in registers */
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

ALWAYS_INLINE void prefetch_range(const uint8_t *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        prefetch(p + i);
}

/* ---- dot ---- */

ALWAYS_INLINE void dot_step(enum m2c_type type, unsigned nv, const uint8_t *const *codes,
                            const float *const *scale, vg x, vf *acc)
{
#pragma GCC unroll 4
    for (unsigned k = 0; k < nv; k++) {
        vlut lut = vlut_of(type, scale[k]);
        vg w = vg_weights(type, codes[k], lut);
#pragma GCC unroll 4
        for (int i = 0; i < VG_PARTS; i++)
            acc[k] = vf_fma(w.v[i], x.v[i], acc[k]);
    }
}

ALWAYS_INLINE void dot_typed(enum m2c_type type, unsigned nv, const struct m2c_vec *w,
                             const struct m2c_vec *next, const float *x, size_t n,
                             float *out)
{
    const size_t gb = group_bytes(type), groups = n / M2C_GROUP;
    float scales[M2C_DOT_MAX][SCALE_BLOCK];
    const uint8_t *codes[M2C_DOT_MAX];
    const float *scale[M2C_DOT_MAX];
    vf acc[M2C_DOT_MAX];
    for (unsigned k = 0; k < nv; k++) {
        acc[k] = vf_set(0);
        codes[k] = w[k].codes;
    }
    for (size_t g = 0; g < groups; g += SCALE_BLOCK) {
        size_t m = M2C_MIN(groups - g, (size_t)SCALE_BLOCK);
        for (unsigned k = 0; k < nv; k++) {
            scale[k] = scales[k];
            if (grouped(type))
                scales_16(w[k].scales + 2 * g, m, scales[k]);
            if (next)
                prefetch_range(next[k].codes + g * gb, m * gb);
        }
        for (size_t i = 0; i < m; i++) {
            dot_step(type, nv, codes, scale, vg_load(type, x + (g + i) * M2C_GROUP), acc);
            for (unsigned k = 0; k < nv; k++) {
                codes[k] += gb;
                scale[k]++;
            }
        }
    }
    size_t rest = n % M2C_GROUP;
    if (rest) {
        float xt[M2C_GROUP] = {0};
        memcpy(xt, x + groups * M2C_GROUP, rest * sizeof(*x));
        for (unsigned k = 0; k < nv; k++) {
            struct tail t;
            read_tail(type, &w[k], groups, rest, &t);
            const uint8_t *c = t.codes;
            const float *s = t.scale;
            dot_step(type, 1, &c, &s, vg_load(type, xt), &acc[k]);
        }
    }
    for (unsigned k = 0; k < nv; k++)
        out[k] = vf_sum(acc[k]);
}

ALWAYS_INLINE void dot_any(enum m2c_type type, const struct m2c_vec *w, unsigned nv,
                           const struct m2c_vec *next, const float *x, size_t n, float *out)
{
    if (nv == M2C_DOT_MAX)
        dot_typed(type, M2C_DOT_MAX, w, next, x, n, out);
    else
        for (unsigned k = 0; k < nv; k++)
            dot_typed(type, 1, w + k, next ? next + k : NULL, x, n, out + k);
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

/* Decodes elements [at, at + n) of a vector in the type's order, n at most
 * BLOCK_ELEMS, padded with zeros to a whole group. */
ALWAYS_INLINE void decode_block(enum m2c_type type, const struct m2c_vec *w, size_t at,
                                size_t n, float *out)
{
    float scales[SCALE_BLOCK] = {0};
    size_t g = at / M2C_GROUP, full = n / M2C_GROUP, rest = n % M2C_GROUP;
    if (grouped(type) && full)
        scales_16(w->scales + 2 * g, full, scales);
    for (size_t i = 0; i < full; i++, out += M2C_GROUP) {
        vg d = vg_weights(type, w->codes + (g + i) * group_bytes(type),
                          vlut_of(type, &scales[i]));
        for (int k = 0; k < VG_PARTS; k++)
            vf_store(out + k * VF_LANES, d.v[k]);
    }
    if (rest) {
        struct tail t;
        read_tail(type, w, g + full, rest, &t);
        vg d = vg_weights(type, t.codes, vlut_of(type, t.scale));
        for (int k = 0; k < VG_PARTS; k++)
            vf_store(out + k * VF_LANES, d.v[k]);
    }
}

/* acc[r][k] += dec[k]·x[r] over `groups` groups, for one step of rows. */
ALWAYS_INLINE void rows_step(enum m2c_type type, float (*dec)[BLOCK_ELEMS],
                             const float *const *x, size_t groups,
                             float (*acc)[M2C_DOT_MAX][VF_LANES])
{
    vf sum[ROW_STEP][M2C_DOT_MAX];
    for (int r = 0; r < ROW_STEP; r++)
        for (int k = 0; k < M2C_DOT_MAX; k++)
            sum[r][k] = vf_load(acc[r][k]);
    for (size_t g = 0; g < groups; g++) {
        vg xs[ROW_STEP];
        for (int r = 0; r < ROW_STEP; r++)
            xs[r] = vg_load(type, x[r] + g * M2C_GROUP);
        for (int i = 0; i < VG_PARTS; i++) {
            for (int k = 0; k < M2C_DOT_MAX; k++) {
                vf w = vf_load(dec[k] + g * M2C_GROUP + i * VF_LANES);
                for (int r = 0; r < ROW_STEP; r++)
                    sum[r][k] = vf_fma(w, xs[r].v[i], sum[r][k]);
            }
        }
    }
    for (int r = 0; r < ROW_STEP; r++)
        for (int k = 0; k < M2C_DOT_MAX; k++)
            vf_store(acc[r][k], sum[r][k]);
}

/* Vectors beyond nv and rows beyond `rows` are computed from zeros or from
 * the last row, and dropped. */
ALWAYS_INLINE void rows_typed(enum m2c_type type, const struct m2c_vec *w, unsigned nv,
                              const float *x, size_t n, unsigned rows, float *out)
{
    float dec[M2C_DOT_MAX][BLOCK_ELEMS], tail[ROW_STEP][M2C_GROUP];
    float acc[M2C_ROW_TILE][M2C_DOT_MAX][VF_LANES];
    memset(acc, 0, sizeof(acc));
    memset(dec, 0, sizeof(dec));
    memset(tail, 0, sizeof(tail));
    for (size_t at = 0; at < n; at += BLOCK_ELEMS) {
        size_t m = M2C_MIN(n - at, (size_t)BLOCK_ELEMS);
        size_t full = m / M2C_GROUP, rest = m % M2C_GROUP;
        for (unsigned k = 0; k < nv; k++)
            decode_block(type, &w[k], at, m, dec[k]);
        for (unsigned r = 0; r < rows; r += ROW_STEP) {
            const float *xr[ROW_STEP], *xt[ROW_STEP];
            for (unsigned i = 0; i < ROW_STEP; i++) {
                xr[i] = x + M2C_MIN(r + i, rows - 1) * n + at;
                xt[i] = tail[i];
                if (rest)
                    memcpy(tail[i], xr[i] + full * M2C_GROUP, rest * sizeof(*x));
            }
            rows_step(type, dec, xr, full, acc + r);
            if (rest) {
                float last[M2C_DOT_MAX][BLOCK_ELEMS];
                for (unsigned k = 0; k < M2C_DOT_MAX; k++)
                    memcpy(last[k], dec[k] + full * M2C_GROUP, sizeof(tail[0]));
                rows_step(type, last, xt, 1, acc + r);
            }
        }
    }
    for (unsigned r = 0; r < rows; r++)
        for (unsigned k = 0; k < nv; k++)
            out[r * M2C_DOT_MAX + k] = vf_sum(vf_load(acc[r][k]));
}

static void kern_dot_rows(const struct m2c_vec *w, unsigned nv, const float *x, size_t n,
                          unsigned rows, float *out)
{
    switch (w[0].type) {
    case M2C_F32: rows_typed(M2C_F32, w, nv, x, n, rows, out); break;
    case M2C_F16: rows_typed(M2C_F16, w, nv, x, n, rows, out); break;
    case M2C_BF16: rows_typed(M2C_BF16, w, nv, x, n, rows, out); break;
    case M2C_I8: rows_typed(M2C_I8, w, nv, x, n, rows, out); break;
    case M2C_I4: rows_typed(M2C_I4, w, nv, x, n, rows, out); break;
    case M2C_N_TYPES: break;
    }
}

/* ---- axpy ---- */

struct axpy_scales {
    float s[M2C_AXPY_MAX][SCALE_BLOCK];
};

/* acc[j] += sum of h[k]·w[k][j] over the groups [g, g + tile), whose scales
 * begin at sc->s[k][i]. `same`: all vectors have the type `type`. */
ALWAYS_INLINE void axpy_tile(bool same, enum m2c_type type, unsigned nv,
                             const struct m2c_vec *w, const float *h,
                             const struct axpy_scales *sc, size_t g, size_t i,
                             unsigned tile, float *acc)
{
    /* Where all are of one type the sums stay in its order, else in that of
     * the elements. */
    enum m2c_type order = same ? type : M2C_F32;
    vg sum[AXPY_TILE];
    for (unsigned t = 0; t < tile; t++)
        sum[t] = vg_load(order, acc + (g + t) * M2C_GROUP);
    for (unsigned k = 0; k < nv; k++) {
        vf hk = vf_set(h[k]);
        enum m2c_type kt = same ? type : w[k].type;
        const uint8_t *c = w[k].codes + g * group_bytes(kt);
#define STEP(T)                                                                          \
    for (unsigned t = 0; t < tile; t++) {                                                \
        vg d = vg_weights(T, c + t * group_bytes(T), vlut_of(T, &sc->s[k][i + t]));      \
        if (!same)                                                                       \
            d = vg_natural(T, d);                                                        \
        for (int p = 0; p < VG_PARTS; p++)                                               \
            sum[t].v[p] = vf_fma(d.v[p], hk, sum[t].v[p]);                               \
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
    struct axpy_scales sc;
    for (size_t g = begin; g < end; g += SCALE_BLOCK) {
        size_t m = M2C_MIN(end - g, (size_t)SCALE_BLOCK), i = 0;
        for (unsigned k = 0; k < nv; k++)
            if (grouped(same ? type : w[k].type))
                scales_16(w[k].scales + 2 * g, m, sc.s[k]);
        for (unsigned k = nv; k < nv + n_next; k++) {
            size_t gb = group_bytes(w[k].type);
            prefetch_range(w[k].codes + g * gb, m * gb);
        }
        for (; i + AXPY_TILE <= m; i += AXPY_TILE)
            axpy_tile(same, type, nv, w, h, &sc, g + i, i, AXPY_TILE, acc);
        for (; i < m; i++)
            axpy_tile(same, type, nv, w, h, &sc, g + i, i, 1, acc);
    }
}

/* A group's weights in the order of the elements. */
ALWAYS_INLINE vg natural_weights(enum m2c_type type, const uint8_t *c, const float *scale)
{
    switch (type) {
    case M2C_F32: return vg_weights(M2C_F32, c, vlut_of(M2C_F32, scale));
    case M2C_F16: return vg_weights(M2C_F16, c, vlut_of(M2C_F16, scale));
    case M2C_BF16: return vg_weights(M2C_BF16, c, vlut_of(M2C_BF16, scale));
    case M2C_I8: return vg_weights(M2C_I8, c, vlut_of(M2C_I8, scale));
    case M2C_I4:
        return vg_natural(M2C_I4, vg_weights(M2C_I4, c, vlut_of(M2C_I4, scale)));
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
        vg d = natural_weights(w[k].type, t.codes, t.scale);
        for (int p = 0; p < VG_PARTS; p++)
            sum.v[p] = vf_fma(d.v[p], vf_set(h[k]), sum.v[p]);
    }
    vg_store(M2C_F32, y, sum);
    memcpy(acc + group * M2C_GROUP, y, n * sizeof(*acc));
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
        axpy_groups(true, M2C_I4, w, nv, n_next, h, acc, g, ge);
    else if (w[0].type == M2C_I8)
        axpy_groups(true, M2C_I8, w, nv, n_next, h, acc, g, ge);
    else if (w[0].type == M2C_F16)
        axpy_groups(true, M2C_F16, w, nv, n_next, h, acc, g, ge);
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
