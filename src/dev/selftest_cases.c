/* SPDX-License-Identifier: MIT */
/* The calls of the self-test. Lengths are odd multiples of nothing in
 * particular, so that vector loops have remainders and groups are short. */
#include "dev/selftest_impl.h"

#include <math.h>
#include <string.h>

enum {
    DIM = 70,
    OUT = 19, /* rows of the matrix */
    NEURONS = 80,
    ACTIVE = 33,
    SEG = 32,
    GEMM_MOST = 128 /* most rows of a case that is meant for the GEMM */
};

static struct m2c_mem take(struct m2c_selftest *s, size_t bytes)
{
    struct m2c_mem m = {s->buf, s->used};
    s->used = m2c_align_up(s->used + bytes, 8);
    return m;
}

/* Whether there is data to write at m; a case that does not fit is found by
 * its caller, from `used`. */
static bool writes(const struct m2c_selftest *s)
{
    return s->filled && s->used <= s->buf->bytes;
}

static struct m2c_mem floats(struct m2c_selftest *s, uint32_t n)
{
    struct m2c_mem m = take(s, (size_t)n * sizeof(float));
    float *x = m2c_mem_host(m);
    for (uint32_t i = 0; i < n && writes(s); i++)
        x[i] = m2c_rng_normal(&s->rng);
    return m;
}

static struct m2c_mem out_floats(struct m2c_selftest *s, uint32_t n)
{
    s->n_out = n;
    s->out_type = M2C_F32;
    return s->out = floats(s, n);
}

static void fill_codes(struct m2c_selftest *s, enum m2c_type type, uint8_t *p, size_t n)
{
    if (m2c_type_grouped(type)) {
        for (size_t i = 0; i < m2c_code_bytes(type, n); i++)
            p[i] = (uint8_t)m2c_rng_u32(&s->rng);
        /* No nested code has -8 first and a negative digit behind it: it would not
         * be one of 16 bits. */
        for (size_t i = 0; i < m2c_plane_off(type, 1, n); i++) {
            p[i] |= (p[i] & 15) == 8;
            p[i] |= p[i] >> 4 == 8 ? 16 : 0;
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float f = m2c_rng_normal(&s->rng);
        uint16_t h = type == M2C_BF16 ? m2c_f32_to_bf16(f) : m2c_f32_to_f16(f);
        if (type == M2C_F32)
            memcpy(p + 4 * i, &f, 4);
        else
            memcpy(p + 2 * i, &h, 2);
    }
}

/* Scales that bring codes to about 1. */
static void fill_scales(struct m2c_selftest *s, enum m2c_type type, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < m2c_scale_bytes(type, n) / 2; i++) {
        double x = (0.5 + m2c_rng_double(&s->rng)) / (type == M2C_I8 ? 64 : 4);
        uint16_t h = m2c_f32_to_f16((float)x);
        memcpy(p + 2 * i, &h, 2);
    }
}

static struct m2c_tensor matrix(struct m2c_selftest *s, enum m2c_type type, uint32_t rows,
                                uint32_t cols)
{
    size_t code = m2c_code_bytes(type, cols), scale = m2c_scale_bytes(type, cols);
    struct m2c_tensor t = {.type = type, .rows = rows, .cols = cols};
    t.codes = take(s, rows * code);
    t.scales = take(s, rows * scale);
    uint8_t *c = m2c_mem_host(t.codes), *g = m2c_mem_host(t.scales);
    for (uint32_t r = 0; r < rows && writes(s); r++) {
        fill_codes(s, type, c + r * code, cols);
        fill_scales(s, type, g + r * scale, cols);
    }
    return t;
}

static void build_embed(struct m2c_selftest *s, enum m2c_type type, unsigned variant,
                        struct m2c_embed_args *a)
{
    static const uint32_t ids[] = {4, 0, 4};
    (void)variant;
    a->table = matrix(s, type, 5, DIM);
    a->rows = M2C_COUNTOF(ids);
    a->scale = 1.5f;
    a->ids = take(s, sizeof ids);
    if (writes(s))
        memcpy(m2c_mem_host(a->ids), ids, sizeof ids);
    a->out = out_floats(s, a->rows * DIM);
}

static void build_norm(struct m2c_selftest *s, unsigned variant, struct m2c_norm_args *a)
{
    a->rows = 2;
    a->n = DIM;
    a->eps = 1e-5f;
    a->relu = variant & 1;
    a->shift = 0.25f;
    a->w = floats(s, DIM);
    a->y = out_floats(s, 2 * DIM);
    a->x = variant & 2 ? a->y : floats(s, 2 * DIM);
}

static void build_matmul(struct m2c_selftest *s, enum m2c_type type, unsigned variant,
                         struct m2c_matmul_args *a)
{
    uint32_t gemm = s->dev->info.gemm_rows;
    const uint32_t rows[] = {1, 3, gemm > 3 && gemm <= GEMM_MOST ? gemm : 4};
    a->rows = rows[variant / 2];
    a->add = variant % 2;
    a->w = matrix(s, type, OUT, DIM);
    a->x = floats(s, a->rows * DIM);
    a->y = out_floats(s, a->rows * OUT);
}

static void build_rope(struct m2c_selftest *s, unsigned variant, struct m2c_rope_args *a)
{
    *a = (struct m2c_rope_args){.rows = 2, .heads = 3, .head_dim = 18, .pos = 5};
    a->style = variant ? M2C_ROPE_INTERLEAVED : M2C_ROPE_HALF;
    a->x = out_floats(s, 2 * 3 * 18);
    a->inv_freq = take(s, 9 * sizeof(float));
    float *f = m2c_mem_host(a->inv_freq);
    for (uint32_t j = 0; j < 9 && writes(s); j++)
        f[j] = expf(-(float)j);
}

static struct m2c_mem cache(struct m2c_selftest *s, enum m2c_type type, uint32_t n)
{
    struct m2c_mem m = take(s, m2c_code_bytes(type, n));
    if (writes(s))
        fill_codes(s, type, m2c_mem_host(m), n);
    return m;
}

static void build_kv_append(struct m2c_selftest *s, enum m2c_type type,
                            struct m2c_kv_append_args *a)
{
    *a = (struct m2c_kv_append_args){.type = type, .rows = 2, .n = DIM, .pos = 3};
    a->x = floats(s, 2 * DIM);
    a->cache = cache(s, type, 8 * DIM);
    s->out = m2c_mem_at(a->cache, m2c_code_bytes(type, (size_t)a->pos * DIM));
    s->n_out = 2 * DIM;
    s->out_type = type;
}

static void build_attention(struct m2c_selftest *s, enum m2c_type type, unsigned variant,
                            struct m2c_attention_args *a)
{
    *a = (struct m2c_attention_args){
        .type = type, .heads = 4, .kv_heads = 2, .head_dim = 18, .pos = 7};
    a->rows = variant ? 3 : 1;
    a->q = floats(s, a->rows * 4 * 18);
    a->k = cache(s, type, (a->pos + a->rows) * 2 * 18);
    a->v = cache(s, type, (a->pos + a->rows) * 2 * 18);
    a->out = out_floats(s, a->rows * 4 * 18);
}

/* A nested code's further planes lie behind the first of each vector. */
static void place_planes(struct m2c_ffn_class *c)
{
    for (unsigned p = 1; p < m2c_type_planes(c->type); p++) {
        struct m2c_ffn_plane *q = &c->plane[p - 1];
        q->base = c->base;
        q->stride = c->stride;
        for (uint32_t v = 0; v < M2C_FFN_VECTORS; v++)
            q->off[v] = c->code_off[v] + (uint32_t)m2c_plane_off(c->type, p, DIM);
    }
}

/* One class of packed slots, and a list that leaves out more neurons than it
 * has, in slots that are not in order. */
static struct m2c_mem build_unit(struct m2c_selftest *s, enum m2c_type type, bool gate,
                                 enum m2c_act act)
{
    size_t code = m2c_align_up(m2c_code_bytes(type, DIM), 2);
    size_t scale = m2c_scale_bytes(type, DIM);
    struct m2c_ffn_class *c = &s->unit.cls[0];
    s->unit = (struct m2c_ffn_unit){.dim = DIM,
                                    .n_neurons = NEURONS,
                                    .has_gate = gate,
                                    .act = act,
                                    .act_shift = 0.125f,
                                    .n_classes = 1};
    c->type = type;
    c->stride = M2C_FFN_VECTORS * (code + scale);
    c->base = take(s, ACTIVE * c->stride);
    for (uint32_t v = 0; v < M2C_FFN_VECTORS; v++) {
        c->code_off[v] = (uint32_t)(v * (code + scale));
        c->scale_off[v] = (uint32_t)(v * (code + scale) + code);
    }
    place_planes(c);
    struct m2c_mem list = take(s, ACTIVE * sizeof(struct m2c_neuron_ref));
    struct m2c_neuron_ref *e = m2c_mem_host(list);
    for (uint32_t i = 0; i < ACTIVE && writes(s); i++) {
        uint8_t *slot = (uint8_t *)m2c_mem_host(c->base) + i * c->stride;
        for (uint32_t v = 0; v < M2C_FFN_VECTORS; v++) {
            fill_codes(s, type, slot + c->code_off[v], DIM);
            fill_scales(s, type, slot + c->scale_off[v], DIM);
        }
        e[i] =
            (struct m2c_neuron_ref){.id = i * NEURONS / ACTIVE + 1, .pass = i % 3 == 0};
        e[i].slot = i * 7 % ACTIVE; /* 7 and ACTIVE have no common divisor */
    }
    return list;
}

static void build_ffn_up(struct m2c_selftest *s, enum m2c_type type, unsigned variant,
                         struct m2c_ffn_up_args *a)
{
    a->list = build_unit(s, type, variant % 2, (enum m2c_act)(variant / 2 % M2C_N_ACTS));
    a->unit = &s->unit;
    a->rows = 1 + variant / 2 % 2;
    a->n = ACTIVE;
    a->pass = variant % 4 == 3 ? M2C_PASS_ANY : (uint8_t)(variant % 2);
    a->x = floats(s, a->rows * DIM);
    a->h = out_floats(s, a->rows * ACTIVE);
}

static void build_ffn_down(struct m2c_selftest *s, enum m2c_type type, unsigned variant,
                           struct m2c_ffn_down_args *a)
{
    a->list = build_unit(s, type, true, M2C_ACT_SILU);
    a->unit = &s->unit;
    a->rows = 1 + variant;
    a->n = ACTIVE;
    a->seg_neurons = SEG;
    a->h = floats(s, a->rows * ACTIVE);
    a->acc = out_floats(s, a->rows * m2c_ffn_segments(NEURONS, SEG) * DIM);
}

static void build_ffn_sum(struct m2c_selftest *s, struct m2c_ffn_sum_args *a)
{
    *a = (struct m2c_ffn_sum_args){.rows = 2, .dim = DIM, .segments = 5};
    a->acc = floats(s, 2 * 5 * DIM);
    a->y = out_floats(s, 2 * DIM);
}

/* ---- choosing: exact, with ties ---- */

static struct m2c_mem tied_floats(struct m2c_selftest *s, uint32_t n)
{
    struct m2c_mem m = floats(s, n);
    float *x = m2c_mem_host(m);
    for (uint32_t i = 0; i < n && writes(s); i++)
        x[i] = roundf(2 * x[i]);
    return m;
}

static void exact(struct m2c_selftest *s)
{
    s->out = (struct m2c_mem){s->buf, 0};
    s->n_out = 0;
    s->out_type = M2C_F32;
}

static void build_argmax(struct m2c_selftest *s, struct m2c_argmax_args *a)
{
    exact(s);
    *a = (struct m2c_argmax_args){.rows = 3, .n = 1001};
    a->x = tied_floats(s, 3 * 1001);
    a->out = take(s, 3 * sizeof(uint32_t));
}

static void build_select(struct m2c_selftest *s, unsigned variant, struct m2c_select_args *a)
{
    exact(s);
    *a = (struct m2c_select_args){.n = NEURONS,
                                  .k = ACTIVE,
                                  .n_classes = 3,
                                  .magnitude = variant & 1,
                                  .positive_only = variant >> 1};
    a->scores = tied_floats(s, NEURONS);
    a->splits = take(s, (ACTIVE + 1) * 3 * sizeof(uint32_t));
    uint32_t *splits = m2c_mem_host(a->splits);
    for (uint32_t m = 0; m <= ACTIVE && writes(s); m++) {
        splits[3 * m] = m / 4;
        splits[3 * m + 1] = m / 2;
        splits[3 * m + 2] = m;
    }
    a->wants = take(s, ACTIVE * sizeof(struct m2c_want));
    a->counts = take(s, 4 * sizeof(uint32_t));
}

/* Every third neuron is not held; the list is longer than the wants. */
static void build_lookup(struct m2c_selftest *s, struct m2c_lookup_args *a)
{
    exact(s);
    *a = (struct m2c_lookup_args){.k = ACTIVE, .n_classes = 2, .n_neurons = NEURONS};
    a->wants = take(s, ACTIVE * sizeof(struct m2c_want));
    a->n_wants = take(s, sizeof(uint32_t));
    a->table = take(s, 2 * NEURONS * sizeof(uint32_t));
    a->list = take(s, ACTIVE * sizeof(struct m2c_neuron_ref));
    a->misses = take(s, ACTIVE * sizeof(struct m2c_want));
    a->counts = take(s, 4 * sizeof(uint32_t));
    if (!writes(s))
        return;
    struct m2c_want *w = m2c_mem_host(a->wants);
    uint32_t *table = m2c_mem_host(a->table);
    *(uint32_t *)m2c_mem_host(a->n_wants) = ACTIVE - 4;
    for (uint32_t i = 0; i < ACTIVE; i++)
        w[i] = (struct m2c_want){2 * i, (float)i, i / 2 % 2};
    for (uint32_t i = 0; i < 2 * NEURONS; i++)
        table[i] = i % 3 ? m2c_slot_entry(i / 2, i % 2, i / 4 % 2) : M2C_NO_SLOT;
}

unsigned m2c_selftest_variants(enum m2c_op op)
{
    static const unsigned n[M2C_N_OPS] = {
        [M2C_OP_FILL] = 1,      [M2C_OP_EMBED] = 1,   [M2C_OP_NORM] = 4,
        [M2C_OP_MATMUL] = 6,    [M2C_OP_ROPE] = 2,    [M2C_OP_KV_APPEND] = 1,
        [M2C_OP_ATTENTION] = 2, [M2C_OP_FFN_UP] = 12, [M2C_OP_FFN_DOWN] = 2,
        [M2C_OP_FFN_SUM] = 1,   [M2C_OP_ARGMAX] = 1,  [M2C_OP_SELECT] = 4,
        [M2C_OP_LOOKUP] = 1,
    };
    return n[op];
}

void m2c_selftest_build(struct m2c_selftest *s, const struct m2c_selftest_case *c,
                        struct m2c_call *call)
{
    *call = (struct m2c_call){.op = c->op};
    s->used = 0;
    switch (c->op) {
    case M2C_OP_FILL:
        call->u.fill = (struct m2c_fill_args){out_floats(s, DIM), DIM, -2.5f};
        break;
    case M2C_OP_EMBED:
        build_embed(s, c->type, c->variant, &call->u.embed);
        break;
    case M2C_OP_NORM:
        build_norm(s, c->variant, &call->u.norm);
        break;
    case M2C_OP_MATMUL:
        build_matmul(s, c->type, c->variant, &call->u.matmul);
        break;
    case M2C_OP_ROPE:
        build_rope(s, c->variant, &call->u.rope);
        break;
    case M2C_OP_KV_APPEND:
        build_kv_append(s, c->type, &call->u.kv_append);
        break;
    case M2C_OP_ATTENTION:
        build_attention(s, c->type, c->variant, &call->u.attention);
        break;
    case M2C_OP_FFN_UP:
        build_ffn_up(s, c->type, c->variant, &call->u.ffn_up);
        break;
    case M2C_OP_FFN_DOWN:
        build_ffn_down(s, c->type, c->variant, &call->u.ffn_down);
        break;
    case M2C_OP_FFN_SUM:
        build_ffn_sum(s, &call->u.ffn_sum);
        break;
    case M2C_OP_ARGMAX:
        build_argmax(s, &call->u.argmax);
        break;
    case M2C_OP_SELECT:
        build_select(s, c->variant, &call->u.select);
        break;
    case M2C_OP_LOOKUP:
        build_lookup(s, &call->u.lookup);
        break;
    case M2C_N_OPS:
        break;
    }
}
