/* SPDX-License-Identifier: MIT */
/* From a call to its kernel: its parameters, how many work-items. What runs is
 * enqueued on one in-order queue, so that a call may be two launches. */
#include "dev/opencl_launch_impl.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static uint64_t teams_of(const struct m2c_cl_args *a, uint64_t dots)
{
    return (dots + a->c->shape.teams - 1) / a->c->shape.teams;
}

/* ---- ops ---- */

static int do_fill(struct m2c_cl_args *a, const struct m2c_fill_args *f,
                   struct m2c_err *err)
{
    struct m2c_cl_fill p = {.n = f->n, .value = f->value};
    M2C_CL_PARAMS(a, p);
    int r = m2c_cl_add_mem(a, "dst", f->dst, (uint64_t)f->n * 4, true, &p.dst, err);
    return r < 0 ? r : m2c_cl_run_items(a, ((uint64_t)f->n + 15) / 16, 1, 1, err);
}

static int do_embed(struct m2c_cl_args *a, const struct m2c_embed_args *e,
                    struct m2c_err *err)
{
    struct m2c_cl_embed p = {.scale = e->scale};
    M2C_CL_PARAMS(a, p);
    int r = m2c_cl_add_matrix(a, "table", &e->table, &p.table, err);
    m2c_cl_end_windows(a);
    r = r < 0
            ? r
            : m2c_cl_add_mem(a, "ids", e->ids, (uint64_t)e->rows * 4, false, &p.ids, err);
    r = r < 0 ? r
              : m2c_cl_add_mem(a, "out", e->out, (uint64_t)e->rows * e->table.cols * 4,
                               true, &p.out, err);
    return r < 0 ? r : m2c_cl_run_items(a, e->table.cols, e->rows, 1, err);
}

static int do_norm(struct m2c_cl_args *a, const struct m2c_norm_args *n,
                   struct m2c_err *err)
{
    const uint64_t bytes = (uint64_t)n->rows * n->n * 4;
    struct m2c_cl_norm p = {.n = n->n, .relu = n->relu, .eps = n->eps, .shift = n->shift};
    M2C_CL_PARAMS(a, p);
    int r = m2c_cl_add_mem(a, "x", n->x, bytes, false, &p.x, err);
    r = r < 0 ? r : m2c_cl_add_mem(a, "w", n->w, (uint64_t)n->n * 4, false, &p.w, err);
    r = r < 0 ? r : m2c_cl_add_mem(a, "y", n->y, bytes, true, &p.y, err);
    return r < 0 ? r : m2c_cl_run_groups(a, 0, a->c->shape.wide, n->rows, n->n != 0, err);
}

/* Runs of M2C_CL_ROWS rows, and the rest one by one: a row has the same bits
 * either way. `x`, `y`: offsets of p that a row moves on by x_row and y_row. */
static int do_rows(struct m2c_cl_args *a, uint64_t groups, uint32_t rows, uint64_t *x,
                   uint64_t x_row, uint64_t *y, uint64_t y_row, struct m2c_err *err)
{
    const struct m2c_cl_shape *s = &a->c->shape;
    const uint32_t tiles = rows / M2C_CL_ROWS, done = tiles * M2C_CL_ROWS;
    int r = m2c_cl_run_groups(a, 1, s->lanes * s->teams, groups, tiles, err);
    *x += done * x_row;
    *y += done * y_row;
    return r < 0 ? r
                 : m2c_cl_run_groups(a, 0, s->lanes * s->teams, groups, rows - done, err);
}

static int do_matmul(struct m2c_cl_args *a, const struct m2c_matmul_args *m,
                     struct m2c_err *err)
{
    const uint64_t x_row = (uint64_t)m->w.cols * 4, y_row = (uint64_t)m->w.rows * 4;
    struct m2c_cl_matmul p = {.add = m->add};
    M2C_CL_PARAMS(a, p);
    int r = m2c_cl_add_matrix(a, "w", &m->w, &p.w, err);
    m2c_cl_end_windows(a);
    r = r < 0 ? r : m2c_cl_add_mem(a, "x", m->x, m->rows * x_row, false, &p.x, err);
    r = r < 0 ? r : m2c_cl_add_mem(a, "y", m->y, m->rows * y_row, true, &p.y, err);
    p.x_al = m2c_cl_aligned(p.x) && m2c_cl_aligned(x_row);
    return r < 0 ? r
                 : do_rows(a, teams_of(a, m->w.rows), m->rows, &p.x, x_row, &p.y, y_row,
                           err);
}

static bool by_library(const struct m2c_cl *c, const struct m2c_matmul_args *m)
{
    return c->gemm_rows && m->rows >= c->gemm_rows && m->w.rows && m->w.cols;
}

/* A processor computes the angles of a row once for all heads. */
static int do_rope(struct m2c_cl_args *a, const struct m2c_rope_args *o,
                   struct m2c_err *err)
{
    struct m2c_cl_rope p = {.heads = o->heads,
                            .head_dim = o->head_dim,
                            .pos = o->pos,
                            .split = o->style == M2C_ROPE_HALF};
    M2C_CL_PARAMS(a, p);
    int r = m2c_cl_add_mem(a, "x", o->x, (uint64_t)o->rows * o->heads * o->head_dim * 4,
                           true, &p.x, err);
    r = r < 0 ? r
              : m2c_cl_add_mem(a, "inv_freq", o->inv_freq, (uint64_t)o->head_dim / 2 * 4,
                               false, &p.inv_freq, err);
    uint32_t apart = a->c->shape.lanes > 1 ? o->heads : M2C_MIN(o->heads, 1u);
    return r < 0 ? r : m2c_cl_run_items(a, o->head_dim / 2, apart, o->rows, err);
}

static int do_kv_append(struct m2c_cl_args *a, const struct m2c_kv_append_args *k,
                        struct m2c_err *err)
{
    const uint64_t width = m2c_code_bytes(k->type, 1), count = (uint64_t)k->rows * k->n;
    struct m2c_cl_kv_append p = {.count = count, .type = (uint32_t)k->type};
    struct m2c_mem at = m2c_mem_at(k->cache, (size_t)(width * k->pos * k->n));
    M2C_CL_PARAMS(a, p);
    int r = m2c_cl_add_mem(a, "x", k->x, count * 4, false, &p.x, err);
    r = r < 0 ? r : m2c_cl_add_mem(a, "cache", at, count * width, true, &p.cache, err);
    return r < 0 ? r : m2c_cl_run_items(a, count, 1, 1, err);
}

static int do_attention(struct m2c_cl_args *a, const struct m2c_attention_args *t,
                        struct m2c_err *err)
{
    const uint64_t asked = (uint64_t)t->rows * t->heads * t->head_dim * 4;
    const uint32_t width = (uint32_t)m2c_code_bytes(t->type, 1);
    const uint64_t seen =
        ((uint64_t)t->pos + t->rows) * t->kv_heads * t->head_dim * width;
    struct m2c_cl_attention p = {.type = (uint32_t)t->type,
                                 .width = width,
                                 .heads = t->heads,
                                 .kv_heads = t->kv_heads,
                                 .head_dim = t->head_dim,
                                 .pos = t->pos,
                                 .scale = (float)(1 / sqrt((double)t->head_dim))};
    M2C_CL_PARAMS(a, p);
    int r = m2c_cl_add_mem(a, "q", t->q, asked, false, &p.q, err);
    r = r < 0 ? r : m2c_cl_add_mem(a, "k", t->k, seen, false, &p.k, err);
    r = r < 0 ? r : m2c_cl_add_mem(a, "v", t->v, seen, false, &p.v, err);
    r = r < 0 ? r : m2c_cl_add_mem(a, "out", t->out, asked, true, &p.out, err);
    return r < 0 || asked == 0
               ? r
               : m2c_cl_run_groups(a, 0, a->c->shape.wide, t->heads, t->rows, err);
}

static int do_ffn_up(struct m2c_cl_args *a, const struct m2c_ffn_up_args *u,
                     struct m2c_err *err)
{
    const uint64_t x_row = (uint64_t)u->unit->dim * 4, h_row = (uint64_t)u->n * 4;
    struct m2c_cl_ffn_up p = {.n = u->n, .pass = u->pass};
    M2C_CL_PARAMS(a, p);
    int r = m2c_cl_add_unit(a, u->unit, 0, 2, &p.unit, err);
    r = r < 0 ? r : m2c_cl_add_mem(a, "x", u->x, u->rows * x_row, false, &p.x, err);
    r = r < 0 ? r
              : m2c_cl_add_mem(a, "list", u->list,
                               (uint64_t)u->n * sizeof(struct m2c_cl_ref), false, &p.list,
                               err);
    r = r < 0 ? r : m2c_cl_add_mem(a, "h", u->h, u->rows * h_row, true, &p.h, err);
    p.x_al = m2c_cl_aligned(p.x) && m2c_cl_aligned(x_row);
    return r < 0 ? r
                 : do_rows(a, teams_of(a, u->n), u->rows, &p.x, x_row, &p.h, h_row, err);
}

static int do_ffn_down(struct m2c_cl_args *a, const struct m2c_ffn_down_args *d,
                       struct m2c_err *err)
{
    const struct m2c_ffn_unit *u = d->unit;
    const uint32_t segments = m2c_ffn_segments(u->n_neurons, d->seg_neurons);
    const uint64_t acc_row = (uint64_t)segments * u->dim * 4, h_row = (uint64_t)d->n * 4;
    struct m2c_cl_ffn_down p = {
        .n = d->n, .seg_neurons = d->seg_neurons, .segments = segments};
    M2C_CL_PARAMS(a, p);
    int r = m2c_cl_add_unit(a, u, 2, 1, &p.unit, err);
    r = r < 0 ? r
              : m2c_cl_add_mem(a, "list", d->list,
                               (uint64_t)d->n * sizeof(struct m2c_cl_ref), false, &p.list,
                               err);
    r = r < 0 ? r : m2c_cl_add_mem(a, "h", d->h, d->rows * h_row, false, &p.h, err);
    r = r < 0 ? r
              : m2c_cl_add_mem(a, "acc", d->acc, d->rows * acc_row, true, &p.acc, err);
    if (r < 0 || d->n == 0 || d->rows == 0)
        return r;
    const uint32_t columns = a->c->shape.columns, tiles = d->rows / M2C_CL_ROWS;
    const size_t local[3] = {a->c->shape.lanes > 1 ? M2C_MIN(a->c->shape.wide, 64u) : 1,
                             1, 1};
    size_t blocks = (u->dim + columns - 1) / columns;
    size_t global[3] = {m2c_align_up(blocks, local[0]), segments, tiles};
    r = tiles ? m2c_cl_run(a, 1, global, local, err) : 0;
    const uint32_t done = tiles * M2C_CL_ROWS;
    p.h += done * h_row;
    p.acc += done * acc_row;
    global[2] = d->rows - done;
    return r < 0 || global[2] == 0 ? r : m2c_cl_run(a, 0, global, local, err);
}

static int do_ffn_sum(struct m2c_cl_args *a, const struct m2c_ffn_sum_args *s,
                      struct m2c_err *err)
{
    struct m2c_cl_ffn_sum p = {.dim = s->dim, .segments = s->segments};
    M2C_CL_PARAMS(a, p);
    if (s->segments == 0)
        return 0;
    int r = m2c_cl_add_mem(a, "acc", s->acc, (uint64_t)s->rows * s->segments * s->dim * 4,
                           false, &p.acc, err);
    r = r < 0 ? r
              : m2c_cl_add_mem(a, "y", s->y, (uint64_t)s->rows * s->dim * 4, true, &p.y,
                               err);
    return r < 0 ? r : m2c_cl_run_items(a, ((uint64_t)s->dim + 3) / 4, s->rows, 1, err);
}

static int do_argmax(struct m2c_cl_args *a, const struct m2c_argmax_args *x,
                     struct m2c_err *err)
{
    struct m2c_cl_argmax p = {.n = x->n};
    M2C_CL_PARAMS(a, p);
    int r = m2c_cl_add_mem(a, "x", x->x, (uint64_t)x->rows * x->n * 4, false, &p.x, err);
    r = r < 0
            ? r
            : m2c_cl_add_mem(a, "out", x->out, (uint64_t)x->rows * 4, true, &p.out, err);
    return r < 0 ? r : m2c_cl_run_groups(a, 0, a->c->shape.wide, x->rows, 1, err);
}

static int do_select(struct m2c_cl_args *a, const struct m2c_select_args *s,
                     struct m2c_err *err)
{
    const uint64_t ends = ((uint64_t)s->k + 1) * s->n_classes * 4;
    struct m2c_cl_select p = {.n = s->n,
                              .k = s->k,
                              .n_classes = s->n_classes,
                              .magnitude = s->magnitude,
                              .positive_only = s->positive_only};
    M2C_CL_PARAMS(a, p);
    int r =
        m2c_cl_add_mem(a, "scores", s->scores, (uint64_t)s->n * 4, false, &p.scores, err);
    r = r < 0 ? r : m2c_cl_add_mem(a, "splits", s->splits, ends, false, &p.splits, err);
    r = r < 0 ? r
              : m2c_cl_add_mem(a, "wants", s->wants,
                               (uint64_t)s->k * sizeof(struct m2c_want), true, &p.wants,
                               err);
    r = r < 0 ? r
              : m2c_cl_add_mem(a, "counts", s->counts, (1 + (uint64_t)s->n_classes) * 4,
                               true, &p.counts, err);
    return r < 0 ? r : m2c_cl_run_groups(a, 0, a->c->shape.wide, 1, 1, err);
}

static int do_lookup(struct m2c_cl_args *a, const struct m2c_lookup_args *l,
                     struct m2c_err *err)
{
    const uint64_t wants = (uint64_t)l->k * sizeof(struct m2c_want);
    struct m2c_cl_lookup p = {
        .k = l->k, .n_classes = l->n_classes, .n_neurons = l->n_neurons};
    M2C_CL_PARAMS(a, p);
    int r = m2c_cl_add_mem(a, "wants", l->wants, wants, false, &p.wants, err);
    r = r < 0 ? r : m2c_cl_add_mem(a, "n_wants", l->n_wants, 4, false, &p.n_wants, err);
    r = r < 0 ? r
              : m2c_cl_add_mem(a, "table", l->table,
                               (uint64_t)l->n_classes * l->n_neurons * 4, false, &p.table,
                               err);
    r = r < 0 ? r
              : m2c_cl_add_mem(a, "list", l->list,
                               (uint64_t)l->k * sizeof(struct m2c_neuron_ref), true,
                               &p.list, err);
    r = r < 0 ? r : m2c_cl_add_mem(a, "misses", l->misses, wants, true, &p.misses, err);
    r = r < 0 ? r : m2c_cl_add_mem(a, "counts", l->counts, 16, true, &p.counts, err);
    return r < 0 ? r : m2c_cl_run_groups(a, 0, a->c->shape.wide, 1, 1, err);
}

bool m2c_cl_supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type)
{
    (void)dev;
    switch (op) {
    case M2C_OP_EMBED:
    case M2C_OP_MATMUL:
        return (unsigned)type <= M2C_I4;
    case M2C_OP_FFN_UP:
    case M2C_OP_FFN_DOWN:
        return (unsigned)type <= M2C_P8;
    case M2C_OP_KV_APPEND:
    case M2C_OP_ATTENTION:
        return type == M2C_F32 || type == M2C_F16;
    case M2C_OP_FILL:
    case M2C_OP_NORM:
    case M2C_OP_ROPE:
    case M2C_OP_FFN_SUM:
    case M2C_OP_ARGMAX:
    case M2C_OP_SELECT:
    case M2C_OP_LOOKUP:
        return type == M2C_F32;
    case M2C_N_OPS:
        break;
    }
    return false;
}

int m2c_cl_launch(struct m2c_queue *q, const struct m2c_call *call, struct m2c_err *err)
{
    struct m2c_cl *c = q->dev->priv;
    struct m2c_cl_args a = {.c = c, .q = q->priv, .program = &c->program[call->op]};
    int r = m2c_cl_build(q->dev, (unsigned)call->op, err);
    if (r < 0)
        return r;
    if (c->fault.code < 0)
        return m2c_fail(err, c->fault.code, "%s", c->fault.msg);
    switch (call->op) {
    case M2C_OP_FILL:
        return do_fill(&a, &call->u.fill, err);
    case M2C_OP_EMBED:
        return do_embed(&a, &call->u.embed, err);
    case M2C_OP_NORM:
        return do_norm(&a, &call->u.norm, err);
    case M2C_OP_MATMUL:
        return by_library(c, &call->u.matmul) ? m2c_cl_gemm(q, &call->u.matmul, err)
                                              : do_matmul(&a, &call->u.matmul, err);
    case M2C_OP_ROPE:
        return do_rope(&a, &call->u.rope, err);
    case M2C_OP_KV_APPEND:
        return do_kv_append(&a, &call->u.kv_append, err);
    case M2C_OP_ATTENTION:
        return do_attention(&a, &call->u.attention, err);
    case M2C_OP_FFN_UP:
        return do_ffn_up(&a, &call->u.ffn_up, err);
    case M2C_OP_FFN_DOWN:
        return do_ffn_down(&a, &call->u.ffn_down, err);
    case M2C_OP_FFN_SUM:
        return do_ffn_sum(&a, &call->u.ffn_sum, err);
    case M2C_OP_ARGMAX:
        return do_argmax(&a, &call->u.argmax, err);
    case M2C_OP_SELECT:
        return do_select(&a, &call->u.select, err);
    case M2C_OP_LOOKUP:
        return do_lookup(&a, &call->u.lookup, err);
    case M2C_N_OPS:
        break;
    }
    return -ENOTSUP;
}
