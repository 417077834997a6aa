/* SPDX-License-Identifier: MIT */
/* The KV cache and causal attention on the cpu.
 *
 * One row of one head is one item: an online softmax over blocks of
 * M2C_KEY_BLOCK keys from position 0 on, so that a row's bits do not depend on
 * how many rows came with it. */
#include "dev/cpu/kern_impl.h"

#include <math.h>
#include <string.h>

void m2c_cpu_kv_append(const struct m2c_run *run, const struct m2c_kv_append_args *a)
{
    (void)run; /* a few kilobytes: one thread */
    const float *x = m2c_mem_host(a->x);
    uint8_t *cache = m2c_mem_host(a->cache);
    size_t n = (size_t)a->rows * a->n, at = (size_t)a->pos * a->n;
    if (a->type == M2C_F32) {
        memcpy(cache + 4 * at, x, 4 * n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t h = m2c_f32_to_f16(x[i]);
        memcpy(cache + 2 * (at + i), &h, 2);
    }
}

struct attention {
    const struct m2c_cpu_isa *isa;
    const struct m2c_attention_args *args;
};

/* Scores of the m keys from position p on. */
static void scores(const struct attention *run, const float *q, const uint8_t *k,
                   size_t step, uint32_t m, float *s)
{
    const struct m2c_attention_args *a = run->args;
    const float scale = (float)(1 / sqrt((double)a->head_dim));
    for (uint32_t i = 0; i < m; i += M2C_DOT_MAX) {
        struct m2c_vec w[M2C_DOT_MAX];
        uint32_t nv = M2C_MIN(m - i, (uint32_t)M2C_DOT_MAX);
        for (uint32_t v = 0; v < nv; v++)
            w[v] = (struct m2c_vec){.codes = k + (i + v) * step, .type = a->type};
        run->isa->dot(w, nv, NULL, q, a->head_dim, s + i);
    }
    for (uint32_t i = 0; i < m; i++)
        s[i] *= scale;
}

static void one_head(const struct attention *run, size_t row, uint32_t head)
{
    const struct m2c_attention_args *a = run->args;
    const size_t elem = m2c_code_bytes(a->type, 1);
    const size_t step = elem * a->kv_heads * a->head_dim;
    const size_t off = elem * (head / (a->heads / a->kv_heads)) * a->head_dim;
    const uint8_t *k = (const uint8_t *)m2c_mem_host(a->k) + off;
    const uint8_t *v = (const uint8_t *)m2c_mem_host(a->v) + off;
    const size_t at = (row * a->heads + head) * a->head_dim;
    const float *q = (const float *)m2c_mem_host(a->q) + at;
    float *out = (float *)m2c_mem_host(a->out) + at, s[M2C_KEY_BLOCK];
    float top = -INFINITY, sum = 0;
    const uint32_t n = (uint32_t)(a->pos + row + 1);

    memset(out, 0, a->head_dim * sizeof(*out));
    for (uint32_t p = 0; p < n; p += M2C_KEY_BLOCK) {
        uint32_t m = M2C_MIN(n - p, (uint32_t)M2C_KEY_BLOCK);
        scores(run, q, k + p * step, step, m, s);
        float before = top;
        for (uint32_t i = 0; i < m; i++)
            top = s[i] > top ? s[i] : top;
        float keep = p ? expf(before - top) : 0;
        for (uint32_t i = 0; keep != 1 && i < a->head_dim; i++)
            out[i] *= keep;
        sum = sum * keep + run->isa->exp_sum(s, m, top);
        for (uint32_t i = 0; i < m; i += M2C_AXPY_MAX) {
            struct m2c_vec w[M2C_AXPY_MAX];
            uint32_t nv = M2C_MIN(m - i, (uint32_t)M2C_AXPY_MAX);
            for (uint32_t j = 0; j < nv; j++)
                w[j] = (struct m2c_vec){.codes = v + (p + i + j) * step, .type = a->type};
            run->isa->axpy(w, nv, s + i, 0, out, 0, 1, 0, a->head_dim);
        }
    }
    for (uint32_t i = 0; i < a->head_dim; i++)
        out[i] /= sum;
}

static void attention_items(void *ctx, size_t begin, size_t end, unsigned worker)
{
    (void)worker;
    const struct attention *run = ctx;
    for (size_t i = begin; i < end; i++)
        one_head(run, i / run->args->heads, (uint32_t)(i % run->args->heads));
}

void m2c_cpu_attention(const struct m2c_run *run, const struct m2c_attention_args *args)
{
    struct attention a = {run->isa, args};
    size_t items = (size_t)args->rows * args->heads;
    uint64_t work = 2 * (uint64_t)items * (args->pos + args->rows) * args->head_dim;
    m2c_run_loop(run, items, 1, work, attention_items, &a);
}
