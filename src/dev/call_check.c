/* SPDX-License-Identifier: MIT */
/* What can be said about a call before it runs: its numbers, the bounds of
 * its operands, which of them may share memory, and its types.
 *
 * Each op is turned into a list of operands, which is then checked alike for
 * all. Sizes are products of up to four u32: they saturate, since what is too
 * large for 64 bits fits no buffer. */
#include "dev/dev_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { MAX_OPERANDS = 6 };

struct operand {
    const char *name;
    struct m2c_mem mem;
    uint64_t bytes;
    uint32_t align; /* the element's size */
    bool written;
    const char *same; /* another operand that it may be, exactly; or NULL */
};

struct operands {
    unsigned n;
    struct operand op[MAX_OPERANDS];
};

static uint64_t times(uint64_t a, uint64_t b)
{
    return b && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

static struct operand *add(struct operands *o, const char *name, struct m2c_mem mem,
                           uint64_t n0, uint64_t n1, uint64_t n2, uint32_t width)
{
    struct operand *p = &o->op[o->n++];
    *p = (struct operand){.name = name,
                          .mem = mem,
                          .bytes = times(times(times(n0, n1), n2), width),
                          .align = width};
    return p;
}

static void add_out(struct operands *o, const char *name, struct m2c_mem mem, uint64_t n0,
                    uint64_t n1, uint64_t n2, uint32_t width)
{
    add(o, name, mem, n0, n1, n2, width)->written = true;
}

static void add_list(struct operands *o, struct m2c_mem list, uint32_t n)
{
    add(o, "list", list, n, sizeof(struct m2c_neuron_ref), 1, 1)->align =
        _Alignof(struct m2c_neuron_ref);
}

/* ---- one function an op, or a few; -EINVAL for numbers without a sense ---- */

static uint32_t code_align(enum m2c_type type)
{
    return type == M2C_F32 ? 4 : m2c_type_grouped(type) ? 1 : 2;
}

static int add_tensor(struct operands *o, const char *codes, const char *scales,
                      const struct m2c_tensor *t, struct m2c_err *err)
{
    if ((unsigned)t->type >= M2C_N_TYPES)
        return m2c_fail(err, -EINVAL, "operand %s: type %d does not exist", codes,
                        (int)t->type);
    add(o, codes, t->codes, t->rows, m2c_code_bytes(t->type, t->cols), 1, 1)->align =
        code_align(t->type);
    if (m2c_type_grouped(t->type))
        add(o, scales, t->scales, t->rows, m2c_scale_bytes(t->type, t->cols), 1, 1)
            ->align = 2;
    return 0;
}

static int check_cache(enum m2c_type type, struct m2c_err *err)
{
    return type == M2C_F32 || type == M2C_F16 || type == M2C_BF16
               ? 0
               : m2c_fail(err, -EINVAL, "a cache of type %d", (int)type);
}

static int of_embed(const struct m2c_embed_args *a, struct operands *o,
                    struct m2c_err *err)
{
    add(o, "ids", a->ids, a->rows, 1, 1, 4);
    add_out(o, "out", a->out, a->rows, a->table.cols, 1, 4);
    return add_tensor(o, "table", "scales of the table", &a->table, err);
}

static int of_norm(const struct m2c_norm_args *a, struct operands *o)
{
    add(o, "x", a->x, a->rows, a->n, 1, 4);
    add(o, "w", a->w, a->n, 1, 1, 4);
    add_out(o, "y", a->y, a->rows, a->n, 1, 4);
    o->op[o->n - 1].same = "x";
    return 0;
}

static int of_matmul(const struct m2c_matmul_args *a, struct operands *o,
                     struct m2c_err *err)
{
    add(o, "x", a->x, a->rows, a->w.cols, 1, 4);
    add_out(o, "y", a->y, a->rows, a->w.rows, 1, 4);
    return add_tensor(o, "w", "scales of w", &a->w, err);
}

static int of_rope(const struct m2c_rope_args *a, struct operands *o, struct m2c_err *err)
{
    if (a->head_dim % 2 ||
        (a->style != M2C_ROPE_HALF && a->style != M2C_ROPE_INTERLEAVED))
        return m2c_fail(err, -EINVAL, "heads of %u, style %d", a->head_dim,
                        (int)a->style);
    if (a->pos > UINT32_MAX - a->rows)
        return m2c_fail(err, -EINVAL, "%u rows from position %u", a->rows, a->pos);
    add_out(o, "x", a->x, a->rows, a->heads, a->head_dim, 4);
    add(o, "inv_freq", a->inv_freq, a->head_dim / 2, 1, 1, 4);
    return 0;
}

static int of_kv_append(const struct m2c_kv_append_args *a, struct operands *o,
                        struct m2c_err *err)
{
    int r = check_cache(a->type, err);
    if (r < 0)
        return r;
    add(o, "x", a->x, a->rows, a->n, 1, 4);
    add_out(o, "cache", a->cache, (uint64_t)a->pos + a->rows, a->n, 1,
            code_align(a->type));
    return 0;
}

static int of_attention(const struct m2c_attention_args *a, struct operands *o,
                        struct m2c_err *err)
{
    int r = check_cache(a->type, err);
    if (r < 0)
        return r;
    if (a->kv_heads == 0 || a->heads % a->kv_heads)
        return m2c_fail(err, -EINVAL, "%u heads over %u kv heads", a->heads, a->kv_heads);
    if (a->pos > UINT32_MAX - a->rows)
        return m2c_fail(err, -EINVAL, "%u rows from position %u", a->rows, a->pos);
    uint64_t seen = times((uint64_t)a->pos + a->rows, a->kv_heads);
    uint64_t asked = times(a->rows, a->heads);
    add(o, "q", a->q, asked, a->head_dim, 1, 4);
    add(o, "k", a->k, seen, a->head_dim, 1, code_align(a->type));
    add(o, "v", a->v, seen, a->head_dim, 1, code_align(a->type));
    add_out(o, "out", a->out, asked, a->head_dim, 1, 4);
    return 0;
}

static int check_unit(const struct m2c_ffn_unit *u, struct m2c_err *err)
{
    if (!u)
        return m2c_fail(err, -EINVAL, "no unit");
    if (u->n_classes == 0 || u->n_classes > M2C_FFN_CLASSES || u->dim == 0 ||
        (unsigned)u->act >= M2C_N_ACTS)
        return m2c_fail(err, -EINVAL, "a unit of %u classes, dim %u, activation %d",
                        u->n_classes, u->dim, (int)u->act);
    for (uint32_t c = 0; c < u->n_classes; c++) {
        if ((unsigned)u->cls[c].type >= M2C_N_TYPES)
            return m2c_fail(err, -EINVAL, "class %u: type %d does not exist", c,
                            (int)u->cls[c].type);
        for (unsigned p = 0; p + 1 < m2c_type_planes(u->cls[c].type); p++)
            if (u->cls[c].base.buf && !u->cls[c].plane[p].base.buf)
                return m2c_fail(err, -EINVAL, "class %u: type %s without its plane %u", c,
                                m2c_type_name(u->cls[c].type), p + 1);
    }
    return 0;
}

static int of_ffn_up(const struct m2c_ffn_up_args *a, struct operands *o,
                     struct m2c_err *err)
{
    int r = check_unit(a->unit, err);
    if (r < 0)
        return r;
    add_list(o, a->list, a->n);
    add(o, "x", a->x, a->rows, a->unit->dim, 1, 4);
    add_out(o, "h", a->h, a->rows, a->n, 1, 4);
    return 0;
}

static int of_ffn_down(const struct m2c_ffn_down_args *a, struct operands *o,
                       struct m2c_err *err)
{
    int r = check_unit(a->unit, err);
    if (r < 0)
        return r;
    if (a->seg_neurons == 0)
        return m2c_fail(err, -EINVAL, "segments of no neurons");
    add_list(o, a->list, a->n);
    add(o, "h", a->h, a->rows, a->n, 1, 4);
    add_out(o, "acc", a->acc, a->rows,
            m2c_ffn_segments(a->unit->n_neurons, a->seg_neurons), a->unit->dim, 4);
    return 0;
}

static int of_ffn_sum(const struct m2c_ffn_sum_args *a, struct operands *o)
{
    add(o, "acc", a->acc, a->rows, a->segments, a->dim, 4);
    add_out(o, "y", a->y, a->rows, a->dim, 1, 4);
    return 0;
}

static int of_argmax(const struct m2c_argmax_args *a, struct operands *o,
                     struct m2c_err *err)
{
    if (a->n == 0)
        return m2c_fail(err, -EINVAL, "the largest of no elements");
    add(o, "x", a->x, a->rows, a->n, 1, 4);
    add_out(o, "out", a->out, a->rows, 1, 1, 4);
    return 0;
}

static void add_wants(struct operands *o, const char *name, struct m2c_mem mem, uint32_t n)
{
    add(o, name, mem, n, sizeof(struct m2c_want), 1, 1)->align = _Alignof(struct m2c_want);
}

static int of_select(const struct m2c_select_args *a, struct operands *o,
                     struct m2c_err *err)
{
    if (a->k > a->n || a->n_classes == 0 || a->n_classes > M2C_FFN_CLASSES)
        return m2c_fail(err, -EINVAL, "%u of %u scores, in %u classes", a->k, a->n,
                        a->n_classes);
    add(o, "scores", a->scores, a->n, 1, 1, 4);
    add(o, "splits", a->splits, (uint64_t)a->k + 1, a->n_classes, 1, 4);
    add_wants(o, "wants", a->wants, a->k);
    o->op[o->n - 1].written = true;
    add_out(o, "counts", a->counts, 1 + (uint64_t)a->n_classes, 1, 1, 4);
    return 0;
}

static int of_lookup(const struct m2c_lookup_args *a, struct operands *o,
                     struct m2c_err *err)
{
    if (a->n_classes == 0 || a->n_classes > M2C_FFN_CLASSES)
        return m2c_fail(err, -EINVAL, "a table of %u classes", a->n_classes);
    add_wants(o, "wants", a->wants, a->k);
    add(o, "n_wants", a->n_wants, 1, 1, 1, 4);
    add(o, "table", a->table, a->n_classes, a->n_neurons, 1, 4);
    add_list(o, a->list, a->k);
    o->op[o->n - 1].written = true;
    add_wants(o, "misses", a->misses, a->k);
    o->op[o->n - 1].written = true;
    add_out(o, "counts", a->counts, 4, 1, 1, 4);
    return 0;
}

static int list_operands(const struct m2c_call *c, struct operands *o,
                         struct m2c_err *err)
{
    switch (c->op) {
    case M2C_OP_FILL:
        add_out(o, "dst", c->u.fill.dst, c->u.fill.n, 1, 1, 4);
        return 0;
    case M2C_OP_EMBED:
        return of_embed(&c->u.embed, o, err);
    case M2C_OP_NORM:
        return of_norm(&c->u.norm, o);
    case M2C_OP_MATMUL:
        return of_matmul(&c->u.matmul, o, err);
    case M2C_OP_ROPE:
        return of_rope(&c->u.rope, o, err);
    case M2C_OP_KV_APPEND:
        return of_kv_append(&c->u.kv_append, o, err);
    case M2C_OP_ATTENTION:
        return of_attention(&c->u.attention, o, err);
    case M2C_OP_FFN_UP:
        return of_ffn_up(&c->u.ffn_up, o, err);
    case M2C_OP_FFN_DOWN:
        return of_ffn_down(&c->u.ffn_down, o, err);
    case M2C_OP_FFN_SUM:
        return of_ffn_sum(&c->u.ffn_sum, o);
    case M2C_OP_ARGMAX:
        return of_argmax(&c->u.argmax, o, err);
    case M2C_OP_SELECT:
        return of_select(&c->u.select, o, err);
    case M2C_OP_LOOKUP:
        return of_lookup(&c->u.lookup, o, err);
    case M2C_N_OPS:
        break;
    }
    return m2c_fail(err, -EINVAL, "op %d does not exist", (int)c->op);
}

/* ---- what holds for all ---- */

static int check_operand(const struct m2c_dev *dev, const struct operand *p,
                         struct m2c_err *err)
{
    if (p->bytes == 0)
        return 0;
    if (!p->mem.buf || !m2c_range_ok(p->mem.off, p->bytes, p->mem.buf->bytes))
        return m2c_fail(err, -EINVAL,
                        "operand %s: %" PRIu64 " bytes at offset %zu of a buffer of %zu",
                        p->name, p->bytes, p->mem.off,
                        p->mem.buf ? p->mem.buf->bytes : (size_t)0);
    if (p->mem.off % p->align)
        return m2c_fail(err, -EINVAL, "operand %s: offset %zu is no multiple of %u",
                        p->name, p->mem.off, p->align);
    if (!dev->info.unified && p->mem.buf->place != M2C_PLACE_DEVICE)
        return m2c_fail(err, -EINVAL, "operand %s is not in device memory", p->name);
    return 0;
}

static int check_apart(const struct operand *w, const struct operand *p,
                       struct m2c_err *err)
{
    if (w == p || w->bytes == 0 || p->bytes == 0 || w->mem.buf != p->mem.buf ||
        w->mem.off >= p->mem.off + p->bytes || p->mem.off >= w->mem.off + w->bytes ||
        (w->same && strcmp(w->same, p->name) == 0 && w->mem.off == p->mem.off))
        return 0;
    return m2c_fail(err, -EINVAL, "operands %s and %s share memory", w->name, p->name);
}

int m2c_call_check(const struct m2c_dev *dev, const struct m2c_call *call,
                   struct m2c_err *err)
{
    struct operands o = {0};
    int r = list_operands(call, &o, err);
    for (unsigned i = 0; i < o.n && r == 0; i++)
        r = check_operand(dev, &o.op[i], err);
    for (unsigned i = 0; i < o.n && r == 0; i++) {
        for (unsigned j = 0; j < o.n && r == 0 && o.op[i].written; j++)
            r = check_apart(&o.op[i], &o.op[j], err);
    }
    return r < 0 ? m2c_fail_in(err, r, "op %s", m2c_op_name(call->op)) : 0;
}

/* ---- types ---- */

static const struct m2c_ffn_unit *unit_of(const struct m2c_call *c)
{
    return c->op == M2C_OP_FFN_UP     ? c->u.ffn_up.unit
           : c->op == M2C_OP_FFN_DOWN ? c->u.ffn_down.unit
                                      : NULL;
}

static enum m2c_type type_of(const struct m2c_call *c)
{
    switch (c->op) {
    case M2C_OP_EMBED:
        return c->u.embed.table.type;
    case M2C_OP_MATMUL:
        return c->u.matmul.w.type;
    case M2C_OP_KV_APPEND:
        return c->u.kv_append.type;
    case M2C_OP_ATTENTION:
        return c->u.attention.type;
    default:
        return M2C_F32;
    }
}

/* Of a unit, the classes that have slots. */
int m2c_call_supported(const struct m2c_dev *dev, const struct m2c_call *call,
                       struct m2c_err *err)
{
    const struct m2c_ffn_unit *u = unit_of(call);
    for (uint32_t c = 0; c < (u ? u->n_classes : 1); c++) {
        enum m2c_type type = u ? u->cls[c].type : type_of(call);
        if ((!u || u->cls[c].base.buf) && !m2c_dev_supports(dev, call->op, type))
            return m2c_fail(err, -ENOTSUP, "device %s does not do %s on %s",
                            dev->info.name, m2c_op_name(call->op), m2c_type_name(type));
    }
    return 0;
}
