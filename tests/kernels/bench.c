/* SPDX-License-Identifier: MIT */
/* Times of every op and type at the shapes of one layer of a 7B model, on any
 * backend. A sample is one launch and the wait for its event; operands stay
 * where they are, so that small ones come from caches. `m2c bench kernels`
 * has the figures of weights that come from memory. */
#include "tk.h"

#include "base/clock.h"
#include "select/selector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 4096, HEADS = 32, KV_HEADS = 8, HEAD_DIM = 128, CTX = 1024, NEURONS = 1024 };
enum { SAMPLES = 15 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median and best of some launches; `bytes` are those that a launch must read. */
static void time_call(struct tk *t, enum m2c_type type, const char *what,
                      const struct m2c_call *c, double bytes)
{
    double s[SAMPLES];
    tk_run(t, c);
    for (int i = 0; i < SAMPLES; i++) {
        uint64_t start = m2c_now_ns();
        tk_run(t, c);
        s[i] = (double)(m2c_now_ns() - start);
    }
    qsort(s, SAMPLES, sizeof(*s), by_value);
    printf("%-10s %-5s %-8s %10.1f us %10.1f us %9.2f GB/s\n", m2c_op_name(c->op),
           m2c_type_name(type), what, s[SAMPLES / 2] / 1e3, s[0] / 1e3,
           bytes / s[SAMPLES / 2]);
}

static bool begin(struct tk *t, enum m2c_op op, enum m2c_type type)
{
    tk_begin(t, 1, (uint64_t)op, 0);
    return m2c_dev_supports(t->dev, op, type);
}

static double row_bytes(enum m2c_type type)
{
    return (double)(m2c_code_bytes(type, DIM) + m2c_scale_bytes(type, DIM));
}

static void bench_matmul(struct tk *t, enum m2c_type type)
{
    if (!begin(t, M2C_OP_MATMUL, type))
        return;
    struct tk_matrix w = tk_matrix(t, type, DIM, DIM);
    struct m2c_mem x = tk_at(tk_floats(t, 64 * DIM), true);
    struct m2c_mem y = tk_at(tk_new(t, 64 * DIM * 4, 4), true);
    static const uint32_t rows[] = {1, 8, 64};
    for (size_t i = 0; i < M2C_COUNTOF(rows); i++) {
        char what[16];
        struct m2c_call c = {M2C_OP_MATMUL, .u.matmul = {w.dev, x, y, rows[i], false}};
        snprintf(what, sizeof(what), "rows %u", (unsigned)rows[i]);
        time_call(t, type, what, &c, DIM * row_bytes(type));
    }
}

static void bench_embed(struct tk *t, enum m2c_type type)
{
    if (!begin(t, M2C_OP_EMBED, type))
        return;
    struct tk_matrix w = tk_matrix(t, type, 64, DIM);
    struct tk_mem *ids = tk_new(t, 4, 4), *out = tk_new(t, DIM * 4, 4);
    *(uint32_t *)tk_host(ids) = 63;
    tk_upload(t, ids);
    struct m2c_call c = {M2C_OP_EMBED,
                         .u.embed = {w.dev, tk_at(ids, true), tk_at(out, true), 1, 1}};
    time_call(t, type, "rows 1", &c, row_bytes(type));
}

static void bench_attention(struct tk *t, enum m2c_type type)
{
    const uint32_t n = KV_HEADS * HEAD_DIM;
    if (!begin(t, M2C_OP_ATTENTION, type))
        return;
    struct tk_matrix k = tk_matrix(t, type, CTX, n), v = tk_matrix(t, type, CTX, n);
    struct m2c_mem q = tk_at(tk_floats(t, DIM), true);
    struct m2c_mem out = tk_at(tk_new(t, DIM * 4, 4), true);
    struct m2c_call c = {M2C_OP_ATTENTION,
                         .u.attention = {q, k.dev.codes, v.dev.codes, out, type, 1, HEADS,
                                         KV_HEADS, HEAD_DIM, CTX - 1}};
    time_call(t, type, "rows 1", &c, 2.0 * (double)m2c_code_bytes(type, (size_t)CTX * n));
    struct m2c_call a = {M2C_OP_KV_APPEND,
                         .u.kv_append = {q, k.dev.codes, type, 1, n, CTX - 1}};
    if (m2c_dev_supports(t->dev, M2C_OP_KV_APPEND, type))
        time_call(t, type, "rows 1", &a, n * 4.0);
}

static void bench_ffn(struct tk *t, enum m2c_type type)
{
    struct tk_ffn_shape s = {.dim = DIM, .neurons = NEURONS, .has_gate = true,
                             .act = M2C_ACT_SILU, .n_classes = 1, .types = {type}};
    struct m2c_neuron_ref *list = malloc(NEURONS * sizeof(*list));
    struct tk_ffn f;
    if (!list)
        tk_die("no memory");
    if (begin(t, M2C_OP_FFN_UP, type) && m2c_dev_supports(t->dev, M2C_OP_FFN_DOWN, type)) {
        uint32_t seg = m2c_dev_seg_neurons(t->dev, NEURONS);
        uint32_t segments = m2c_ffn_segments(NEURONS, seg);
        tk_ffn(t, &s, &f);
        uint32_t n = tk_list(t, &s, 0.3, list);
        struct m2c_mem l = tk_at(tk_list_mem(t, list, n), true);
        struct m2c_mem x = tk_at(tk_floats(t, DIM), true);
        struct m2c_mem h = tk_at(tk_new(t, n * 4, 4), true);
        struct m2c_mem acc = tk_at(tk_floats(t, (size_t)segments * DIM), true);
        struct m2c_call up = {M2C_OP_FFN_UP,
                              .u.ffn_up = {&f.dev, x, l, h, 1, n, M2C_PASS_ANY}};
        struct m2c_call down = {M2C_OP_FFN_DOWN, .u.ffn_down = {&f.dev, l, h, acc, 1, n, seg}};
        time_call(t, type, "30 %", &up, 2.0 * n * row_bytes(type));
        time_call(t, type, "30 %", &down, n * row_bytes(type));
    }
    free(list);
}

static void bench_small(struct tk *t)
{
    tk_begin(t, 1, 0, 0);
    struct m2c_mem x = tk_at(tk_floats(t, DIM), true), w = tk_at(tk_floats(t, DIM), true);
    struct m2c_mem y = tk_at(tk_new(t, DIM * 4, 4), true);
    struct m2c_mem acc = tk_at(tk_floats(t, 32 * DIM), true);
    const struct m2c_call calls[] = {
        {M2C_OP_FILL, .u.fill = {acc, 32 * DIM, 0}},
        {M2C_OP_NORM, .u.norm = {x, w, y, 1, DIM, 1e-5f, 0, false}},
        {M2C_OP_ROPE, .u.rope = {x, w, 1, HEADS, HEAD_DIM, 100, M2C_ROPE_HALF}},
        {M2C_OP_FFN_SUM, .u.ffn_sum = {acc, y, 1, DIM, 32}},
    };
    const double bytes[] = {32 * DIM * 4.0, DIM * 8.0, DIM * 4.0, 33 * DIM * 4.0};
    for (size_t i = 0; i < M2C_COUNTOF(calls); i++)
        if (m2c_dev_supports(t->dev, calls[i].op, M2C_F32))
            time_call(t, M2C_F32, "rows 1", &calls[i], bytes[i]);
}

/* Of 11,008 scores 30 % in three classes, all of them held; a vocabulary's best. */
static void bench_choose(struct tk *t)
{
    enum { N = 11008, K = 3302, CLASSES = 3, VOCAB = 32000 };
    tk_begin(t, 1, 1, 0);
    struct m2c_mem x = tk_at(tk_floats(t, VOCAB), true);
    struct tk_mem *splits = tk_new(t, (K + 1) * CLASSES * 4, 4);
    m2c_class_splits(&(struct m2c_ratio){3, {.25, .25, .5}}, K, tk_host(splits));
    tk_upload(t, splits);
    struct tk_mem *table = tk_new(t, CLASSES * N * 4, 4);
    memset(tk_host(table), 0, table->bytes);
    tk_upload(t, table);
    struct m2c_mem wants = tk_at(tk_new(t, K * sizeof(struct m2c_want), 4), true);
    struct m2c_mem misses = tk_at(tk_new(t, K * sizeof(struct m2c_want), 4), true);
    struct m2c_mem list = tk_at(tk_new(t, K * sizeof(struct m2c_neuron_ref), 4), true);
    struct m2c_mem counts = tk_at(tk_new(t, 64, 4), true);
    const struct m2c_call calls[] = {
        {M2C_OP_ARGMAX, .u.argmax = {x, counts, 1, VOCAB}},
        {M2C_OP_SELECT,
         .u.select = {x, tk_at(splits, true), wants, counts, N, K, CLASSES, false, false}},
        {M2C_OP_LOOKUP,
         .u.lookup = {wants, counts, tk_at(table, true), list, misses,
                      m2c_mem_at(counts, 32), K, CLASSES, N}},
    };
    const double bytes[] = {VOCAB * 4.0, N * 4.0, K * (double)sizeof(struct m2c_want)};
    for (size_t i = 0; i < M2C_COUNTOF(calls); i++)
        if (m2c_dev_supports(t->dev, calls[i].op, M2C_F32))
            time_call(t, M2C_F32, "rows 1", &calls[i], bytes[i]);
}

void tk_bench(struct tk *t)
{
    const struct m2c_dev_info *info = m2c_dev_info(t->dev);
    printf("%s %s, %s, %u threads\n%-10s %-5s %-8s %13s %13s\n", info->backend, info->isa,
           info->name, info->threads, "op", "type", "", "median", "best");
    bench_small(t);
    bench_choose(t);
    for (int type = 0; type < M2C_N_TYPES; type++) {
        bench_embed(t, (enum m2c_type)type);
        bench_matmul(t, (enum m2c_type)type);
        bench_attention(t, (enum m2c_type)type);
        bench_ffn(t, (enum m2c_type)type);
    }
}
