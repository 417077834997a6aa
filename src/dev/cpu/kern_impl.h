/* SPDX-License-Identifier: MIT */
/* What an instruction set gives to the cpu kernels: loops over one vector or
 * a few. How ops are made of them and split over threads is the same for all
 * (ffn.c, dense.c, attention.c, choose.c). Inside src/dev/cpu only.
 *
 * Every kernel that reads the same weights makes the same additions in the
 * same order, whether it decodes on the fly or from a decoded block, so that
 * a row of many gives the bits of that row alone. */
#ifndef M2C_DEV_CPU_KERN_IMPL_H
#define M2C_DEV_CPU_KERN_IMPL_H

#include "base/pool.h"
#include "dev/cpu/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    M2C_DOT_MAX = 8,   /* vectors in one dot or dot_rows */
    M2C_AXPY_MAX = 8,  /* vectors that one axpy adds */
    M2C_ROW_TILE = 64, /* rows in one dot_rows */
    M2C_KEY_BLOCK = 64 /* keys that one step of the online softmax takes */
};

/* One vector of weights. `scales` is NULL for ungrouped types; d4 and d8 are
 * planes 1 and 2 of a nested code, whose plane 0 is `codes`. */
struct m2c_vec {
    const uint8_t *codes, *scales, *d4, *d8;
    enum m2c_type type;
};

struct m2c_cpu_isa {
    const char *name;
    uint32_t gemm_rows; /* MATMUL goes through OpenBLAS, if there is one, from here on */

    /* out[k] = w[k]·x for k < nv <= M2C_DOT_MAX; all of w have type w[0].type
     * and n elements. `next` (may be NULL): nv vectors that will come next,
     * to be prefetched. */
    void (*dot)(const struct m2c_vec *w, unsigned nv, const struct m2c_vec *next,
                const float *x, size_t n, float *out);
    /* out[r * M2C_DOT_MAX + k] = w[k]·x[r·n …] for rows <= M2C_ROW_TILE; the
     * bits of dot, each weight decoded once. */
    void (*dot_rows)(const struct m2c_vec *w, unsigned nv, const float *x, size_t n,
                     unsigned rows, float *out);
    /* acc[r·ld_acc + j] += h[k + r·ld_h] · w[k][j] for j in [begin, end), k < min(nv,
     * M2C_AXPY_MAX) ascending, one fused multiply-add each (plain C: a
     * multiplication and an addition); a group's scale meets h first. begin is
     * a multiple of M2C_GROUP; end too, or it is the length of the vectors.
     * Vectors beyond the first M2C_AXPY_MAX are prefetched. Types may differ. */
    void (*axpy)(const struct m2c_vec *w, unsigned nv, const float *h, size_t ld_h,
                 float *acc, size_t ld_acc, unsigned rows, size_t begin, size_t end);
    /* s[i] = exp(s[i] - top); returns the sum. Relative error of an exp about
     * 1e-7; s[i] <= top. */
    float (*exp_sum)(float *s, size_t n, float top);
    /* Reads n bytes, a multiple of 256, as fast as memory gives them: the
     * measure for all of the above. The result only keeps the reads alive. */
    uint64_t (*read)(const uint8_t *p, size_t n);
};

extern const struct m2c_cpu_isa m2c_cpu_isa_c;
#if defined(__x86_64__)
extern const struct m2c_cpu_isa m2c_cpu_isa_avx2, m2c_cpu_isa_avx512;
#endif

/* One call on a pool. */
struct m2c_run {
    const struct m2c_cpu_isa *isa;
    struct m2c_pool *pool;
};

/* m2c_pool_run for a loop that does `work` multiply-adds in all: below some
 * microseconds of work, waking another thread costs more than it brings, and
 * the loop stays on the caller's. Numbers do not depend on it. */
static inline void m2c_run_loop(const struct m2c_run *run, size_t items, size_t chunk,
                                uint64_t work, m2c_pool_fn fn, void *ctx)
{
    enum { MIN_WORK = 1 << 17 };
    if (work >= MIN_WORK) {
        m2c_pool_run(run->pool, items, chunk, fn, ctx);
        return;
    }
    for (size_t at = 0; at < items; at += chunk)
        fn(ctx, at, M2C_MIN(at + chunk, items), 0);
}

void m2c_cpu_ffn_up(const struct m2c_run *run, const struct m2c_ffn_up_args *a);
void m2c_cpu_ffn_down(const struct m2c_run *run, const struct m2c_ffn_down_args *a);
void m2c_cpu_ffn_sum(const struct m2c_run *run, const struct m2c_ffn_sum_args *a);
/* The MATMUL through OpenBLAS; false where it is not for OpenBLAS. */
bool m2c_cpu_gemm(const struct m2c_run *run, const struct m2c_matmul_args *a);
void m2c_cpu_matmul(const struct m2c_run *run, const struct m2c_matmul_args *a);
void m2c_cpu_embed(const struct m2c_run *run, const struct m2c_embed_args *a);
void m2c_cpu_norm(const struct m2c_run *run, const struct m2c_norm_args *a);
void m2c_cpu_fill(const struct m2c_run *run, const struct m2c_fill_args *a);
void m2c_cpu_rope(const struct m2c_run *run, const struct m2c_rope_args *a);
void m2c_cpu_kv_append(const struct m2c_run *run, const struct m2c_kv_append_args *a);
void m2c_cpu_attention(const struct m2c_run *run, const struct m2c_attention_args *a);
void m2c_cpu_argmax(const struct m2c_run *run, const struct m2c_argmax_args *a);
void m2c_cpu_select(const struct m2c_run *run, const struct m2c_select_args *a);
void m2c_cpu_lookup(const struct m2c_run *run, const struct m2c_lookup_args *a);

#ifdef __cplusplus
}
#endif
#endif
