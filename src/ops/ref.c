/* SPDX-License-Identifier: MIT */
/* The reference of every op: the shortest loop that says what the op means,
 * every sum in double, rounded to f32 once where the op stores f32. */
#include "ops/ref_impl.h"

#include <math.h>
#include <string.h>

static float ld16(const uint8_t *p, enum m2c_type type)
{
    uint16_t h;
    memcpy(&h, p, 2);
    return type == M2C_F16 ? m2c_f16_to_f32(h) : m2c_bf16_to_f32(h);
}

static int nibble(const uint8_t *p, size_t i)
{
    return (((p[i / 2] >> (i % 2 * 4)) & 15) ^ 8) - 8;
}

/* Element i of a nested code: 16·q4 + d4, and 256 times that + d8. Exact in
 * double, unlike in f32. */
static double nested(enum m2c_type type, const uint8_t *const plane[3],
                     const uint8_t *scales, size_t i)
{
    int q8 = 16 * nibble(plane[0], i) + nibble(plane[1], i);
    int q16 = 256 * q8 + (type == M2C_P16 ? (int8_t)plane[2][i] : 0);
    return q16 * ((double)ld16(scales + i / M2C_GROUP * 2, M2C_F16) / 4096);
}

/* Element i of a vector with these codes and scales. */
static float weight(enum m2c_type type, const uint8_t *codes, const uint8_t *scales,
                    size_t i)
{
    float f;
    switch (type) {
    case M2C_F32: memcpy(&f, codes + 4 * i, 4); return f;
    case M2C_F16:
    case M2C_BF16: return ld16(codes + 2 * i, type);
    case M2C_I8: return (float)(int8_t)codes[i] * ld16(scales + i / M2C_GROUP * 2, M2C_F16);
    case M2C_I4:
        return (float)nibble(codes, i) * ld16(scales + i / M2C_GROUP * 2, M2C_F16);
    case M2C_P16: /* their planes lie apart */
    case M2C_P8:
    case M2C_D4:
    case M2C_D8:
    case M2C_N_TYPES: break;
    }
    return NAN;
}

float m2c_ref_weight(const struct m2c_tensor *t, uint32_t row, uint32_t col)
{
    const uint8_t *codes = m2c_mem_host(t->codes), *scales = m2c_mem_host(t->scales);
    size_t step = m2c_scale_bytes(t->type, t->cols);
    return weight(t->type, codes + row * m2c_code_bytes(t->type, t->cols),
                  step ? scales + row * step : NULL, col);
}

static void ref_fill(const struct m2c_call *call)
{
    const struct m2c_fill_args *a = &call->u.fill;
    float *dst = m2c_mem_host(a->dst);
    for (uint32_t i = 0; i < a->n; i++)
        dst[i] = a->value;
}

static void ref_embed(const struct m2c_call *call)
{
    const struct m2c_embed_args *a = &call->u.embed;
    const uint32_t *ids = m2c_mem_host(a->ids);
    float *out = m2c_mem_host(a->out);
    for (uint32_t r = 0; r < a->rows; r++)
        for (uint32_t c = 0; c < a->table.cols; c++)
            *out++ = (float)((double)m2c_ref_weight(&a->table, ids[r], c) * a->scale);
}

static void ref_norm(const struct m2c_call *call)
{
    const struct m2c_norm_args *a = &call->u.norm;
    const float *w = m2c_mem_host(a->w);
    for (uint32_t r = 0; r < a->rows; r++) {
        const float *x = (const float *)m2c_mem_host(a->x) + (size_t)r * a->n;
        float *y = (float *)m2c_mem_host(a->y) + (size_t)r * a->n;
        double sum = 0;
        for (uint32_t i = 0; i < a->n; i++)
            sum += (double)x[i] * x[i];
        double f = 1 / sqrt(sum / a->n + a->eps);
        for (uint32_t i = 0; i < a->n; i++) {
            double v = x[i] * f * w[i];
            y[i] = (float)(a->relu ? fmax(0, v - a->shift) : v);
        }
    }
}

static void ref_matmul(const struct m2c_call *call)
{
    const struct m2c_matmul_args *a = &call->u.matmul;
    const float *x = m2c_mem_host(a->x);
    float *y = m2c_mem_host(a->y);
    for (uint32_t r = 0; r < a->rows; r++, x += a->w.cols, y += a->w.rows) {
        for (uint32_t i = 0; i < a->w.rows; i++) {
            double sum = a->add ? y[i] : 0;
            for (uint32_t c = 0; c < a->w.cols; c++)
                sum += (double)m2c_ref_weight(&a->w, i, c) * x[c];
            y[i] = (float)sum;
        }
    }
}

static void ref_rope(const struct m2c_call *call)
{
    const struct m2c_rope_args *a = &call->u.rope;
    const float *freq = m2c_mem_host(a->inv_freq);
    float *x = m2c_mem_host(a->x);
    uint32_t half = a->head_dim / 2;
    for (uint32_t r = 0; r < a->rows; r++) {
        for (uint32_t h = 0; h < a->heads; h++, x += a->head_dim) {
            for (uint32_t j = 0; j < half; j++) {
                double t = (double)(a->pos + r) * freq[j], c = cos(t), s = sin(t);
                bool split = a->style == M2C_ROPE_HALF;
                float *p = x + (split ? j : 2 * j), *q = p + (split ? half : 1);
                double u = *p, v = *q;
                *p = (float)(u * c - v * s);
                *q = (float)(u * s + v * c);
            }
        }
    }
}

static void ref_kv_append(const struct m2c_call *call)
{
    const struct m2c_kv_append_args *a = &call->u.kv_append;
    const float *x = m2c_mem_host(a->x);
    uint8_t *cache = m2c_mem_host(a->cache);
    size_t n = (size_t)a->rows * a->n, at = (size_t)a->pos * a->n;
    for (size_t i = 0; i < n; i++) {
        if (a->type == M2C_F32) {
            memcpy(cache + 4 * (at + i), &x[i], 4);
        } else {
            uint16_t h = m2c_f32_to_f16(x[i]);
            memcpy(cache + 2 * (at + i), &h, 2);
        }
    }
}

/* Element i of key or value `p` for one kv head. */
static double cached(const struct m2c_attention_args *a, struct m2c_mem m, uint32_t p,
                     uint32_t head, uint32_t i)
{
    size_t at = ((size_t)p * a->kv_heads + head) * a->head_dim + i;
    return weight(a->type, m2c_mem_host(m), NULL, at);
}

static double score(const struct m2c_attention_args *a, const float *q, uint32_t p,
                    uint32_t head)
{
    double sum = 0;
    for (uint32_t i = 0; i < a->head_dim; i++)
        sum += q[i] * cached(a, a->k, p, head, i);
    return sum / sqrt(a->head_dim);
}

static void ref_attention(const struct m2c_call *call)
{
    const struct m2c_attention_args *a = &call->u.attention;
    const float *q = m2c_mem_host(a->q);
    float *out = m2c_mem_host(a->out);
    for (uint32_t r = 0; r < a->rows; r++) {
        for (uint32_t h = 0; h < a->heads; h++, q += a->head_dim, out += a->head_dim) {
            uint32_t kv = h / (a->heads / a->kv_heads), n = a->pos + r + 1;
            double top = -INFINITY, norm = 0;
            for (uint32_t p = 0; p < n; p++)
                top = fmax(top, score(a, q, p, kv));
            for (uint32_t p = 0; p < n; p++)
                norm += exp(score(a, q, p, kv) - top);
            for (uint32_t i = 0; i < a->head_dim; i++) {
                double sum = 0;
                for (uint32_t p = 0; p < n; p++)
                    sum += exp(score(a, q, p, kv) - top) * cached(a, a->v, p, kv, i);
                out[i] = (float)(sum / norm);
            }
        }
    }
}

static double activation(enum m2c_act act, double x)
{
    switch (act) {
    case M2C_ACT_SILU: return x / (1 + exp(-x));
    case M2C_ACT_GELU: /* tanh form; 0.797… = sqrt(2 / pi) */
        return 0.5 * x * (1 + tanh(0.7978845608028653559 * (x + 0.044715 * x * x * x)));
    case M2C_ACT_RELU: return x > 0 ? x : 0;
    case M2C_N_ACTS: break;
    }
    return NAN;
}

double m2c_ref_neuron_weight(const struct m2c_ffn_unit *u, const struct m2c_neuron_ref *n,
                             int v, uint32_t i)
{
    const struct m2c_ffn_class *c = &u->cls[n->cls];
    const uint8_t *slot = (const uint8_t *)m2c_mem_host(c->base) + n->slot * c->stride;
    if (m2c_type_planes(c->type) == 1)
        return (double)weight(c->type, slot + c->code_off[v], slot + c->scale_off[v], i);
    const uint8_t *plane[1 + M2C_FFN_PLANES] = {slot + c->code_off[v]};
    for (unsigned p = 1; p < m2c_type_planes(c->type); p++) {
        const struct m2c_ffn_plane *q = &c->plane[p - 1];
        plane[p] = (const uint8_t *)m2c_mem_host(q->base) + n->slot * q->stride + q->off[v];
    }
    return nested(c->type, plane, slot + c->scale_off[v], i);
}

static void ref_ffn_up(const struct m2c_call *call)
{
    const struct m2c_ffn_up_args *a = &call->u.ffn_up;
    const struct m2c_ffn_unit *u = a->unit;
    const struct m2c_neuron_ref *list = m2c_mem_host(a->list);
    for (uint32_t r = 0; r < a->rows; r++) {
        const float *x = (const float *)m2c_mem_host(a->x) + (size_t)r * u->dim;
        float *h = (float *)m2c_mem_host(a->h) + (size_t)r * a->n;
        for (uint32_t k = 0; k < a->n; k++) {
            if (a->pass != M2C_PASS_ANY && list[k].pass != a->pass)
                continue;
            double gate = 0, up = 0;
            for (uint32_t i = 0; i < u->dim; i++) {
                if (u->has_gate)
                    gate += m2c_ref_neuron_weight(u, &list[k], 0, i) * x[i];
                up += m2c_ref_neuron_weight(u, &list[k], 1, i) * x[i];
            }
            double g = activation(u->act, (u->has_gate ? gate : up) - u->act_shift);
            h[k] = (float)(u->has_gate ? g * up : g);
        }
    }
}

/* The f32 accumulators are the state between calls; inside a call the sum of
 * a segment is taken in double. */
static void ref_ffn_down(const struct m2c_call *call)
{
    const struct m2c_ffn_down_args *a = &call->u.ffn_down;
    const struct m2c_ffn_unit *u = a->unit;
    const struct m2c_neuron_ref *list = m2c_mem_host(a->list);
    uint32_t segments = m2c_ffn_segments(u->n_neurons, a->seg_neurons);
    for (uint32_t r = 0; r < a->rows; r++) {
        const float *h = (const float *)m2c_mem_host(a->h) + (size_t)r * a->n;
        float *acc = (float *)m2c_mem_host(a->acc) + (size_t)r * segments * u->dim;
        for (uint32_t k = 0; k < a->n;) {
            uint32_t s = list[k].id / a->seg_neurons, end = k;
            while (end < a->n && list[end].id / a->seg_neurons == s)
                end++;
            for (uint32_t j = 0; j < u->dim; j++) {
                double sum = acc[(size_t)s * u->dim + j];
                for (uint32_t i = k; i < end; i++)
                    sum += h[i] * m2c_ref_neuron_weight(u, &list[i], 2, j);
                acc[(size_t)s * u->dim + j] = (float)sum;
            }
            k = end;
        }
    }
}

static void ref_ffn_sum(const struct m2c_call *call)
{
    const struct m2c_ffn_sum_args *a = &call->u.ffn_sum;
    const float *acc = m2c_mem_host(a->acc);
    float *y = m2c_mem_host(a->y);
    for (uint32_t r = 0; r < a->rows; r++, y += a->dim, acc += (size_t)a->segments * a->dim) {
        for (uint32_t j = 0; j < a->dim; j++) {
            double sum = 0;
            for (uint32_t s = 0; s < a->segments; s++)
                sum += acc[(size_t)s * a->dim + j];
            y[j] = (float)(y[j] + sum);
        }
    }
}

static const m2c_ref_fn refs[M2C_N_OPS] = {
    [M2C_OP_FILL] = ref_fill,           [M2C_OP_EMBED] = ref_embed,
    [M2C_OP_NORM] = ref_norm,           [M2C_OP_MATMUL] = ref_matmul,
    [M2C_OP_ROPE] = ref_rope,           [M2C_OP_KV_APPEND] = ref_kv_append,
    [M2C_OP_ATTENTION] = ref_attention, [M2C_OP_FFN_UP] = ref_ffn_up,
    [M2C_OP_FFN_DOWN] = ref_ffn_down,   [M2C_OP_FFN_SUM] = ref_ffn_sum,
    [M2C_OP_ARGMAX] = m2c_ref_argmax,   [M2C_OP_SELECT] = m2c_ref_select,
    [M2C_OP_LOOKUP] = m2c_ref_lookup,
};

m2c_ref_fn m2c_ref(enum m2c_op op)
{
    return refs[op];
}
