/* SPDX-License-Identifier: MIT */
/* What both phases of the sparse FFN share: from a list's entry to its
 * vectors. */
enum { SILU, GELU, RELU }; /* enum m2c_act, checked by the host */

/* Vector v (gate, up, down) of a listed neuron. */
static inline struct vec neuron(WINDOWS, const struct m2c_cl_unit *u,
                                __global const struct m2c_cl_ref *ref, uint v)
{
    const struct m2c_cl_class *c = &u->cls[ref->cls];
    bytes slot = window(PASS_WINDOWS, c->window, c->shift, c->base + ref->slot * c->stride);
    struct vec w = {slot + c->code_off[v], slot + c->scale_off[v], c->type, c->al};
    return w;
}
