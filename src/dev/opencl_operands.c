/* SPDX-License-Identifier: MIT */
/* From operands to the arguments of a launch: which allocations they lie in,
 * where, and whether a kernel may read them there; and enqueuing. */
#include "dev/opencl_launch_impl.h"

#include <errno.h>
#include <string.h>

_Static_assert(M2C_CL_CLASSES == M2C_FFN_CLASSES, "as in ops/op.h");
_Static_assert(sizeof(struct m2c_cl_ffn_up) + (M2C_CL_WINDOWS + 3) * sizeof(cl_mem) <=
                   1024,
               "what every device takes as arguments");

/* ---- operands ---- */

/* An operand in one allocation; returns its offset there in *off. What is
 * written must not lie in two windows. */
int m2c_cl_add_mem(struct m2c_cl_args *a, const char *name, struct m2c_mem m,
                   uint64_t bytes, bool written, uint64_t *off, struct m2c_err *err)
{
    struct m2c_cl_place p = {.mem = a->c->tiny};
    *off = 0;
    if (bytes) {
        m2c_cl_locate(a->c, m, &p);
        if (written ? p.also || p.left < bytes : p.whole < bytes)
            return m2c_fail(err, -ENOTSUP,
                            "operand %s lies across two allocations of the device, which "
                            "makes none above %llu bytes",
                            name, (unsigned long long)a->c->max_alloc);
        *off = p.off;
    }
    a->mem[a->n_mem++] = p.mem;
    return 0;
}

/* The windows of `m` from its first byte on, to `bytes` further; *first is the
 * number of the first one, *off what lies where in it, *shift as in common.cl.
 * `row`: bytes that must lie in one window. */
static int add_windows(struct m2c_cl_args *a, const char *name, struct m2c_mem m,
                       uint64_t bytes, uint64_t row, uint32_t *first, uint64_t *off,
                       uint32_t *shift, struct m2c_err *err)
{
    const struct m2c_cl_buf *b = bytes ? m2c_cl_buf(m.buf) : NULL;
    *first = a->n_windows;
    *off = 0;
    *shift = 63;
    if (!b)
        return 0;
    size_t lo = 0, hi = 0;
    *off = m.off;
    if (b->n > 1) {
        lo = m.off >> a->c->shift;
        hi = (m.off + bytes - 1) >> a->c->shift;
        *off = m.off - ((uint64_t)lo << a->c->shift);
        *shift = a->c->shift;
    }
    for (unsigned i = 0; i + (hi - lo) < a->n_windows; i++) { /* there already? */
        if (a->mem[i] == b->mem[lo] && a->mem[i + (hi - lo)] == b->mem[hi]) {
            *first = i;
            return 0;
        }
    }
    if (a->n_windows + (hi - lo) + 1 > M2C_CL_WINDOWS ||
        (b->n > 1 && row > a->c->overlap))
        return m2c_fail(
            err, -ENOTSUP,
            "operand %s, of %llu bytes in rows of %llu, is spread over too many "
            "allocations of the device, which makes none above %llu bytes",
            name, (unsigned long long)bytes, (unsigned long long)row,
            (unsigned long long)a->c->max_alloc);
    for (size_t i = lo; i <= hi; i++)
        a->mem[a->n_windows++] = b->mem[i];
    return 0;
}

/* After the last window: the kernel's other operands follow. */
void m2c_cl_end_windows(struct m2c_cl_args *a)
{
    if (a->n_windows == 0)
        a->mem[a->n_windows++] = a->c->tiny;
    while (a->n_windows < M2C_CL_WINDOWS) {
        a->mem[a->n_windows] = a->mem[0];
        a->n_windows++;
    }
    a->n_mem = M2C_CL_WINDOWS;
}

int m2c_cl_add_matrix(struct m2c_cl_args *a, const char *name, const struct m2c_tensor *t,
                      struct m2c_cl_matrix *out, struct m2c_err *err)
{
    *out = (struct m2c_cl_matrix){.code_step = m2c_code_bytes(t->type, t->cols),
                                  .scale_step = m2c_scale_bytes(t->type, t->cols),
                                  .type = (uint32_t)t->type,
                                  .rows = t->rows,
                                  .cols = t->cols};
    int r = add_windows(a, name, t->codes, out->code_step * t->rows, out->code_step,
                        &out->code_window, &out->codes, &out->code_shift, err);
    if (r == 0)
        r = add_windows(a, "scales", t->scales, out->scale_step * t->rows,
                        out->scale_step, &out->scale_window, &out->scales,
                        &out->scale_shift, err);
    out->al = m2c_cl_aligned(out->codes) && m2c_cl_aligned(out->code_step);
    return r;
}

/* Slots with `n` vectors of each neuron, from off[0] on; *al is kept where all
 * of them begin at multiples of 16 bytes. */
static int add_slots(struct m2c_cl_args *a, struct m2c_mem base, size_t stride,
                     const uint32_t *off, unsigned n, struct m2c_cl_slots *out,
                     uint32_t *al, struct m2c_err *err)
{
    uint32_t window = 0, shift = 0;
    if (stride > UINT32_MAX)
        return m2c_fail(err, -ENOTSUP, "slots of %zu bytes", stride);
    int r = add_windows(a, "unit", base, base.buf->bytes - base.off, stride, &window,
                        &out->base, &shift, err);
    out->stride = (uint32_t)stride;
    out->window = (uint8_t)window;
    out->shift = (uint8_t)shift;
    *al = *al && m2c_cl_aligned(stride) && m2c_cl_aligned(out->base);
    for (unsigned v = 0; v < n; v++) {
        out->off[v] = off[v];
        *al = *al && m2c_cl_aligned(off[v]);
    }
    return r;
}

/* Vectors [first, first + n) of every neuron are what the op reads. */
int m2c_cl_add_unit(struct m2c_cl_args *a, const struct m2c_ffn_unit *u, unsigned first,
                    unsigned n, struct m2c_cl_unit *out, struct m2c_err *err)
{
    int r = 0;
    *out = (struct m2c_cl_unit){.dim = u->dim,
                                .has_gate = u->has_gate,
                                .act = (uint32_t)u->act,
                                .act_shift = u->act_shift};
    for (uint32_t i = 0; i < u->n_classes && r == 0; i++) {
        const struct m2c_ffn_class *k = &u->cls[i];
        struct m2c_cl_class *o = &out->cls[i];
        *o = (struct m2c_cl_class){.type = (uint32_t)k->type, .al = 1};
        memcpy(o->scale_off, k->scale_off + first, n * sizeof(uint32_t));
        if (!k->base.buf) /* a class without slots */
            continue;
        r = add_slots(a, k->base, k->stride, k->code_off + first, n, &o->slots, &o->al,
                      err);
        for (unsigned p = 0; p + 1 < m2c_type_planes(k->type) && r == 0; p++)
            r = add_slots(a, k->plane[p].base, k->plane[p].stride,
                          k->plane[p].off + first, n, &o->plane[p], &o->al, err);
    }
    m2c_cl_end_windows(a);
    return r;
}

/* ---- enqueuing ---- */

int m2c_cl_run(struct m2c_cl_args *a, int variant, const size_t *global,
               const size_t *local, struct m2c_err *err)
{
    cl_kernel k = a->program->kernel[variant];
    cl_int e = CL_SUCCESS;
    for (unsigned i = 0; i < a->n_mem && e == CL_SUCCESS; i++)
        e = clSetKernelArg(k, i, sizeof(cl_mem), &a->mem[i]);
    if (e == CL_SUCCESS)
        e = clSetKernelArg(k, a->n_mem, a->param_bytes, a->params);
    if (e != CL_SUCCESS)
        return m2c_cl_fail(err, e, "clSetKernelArg");
    e = clEnqueueNDRangeKernel(a->q->queue, k, 3, NULL, global, local, 0, NULL, NULL);
    return e == CL_SUCCESS ? 0 : m2c_cl_fail(err, e, "clEnqueueNDRangeKernel");
}

/* For kernels without a size of their own. */
static unsigned item_group(const struct m2c_cl_args *a)
{
    return a->c->shape.lanes > 1 ? a->c->shape.wide : 16;
}

/* n0 work-items at least, and n1 × n2. */
int m2c_cl_run_items(struct m2c_cl_args *a, uint64_t n0, uint64_t n1, uint64_t n2,
                     struct m2c_err *err)
{
    const size_t local[3] = {item_group(a), 1, 1};
    const size_t global[3] = {m2c_align_up(M2C_MAX(n0, UINT64_C(1)), local[0]), n1, n2};
    return n0 && n1 && n2 ? m2c_cl_run(a, 0, global, local, err) : 0;
}

/* n0 × n1 work-groups of `size`. */
int m2c_cl_run_groups(struct m2c_cl_args *a, int variant, unsigned size, uint64_t n0,
                      uint64_t n1, struct m2c_err *err)
{
    const size_t local[3] = {size, 1, 1}, global[3] = {n0 * size, n1, 1};
    return n0 && n1 ? m2c_cl_run(a, variant, global, local, err) : 0;
}
