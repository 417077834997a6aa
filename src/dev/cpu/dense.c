/* SPDX-License-Identifier: MIT */
/* The dense ops on the cpu: matmul, embed, norm, fill, rope. */
#include "dev/cpu/kern_impl.h"

#include <math.h>

/* ---- matmul ---- */

struct matmul {
    const struct m2c_cpu_isa *isa;
    const struct m2c_tensor *w;
    const uint8_t *codes, *scales;
    size_t code_step, scale_step; /* bytes of a row of w */
    const float *x;
    float *y;
    uint32_t rows;
    bool add;
};

static unsigned row_vecs(const struct matmul *a, size_t row, struct m2c_vec *w)
{
    unsigned nv = 0;
    for (; nv < M2C_DOT_MAX && row + nv < a->w->rows; nv++)
        w[nv] = (struct m2c_vec){
            .codes = a->codes + (row + nv) * a->code_step,
            .scales = a->scale_step ? a->scales + (row + nv) * a->scale_step : NULL,
            .type = a->w->type};
    return nv;
}

static void put(const struct matmul *a, size_t r, size_t row, float v)
{
    float *y = &a->y[r * a->w->rows + row];
    *y = a->add ? *y + v : v;
}

/* Items are groups of M2C_DOT_MAX rows of w. */
static void matmul_items(void *ctx, size_t begin, size_t end, unsigned worker)
{
    (void)worker;
    const struct matmul *a = ctx;
    float out[M2C_ROW_TILE * M2C_DOT_MAX];
    struct m2c_vec vecs[2][M2C_DOT_MAX];
    unsigned nv = row_vecs(a, begin * M2C_DOT_MAX, vecs[begin % 2]), n_next;
    for (size_t i = begin; i < end; i++, nv = n_next) {
        const struct m2c_vec *w = vecs[i % 2];
        struct m2c_vec *next = vecs[(i + 1) % 2];
        size_t row = i * M2C_DOT_MAX;
        n_next = row_vecs(a, row + M2C_DOT_MAX, next);
        bool more = n_next == nv;
        for (uint32_t r0 = 0; r0 < a->rows; r0 += M2C_ROW_TILE) {
            uint32_t rows = M2C_MIN(a->rows - r0, (uint32_t)M2C_ROW_TILE);
            const float *x = a->x + (size_t)r0 * a->w->cols;
            if (rows == 1)
                a->isa->dot(w, nv, more ? next : NULL, x, a->w->cols, out);
            else
                a->isa->dot_rows(w, nv, x, a->w->cols, rows, out);
            for (uint32_t r = 0; r < rows; r++)
                for (unsigned k = 0; k < nv; k++)
                    put(a, r0 + r, row + k, out[r * M2C_DOT_MAX + k]);
        }
    }
}

void m2c_cpu_matmul(const struct m2c_run *run, const struct m2c_matmul_args *args)
{
    if (m2c_cpu_gemm(run, args))
        return;
    struct matmul a = {
        .isa = run->isa,
        .w = &args->w,
        .codes = m2c_mem_host(args->w.codes),
        .code_step = m2c_code_bytes(args->w.type, args->w.cols),
        .scale_step = m2c_scale_bytes(args->w.type, args->w.cols),
        .x = m2c_mem_host(args->x),
        .y = m2c_mem_host(args->y),
        .rows = args->rows,
        .add = args->add,
    };
    if (a.scale_step)
        a.scales = m2c_mem_host(args->w.scales);
    size_t items = args->w.rows / M2C_DOT_MAX + (args->w.rows % M2C_DOT_MAX != 0);
    size_t share = items / (8 * (size_t)m2c_pool_threads(run->pool));
    uint64_t work = (uint64_t)args->w.rows * args->w.cols * args->rows;
    m2c_run_loop(run, items, M2C_MAX(share, (size_t)1), work, matmul_items, &a);
}

/* ---- embed ---- */

/* Table rows are few and short: one thread. */
void m2c_cpu_embed(const struct m2c_run *run, const struct m2c_embed_args *a)
{
    const uint32_t *ids = m2c_mem_host(a->ids);
    const uint8_t *codes = m2c_mem_host(a->table.codes), *scales = NULL;
    float *out = m2c_mem_host(a->out);
    size_t n = a->table.cols;
    size_t code_step = m2c_code_bytes(a->table.type, n);
    size_t scale_step = m2c_scale_bytes(a->table.type, n);
    if (scale_step)
        scales = m2c_mem_host(a->table.scales);
    const float one = 1;
    for (uint32_t r = 0; r < a->rows; r++, out += n) {
        struct m2c_vec w = {.codes = codes + ids[r] * code_step,
                            .scales = scales ? scales + ids[r] * scale_step : NULL,
                            .type = a->table.type};
        for (size_t i = 0; i < n; i++)
            out[i] = 0;
        run->isa->axpy(&w, 1, &one, 0, out, 0, 1, 0, n);
        for (size_t i = 0; i < n && a->scale != 1; i++)
            out[i] *= a->scale;
    }
}

/* ---- norm ---- */

struct norm {
    const struct m2c_cpu_isa *isa;
    const struct m2c_norm_args *args;
};

static void norm_rows(void *ctx, size_t begin, size_t end, unsigned worker)
{
    (void)worker;
    const struct norm *run = ctx;
    const struct m2c_norm_args *a = run->args;
    const float *w = m2c_mem_host(a->w);
    for (size_t r = begin; r < end; r++) {
        const float *x = (const float *)m2c_mem_host(a->x) + r * a->n;
        float *y = (float *)m2c_mem_host(a->y) + r * a->n, sum;
        struct m2c_vec v = {.codes = (const uint8_t *)x, .type = M2C_F32};
        run->isa->dot(&v, 1, NULL, x, a->n, &sum);
        float f = (float)(1 / sqrt((double)sum / a->n + (double)a->eps));
        for (uint32_t i = 0; i < a->n; i++)
            y[i] = x[i] * f * w[i];
        for (uint32_t i = 0; a->relu && i < a->n; i++)
            y[i] = y[i] - a->shift < 0 ? 0 : y[i] - a->shift;
    }
}

void m2c_cpu_norm(const struct m2c_run *run, const struct m2c_norm_args *args)
{
    struct norm a = {run->isa, args};
    m2c_pool_run(run->pool, args->rows, 1, norm_rows, &a);
}

/* ---- fill ---- */

struct fill {
    float *dst;
    float value;
};

static void fill_range(void *ctx, size_t begin, size_t end, unsigned worker)
{
    (void)worker;
    const struct fill *a = ctx;
    for (size_t i = begin; i < end; i++)
        a->dst[i] = a->value;
}

void m2c_cpu_fill(const struct m2c_run *run, const struct m2c_fill_args *args)
{
    struct fill a = {m2c_mem_host(args->dst), args->value};
    m2c_pool_run(run->pool, args->n, 32768, fill_range, &a);
}

/* ---- rope ---- */

/* Angles are taken in double: at position 100,000 an f32 angle is off by
 * 0.004. One pair of sine and cosine serves all heads. */
static void rope_rows(void *ctx, size_t begin, size_t end, unsigned worker)
{
    (void)worker;
    const struct m2c_rope_args *a = ctx;
    const float *freq = m2c_mem_host(a->inv_freq);
    const uint32_t half = a->head_dim / 2;
    const bool split = a->style == M2C_ROPE_HALF;
    for (size_t r = begin; r < end; r++) {
        float *row = (float *)m2c_mem_host(a->x) + r * a->heads * a->head_dim;
        for (uint32_t j = 0; j < half; j++) {
            double t = (double)(a->pos + r) * (double)freq[j];
            float c = (float)cos(t), s = (float)sin(t);
            for (uint32_t h = 0; h < a->heads; h++) {
                float *p = row + h * a->head_dim + (split ? j : 2 * j);
                float *q = p + (split ? half : 1), u = *p, v = *q;
                *p = u * c - v * s;
                *q = u * s + v * c;
            }
        }
    }
}

void m2c_cpu_rope(const struct m2c_run *run, const struct m2c_rope_args *args)
{
    struct m2c_rope_args a = *args;
    m2c_pool_run(run->pool, a.rows, 1, rope_rows, &a);
}
