/* SPDX-License-Identifier: MIT */
/* One random case of each dense op against its reference.
 *
 * Tolerances: EPS is half an f32 ulp of 1. A sum of n products, kept in at
 * least eight partial sums, has at most n/8 + 8 roundings on the way of any
 * product, so its error is at most that many EPS of the sum of magnitudes. */
#include "tk.h"

#include "ops/ref.h"

#include <math.h>
#include <string.h>

static const double EPS = 0x1p-24;

/* Runs both sides; `dev` and `ref` differ in where operands lie only. */
static void both(struct tk *t, const struct m2c_call *ref, const struct m2c_call *dev)
{
    m2c_ref(ref->op)(ref);
    tk_run(t, dev);
}

static void case_fill(struct tk *t, enum m2c_type type)
{
    (void)type;
    uint32_t n = tk_length(t, 100000);
    struct tk_mem *dst = tk_new(t, n * sizeof(float), 4);
    struct m2c_call c[2];
    for (int d = 0; d < 2; d++)
        c[d] = (struct m2c_call){M2C_OP_FILL, .u.fill = {tk_at(dst, d), n, 0.75f}};
    both(t, &c[0], &c[1]);
    tk_compare(t, dst, tk_exact, NULL);
}

/* One product, rounded once, on both sides. */
static void case_embed(struct tk *t, enum m2c_type type)
{
    uint32_t rows = tk_rows(t), table = tk_length(t, 60), cols = tk_length(t, 700);
    struct tk_matrix w = tk_matrix(t, type, table, cols);
    struct tk_mem *ids = tk_new(t, rows * 4, 4);
    struct tk_mem *out = tk_new(t, (size_t)rows * cols * 4, 4);
    for (uint32_t r = 0; r < rows; r++)
        ((uint32_t *)tk_host(ids))[r] = tk_below(t, table);
    tk_upload(t, ids);
    float scale = tk_below(t, 2) ? 1 : 13.4f;
    struct m2c_call c[2];
    for (int d = 0; d < 2; d++)
        c[d] = (struct m2c_call){M2C_OP_EMBED,
                                 .u.embed = {d ? w.dev : w.ref, tk_at(ids, d),
                                             tk_at(out, d), rows, scale}};
    both(t, &c[0], &c[1]);
    tk_compare(t, out, tk_exact, NULL);
}

struct norm_tol {
    const float *y;
    uint32_t n;
    double shift;
};

/* The root halves the relative error of the sum of squares; a few more
 * roundings for the products, and one of the difference with the shift. */
static double norm_tol(const void *ctx, size_t i)
{
    const struct norm_tol *a = ctx;
    double y = fabs(a->y[i]) + fabs(a->shift);
    return (a->n / 16.0 + 10) * EPS * y;
}

static void case_norm(struct tk *t, enum m2c_type type)
{
    (void)type;
    uint32_t rows = tk_rows(t), n = tk_length(t, 900);
    bool relu = tk_below(t, 2), in_place = tk_below(t, 2);
    float shift = relu ? 0.25f : 0;
    struct tk_mem *x = tk_floats(t, (size_t)rows * n), *w = tk_floats(t, n);
    struct tk_mem *y = in_place ? x : tk_new(t, (size_t)rows * n * 4, 4);
    struct m2c_call c[2];
    for (int d = 0; d < 2; d++)
        c[d] = (struct m2c_call){M2C_OP_NORM,
                                 .u.norm = {tk_at(x, d), tk_at(w, d), tk_at(y, d), rows, n,
                                            1e-5f, shift, relu}};
    both(t, &c[0], &c[1]);
    tk_compare(t, y, norm_tol, &(struct norm_tol){tk_host(y), n, shift});
}

struct matmul_tol {
    const struct m2c_tensor *w;
    const float *x, *before; /* before: y, where the product is added to it */
};

static double matmul_tol(const void *ctx, size_t i)
{
    const struct matmul_tol *a = ctx;
    uint32_t n = a->w->cols, row = (uint32_t)(i % a->w->rows);
    const float *x = a->x + i / a->w->rows * n;
    double sum = a->before ? fabs(a->before[i]) : 0;
    for (uint32_t c = 0; c < n; c++)
        sum += fabs((double)m2c_ref_weight(a->w, row, c) * x[c]);
    return (n / 8.0 + 8) * EPS * sum;
}

static void case_matmul(struct tk *t, enum m2c_type type)
{
    uint32_t rows = tk_rows(t), out = tk_length(t, 80), cols = tk_length(t, 1200);
    bool add = tk_below(t, 2);
    struct tk_matrix w = tk_matrix(t, type, out, cols);
    struct tk_mem *x = tk_floats(t, (size_t)rows * cols);
    struct tk_mem *before = tk_floats(t, (size_t)rows * out);
    struct tk_mem *y = tk_new(t, (size_t)rows * out * 4, 4);
    if (add) {
        memcpy(tk_host(y), tk_host(before), y->bytes);
        tk_upload(t, y);
    }
    struct m2c_call c[2];
    for (int d = 0; d < 2; d++)
        c[d] = (struct m2c_call){M2C_OP_MATMUL,
                                 .u.matmul = {d ? w.dev : w.ref, tk_at(x, d), tk_at(y, d),
                                              rows, add}};
    both(t, &c[0], &c[1]);
    struct matmul_tol tol = {&w.ref, tk_host(x), add ? tk_host(before) : NULL};
    tk_compare(t, y, matmul_tol, &tol);
}

struct rope_tol {
    const float *x;
    uint32_t head_dim;
    bool split;
};

/* Sine and cosine are rounded to f32, then two products and a sum. */
static double rope_tol(const void *ctx, size_t i)
{
    const struct rope_tol *a = ctx;
    size_t at = i % a->head_dim, half = a->head_dim / 2;
    size_t other = a->split ? i + (at < half ? half : -half) : i ^ 1u;
    return 4 * EPS * (fabs(a->x[i]) + fabs(a->x[other]));
}

static void case_rope(struct tk *t, enum m2c_type type)
{
    (void)type;
    uint32_t rows = tk_rows(t), heads = 1 + tk_below(t, 5), half = tk_length(t, 64);
    uint32_t dim = 2 * half, pos = tk_below(t, 2) ? tk_below(t, 200000) : 0;
    enum m2c_rope style = tk_below(t, 2) ? M2C_ROPE_HALF : M2C_ROPE_INTERLEAVED;
    size_t n = (size_t)rows * heads * dim;
    struct tk_mem *before = tk_floats(t, n), *x = tk_new(t, n * 4, 4);
    struct tk_mem *freq = tk_new(t, half * sizeof(float), 4);
    for (uint32_t j = 0; j < half; j++)
        ((float *)tk_host(freq))[j] = (float)pow(10000, -2.0 * j / dim);
    tk_upload(t, freq);
    memcpy(tk_host(x), tk_host(before), x->bytes);
    tk_upload(t, x);
    struct m2c_call c[2];
    for (int d = 0; d < 2; d++)
        c[d] = (struct m2c_call){M2C_OP_ROPE,
                                 .u.rope = {tk_at(x, d), tk_at(freq, d), rows, heads, dim,
                                            pos, style}};
    both(t, &c[0], &c[1]);
    struct rope_tol tol = {tk_host(before), dim, style == M2C_ROPE_HALF};
    tk_compare(t, x, rope_tol, &tol);
}

/* Byte by byte: rows before and after those appended keep their poison. */
static void case_kv_append(struct tk *t, enum m2c_type type)
{
    uint32_t rows = tk_rows(t), n = tk_length(t, 300), pos = tk_below(t, 20);
    struct tk_mem *x = tk_floats(t, (size_t)rows * n);
    size_t bytes = m2c_code_bytes(type, (size_t)(pos + rows + 3) * n);
    struct tk_mem *cache = tk_new(t, bytes, m2c_code_bytes(type, 1));
    struct tk_mem *got = tk_new(t, bytes, 4);
    struct m2c_call c[2];
    for (int d = 0; d < 2; d++)
        c[d] = (struct m2c_call){M2C_OP_KV_APPEND,
                                 .u.kv_append = {tk_at(x, d), tk_at(cache, d), type, rows,
                                                 n, pos}};
    both(t, &c[0], &c[1]);
    tk_download(t, cache, tk_host(got));
    for (size_t i = 0; i < bytes; i++)
        if (((uint8_t *)tk_host(got))[i] != ((uint8_t *)tk_host(cache))[i])
            tk_fault(t, "byte %zu of the cache differs", i);
}

const tk_case tk_cases[M2C_N_OPS] = {
    [M2C_OP_FILL] = case_fill,           [M2C_OP_EMBED] = case_embed,
    [M2C_OP_NORM] = case_norm,           [M2C_OP_MATMUL] = case_matmul,
    [M2C_OP_ROPE] = case_rope,           [M2C_OP_KV_APPEND] = case_kv_append,
    [M2C_OP_ATTENTION] = tk_attention,   [M2C_OP_FFN_UP] = tk_ffn_up,
    [M2C_OP_FFN_DOWN] = tk_ffn_down,     [M2C_OP_FFN_SUM] = tk_ffn_sum,
    [M2C_OP_ARGMAX] = tk_argmax,         [M2C_OP_SELECT] = tk_select,
    [M2C_OP_LOOKUP] = tk_lookup,
};
