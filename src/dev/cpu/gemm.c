/* SPDX-License-Identifier: MIT */
/* MATMUL through OpenBLAS, where the kernels here are slower: with the plain C
 * kernels, that is on CPUs that have no kernels of their own. With AVX2 and
 * AVX-512 the kernels here decode and multiply faster than OpenBLAS multiplies
 * decoded weights up to some hundred rows, and give each row the bits that it
 * has alone.
 *
 * OpenBLAS runs single-threaded on tiles of fixed size, the last one padded,
 * so that numbers depend neither on the threads nor on the number of rows. */
#include "dev/cpu/kern_impl.h"

#include "m2c_config.h"

#if M2C_HAVE_OPENBLAS

#include <cblas.h>
#include <string.h>

enum { TILE_ROWS = 16, TILE_OUT = 64, TILE_DEPTH = 512, BLOCK_ROWS = 4 * TILE_ROWS };

struct gemm {
    const struct m2c_cpu_isa *isa;
    const struct m2c_matmul_args *args;
};

/* Elements [at, at + n) of the weights' rows [row, row + TILE_OUT), in f32;
 * rows beyond the last and elements beyond n are zeros. */
static void decode_tile(const struct gemm *g, uint32_t row, uint32_t at, uint32_t n,
                        float (*out)[TILE_DEPTH])
{
    const struct m2c_tensor *w = &g->args->w;
    const size_t code = m2c_code_bytes(w->type, w->cols);
    const size_t scale = m2c_scale_bytes(w->type, w->cols);
    const uint8_t *codes = m2c_mem_host(w->codes), *scales = NULL;
    const float one = 1;
    if (scale)
        scales = m2c_mem_host(w->scales);
    memset(out, 0, TILE_OUT * sizeof(*out));
    for (uint32_t i = row; i < w->rows && i < row + TILE_OUT; i++) {
        /* The vector from element `at` on, which is the start of a group. */
        struct m2c_vec v = {
            .codes = codes + i * code + m2c_code_bytes(w->type, at),
            .scales = scales ? scales + i * scale + m2c_scale_bytes(w->type, at) : NULL,
            .type = w->type};
        g->isa->axpy(&v, 1, &one, 0, out[i - row], 0, 1, 0, n);
    }
}

/* sums[i] += x·w over n elements from `at` on, for TILE_ROWS rows from `row`. */
static void add_product(const struct gemm *g, uint32_t row, uint32_t at, uint32_t n,
                        float (*w)[TILE_DEPTH], float (*sums)[TILE_OUT])
{
    const struct m2c_matmul_args *a = g->args;
    float x[TILE_ROWS][TILE_DEPTH];
    memset(x, 0, sizeof(x));
    for (uint32_t r = 0; r < TILE_ROWS && row + r < a->rows; r++) {
        const float *from = m2c_mem_host(a->x);
        memcpy(x[r], from + (size_t)(row + r) * a->w.cols + at, n * sizeof(*from));
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, TILE_ROWS, TILE_OUT, TILE_DEPTH, 1,
                x[0], TILE_DEPTH, w[0], TILE_DEPTH, 1, sums[0], TILE_OUT);
}

/* BLOCK_ROWS rows of y from `row` on, TILE_OUT columns from `out` on. */
static void gemm_block(const struct gemm *g, uint32_t row, uint32_t out)
{
    const struct m2c_matmul_args *a = g->args;
    const uint32_t rows = M2C_MIN(a->rows - row, (uint32_t)BLOCK_ROWS);
    const uint32_t outs = M2C_MIN(a->w.rows - out, (uint32_t)TILE_OUT);
    float w[TILE_OUT][TILE_DEPTH], sums[BLOCK_ROWS][TILE_OUT];
    memset(sums, 0, sizeof(sums));
    for (uint32_t at = 0; at < a->w.cols; at += TILE_DEPTH) {
        uint32_t n = M2C_MIN(a->w.cols - at, (uint32_t)TILE_DEPTH);
        decode_tile(g, out, at, n, w);
        for (uint32_t r = 0; r < rows; r += TILE_ROWS)
            add_product(g, row + r, at, n, w, sums + r);
    }
    for (uint32_t r = 0; r < rows; r++) {
        float *to = (float *)m2c_mem_host(a->y) + (size_t)(row + r) * a->w.rows + out;
        for (uint32_t i = 0; i < outs; i++)
            to[i] = a->add ? to[i] + sums[r][i] : sums[r][i];
    }
}

static void gemm_items(void *ctx, size_t begin, size_t end, unsigned worker)
{
    (void)worker;
    const struct gemm *g = ctx;
    for (size_t i = begin; i < end; i++)
        for (uint32_t row = 0; row < g->args->rows; row += BLOCK_ROWS)
            gemm_block(g, row, (uint32_t)i * TILE_OUT);
}

void m2c_cpu_kernels_init(void)
{
    openblas_set_num_threads(1);
}

bool m2c_cpu_gemm(const struct m2c_run *run, const struct m2c_matmul_args *args)
{
    if (args->rows < m2c_cpu_gemm_rows(run->isa))
        return false;
    struct gemm g = {.isa = run->isa, .args = args};
    m2c_pool_run(run->pool, (args->w.rows + TILE_OUT - 1) / TILE_OUT, 1, gemm_items, &g);
    return true;
}

uint32_t m2c_cpu_gemm_rows(const struct m2c_cpu_isa *isa)
{
    return isa->gemm_rows;
}

#else

void m2c_cpu_kernels_init(void) {}

bool m2c_cpu_gemm(const struct m2c_run *run, const struct m2c_matmul_args *args)
{
    (void)run;
    (void)args;
    return false;
}

uint32_t m2c_cpu_gemm_rows(const struct m2c_cpu_isa *isa)
{
    (void)isa;
    return UINT32_MAX;
}

#endif
