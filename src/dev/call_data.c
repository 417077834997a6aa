/* SPDX-License-Identifier: MIT */
/* What can be said about a call only when it runs: the ids and lists that
 * earlier work on the queue has brought. A few nanoseconds an entry, beside
 * the thousands of weights that stand behind each. */
#include "dev/dev_impl.h"

#include <errno.h>

static int check_embed(const struct m2c_embed_args *a, struct m2c_err *err)
{
    const uint32_t *ids = m2c_mem_host(a->ids);
    for (uint32_t r = 0; r < a->rows; r++) {
        if (ids[r] >= a->table.rows)
            return m2c_fail(err, -EINVAL, "row %u: id %u of a table of %u", r, ids[r],
                            a->table.rows);
    }
    return 0;
}

/* Slots whose bytes [0, reach) lie whole in the buffer. */
static uint64_t slots_in(struct m2c_mem base, size_t stride, uint64_t reach)
{
    if (!base.buf || !m2c_range_ok(base.off, reach, base.buf->bytes))
        return 0;
    uint64_t rest = base.buf->bytes - base.off - reach;
    return stride ? rest / stride + 1 : UINT64_MAX;
}

/* How many slots of a class lie whole in its buffers, of the vectors that the
 * op reads: first <= v < end. */
static uint64_t slots_of(const struct m2c_ffn_unit *u, uint32_t cls, unsigned first,
                         unsigned end)
{
    static const enum m2c_type plane_type[M2C_FFN_PLANES] = {M2C_D4, M2C_D8};
    const struct m2c_ffn_class *c = &u->cls[cls];
    unsigned planes = m2c_type_planes(c->type);
    enum m2c_type type = planes > 1 ? M2C_I4 : c->type; /* of what lies at base */
    uint64_t reach = 0, slots;
    for (unsigned v = first; v < end; v++) {
        uint64_t codes = c->code_off[v] + (uint64_t)m2c_code_bytes(type, u->dim);
        uint64_t scales = c->scale_off[v] + (uint64_t)m2c_scale_bytes(type, u->dim);
        reach = M2C_MAX(reach, codes);
        if (m2c_type_grouped(type))
            reach = M2C_MAX(reach, scales);
    }
    slots = slots_in(c->base, c->stride, reach);
    for (unsigned p = 0; p + 1 < planes; p++) {
        const struct m2c_ffn_plane *q = &c->plane[p];
        reach = 0;
        for (unsigned v = first; v < end; v++)
            reach = M2C_MAX(reach, q->off[v] +
                                       (uint64_t)m2c_code_bytes(plane_type[p], u->dim));
        slots = M2C_MIN(slots, slots_in(q->base, q->stride, reach));
    }
    return slots;
}

static int check_list(const struct m2c_ffn_unit *u, struct m2c_mem mem, uint32_t n,
                      unsigned pass, unsigned first, unsigned end, struct m2c_err *err)
{
    const struct m2c_neuron_ref *list = m2c_mem_host(mem);
    uint64_t slots[M2C_FFN_CLASSES];
    for (uint32_t c = 0; c < u->n_classes; c++)
        slots[c] = slots_of(u, c, first, end);
    for (uint32_t i = 0; i < n; i++) {
        const struct m2c_neuron_ref *e = &list[i];
        bool no_entry = e->id == M2C_NO_ID && e->pass == M2C_PASS_NONE;
        if (no_entry && pass != M2C_PASS_ANY)
            continue; /* what follows must be one too: no id is greater */
        if (e->id >= u->n_neurons)
            return m2c_fail(err, -EINVAL, "entry %u of %u: neuron %u of %u", i, n, e->id,
                            u->n_neurons);
        if (i && e->id <= e[-1].id)
            return m2c_fail(err, -EINVAL, "entry %u of %u: neuron %u after %u", i, n,
                            e->id, e[-1].id);
        if (pass != M2C_PASS_ANY && e->pass != pass)
            continue;
        if (e->cls >= u->n_classes || e->slot >= slots[e->cls])
            return m2c_fail(err, -EINVAL, "entry %u of %u: neuron %u, class %u, slot %u",
                            i, n, e->id, e->cls, e->slot);
    }
    return 0;
}

static int check_wants(const struct m2c_lookup_args *a, struct m2c_err *err)
{
    const struct m2c_want *w = m2c_mem_host(a->wants);
    uint32_t n = *(const uint32_t *)m2c_mem_host(a->n_wants);
    for (uint32_t i = 0; i < (n > a->k ? 0 : n); i++) {
        if (w[i].id >= a->n_neurons || w[i].cls >= a->n_classes)
            return m2c_fail(err, -EINVAL,
                            "want %u of %u: neuron %u of %u, class %u of %u", i, n, w[i].id,
                            a->n_neurons, w[i].cls, a->n_classes);
        if (i && w[i].id <= w[i - 1].id)
            return m2c_fail(err, -EINVAL, "want %u of %u: neuron %u after %u", i, n,
                            w[i].id, w[i - 1].id);
    }
    return 0;
}

int m2c_call_check_data(const struct m2c_call *call, struct m2c_err *err)
{
    if (call->op == M2C_OP_EMBED)
        return check_embed(&call->u.embed, err);
    if (call->op == M2C_OP_FFN_UP) {
        const struct m2c_ffn_up_args *a = &call->u.ffn_up;
        return check_list(a->unit, a->list, a->n, a->pass, a->unit->has_gate ? 0 : 1, 2,
                          err);
    }
    if (call->op == M2C_OP_FFN_DOWN) {
        const struct m2c_ffn_down_args *a = &call->u.ffn_down;
        return check_list(a->unit, a->list, a->n, M2C_PASS_ANY, 2, 3, err);
    }
    return call->op == M2C_OP_LOOKUP ? check_wants(&call->u.lookup, err) : 0;
}
