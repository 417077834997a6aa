/* SPDX-License-Identifier: MIT */
/* One random case of attention and of each FFN op against its reference.
 * Tolerances: see cases_dense.c for EPS and the bound of a sum. */
#include "tk.h"

#include "ops/ref.h"
#include "quant/codec.h"
#include "quant/layout.h"
#include "quant/quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double EPS = 0x1p-24;

static void *room(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);
    if (!p)
        tk_die("no memory");
    return p;
}

/* ---- attention ---- */

struct attention_tol {
    double tol;
};

static double attention_tol(const void *ctx, size_t i)
{
    (void)i;
    return ((const struct attention_tol *)ctx)->tol;
}

/* Largest magnitude of a cache, and the bound on any |q·k|: both loose, but a
 * wrong key or position is off by a good part of a value. */
static struct attention_tol attention_bound(const struct m2c_attention_args *a)
{
    size_t n = (size_t)(a->pos + a->rows) * a->kv_heads * a->head_dim;
    struct m2c_tensor k = {a->type, 1, (uint32_t)n, a->k, {0}}, v = k;
    v.codes = a->v;
    double k_max = 0, v_max = 0, q_sum = 0;
    for (size_t i = 0; i < n; i++) {
        k_max = fmax(k_max, fabs(m2c_ref_weight(&k, 0, (uint32_t)i)));
        v_max = fmax(v_max, fabs(m2c_ref_weight(&v, 0, (uint32_t)i)));
    }
    const float *q = m2c_mem_host(a->q);
    for (size_t i = 0; i < (size_t)a->rows * a->heads; i++) {
        double sum = 0;
        for (uint32_t j = 0; j < a->head_dim; j++)
            sum += fabs(q[i * a->head_dim + j]);
        q_sum = fmax(q_sum, sum);
    }
    /* The error of a score moves its weight and the sum of weights; then one
     * rounding a key in the sum of values, and those of exp and rescaling. */
    double score = (a->head_dim / 8.0 + 10) * EPS * q_sum * k_max / sqrt(a->head_dim);
    double keys = a->pos + a->rows;
    return (struct attention_tol){v_max * (2 * score + (1.5 * keys + 32) * EPS)};
}

void tk_attention(struct tk *t, enum m2c_type type)
{
    static const uint32_t dims[] = {2, 8, 16, 32, 48, 64, 80, 128};
    uint32_t rows = tk_rows(t), kv = 1 + tk_below(t, 3), heads = kv * (1 + tk_below(t, 3));
    uint32_t dim = dims[tk_below(t, M2C_COUNTOF(dims))];
    uint32_t pos = tk_below(t, 2) ? tk_below(t, 200) : tk_below(t, 4);
    rows = M2C_MIN(rows, 12u);
    if (t->round == 2 && !t->small) { /* more keys than any kernel takes in one go */
        dim = M2C_MIN(dim, 32u);
        pos = 250 + tk_below(t, 20);
    }
    if (dim > 32)
        pos = M2C_MIN(pos, 90u);
    struct tk_mem *q = tk_floats(t, (size_t)rows * heads * dim);
    if (tk_below(t, 3) == 0) { /* sharp: one key takes nearly all */
        for (size_t i = 0; i < q->bytes / 4; i++)
            ((float *)tk_host(q))[i] *= 8;
        tk_upload(t, q);
    }
    struct tk_matrix k = tk_matrix(t, type, pos + rows, kv * dim);
    struct tk_matrix v = tk_matrix(t, type, pos + rows, kv * dim);
    struct tk_mem *out = tk_new(t, (size_t)rows * heads * dim * 4, 4);
    struct m2c_call c[2];
    for (int d = 0; d < 2; d++)
        c[d] = (struct m2c_call){M2C_OP_ATTENTION,
                                 .u.attention = {tk_at(q, d), d ? k.dev.codes : k.ref.codes,
                                                 d ? v.dev.codes : v.ref.codes,
                                                 tk_at(out, d), type, rows, heads, kv, dim,
                                                 pos}};
    m2c_ref(c[0].op)(&c[0]);
    tk_run(t, &c[1]);
    struct attention_tol tol = attention_bound(&c[0].u.attention);
    tk_compare(t, out, attention_tol, &tol);
}

/* ---- a layer ---- */

void tk_ffn_shape(struct tk *t, enum m2c_type type, struct tk_ffn_shape *s)
{
    static const enum m2c_type all[] = {M2C_F16, M2C_I8, M2C_I4, M2C_F32, M2C_P16, M2C_P8};
    enum m2c_type others[M2C_COUNTOF(all)];
    uint32_t n = 0;
    for (size_t i = 0; i < M2C_COUNTOF(all); i++)
        if (m2c_dev_supports(t->dev, M2C_OP_FFN_UP, all[i]))
            others[n++] = all[i];
    *s = (struct tk_ffn_shape){
        .dim = tk_length(t, 700),
        .neurons = tk_length(t, 150),
        .has_gate = tk_below(t, 4) != 0,
        .packed = tk_below(t, 2),
        .act = (enum m2c_act)tk_below(t, M2C_N_ACTS),
        .shift = tk_below(t, 2) ? 0.1f : 0,
        .n_classes = 1 + tk_below(t, 4),
    };
    for (unsigned i = 0; i < s->n_classes; i++)
        s->types[i] = i ? others[tk_below(t, n)] : type;
}

/* Slots are not in the order of ids, and differ from class to class. */
static uint32_t slot_of(const struct tk_ffn_shape *s, uint32_t id, uint32_t cls)
{
    return (s->neurons - 1 - id + cls * 7) % s->neurons;
}

/* Where plane p of a class lies: each in memory of its own as records have
 * them, or one behind the other as slots do, which may hold more planes than
 * the class is computed from. */
struct place {
    unsigned planes;
    enum m2c_type type[3];
    struct m2c_geom geom[3];
    struct tk_mem *mem[3];
    uint32_t off[3], stride[3];
};

static void make_place(struct tk *t, const struct tk_ffn_shape *s, enum m2c_type type,
                       struct place *p)
{
    static const enum m2c_type planes[] = {M2C_I4, M2C_D4, M2C_D8};
    p->planes = m2c_type_planes(type);
    bool wide = p->planes == 2 && !s->packed && m2c_rng_below(&t->place, 2);
    unsigned held = wide ? 3 : p->planes;
    uint32_t at = 0;
    for (unsigned i = 0; i < held; i++) {
        p->type[i] = p->planes > 1 ? planes[i] : type;
        if (s->packed)
            m2c_record_geom(p->type[i], s->dim, s->has_gate, &p->geom[i]);
        else
            m2c_slot_geom(p->type[i], s->dim, s->has_gate, &p->geom[i]);
        p->off[i] = s->packed ? 0 : at;
        at += p->geom[i].bytes;
    }
    size_t elem = type == M2C_F32 ? 4 : m2c_type_grouped(type) ? 1 : 2;
    for (unsigned i = 0; i < held; i++) {
        p->stride[i] = s->packed ? p->geom[i].bytes : at;
        p->mem[i] = i && !s->packed ? p->mem[0]
                                    : tk_new(t, (size_t)p->stride[i] * s->neurons, elem);
    }
}

static uint8_t *at_slot(const struct place *p, unsigned plane, uint32_t slot)
{
    return (uint8_t *)tk_host(p->mem[plane]) + (size_t)slot * p->stride[plane] +
           p->off[plane];
}

static void set_class(const struct place *p, enum m2c_type type, bool device,
                      struct m2c_ffn_class *k)
{
    *k = (struct m2c_ffn_class){.type = type, .stride = p->stride[0]};
    k->base = m2c_mem_at(tk_at(p->mem[0], device), p->off[0]);
    memcpy(k->code_off, p->geom[0].code_off, sizeof(k->code_off));
    memcpy(k->scale_off, p->geom[0].scale_off, sizeof(k->scale_off));
    for (unsigned i = 1; i < p->planes; i++) {
        k->plane[i - 1].base = m2c_mem_at(tk_at(p->mem[i], device), p->off[i]);
        k->plane[i - 1].stride = p->stride[i];
        memcpy(k->plane[i - 1].off, p->geom[i].code_off, sizeof(k->code_off));
    }
}

static void make_class(struct tk *t, const struct tk_ffn_shape *s, uint32_t c,
                       struct tk_ffn *out)
{
    struct place p = {0};
    struct m2c_err err = {0};
    make_place(t, s, s->types[c], &p);
    float *w = room(s->dim, sizeof(*w));
    for (uint32_t id = 0; id < s->neurons; id++) {
        for (int v = s->has_gate ? 0 : 1; v < M2C_FFN_VECTORS; v++) {
            struct m2c_coded to = {.scales = at_slot(&p, 0, slot_of(s, id, c)) +
                                             p.geom[0].scale_off[v]};
            for (unsigned i = 0; i < p.planes; i++)
                to.plane[i] = at_slot(&p, i, slot_of(s, id, c)) + p.geom[i].code_off[v];
            for (uint32_t i = 0; i < s->dim; i++)
                w[i] = m2c_rng_normal(&t->rng) / sqrtf((float)s->dim);
            if (m2c_encode_with(m2c_quant_find("rtn", &err), s->types[c], w, NULL, s->dim,
                                &to, &err) < 0)
                tk_die("encode: %s", err.msg);
        }
    }
    free(w);
    for (unsigned i = 0; i < p.planes; i++)
        tk_upload(t, p.mem[i]);
    set_class(&p, s->types[c], false, &out->ref.cls[c]);
    set_class(&p, s->types[c], true, &out->dev.cls[c]);
}

void tk_ffn(struct tk *t, const struct tk_ffn_shape *s, struct tk_ffn *out)
{
    out->ref = (struct m2c_ffn_unit){.dim = s->dim,
                                     .n_neurons = s->neurons,
                                     .has_gate = s->has_gate,
                                     .act = s->act,
                                     .act_shift = s->shift,
                                     .n_classes = s->n_classes};
    out->dev = out->ref;
    for (uint32_t c = 0; c < s->n_classes; c++)
        make_class(t, s, c, out);
}

uint32_t tk_list(struct tk *t, const struct tk_ffn_shape *s, double active,
                 struct m2c_neuron_ref *out)
{
    uint32_t n = 0;
    for (uint32_t id = 0; id < s->neurons; id++) {
        uint8_t cls = (uint8_t)tk_below(t, s->n_classes), pass = (uint8_t)tk_below(t, 2);
        if (m2c_rng_double(&t->rng) < active)
            out[n++] = (struct m2c_neuron_ref){
                .id = id, .slot = slot_of(s, id, cls), .cls = cls, .pass = pass};
    }
    return n;
}

struct tk_mem *tk_list_mem(struct tk *t, const struct m2c_neuron_ref *list, uint32_t n)
{
    struct tk_mem *m = tk_new(t, n * sizeof(*list), 8);
    if (n)
        memcpy(tk_host(m), list, n * sizeof(*list));
    tk_upload(t, m);
    return m;
}

/* ---- phase A ---- */

static double activation(enum m2c_act act, double x)
{
    return act == M2C_ACT_RELU   ? fmax(x, 0)
           : act == M2C_ACT_SILU ? x / (1 + exp(-x))
                                 : x / (1 + exp(-1.5957691216 * (x + 0.044715 * x * x * x)));
}

struct up_tol {
    const struct m2c_ffn_up_args *a;
};

/* Errors of both products, carried through the activation, whose slope is
 * below 1.13 for all three and whose own error is a few roundings of its
 * input and output (GELU cancels near -1), and through the product. */
static double up_tol(const void *ctx, size_t i)
{
    const struct m2c_ffn_up_args *a = ((const struct up_tol *)ctx)->a;
    const struct m2c_ffn_unit *u = a->unit;
    const struct m2c_neuron_ref *e = (struct m2c_neuron_ref *)m2c_mem_host(a->list) + i % a->n;
    if (a->pass != M2C_PASS_ANY && e->pass != a->pass)
        return 0; /* not written */
    const float *x = (float *)m2c_mem_host(a->x) + i / a->n * u->dim;
    double sum[2] = {0, 0}, mag[2] = {0, 0}, err[2];
    for (int v = 0; v < 2; v++) {
        for (uint32_t k = 0; k < u->dim && (v || u->has_gate); k++) {
            double p = m2c_ref_neuron_weight(u, e, v, k) * (double)x[k];
            sum[v] += p;
            mag[v] += fabs(p);
        }
        err[v] = (u->dim / 8.0 + 8) * EPS * mag[v];
    }
    int g = u->has_gate ? 0 : 1;
    double in = sum[g] - (double)u->act_shift, act = activation(u->act, in);
    double in_err = err[g] + EPS * (fabs(in) + fabs(sum[g]));
    double act_err = 1.13 * in_err + 8 * EPS * (fabs(act) + fabs(in));
    if (!u->has_gate)
        return act_err;
    return act_err * (fabs(sum[1]) + err[1]) + fabs(act) * err[1] +
           2 * EPS * fabs(act * sum[1]);
}

void tk_ffn_up(struct tk *t, enum m2c_type type)
{
    struct tk_ffn_shape s;
    struct tk_ffn f;
    tk_ffn_shape(t, type, &s);
    tk_ffn(t, &s, &f);
    struct m2c_neuron_ref *list = room(s.neurons, sizeof(*list));
    uint32_t n = tk_list(t, &s, 0.5, list), rows = M2C_MIN(tk_rows(t), 70u);
    static const uint8_t passes[] = {M2C_PASS_ANY, 0, 1};
    uint8_t pass = passes[tk_below(t, 3)];
    struct tk_mem *l = tk_list_mem(t, list, n), *x = tk_floats(t, (size_t)rows * s.dim);
    struct tk_mem *h = tk_new(t, (size_t)rows * n * 4, 4);
    struct m2c_call c[2];
    for (int d = 0; d < 2; d++)
        c[d] = (struct m2c_call){M2C_OP_FFN_UP,
                                 .u.ffn_up = {d ? &f.dev : &f.ref, tk_at(x, d),
                                              tk_at(l, d), tk_at(h, d), rows, n, pass}};
    m2c_ref(c[0].op)(&c[0]);
    tk_run(t, &c[1]);
    tk_compare(t, h, up_tol, &(struct up_tol){&c[0].u.ffn_up});
    free(list);
}

/* ---- phase B ---- */

struct down_tol {
    double *mag; /* of everything that was added, for each element of acc */
    double roundings;
};

/* One chain of additions in f32. */
static double down_tol(const void *ctx, size_t i)
{
    const struct down_tol *a = ctx;
    return a->roundings * EPS * a->mag[i];
}

static void down_magnitudes(const struct m2c_ffn_down_args *a, const float *before,
                            double *mag)
{
    const struct m2c_ffn_unit *u = a->unit;
    uint32_t segments = m2c_ffn_segments(u->n_neurons, a->seg_neurons);
    const struct m2c_neuron_ref *list = m2c_mem_host(a->list);
    const float *h = m2c_mem_host(a->h);
    for (size_t i = 0; i < (size_t)a->rows * segments * u->dim; i++)
        mag[i] = fabs((double)before[i]);
    for (uint32_t r = 0; r < a->rows; r++)
        for (uint32_t k = 0; k < a->n; k++)
            for (uint32_t j = 0; j < u->dim; j++)
                mag[((size_t)r * segments + list[k].id / a->seg_neurons) * u->dim + j] +=
                    fabs(m2c_ref_neuron_weight(u, &list[k], 2, j) * (double)h[(size_t)r * a->n + k]);
}

void tk_ffn_down(struct tk *t, enum m2c_type type)
{
    struct tk_ffn_shape s;
    struct tk_ffn f;
    tk_ffn_shape(t, type, &s);
    tk_ffn(t, &s, &f);
    struct m2c_neuron_ref *list = room(s.neurons, sizeof(*list));
    uint32_t n = tk_list(t, &s, 0.5, list), rows = M2C_MIN(tk_rows(t), 9u);
    uint32_t seg = tk_below(t, 2) ? m2c_dev_seg_neurons(t->dev, s.neurons)
                                  : 1 + tk_below(t, 50);
    size_t size = (size_t)rows * m2c_ffn_segments(s.neurons, seg) * s.dim;
    struct tk_mem *l = tk_list_mem(t, list, n), *h = tk_floats(t, (size_t)rows * n);
    struct tk_mem *before = tk_floats(t, size), *acc = tk_new(t, size * 4, 4);
    memcpy(tk_host(acc), tk_host(before), acc->bytes);
    tk_upload(t, acc);
    struct m2c_call c[2];
    for (int d = 0; d < 2; d++)
        c[d] = (struct m2c_call){M2C_OP_FFN_DOWN,
                                 .u.ffn_down = {d ? &f.dev : &f.ref, tk_at(l, d),
                                                tk_at(h, d), tk_at(acc, d), rows, n, seg}};
    struct down_tol tol = {room(size, sizeof(double)), M2C_MIN(seg, n) + 4};
    down_magnitudes(&c[0].u.ffn_down, tk_host(before), tol.mag);
    m2c_ref(c[0].op)(&c[0]);
    tk_run(t, &c[1]);
    tk_compare(t, acc, down_tol, &tol);
    free(tol.mag);
    free(list);
}

void tk_ffn_sum(struct tk *t, enum m2c_type type)
{
    (void)type;
    uint32_t rows = tk_rows(t), dim = tk_length(t, 900), segments = 1 + tk_below(t, 32);
    struct tk_mem *acc = tk_floats(t, (size_t)rows * segments * dim);
    struct tk_mem *y = tk_floats(t, (size_t)rows * dim);
    struct down_tol tol = {room((size_t)rows * dim, sizeof(double)), segments + 2};
    for (size_t i = 0; i < (size_t)rows * dim; i++) {
        tol.mag[i] = fabs((double)((float *)tk_host(y))[i]);
        for (uint32_t k = 0; k < segments; k++)
            tol.mag[i] += fabs((double)((float *)tk_host(
                acc))[(i / dim * segments + k) * dim + i % dim]);
    }
    struct m2c_call c[2];
    for (int d = 0; d < 2; d++)
        c[d] = (struct m2c_call){M2C_OP_FFN_SUM,
                                 .u.ffn_sum = {tk_at(acc, d), tk_at(y, d), rows, dim,
                                               segments}};
    m2c_ref(c[0].op)(&c[0]);
    tk_run(t, &c[1]);
    tk_compare(t, y, down_tol, &tol);
    free(tol.mag);
}
