/* SPDX-License-Identifier: MIT */
/* Sums of scaled vectors (see kern_body.h). */
#ifndef M2C_DEV_CPU_AXPY_BODY_H
#define M2C_DEV_CPU_AXPY_BODY_H

#include "dev/cpu/common_body.h"

/* What the codes of a vector's groups are multiplied by: scale·h, or h alone. */
struct axpy_factors {
    float f[M2C_AXPY_MAX][SCALE_BLOCK];
};

ALWAYS_INLINE void read_factors(const struct m2c_vec *w, float h, size_t g, size_t m,
                                float *f)
{
    if (grouped(w->type))
        vec_scales(w->type, w, g, m, f);
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
        if (k < n_next && tile == AXPY_TILE)
            for (unsigned t = 0; t < tile; t += line_groups(same ? type : w[nv + k].type))
                prefetch_line(same ? type : w[nv + k].type, &w[nv + k], g + t);
#define STEP(T)                                                                          \
    for (unsigned t = 0; t < tile; t++) {                                                \
        vg d = vec_group(T, &w[k], g + t);                                               \
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
        case M2C_P16: STEP(M2C_P16) break;
        case M2C_P8: STEP(M2C_P8) break;
        case M2C_D4:
        case M2C_D8:
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

/* A short group's values in the order of the elements. */
ALWAYS_INLINE vg natural_tail(enum m2c_type type, const struct tail *t)
{
    switch (type) {
    case M2C_F32: return tail_group(M2C_F32, t);
    case M2C_F16: return tail_group(M2C_F16, t);
    case M2C_BF16: return tail_group(M2C_BF16, t);
    case M2C_I8: return tail_group(M2C_I8, t);
    case M2C_I4: return vg_natural(M2C_I4, tail_group(M2C_I4, t));
    case M2C_P16: return vg_natural(M2C_P16, tail_group(M2C_P16, t));
    case M2C_P8: return vg_natural(M2C_P8, tail_group(M2C_P8, t));
    case M2C_D4:
    case M2C_D8:
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
        vg d = natural_tail(w[k].type, &t);
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
    else if (w[0].type == M2C_P16)
        axpy_same(M2C_P16, w, nv, n_next, h, acc, g, ge);
    else if (w[0].type == M2C_P8)
        axpy_same(M2C_P8, w, nv, n_next, h, acc, g, ge);
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

#endif
