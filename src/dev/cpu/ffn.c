/* SPDX-License-Identifier: MIT */
/* The sparse FFN on the cpu: which neurons and columns a thread takes. */
#include "dev/cpu/kern_impl.h"

#include <math.h>

/* ---- phase A ---- */

enum { UP_CHUNK = 64 }; /* most list entries that one thread takes at once */

/* Where the first slot's vectors lie, class by class: worked out once a call,
 * since the loops over neurons are short. */
struct places {
    struct place {
        const uint8_t *codes, *scales, *d4, *d8;
        size_t stride, stride4, stride8;
        unsigned planes;
        enum m2c_type type;
    } at[M2C_FFN_CLASSES][M2C_FFN_VECTORS];
};

static const uint8_t *plane_of(const struct m2c_ffn_plane *p, unsigned v)
{
    return (const uint8_t *)m2c_mem_host(p->base) + p->off[v];
}

/* The vectors first <= v < end of every class that may be in a list. */
static void find_places(const struct m2c_ffn_unit *u, unsigned first, unsigned end,
                        struct places *out)
{
    for (uint32_t k = 0; k < u->n_classes; k++) {
        const struct m2c_ffn_class *c = &u->cls[k];
        for (unsigned v = first; v < end; v++) {
            struct place *p = &out->at[k][v];
            *p = (struct place){.stride = c->stride,
                                .planes = m2c_type_planes(c->type),
                                .type = c->type};
            if (!c->base.buf)
                continue; /* a class without slots */
            p->codes = (const uint8_t *)m2c_mem_host(c->base) + c->code_off[v];
            p->scales = (const uint8_t *)m2c_mem_host(c->base) + c->scale_off[v];
            if (p->planes > 1) {
                p->d4 = plane_of(&c->plane[0], v);
                p->stride4 = c->plane[0].stride;
            }
            if (p->planes > 2) {
                p->d8 = plane_of(&c->plane[1], v);
                p->stride8 = c->plane[1].stride;
            }
        }
    }
}

static inline struct m2c_vec vec_of(const struct places *places,
                                    const struct m2c_neuron_ref *n, unsigned v)
{
    const struct place *p = &places->at[n->cls][v];
    struct m2c_vec w = {.codes = p->codes + n->slot * p->stride,
                        .scales = p->scales + n->slot * p->stride,
                        .type = p->type};
    if (p->planes > 1)
        w.d4 = p->d4 + n->slot * p->stride4;
    if (p->planes > 2)
        w.d8 = p->d8 + n->slot * p->stride8;
    return w;
}

struct up {
    const struct m2c_cpu_isa *isa;
    const struct m2c_ffn_unit *unit;
    const struct m2c_neuron_ref *list;
    const float *x;
    float *h;
    uint32_t rows, n, vectors; /* vectors: 2 with a gate, 1 without */
    uint8_t pass;
    struct places places;
};

static float activate(enum m2c_act act, float x)
{
    switch (act) {
    case M2C_ACT_SILU: return x / (1.0f + expf(-x));
    case M2C_ACT_GELU: /* 0.797… = sqrt(2 / pi) */
        return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case M2C_ACT_RELU: return x > 0 ? x : x < 0 ? 0 : x; /* a NaN stays */
    case M2C_N_ACTS: break;
    }
    return NAN;
}

static float hidden(const struct m2c_ffn_unit *u, const float *dots)
{
    float g = activate(u->act, dots[0] - u->act_shift);
    return u->has_gate ? g * dots[1] : g;
}

/* Some neurons of one class against all rows; entry[i] is where in the list
 * neuron i is. */
static void up_batch(const struct up *a, const struct m2c_vec *w, unsigned nv,
                     const struct m2c_vec *next, const uint32_t *entry)
{
    float out[M2C_ROW_TILE * M2C_DOT_MAX];
    for (uint32_t r0 = 0; r0 < a->rows; r0 += M2C_ROW_TILE) {
        uint32_t rows = M2C_MIN(a->rows - r0, (uint32_t)M2C_ROW_TILE);
        const float *x = a->x + (size_t)r0 * a->unit->dim;
        if (rows == 1)
            a->isa->dot(w, nv, next, x, a->unit->dim, out);
        else
            a->isa->dot_rows(w, nv, x, a->unit->dim, rows, out);
        for (uint32_t r = 0; r < rows; r++)
            for (unsigned i = 0; i * a->vectors < nv; i++)
                a->h[(size_t)(r0 + r) * a->n + entry[i]] =
                    hidden(a->unit, out + r * M2C_DOT_MAX + i * a->vectors);
    }
}

/* The entries are taken class by class, so that a kernel call has one type. */
static void up_chunk(void *ctx, size_t begin, size_t end, unsigned worker)
{
    (void)worker;
    const struct up *a = ctx;
    struct m2c_vec w[UP_CHUNK * 2];
    uint32_t entry[UP_CHUNK];
    unsigned n = 0;
    for (uint8_t c = 0; c < a->unit->n_classes && n < end - begin; c++) {
        for (size_t i = begin; i < end; i++) {
            const struct m2c_neuron_ref *e = &a->list[i];
            if (e->cls != c || (a->pass != M2C_PASS_ANY && e->pass != a->pass))
                continue;
            for (uint32_t v = 0; v < a->vectors; v++)
                w[n * a->vectors + v] = vec_of(&a->places, e, v + 2 - a->vectors);
            entry[n++] = (uint32_t)i;
        }
    }
    const unsigned batch = M2C_DOT_MAX / a->vectors;
    for (unsigned i = 0, m; i < n; i += m) {
        enum m2c_type type = w[i * a->vectors].type;
        for (m = 1; m < batch && i + m < n && w[(i + m) * a->vectors].type == type;)
            m++;
        const struct m2c_vec *next = i + 2 * m <= n ? w + (i + m) * a->vectors : NULL;
        up_batch(a, w + i * a->vectors, m * a->vectors, next, entry + i);
    }
}

void m2c_cpu_ffn_up(const struct m2c_run *run, const struct m2c_ffn_up_args *args)
{
    struct up a = {
        .isa = run->isa,
        .unit = args->unit,
        .list = m2c_mem_host(args->list),
        .x = m2c_mem_host(args->x),
        .h = m2c_mem_host(args->h),
        .rows = args->rows,
        .n = args->n,
        .vectors = args->unit->has_gate ? 2 : 1,
        .pass = args->pass,
    };
    find_places(args->unit, args->unit->has_gate ? 0 : 1, 2, &a.places);
    size_t share = args->n / (8 * (size_t)m2c_pool_threads(run->pool));
    size_t chunk = M2C_MIN(M2C_MAX(share, (size_t)4), (size_t)UP_CHUNK);
    uint64_t work = (uint64_t)args->n * args->rows * args->unit->dim * a.vectors;
    m2c_run_loop(run, args->n, chunk, work, up_chunk, &a);
}

/* ---- phase B ---- */

enum { DOWN_MIN_COLUMNS = 512 };

struct down {
    const struct m2c_cpu_isa *isa;
    const struct m2c_ffn_unit *unit;
    const struct m2c_neuron_ref *list;
    const float *h;
    float *acc;
    uint32_t rows, n, seg_neurons, segments;
    uint32_t first, blocks, width; /* first segment with a neuron; column blocks */
    struct places places;
};

/* First list entry whose id is >= id. */
static uint32_t lower_bound(const struct down *a, uint64_t id)
{
    uint32_t lo = 0, hi = a->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (a->list[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* One segment's neurons, in order, into one block of columns. */
static void down_block(const struct down *a, uint32_t segment, uint32_t begin, uint32_t end)
{
    uint32_t k = lower_bound(a, (uint64_t)segment * a->seg_neurons);
    uint32_t stop = lower_bound(a, ((uint64_t)segment + 1) * a->seg_neurons);
    float *acc = a->acc + (size_t)segment * a->unit->dim;
    for (; k < stop; k += M2C_AXPY_MAX) {
        struct m2c_vec w[2 * M2C_AXPY_MAX];
        unsigned nv = M2C_MIN(stop - k, (unsigned)(2 * M2C_AXPY_MAX));
        for (unsigned i = 0; i < nv; i++)
            w[i] = vec_of(&a->places, &a->list[k + i], 2);
        a->isa->axpy(w, nv, a->h + k, a->n, acc, (size_t)a->segments * a->unit->dim,
                     a->rows, begin, end);
    }
}

static void down_items(void *ctx, size_t begin, size_t end, unsigned worker)
{
    (void)worker;
    const struct down *a = ctx;
    for (size_t i = begin; i < end; i++) {
        uint32_t at = (uint32_t)(i % a->blocks) * a->width;
        down_block(a, a->first + (uint32_t)(i / a->blocks), at,
                   M2C_MIN(at + a->width, a->unit->dim));
    }
}

void m2c_cpu_ffn_down(const struct m2c_run *run, const struct m2c_ffn_down_args *args)
{
    if (args->n == 0 || args->rows == 0)
        return;
    struct down a = {
        .isa = run->isa,
        .unit = args->unit,
        .list = m2c_mem_host(args->list),
        .h = m2c_mem_host(args->h),
        .acc = m2c_mem_host(args->acc),
        .rows = args->rows,
        .n = args->n,
        .seg_neurons = args->seg_neurons,
        .segments = m2c_ffn_segments(args->unit->n_neurons, args->seg_neurons),
    };
    find_places(args->unit, 2, 3, &a.places);
    a.first = a.list[0].id / a.seg_neurons;
    uint32_t segs = a.list[a.n - 1].id / a.seg_neurons - a.first + 1;
    /* Every column is its own chain of additions, so columns may be cut to
     * give each thread some items; wide blocks read memory best. */
    uint32_t want = 4 * m2c_pool_threads(run->pool) / segs + 1;
    a.width = (uint32_t)m2c_align_up(a.unit->dim / want + 1, M2C_GROUP);
    a.width = M2C_MAX(a.width, (uint32_t)DOWN_MIN_COLUMNS);
    a.blocks = (a.unit->dim + a.width - 1) / a.width;
    size_t items = (size_t)segs * a.blocks;
    uint64_t work = (uint64_t)args->n * args->rows * args->unit->dim;
    m2c_run_loop(run, items, 1, work, down_items, &a);
}

/* ---- the sum of segments ---- */

enum { SUM_COLUMNS = 256 };

struct sum {
    const float *acc;
    float *y;
    uint32_t dim, segments, blocks;
};

static void sum_items(void *ctx, size_t begin, size_t end, unsigned worker)
{
    (void)worker;
    const struct sum *a = ctx;
    for (size_t i = begin; i < end; i++) {
        size_t row = i / a->blocks, at = i % a->blocks * SUM_COLUMNS;
        size_t n = M2C_MIN(a->dim - at, (size_t)SUM_COLUMNS);
        const float *acc = a->acc + row * a->segments * a->dim + at;
        float *y = a->y + row * a->dim + at, t[SUM_COLUMNS];
        for (size_t j = 0; j < n; j++)
            t[j] = acc[j];
        for (uint32_t s = 1; s < a->segments; s++) {
            acc += a->dim;
            for (size_t j = 0; j < n; j++)
                t[j] += acc[j];
        }
        for (size_t j = 0; j < n; j++)
            y[j] += t[j];
    }
}

void m2c_cpu_ffn_sum(const struct m2c_run *run, const struct m2c_ffn_sum_args *args)
{
    if (args->segments == 0)
        return;
    struct sum a = {.acc = m2c_mem_host(args->acc),
                    .y = m2c_mem_host(args->y),
                    .dim = args->dim,
                    .segments = args->segments,
                    .blocks = (args->dim + SUM_COLUMNS - 1) / SUM_COLUMNS};
    size_t items = (size_t)args->rows * a.blocks;
    uint64_t work = (uint64_t)args->rows * args->segments * args->dim;
    m2c_run_loop(run, items, 4, work, sum_items, &a);
}
