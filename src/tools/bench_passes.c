/* SPDX-License-Identifier: MIT */
/* The kinds of m2c bench kernels: operands, and one pass of each. */
#include "tools/bench_impl.h"

#include "base/mem.h"
#include "base/rng.h"
#include "quant/layout.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- passes ---- */

/* Layers of the buffer, parts of it for plain reads, rows of a matrix. */
enum {
    MAX_LAYERS = 64,
    READ_PARTS = 8,
    MATRIX_ROWS = 16384,
    GEMM_ROWS = 4096,
    CACHED_TIMES = 16,
    LAUNCHES = 100,
    STAGE = 16 << 20
};

static int pass_read(struct bench *b, const struct bench_kind *k, uint32_t rep,
                     struct m2c_err *err)
{
    (void)err;
    struct m2c_pool *pool = k->one_thread ? b->one : b->pool;
    size_t part = b->s.bytes / READ_PARTS;
    (void)m2c_cpu_read(b->isa, pool,
                       (const uint8_t *)b->side[0].weights->host + rep % READ_PARTS * part, part);
    return 0;
}

static uint32_t layers_of(const struct bench *b, enum m2c_type type)
{
    struct m2c_geom g;
    m2c_slot_geom(type, (uint32_t)b->s.dim, true, &g);
    uint64_t n = b->s.bytes / ((uint64_t)g.bytes * (uint64_t)b->s.hidden);
    return (uint32_t)M2C_MIN(n, (uint64_t)MAX_LAYERS);
}

static struct m2c_ffn_unit unit_of(const struct bench *b, const struct bench_kind *k,
                                   uint32_t layer)
{
    const enum m2c_type type = k->type;
    struct m2c_geom g;
    m2c_slot_geom(type, (uint32_t)b->s.dim, true, &g);
    struct m2c_ffn_unit u = {.dim = (uint32_t)b->s.dim,
                             .n_neurons = (uint32_t)b->s.hidden,
                             .has_gate = true,
                             .act = M2C_ACT_SILU,
                             .n_classes = 1};
    u.cls[0].type = type;
    u.cls[0].base = (struct m2c_mem){
        b->side[k->side].weights, (size_t)layer * g.bytes * (size_t)b->s.hidden};
    u.cls[0].stride = g.bytes;
    memcpy(u.cls[0].code_off, g.code_off, sizeof(g.code_off));
    memcpy(u.cls[0].scale_off, g.scale_off, sizeof(g.scale_off));
    return u;
}

static int finish(struct m2c_queue *queue, struct m2c_err *err)
{
    struct m2c_event *ev;
    int r = m2c_queue_record(queue, &ev, err);
    if (r < 0)
        return r;
    r = m2c_event_wait(ev, NULL, err);
    m2c_event_free(ev);
    return r;
}

/* Up, down and sum of one layer, as decode does them. */
static int pass_ffn(struct bench *b, const struct bench_kind *k, uint32_t rep,
                    struct m2c_err *err)
{
    const uint32_t layer = rep % layers_of(b, k->type), dim = (uint32_t)b->s.dim;
    const struct bench_side *s = &b->side[k->side];
    struct m2c_ffn_unit u = unit_of(b, k, layer);
    struct m2c_mem list = {s->list,
                           (size_t)layer * b->n_active * sizeof(struct m2c_neuron_ref)};
    struct m2c_mem x = {s->x, 0}, h = {s->h, 0}, acc = {s->acc, 0}, y = {s->y, 0};
    const struct m2c_call calls[] = {
        {M2C_OP_FFN_UP,
         .u.ffn_up = {&u, x, list, h, k->rows, b->n_active, M2C_PASS_ANY}},
        {M2C_OP_FILL, .u.fill = {acc, k->rows * s->segments * dim, 0}},
        {M2C_OP_FFN_DOWN,
         .u.ffn_down = {&u, list, h, acc, k->rows, b->n_active, s->seg}},
        {M2C_OP_FFN_SUM, .u.ffn_sum = {acc, y, k->rows, dim, s->segments}},
    };
    for (size_t i = k->up ? 0 : 1; i < (k->down ? M2C_COUNTOF(calls) : 1); i++) {
        int r = m2c_queue_launch(s->queue, &calls[i], err);
        if (r < 0)
            return r;
    }
    return finish(s->queue, err);
}

/* The last-level cache, by sysfs (sysconf multiplies it on some machines), or
 * a guess. */
static uint64_t cache_bytes(void)
{
    unsigned long long kib = 0;
    FILE *f = fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "re");
    if (f && fscanf(f, "%lluK", &kib) != 1)
        kib = 0;
    if (f)
        fclose(f);
    return kib ? (uint64_t)kib << 10 : UINT64_C(64) << 20;
}

static double vector_bytes(const struct bench *b, enum m2c_type type)
{
    return (double)(m2c_code_bytes(type, (size_t)b->s.dim) +
                    m2c_scale_bytes(type, (size_t)b->s.dim));
}

/* Rows of w: fewer where the product is bound by arithmetic, few enough for a
 * quarter of the last-level cache where it is to stay there. */
static uint32_t matrix_rows(const struct bench *b, enum m2c_type type, uint32_t rows,
                            bool cached)
{
    if (cached) {
        uint64_t n = cache_bytes() / 4 / (uint64_t)vector_bytes(b, type);
        return (uint32_t)M2C_MIN(M2C_MAX(n, UINT64_C(1)), (uint64_t)MATRIX_ROWS);
    }
    size_t most = b->s.bytes / (4 * (size_t)b->s.dim); /* in f32 */
    return (uint32_t)M2C_MIN(most, (size_t)(rows > 1 ? GEMM_ROWS : MATRIX_ROWS));
}

/* A matrix anywhere in the buffer, codes first. */
static int pass_matmul(struct bench *b, const struct bench_kind *k, uint32_t rep,
                       struct m2c_err *err)
{
    const struct bench_side *s = &b->side[k->side];
    const uint32_t rows = matrix_rows(b, k->type, k->rows, k->cached);
    const uint32_t dim = (uint32_t)b->s.dim, times = k->cached ? CACHED_TIMES : 1;
    size_t codes = rows * m2c_code_bytes(k->type, dim);
    size_t all = codes + rows * m2c_scale_bytes(k->type, dim);
    size_t at = k->cached ? 0 : rep % (uint32_t)(b->s.bytes / all) * all;
    struct m2c_tensor w = {k->type, rows, dim, {s->weights, at}, {s->weights, at + codes}};
    struct m2c_call c = {M2C_OP_MATMUL,
                         .u.matmul = {w, {s->x, 0}, {s->y, 0}, k->rows, false}};
    for (uint32_t i = 0; i < times; i++) {
        int r = m2c_queue_launch(s->queue, &c, err);
        if (r < 0)
            return r;
    }
    return finish(s->queue, err);
}

/* What the host spends on a launch that does next to nothing: enqueued in a
 * row, without a wait between. */
static int pass_launch(struct bench *b, const struct bench_kind *k, uint32_t rep,
                       struct m2c_err *err)
{
    const struct bench_side *s = &b->side[k->side];
    struct m2c_call c = {M2C_OP_FILL, .u.fill = {{s->y, 0}, 1, 0}};
    (void)rep;
    for (uint32_t i = 0; i < LAUNCHES; i++) {
        int r = m2c_queue_launch(s->queue, &c, err);
        if (r < 0)
            return r;
    }
    return finish(s->queue, err);
}

/* ---- kinds ---- */

static struct bench_kind *add(struct bench *b, unsigned side, const char *name,
                              int (*pass)(struct bench *, const struct bench_kind *,
                                          uint32_t, struct m2c_err *),
                              enum m2c_type type, uint32_t rows)
{
    struct bench_kind *k = &b->kind[b->n_kinds++];
    *k = (struct bench_kind){
        .name = name, .side = side, .pass = pass, .type = type, .rows = rows};
    return k;
}

static void add_ffn(struct bench *b, unsigned side, const char *name, enum m2c_type type,
                    uint32_t rows, bool up, bool down)
{
    struct bench_kind *k = add(b, side, name, pass_ffn, type, rows);
    double vectors = (double)b->n_active * ((up ? 2 : 0) + (down ? 1 : 0));
    k->up = up;
    k->down = down;
    k->bytes = vectors * vector_bytes(b, type);
    k->flops = 2 * vectors * (double)b->s.dim * rows;
}

static void add_matmul(struct bench *b, unsigned side, const char *name, enum m2c_type type,
                       uint32_t rows, bool cached)
{
    struct bench_kind *k = add(b, side, name, pass_matmul, type, rows);
    double n = matrix_rows(b, type, rows, cached);
    n *= cached ? CACHED_TIMES : 1;
    k->cached = cached;
    k->bytes = n * vector_bytes(b, type);
    k->flops = 2 * n * (double)b->s.dim * rows;
}

void bench_add_reads(struct bench *b)
{
    struct bench_kind *k = add(b, 0, "read", pass_read, M2C_F32, 1);
    k->bytes = (double)(b->s.bytes / READ_PARTS);
    k = add(b, 0, "read, 1 thread", pass_read, M2C_F32, 1);
    k->bytes = (double)(b->s.bytes / READ_PARTS);
    k->one_thread = true;
}

void bench_add_kernels(struct bench *b, unsigned side)
{
    add_ffn(b, side, "ffn f16", M2C_F16, 1, true, true);
    add_ffn(b, side, "ffn i8", M2C_I8, 1, true, true);
    add_ffn(b, side, "ffn i4", M2C_I4, 1, true, true);
    add_ffn(b, side, "ffn_up f16", M2C_F16, 1, true, false);
    add_ffn(b, side, "ffn_up i8", M2C_I8, 1, true, false);
    add_ffn(b, side, "ffn_up i4", M2C_I4, 1, true, false);
    add_ffn(b, side, "ffn_down f16", M2C_F16, 1, false, true);
    add_ffn(b, side, "ffn_down i8", M2C_I8, 1, false, true);
    add_ffn(b, side, "ffn_down i4", M2C_I4, 1, false, true);
    add_matmul(b, side, "matvec f32", M2C_F32, 1, false);
    add_matmul(b, side, "matvec f16", M2C_F16, 1, false);
    add_matmul(b, side, "matvec i8", M2C_I8, 1, false);
    add_matmul(b, side, "matvec f16, cached", M2C_F16, 1, true);
    add_matmul(b, side, "matvec i8, cached", M2C_I8, 1, true);
    add_matmul(b, side, "matvec i4, cached", M2C_I4, 1, true);
    add_matmul(b, side, "matmul f16, 64 rows", M2C_F16, BENCH_ROWS, false);
    add_matmul(b, side, "matmul i8, 64 rows", M2C_I8, BENCH_ROWS, false);
    add_ffn(b, side, "ffn f16, 64 rows", M2C_F16, BENCH_ROWS, true, true);
    add_ffn(b, side, "ffn i4, 64 rows", M2C_I4, BENCH_ROWS, true, true);
    struct bench_kind *k = add(b, side, "100 launches", pass_launch, M2C_F32, 1);
    k->bytes = k->flops = 0;
}

/* ---- setting up ---- */

struct fill {
    uint64_t *p;
};

/* Every 16-bit word is an f16 of magnitude 1/16 to 1/8 with random sign and
 * fraction, so that the same bytes serve as f16 codes, as integer codes and
 * as scales; bytes other than these would make the same time. */
static void fill_words(void *ctx, size_t begin, size_t end, unsigned worker)
{
    (void)worker;
    uint64_t *p = ((struct fill *)ctx)->p;
    for (size_t i = begin; i < end; i++) {
        uint64_t z = (i + 1) * UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        p[i] = ((z ^ (z >> 31)) & UINT64_C(0x83ff83ff83ff83ff)) |
               UINT64_C(0x2c002c002c002c00);
    }
}

/* Lists of exactly n_active random ids, one a layer. */
static void fill_lists(struct bench *b)
{
    struct m2c_neuron_ref *out = b->side[0].list->host;
    uint32_t hidden = (uint32_t)b->s.hidden;
    for (uint32_t l = 0; l < b->lists; l++) {
        struct m2c_rng rng;
        m2c_rng_init(&rng, 1, l);
        uint32_t need = b->n_active;
        for (uint32_t id = 0; id < hidden && need; id++)
            if (m2c_rng_below(&rng, hidden - id) < need) {
                *out++ = (struct m2c_neuron_ref){.id = id, .slot = id};
                need--;
            }
    }
}

static int alloc_side(struct bench *b, struct bench_side *s, struct m2c_err *err)
{
    const size_t dim = (size_t)b->s.dim, rows = BENCH_ROWS;
    const struct {
        struct m2c_buf **buf;
        size_t bytes;
    } all[] = {
        {&s->weights, b->s.bytes + M2C_PAGE},
        {&s->x, rows * dim * 4},
        {&s->h, rows * b->n_active * 4},
        {&s->acc, rows * s->segments * dim * 4},
        {&s->y, rows * M2C_MAX(dim, (size_t)MATRIX_ROWS) * 4},
        {&s->list, (size_t)b->lists * b->n_active * sizeof(struct m2c_neuron_ref)},
    };
    for (size_t i = 0; i < M2C_COUNTOF(all); i++) {
        int r = m2c_dev_alloc(s->dev, M2C_PLACE_DEVICE, all[i].bytes, all[i].buf, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The cpu's operands, which the host writes in place. */
static void fill_cpu(struct bench *b)
{
    struct bench_side *s = &b->side[0];
    const size_t dim = (size_t)b->s.dim, rows = BENCH_ROWS;
    struct fill f = {s->weights->host};
    m2c_pool_run(b->pool, s->weights->bytes / 8, 1 << 16, fill_words, &f);
    struct m2c_rng rng;
    m2c_rng_init(&rng, 2, 0);
    for (size_t i = 0; i < rows * dim; i++)
        ((float *)s->x->host)[i] = m2c_rng_normal(&rng);
    for (size_t i = 0; i < rows * b->n_active; i++) /* for ffn_down by itself */
        ((float *)s->h->host)[i] = m2c_rng_normal(&rng);
    fill_lists(b);
}

/* The same, on the other device. */
static int fill_other(struct bench *b, struct m2c_err *err)
{
    const struct bench_side *from = &b->side[0], *to = &b->side[1];
    struct m2c_buf *const pair[][2] = {
        {to->weights, from->weights}, {to->x, from->x}, {to->h, from->h}, {to->list, from->list}};
    for (size_t i = 0; i < M2C_COUNTOF(pair); i++) {
        struct m2c_buf *stage;
        const size_t bytes = pair[i][1]->bytes, step = M2C_MIN(bytes, (size_t)STAGE);
        int r = m2c_dev_alloc(to->dev, M2C_PLACE_PINNED, step, &stage, err);
        for (size_t at = 0; at < bytes && r == 0; at += step) {
            const size_t n = M2C_MIN(step, bytes - at);
            const struct m2c_copy c = {{pair[i][0], at}, {stage, 0}, n};
            memcpy(stage->host, (const uint8_t *)pair[i][1]->host + at, n);
            r = m2c_queue_copy(to->queue, &c, 1, err);
            r = r < 0 ? r : finish(to->queue, err);
        }
        m2c_dev_free(to->dev, stage);
        if (r < 0)
            return r;
    }
    return 0;
}

static int open_side(struct bench *b, const struct m2c_dev_cfg *cfg, struct m2c_err *err)
{
    struct bench_side *s = &b->side[b->n_sides++];
    int r = m2c_dev_open(&s->dev, cfg, err);
    if (r < 0)
        return r;
    s->seg = m2c_dev_seg_neurons(s->dev, (uint32_t)b->s.hidden);
    s->segments = m2c_ffn_segments((uint32_t)b->s.hidden, s->seg);
    r = m2c_queue_open(s->dev, "bench", &s->queue, err);
    return r < 0 ? r : alloc_side(b, s, err);
}

static void set_sizes(struct bench *b)
{
    if (b->s.bytes == 0)
        b->s.bytes = M2C_MAX(UINT64_C(1) << 30, 16 * cache_bytes());
    b->s.bytes = b->s.bytes / M2C_PAGE * M2C_PAGE;
    b->n_active = (uint32_t)(b->s.hidden * b->s.active_percent / 100);
    b->n_active = M2C_MAX(b->n_active, 1u);
    b->lists = M2C_MAX(layers_of(b, M2C_I4), 1u);
}

int bench_open(struct bench *b, struct m2c_err *err)
{
    struct m2c_dev_cfg cpu = {
        .backend = "cpu", .threads = (unsigned)b->s.threads, .isa = b->s.isa};
    struct m2c_dev_cfg other = {.backend = b->s.backend,
                                .platform = b->s.platform,
                                .library = b->s.library,
                                .index = (int)b->s.index,
                                .threads = (unsigned)b->s.threads};
    set_sizes(b);
    if (layers_of(b, M2C_F16) == 0)
        return m2c_fail(err, -EINVAL, "--bytes: %llu do not hold one layer in f16",
                        (unsigned long long)b->s.bytes);
    int r = open_side(b, &cpu, err);
    if (r < 0)
        return r;
    const struct m2c_dev_info *info = m2c_dev_info(b->side[0].dev);
    b->isa = m2c_cpu_isa_find(info->isa, err);
    if (!b->isa)
        return -ENODEV;
    if ((r = m2c_pool_open(&b->pool, info->threads, err)) < 0 ||
        (r = m2c_pool_open(&b->one, 1, err)) < 0)
        return r;
    fill_cpu(b);
    if (!b->s.backend)
        return 0;
    r = open_side(b, &other, err);
    return r < 0 ? r : fill_other(b, err);
}

void bench_close(struct bench *b)
{
    for (unsigned i = 0; i < b->n_sides; i++) {
        m2c_queue_close(b->side[i].queue);
        m2c_dev_close(b->side[i].dev);
    }
    m2c_pool_close(b->one);
    m2c_pool_close(b->pool);
}
