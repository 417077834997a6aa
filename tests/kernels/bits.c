/* SPDX-License-Identifier: MIT */
/* A result depends on its operands alone: not on the number of threads, on
 * where the operands lie, on what else is in the call, or on how work is cut
 * into calls. Each case computes one thing in several such ways and compares
 * bits. */
#include "tk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *room(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);
    if (!p)
        tk_die("no memory");
    return p;
}

/* The case's fault is t[0]'s, whichever device found it. */
static void pass_on(struct tk *t, unsigned i)
{
    if (i && t[i].fault[0])
        tk_fault(&t[0], "%s", t[i].fault);
}

/* ---- the FFN ---- */

/* How one run differs from the plain one. */
struct way {
    bool packed;   /* the other geometry */
    bool one_row;  /* a call for each row */
    unsigned cuts; /* calls for parts of the list: 0: whole; 1: at random places;
                      2 (phase A): by pass, in one list; 3 (phase A): alone */
};

struct layer {
    struct tk_ffn_shape shape;
    struct tk_ffn f;
    struct m2c_neuron_ref *list;
    uint32_t n, rows;
    struct tk_mem *x;
};

/* Everything random that all ways share; `way` changes geometry and places. */
static void make_layer(struct tk *t, const struct way *way, struct layer *l)
{
    enum m2c_type type = tk_type(t, M2C_OP_FFN_UP);
    tk_ffn_shape(t, type, &l->shape);
    l->shape.packed = way->packed;
    tk_ffn(t, &l->shape, &l->f);
    l->list = room(l->shape.neurons, sizeof(*l->list));
    l->n = tk_list(t, &l->shape, 0.6, l->list);
    l->rows = M2C_MIN(tk_rows(t), 9u);
    l->x = tk_floats(t, (size_t)l->rows * l->shape.dim);
}

/* Length of the next part of the list. */
static uint32_t part(struct tk *t, const struct way *way, uint32_t left)
{
    if (way->cuts == 3)
        return 1;
    return way->cuts == 1 ? 1 + m2c_rng_below(&t->place, left) : left;
}

/* One call of phase A: entries [at, at + n), rows [r, r + rows); scattered to
 * out[row][id]. */
static void up_call(struct tk *t, const struct layer *l, uint32_t at, uint32_t n, uint32_t r,
                    uint32_t rows, uint8_t pass, float *out)
{
    unsigned keep = t->n_mem;
    struct tk_mem *list = tk_list_mem(t, l->list + at, n);
    struct tk_mem *h = tk_new(t, (size_t)rows * n * 4, 4);
    struct m2c_mem x = m2c_mem_at(tk_at(l->x, true), (size_t)r * l->shape.dim * 4);
    struct m2c_call c = {M2C_OP_FFN_UP,
                         .u.ffn_up = {&l->f.dev, x, tk_at(list, true), tk_at(h, true), rows,
                                      n, pass}};
    tk_run(t, &c);
    float *got = room((size_t)rows * n, sizeof(*got));
    tk_download(t, h, got);
    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t k = 0; k < n; k++)
            if (pass == M2C_PASS_ANY || l->list[at + k].pass == pass)
                out[(size_t)(r + i) * l->shape.neurons + l->list[at + k].id] =
                    got[(size_t)i * n + k];
    free(got);
    tk_release(t, keep);
}

static float *up_way(struct tk *t, const struct way *way, uint64_t seed, uint64_t stream,
                     uint64_t variant, size_t *size)
{
    struct layer l;
    tk_begin(t, seed, stream, variant);
    make_layer(t, way, &l);
    *size = (size_t)l.rows * l.shape.neurons;
    float *out = room(*size, sizeof(*out));
    uint32_t step = way->one_row ? 1 : l.rows;
    for (uint32_t r = 0; r < l.rows; r += step) {
        for (uint32_t at = 0, n; at < l.n; at += n) {
            n = part(t, way, l.n - at);
            if (way->cuts == 2) {
                up_call(t, &l, at, n, r, step, 1, out);
                up_call(t, &l, at, n, r, step, 0, out);
            } else {
                up_call(t, &l, at, n, r, step, M2C_PASS_ANY, out);
            }
        }
    }
    free(l.list);
    return out;
}

static void down_call(struct tk *t, const struct layer *l, uint32_t at, uint32_t n,
                      uint32_t r, uint32_t rows, uint32_t seg, const float *h,
                      const struct tk_mem *acc)
{
    unsigned keep = t->n_mem;
    uint32_t segments = m2c_ffn_segments(l->shape.neurons, seg);
    struct tk_mem *list = tk_list_mem(t, l->list + at, n);
    struct tk_mem *hm = tk_new(t, (size_t)rows * n * 4, 4);
    for (uint32_t i = 0; i < rows; i++)
        memcpy((float *)tk_host(hm) + (size_t)i * n, h + (size_t)(r + i) * l->n + at,
               n * sizeof(*h));
    tk_upload(t, hm);
    struct m2c_mem a =
        m2c_mem_at(tk_at(acc, true), (size_t)r * segments * l->shape.dim * 4);
    struct m2c_call c = {M2C_OP_FFN_DOWN,
                         .u.ffn_down = {&l->f.dev, tk_at(list, true), tk_at(hm, true), a,
                                        rows, n, seg}};
    tk_run(t, &c);
    tk_release(t, keep);
}

static float *down_way(struct tk *t, const struct way *way, uint64_t seed, uint64_t stream,
                       uint64_t variant, size_t *size)
{
    struct layer l;
    tk_begin(t, seed, stream, variant);
    make_layer(t, way, &l);
    uint32_t seg = tk_below(t, 2) ? m2c_dev_seg_neurons(t->dev, l.shape.neurons)
                                  : 1 + tk_below(t, 50);
    struct tk_mem *h = tk_floats(t, (size_t)l.rows * l.n);
    *size = (size_t)l.rows * m2c_ffn_segments(l.shape.neurons, seg) * l.shape.dim;
    struct tk_mem *acc = tk_floats(t, *size);
    float *out = room(*size, sizeof(*out));
    uint32_t step = way->one_row ? 1 : l.rows;
    for (uint32_t r = 0; r < l.rows; r += step)
        for (uint32_t at = 0, n; at < l.n; at += n) {
            n = part(t, way, l.n - at);
            down_call(t, &l, at, n, r, step, seg, tk_host(h), acc);
        }
    tk_download(t, acc, out);
    free(l.list);
    return out;
}

typedef float *(*way_fn)(struct tk *t, const struct way *way, uint64_t seed, uint64_t stream,
                         uint64_t variant, size_t *size);

static void all_ways(struct tk *t, way_fn run, uint64_t seed, uint64_t stream)
{
    static const struct {
        const char *what;
        unsigned device; /* threads - 1 */
        struct way way;
    } ways[] = {
        {"two threads", 1, {0}},
        {"three threads", 2, {0}},
        {"other places", 0, {0}},
        {"packed records", 0, {.packed = true}},
        {"rows alone", 0, {.one_row = true}},
        {"parts of the list", 0, {.cuts = 1}},
        {"parts, three threads, packed", 2, {.cuts = 1, .packed = true}},
        {"pass by pass", 1, {.cuts = 2}},
        {"neurons alone", 0, {.cuts = 3, .one_row = true}},
    };
    size_t n, m;
    float *want = run(&t[0], &(struct way){0}, seed, stream, 0, &n);
    for (unsigned i = 0; i < M2C_COUNTOF(ways); i++) {
        struct tk *d = &t[ways[i].device];
        char fault[sizeof(d->fault)];
        memcpy(fault, t[0].fault, sizeof(fault)); /* tk_begin clears it */
        float *got = run(d, &ways[i].way, seed, stream, i + 1, &m);
        tk_same(d, ways[i].what, got, want, M2C_MIN(n, m));
        free(got);
        if (fault[0])
            memcpy(t[0].fault, fault, sizeof(fault));
        pass_on(t, ways[i].device);
    }
    free(want);
}

static void bits_up(struct tk *t, uint64_t seed, uint64_t stream)
{
    all_ways(t, up_way, seed, stream);
}

static void bits_down(struct tk *t, uint64_t seed, uint64_t stream)
{
    all_ways(t, down_way, seed, stream);
}

/* ---- rows ---- */

/* Ops on rows: computed together on each device, and in parts. */
struct rows_op {
    uint32_t rows;
    size_t out_row; /* floats */
    struct tk_mem *out;
    struct m2c_call call;   /* with all rows */
    struct m2c_mem *in_mem; /* into call: operands that have rows */
    size_t in_row;          /* bytes */
    struct m2c_mem *out_mem;
    uint32_t *n_rows, *pos; /* pos: NULL where rows have no position */
};

static void make_matmul(struct tk *t, struct rows_op *o)
{
    enum m2c_type type = tk_type(t, M2C_OP_MATMUL);
    uint32_t out = tk_length(t, 80), cols = tk_length(t, 1200);
    o->rows = 1 + tk_rows(t);
    struct tk_matrix w = tk_matrix(t, type, out, cols);
    struct tk_mem *x = tk_floats(t, (size_t)o->rows * cols);
    o->out = tk_new(t, (size_t)o->rows * out * 4, 4);
    o->call = (struct m2c_call){M2C_OP_MATMUL,
                                .u.matmul = {w.dev, tk_at(x, true), tk_at(o->out, true),
                                             o->rows, false}};
    o->in_mem = &o->call.u.matmul.x;
    o->out_mem = &o->call.u.matmul.y;
    o->n_rows = &o->call.u.matmul.rows;
    o->in_row = cols * 4;
    o->out_row = out;
}

static void make_norm(struct tk *t, struct rows_op *o)
{
    uint32_t n = tk_length(t, 900);
    o->rows = tk_rows(t);
    struct tk_mem *x = tk_floats(t, (size_t)o->rows * n), *w = tk_floats(t, n);
    o->out = tk_new(t, (size_t)o->rows * n * 4, 4);
    o->call = (struct m2c_call){M2C_OP_NORM,
                                .u.norm = {tk_at(x, true), tk_at(w, true),
                                           tk_at(o->out, true), o->rows, n, 1e-5f, 0, false}};
    o->in_mem = &o->call.u.norm.x;
    o->out_mem = &o->call.u.norm.y;
    o->n_rows = &o->call.u.norm.rows;
    o->in_row = n * 4;
    o->out_row = n;
}

static void make_attention(struct tk *t, struct rows_op *o)
{
    enum m2c_type type = tk_below(t, 2) ? M2C_F32 : M2C_F16;
    uint32_t kv = 1 + tk_below(t, 3), heads = kv * (1 + tk_below(t, 3));
    uint32_t dim = 2 * tk_length(t, 64), pos = tk_below(t, 300);
    o->rows = tk_rows(t);
    struct tk_mem *q = tk_floats(t, (size_t)o->rows * heads * dim);
    struct tk_matrix k = tk_matrix(t, type, pos + o->rows, kv * dim);
    struct tk_matrix v = tk_matrix(t, type, pos + o->rows, kv * dim);
    o->out = tk_new(t, (size_t)o->rows * heads * dim * 4, 4);
    o->call = (struct m2c_call){M2C_OP_ATTENTION,
                                .u.attention = {tk_at(q, true), k.dev.codes, v.dev.codes,
                                                tk_at(o->out, true), type, o->rows, heads,
                                                kv, dim, pos}};
    o->in_mem = &o->call.u.attention.q;
    o->out_mem = &o->call.u.attention.out;
    o->n_rows = &o->call.u.attention.rows;
    o->pos = &o->call.u.attention.pos;
    o->out_row = (size_t)heads * dim;
    o->in_row = o->out_row * 4;
}

/* Rows `step` at a time; the last part has all that is left when that is less
 * than two steps. */
static void run_rows(struct tk *t, struct rows_op *o, uint32_t step, float *out)
{
    const struct m2c_mem in = *o->in_mem, to = *o->out_mem;
    const uint32_t pos = o->pos ? *o->pos : 0;
    for (uint32_t r = 0, n; r < o->rows; r += n) {
        n = o->rows - r < 2 * step ? o->rows - r : step;
        *o->in_mem = m2c_mem_at(in, r * o->in_row);
        *o->out_mem = m2c_mem_at(to, r * o->out_row * 4);
        *o->n_rows = n;
        if (o->pos)
            *o->pos = pos + r;
        tk_run(t, &o->call);
    }
    tk_download(t, o->out, out);
}

static void all_rows(struct tk *t, void (*make)(struct tk *, struct rows_op *),
                     uint64_t seed, uint64_t stream)
{
    float *want = NULL;
    for (unsigned i = 0; i < 2 * TK_DEVICES; i++) {
        struct tk *d = &t[i / 2];
        struct rows_op o = {0};
        char fault[sizeof(d->fault)];
        memcpy(fault, t[0].fault, sizeof(fault)); /* tk_begin clears it */
        tk_begin(d, seed, stream, i);
        make(d, &o);
        size_t n = o.rows * o.out_row;
        float *got = room(n, sizeof(*got));
        /* The bits of a product may change where a GEMM takes over: parts stay
         * on the side of the whole. */
        uint32_t gemm = m2c_dev_info(d->dev)->gemm_rows, part = 1;
        if (o.call.op == M2C_OP_MATMUL && o.rows >= gemm)
            part = gemm + i % 3;
        run_rows(d, &o, i % 2 ? part : o.rows, got);
        if (want) {
            tk_same(d, i % 2 ? "rows in parts" : "other threads", got, want, n);
            free(got);
        } else {
            want = got;
        }
        if (fault[0])
            memcpy(t[0].fault, fault, sizeof(fault));
        pass_on(t, i / 2);
    }
    free(want);
}

static void bits_matmul(struct tk *t, uint64_t seed, uint64_t stream)
{
    all_rows(t, make_matmul, seed, stream);
}

static void bits_norm(struct tk *t, uint64_t seed, uint64_t stream)
{
    all_rows(t, make_norm, seed, stream);
}

static void bits_attention(struct tk *t, uint64_t seed, uint64_t stream)
{
    all_rows(t, make_attention, seed, stream);
}

const tk_bits tk_bits_cases[M2C_N_OPS] = {
    [M2C_OP_NORM] = bits_norm,
    [M2C_OP_MATMUL] = bits_matmul,
    [M2C_OP_ATTENTION] = bits_attention,
    [M2C_OP_FFN_UP] = bits_up,
    [M2C_OP_FFN_DOWN] = bits_down,
};
