/* SPDX-License-Identifier: MIT */
/* What both phases of the sparse FFN share: from a list's entry to its
 * vectors. */
enum { SILU, GELU, RELU }; /* enum m2c_act, checked by the host */

static inline bytes slot_of(WINDOWS, struct m2c_cl_slots s, uint slot)
{
    return window(PASS_WINDOWS, s.window, s.shift, s.base + (ulong)slot * s.stride);
}

/* Vector v of the op (phase A: gate, up; phase B: down) of a listed neuron. */
static inline struct vec neuron(WINDOWS, const struct m2c_cl_unit *u,
                                __global const struct m2c_cl_ref *ref, uint v)
{
    const struct m2c_cl_class *c = &u->cls[ref->cls];
    bytes slot = slot_of(PASS_WINDOWS, c->slots, ref->slot);
    struct vec w = {slot + c->slots.off[v], slot + c->scale_off[v], slot, slot, c->type,
                    c->al};
    if (c->type >= P16)
        w.d4 = slot_of(PASS_WINDOWS, c->plane[0], ref->slot) + c->plane[0].off[v];
    if (c->type == P16)
        w.d8 = slot_of(PASS_WINDOWS, c->plane[1], ref->slot) + c->plane[1].off[v];
    return w;
}
