/* SPDX-License-Identifier: MIT */
#include "calls.h"

#include <string.h>

static void add(struct example *e, const char *name, struct m2c_mem *mem, size_t bytes,
                unsigned align, bool written)
{
    unsigned i = e->n++;
    e->buf[i] = (struct m2c_buf){.bytes = bytes, .place = M2C_PLACE_DEVICE};
    *mem = (struct m2c_mem){&e->buf[i], 0};
    e->operand[i] = (struct operand){name, mem, bytes, align, written};
}

static void fill(struct example *e)
{
    struct m2c_fill_args *a = &e->call.u.fill;
    e->call.op = M2C_OP_FILL;
    a->n = 7;
    add(e, "dst", &a->dst, 7 * 4, 4, true);
}

static void embed_f16(struct example *e)
{
    struct m2c_embed_args *a = &e->call.u.embed;
    e->call.op = M2C_OP_EMBED;
    a->table.type = M2C_F16;
    a->table.rows = 5;
    a->table.cols = 70;
    a->rows = 3;
    add(e, "table", &a->table.codes, 5 * 70 * 2, 2, false);
    add(e, "ids", &a->ids, 3 * 4, 4, false);
    add(e, "out", &a->out, 3 * 70 * 4, 4, true);
}

static void embed_i4(struct example *e)
{
    embed_f16(e);
    e->n = 0;
    struct m2c_embed_args *a = &e->call.u.embed;
    a->table.type = M2C_I4;
    add(e, "table", &a->table.codes, 5 * 35, 1, false);
    add(e, "scales", &a->table.scales, 5 * 3 * 2, 2, false);
    add(e, "ids", &a->ids, 3 * 4, 4, false);
    add(e, "out", &a->out, 3 * 70 * 4, 4, true);
}

static void norm(struct example *e)
{
    struct m2c_norm_args *a = &e->call.u.norm;
    e->call.op = M2C_OP_NORM;
    a->rows = 2;
    a->n = 9;
    add(e, "x", &a->x, 2 * 9 * 4, 4, false);
    add(e, "w", &a->w, 9 * 4, 4, false);
    add(e, "y", &a->y, 2 * 9 * 4, 4, true);
}

static void matmul_f32(struct example *e)
{
    struct m2c_matmul_args *a = &e->call.u.matmul;
    e->call.op = M2C_OP_MATMUL;
    a->w.type = M2C_F32;
    a->w.rows = 11;
    a->w.cols = 33;
    a->rows = 2;
    add(e, "w", &a->w.codes, 11 * 33 * 4, 4, false);
    add(e, "x", &a->x, 2 * 33 * 4, 4, false);
    add(e, "y", &a->y, 2 * 11 * 4, 4, true);
}

static void matmul_i8(struct example *e)
{
    struct m2c_matmul_args *a = &e->call.u.matmul;
    matmul_f32(e);
    e->n = 0;
    a->w.type = M2C_I8;
    add(e, "w", &a->w.codes, 11 * 33, 1, false);
    add(e, "scales", &a->w.scales, 11 * 2 * 2, 2, false);
    add(e, "x", &a->x, 2 * 33 * 4, 4, false);
    add(e, "y", &a->y, 2 * 11 * 4, 4, true);
}

static void rope(struct example *e)
{
    struct m2c_rope_args *a = &e->call.u.rope;
    e->call.op = M2C_OP_ROPE;
    a->rows = 3;
    a->heads = 5;
    a->head_dim = 8;
    a->pos = 100;
    add(e, "x", &a->x, 3 * 5 * 8 * 4, 4, true);
    add(e, "inv_freq", &a->inv_freq, 4 * 4, 4, false);
}

static void kv_append_f16(struct example *e)
{
    struct m2c_kv_append_args *a = &e->call.u.kv_append;
    e->call.op = M2C_OP_KV_APPEND;
    a->type = M2C_F16;
    a->rows = 2;
    a->n = 6;
    a->pos = 4;
    add(e, "x", &a->x, 2 * 6 * 4, 4, false);
    add(e, "cache", &a->cache, 6 * 6 * 2, 2, true);
}

static void kv_append_f32(struct example *e)
{
    kv_append_f16(e);
    e->n = 0;
    e->call.u.kv_append.type = M2C_F32;
    add(e, "x", &e->call.u.kv_append.x, 2 * 6 * 4, 4, false);
    add(e, "cache", &e->call.u.kv_append.cache, 6 * 6 * 4, 4, true);
}

static void attention_f16(struct example *e)
{
    struct m2c_attention_args *a = &e->call.u.attention;
    e->call.op = M2C_OP_ATTENTION;
    a->type = M2C_F16;
    a->rows = 2;
    a->heads = 6;
    a->kv_heads = 3;
    a->head_dim = 4;
    a->pos = 5;
    add(e, "q", &a->q, 2 * 6 * 4 * 4, 4, false);
    add(e, "k", &a->k, 7 * 3 * 4 * 2, 2, false);
    add(e, "v", &a->v, 7 * 3 * 4 * 2, 2, false);
    add(e, "out", &a->out, 2 * 6 * 4 * 4, 4, true);
}

static void unit(struct example *e)
{
    e->unit = (struct m2c_ffn_unit){.dim = 10, .n_neurons = 100, .n_classes = 1};
    e->unit.cls[0].type = M2C_F16;
}

static void ffn_up(struct example *e)
{
    struct m2c_ffn_up_args *a = &e->call.u.ffn_up;
    e->call.op = M2C_OP_FFN_UP;
    unit(e);
    a->unit = &e->unit;
    a->rows = 3;
    a->n = 7;
    add(e, "list", &a->list, 7 * 16, 4, false);
    add(e, "x", &a->x, 3 * 10 * 4, 4, false);
    add(e, "h", &a->h, 3 * 7 * 4, 4, true);
}

static void ffn_down(struct example *e)
{
    struct m2c_ffn_down_args *a = &e->call.u.ffn_down;
    e->call.op = M2C_OP_FFN_DOWN;
    unit(e);
    a->unit = &e->unit;
    a->rows = 3;
    a->n = 7;
    a->seg_neurons = 32; /* 100 neurons: 4 segments */
    add(e, "list", &a->list, 7 * 16, 4, false);
    add(e, "h", &a->h, 3 * 7 * 4, 4, false);
    add(e, "acc", &a->acc, 3 * 4 * 10 * 4, 4, true);
}

static void ffn_sum(struct example *e)
{
    struct m2c_ffn_sum_args *a = &e->call.u.ffn_sum;
    e->call.op = M2C_OP_FFN_SUM;
    a->rows = 2;
    a->dim = 10;
    a->segments = 4;
    add(e, "acc", &a->acc, 2 * 4 * 10 * 4, 4, false);
    add(e, "y", &a->y, 2 * 10 * 4, 4, true);
}

static void argmax(struct example *e)
{
    struct m2c_argmax_args *a = &e->call.u.argmax;
    e->call.op = M2C_OP_ARGMAX;
    a->rows = 2;
    a->n = 9;
    add(e, "x", &a->x, 2 * 9 * 4, 4, false);
    add(e, "out", &a->out, 2 * 4, 4, true);
}

static void choose(struct example *e)
{
    struct m2c_select_args *a = &e->call.u.select;
    e->call.op = M2C_OP_SELECT;
    a->n = 9;
    a->k = 4;
    a->n_classes = 3;
    add(e, "scores", &a->scores, 9 * 4, 4, false);
    add(e, "splits", &a->splits, 5 * 3 * 4, 4, false);
    add(e, "wants", &a->wants, 4 * 12, 4, true);
    add(e, "counts", &a->counts, 4 * 4, 4, true);
}

static void lookup(struct example *e)
{
    struct m2c_lookup_args *a = &e->call.u.lookup;
    e->call.op = M2C_OP_LOOKUP;
    a->k = 4;
    a->n_classes = 2;
    a->n_neurons = 9;
    add(e, "wants", &a->wants, 4 * 12, 4, false);
    add(e, "n_wants", &a->n_wants, 4, 4, false);
    add(e, "table", &a->table, 2 * 9 * 4, 4, false);
    add(e, "list", &a->list, 4 * 16, 4, true);
    add(e, "misses", &a->misses, 4 * 12, 4, true);
    add(e, "counts", &a->counts, 4 * 4, 4, true);
}

static const struct {
    const char *what;
    void (*make)(struct example *);
} examples[] = {
    {"fill", fill},
    {"embed f16", embed_f16},
    {"embed i4", embed_i4},
    {"norm", norm},
    {"matmul f32", matmul_f32},
    {"matmul i8", matmul_i8},
    {"rope", rope},
    {"kv_append f16", kv_append_f16},
    {"kv_append f32", kv_append_f32},
    {"attention f16", attention_f16},
    {"ffn_up", ffn_up},
    {"ffn_down", ffn_down},
    {"ffn_sum", ffn_sum},
    {"argmax", argmax},
    {"select", choose},
    {"lookup", lookup},
};

unsigned n_examples(void)
{
    return M2C_COUNTOF(examples);
}

void make_example(struct example *e, unsigned i)
{
    memset(e, 0, sizeof *e);
    e->what = examples[i].what;
    examples[i].make(e);
}
