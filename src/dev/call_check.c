/* SPDX-License-Identifier: MIT */
/* Bounds of a call's operands. Sizes are products of u32: at most 2^96 would
 * come out of three of them, so they are multiplied with care. */
#include "dev/dev_impl.h"

#include <errno.h>

/* n0 · n1 · n2 · width, saturating: too large fits no buffer. */
static uint64_t size_of(uint64_t n0, uint64_t n1, uint64_t n2, uint64_t width)
{
    size_t x = n0;
    if (!m2c_mul_size(x, n1, &x) || !m2c_mul_size(x, n2, &x) ||
        !m2c_mul_size(x, width, &x))
        return UINT64_MAX;
    return x;
}

static int inside(const char *what, struct m2c_mem m, uint64_t bytes, struct m2c_err *err)
{
    if (bytes == 0)
        return 0;
    if (!m.buf || !m2c_range_ok(m.off, bytes, m.buf->bytes))
        return m2c_fail(err, -EINVAL,
                        "operand %s: %llu bytes at offset %zu of a buffer of %zu", what,
                        (unsigned long long)bytes, m.off, m.buf ? m.buf->bytes : (size_t)0);
    return 0;
}

static int tensor(const char *what, const struct m2c_tensor *t, struct m2c_err *err)
{
    int r = inside(what, t->codes, size_of(t->rows, m2c_code_bytes(t->type, t->cols), 1, 1),
                   err);
    return r < 0 ? r
                 : inside("scales", t->scales,
                          size_of(t->rows, m2c_scale_bytes(t->type, t->cols), 1, 1), err);
}

static int ffn_list(const struct m2c_ffn_unit *u, struct m2c_mem list, uint32_t n,
                    struct m2c_err *err)
{
    if (u->n_classes == 0 || u->n_classes > M2C_FFN_CLASSES || u->dim == 0)
        return m2c_fail(err, -EINVAL, "FFN unit: %u classes, dim %u", u->n_classes, u->dim);
    return inside("list", list, size_of(n, sizeof(struct m2c_neuron_ref), 1, 1), err);
}

static int check_ffn(const struct m2c_call *c, struct m2c_err *err)
{
    int r = 0;
    if (c->op == M2C_OP_FFN_UP) {
        const struct m2c_ffn_up_args *a = &c->u.ffn_up;
        r = ffn_list(a->unit, a->list, a->n, err);
        r = r < 0 ? r : inside("x", a->x, size_of(a->rows, a->unit->dim, 1, 4), err);
        r = r < 0 ? r : inside("h", a->h, size_of(a->rows, a->n, 1, 4), err);
    } else if (c->op == M2C_OP_FFN_DOWN) {
        const struct m2c_ffn_down_args *a = &c->u.ffn_down;
        if (a->seg_neurons == 0)
            return m2c_fail(err, -EINVAL, "FFN: segments of no neurons");
        uint32_t segments = m2c_ffn_segments(a->unit->n_neurons, a->seg_neurons);
        r = ffn_list(a->unit, a->list, a->n, err);
        r = r < 0 ? r : inside("h", a->h, size_of(a->rows, a->n, 1, 4), err);
        r = r < 0 ? r
                  : inside("acc", a->acc, size_of(a->rows, segments, a->unit->dim, 4), err);
    } else {
        const struct m2c_ffn_sum_args *a = &c->u.ffn_sum;
        r = inside("acc", a->acc, size_of(a->rows, a->segments, a->dim, 4), err);
        r = r < 0 ? r : inside("y", a->y, size_of(a->rows, a->dim, 1, 4), err);
    }
    return r;
}

static int check_attention(const struct m2c_call *c, struct m2c_err *err)
{
    const struct m2c_attention_args *a = &c->u.attention;
    if (a->kv_heads == 0 || a->heads % a->kv_heads)
        return m2c_fail(err, -EINVAL, "attention: %u heads over %u kv heads", a->heads,
                        a->kv_heads);
    uint64_t q = size_of(a->rows, a->heads, a->head_dim, 4);
    uint64_t kv = size_of((uint64_t)a->pos + a->rows, a->kv_heads, a->head_dim,
                          a->type == M2C_F16 ? 2 : 4);
    int r = inside("q", a->q, q, err);
    r = r < 0 ? r : inside("k", a->k, kv, err);
    r = r < 0 ? r : inside("v", a->v, kv, err);
    return r < 0 ? r : inside("out", a->out, q, err);
}

static int check_matmul(const struct m2c_call *c, struct m2c_err *err)
{
    const struct m2c_matmul_args *a = &c->u.matmul;
    int r = tensor("w", &a->w, err);
    r = r < 0 ? r : inside("x", a->x, size_of(a->rows, a->w.cols, 1, 4), err);
    return r < 0 ? r : inside("y", a->y, size_of(a->rows, a->w.rows, 1, 4), err);
}

static int check_rope(const struct m2c_call *c, struct m2c_err *err)
{
    const struct m2c_rope_args *a = &c->u.rope;
    int r = inside("x", a->x, size_of(a->rows, a->heads, a->head_dim, 4), err);
    return r < 0 ? r : inside("inv_freq", a->inv_freq, size_of(a->head_dim / 2, 1, 1, 4), err);
}

static int check_rest(const struct m2c_call *c, struct m2c_err *err)
{
    int r = 0;
    switch (c->op) {
    case M2C_OP_FILL: return inside("dst", c->u.fill.dst, size_of(c->u.fill.n, 4, 1, 1), err);
    case M2C_OP_EMBED: {
        const struct m2c_embed_args *a = &c->u.embed;
        r = tensor("table", &a->table, err);
        r = r < 0 ? r : inside("ids", a->ids, size_of(a->rows, 4, 1, 1), err);
        return r < 0 ? r : inside("out", a->out, size_of(a->rows, a->table.cols, 1, 4), err);
    }
    case M2C_OP_NORM: {
        const struct m2c_norm_args *a = &c->u.norm;
        r = inside("x", a->x, size_of(a->rows, a->n, 1, 4), err);
        r = r < 0 ? r : inside("w", a->w, size_of(a->n, 4, 1, 1), err);
        return r < 0 ? r : inside("y", a->y, size_of(a->rows, a->n, 1, 4), err);
    }
    case M2C_OP_KV_APPEND: {
        const struct m2c_kv_append_args *a = &c->u.kv_append;
        r = inside("x", a->x, size_of(a->rows, a->n, 1, 4), err);
        return r < 0 ? r
                     : inside("cache", a->cache,
                              size_of((uint64_t)a->pos + a->rows, a->n, 1,
                                      a->type == M2C_F16 ? 2 : 4),
                              err);
    }
    default: return m2c_fail(err, -EINVAL, "op %d does not exist", (int)c->op);
    }
}

int m2c_call_check(const struct m2c_call *c, struct m2c_err *err)
{
    int r;
    switch (c->op) {
    case M2C_OP_MATMUL: r = check_matmul(c, err); break;
    case M2C_OP_ROPE: r = check_rope(c, err); break;
    case M2C_OP_ATTENTION: r = check_attention(c, err); break;
    case M2C_OP_FFN_UP:
    case M2C_OP_FFN_DOWN:
    case M2C_OP_FFN_SUM: r = check_ffn(c, err); break;
    default: r = check_rest(c, err);
    }
    return r < 0 ? m2c_fail_in(err, r, "op %s", m2c_op_name(c->op)) : 0;
}

enum m2c_type m2c_call_type(const struct m2c_call *c)
{
    switch (c->op) {
    case M2C_OP_EMBED: return c->u.embed.table.type;
    case M2C_OP_MATMUL: return c->u.matmul.w.type;
    case M2C_OP_KV_APPEND: return c->u.kv_append.type;
    case M2C_OP_ATTENTION: return c->u.attention.type;
    default: return M2C_F32; /* the classes of a unit are checked one by one */
    }
}
