/* SPDX-License-Identifier: MIT */
/* What ops and copies cost: a roofline whose roofs are the profile's.
 *
 * An op takes the longer of its bytes over the bandwidth that its kernels reach
 * and its operations over the arithmetic that they reach, and a launch. Weights
 * are read once a call, whatever its rows. */
#include "dev/sim_impl.h"

#include <math.h>
#include <string.h>

/* A call's work, before it becomes time. */
struct load {
    double mem_ns; /* the bytes, at the bandwidth reached */
    double bytes;
    double flops;
};

static enum m2c_width width_of(enum m2c_type type)
{
    switch (type) {
    case M2C_F32: return M2C_WIDTH_32;
    case M2C_I8:
    case M2C_P8:
    case M2C_D8: return M2C_WIDTH_8;
    case M2C_I4:
    case M2C_D4: return M2C_WIDTH_4;
    default: return M2C_WIDTH_16;
    }
}

static void add(struct load *l, const struct m2c_profile *p, double bytes, double share)
{
    l->bytes += bytes;
    l->mem_ns += bytes / (p->gpu.gb_s * share);
}

static double vector_bytes(enum m2c_type type, uint32_t n)
{
    return (double)(m2c_code_bytes(type, n) + m2c_scale_bytes(type, n));
}

/* f32 that are read or written beside the weights. */
static void add_floats(struct load *l, const struct m2c_profile *p, double n)
{
    add(l, p, 4 * n, p->achieved.other);
}

static void of_matmul(const struct m2c_profile *p, const struct m2c_matmul_args *a,
                      struct load *l)
{
    const struct m2c_tensor *w = &a->w;
    add(l, p, w->rows * vector_bytes(w->type, w->cols), p->achieved.matmul[width_of(w->type)]);
    add_floats(l, p, (double)a->rows * ((double)w->rows * (a->add ? 2 : 1) + w->cols));
    l->flops = 2.0 * a->rows * w->rows * w->cols;
}

static void of_attention(const struct m2c_profile *p, const struct m2c_attention_args *a,
                         struct load *l)
{
    double seen = (double)a->pos + a->rows, kv = (double)a->kv_heads * a->head_dim;
    add(l, p, 2 * seen * vector_bytes(a->type, 1) * kv, p->achieved.attention);
    add_floats(l, p, 2.0 * a->rows * a->heads * a->head_dim);
    l->flops = 4.0 * a->rows * seen * a->heads * a->head_dim;
}

/* Neurons of a list by class, of those that the pass computes. */
static void count_list(const struct m2c_ffn_unit *u, struct m2c_mem mem, uint32_t n,
                       unsigned pass, uint32_t count[M2C_FFN_CLASSES])
{
    const struct m2c_neuron_ref *list = (const void *)m2c_sim_kept(mem);
    memset(count, 0, M2C_FFN_CLASSES * sizeof *count);
    if (!list) { /* a list too long to be kept: all of it, at the widest class */
        count[0] = n;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        bool in = pass == M2C_PASS_ANY ? list[i].pass != M2C_PASS_NONE : list[i].pass == pass;
        if (in && list[i].cls < u->n_classes)
            count[list[i].cls]++;
    }
}

static void of_ffn(const struct m2c_profile *p, const struct m2c_ffn_unit *u,
                   struct m2c_mem list, uint32_t n, unsigned pass, unsigned vectors,
                   uint32_t rows, struct load *l)
{
    uint32_t count[M2C_FFN_CLASSES];
    count_list(u, list, n, pass, count);
    for (uint32_t c = 0; c < u->n_classes; c++) {
        if (count[c] == 0)
            continue;
        double vector = vector_bytes(u->cls[c].type, u->dim);
        add(l, p, (double)count[c] * vectors * vector,
            p->achieved.ffn[width_of(u->cls[c].type)]);
        l->flops += 2.0 * rows * count[c] * vectors * u->dim;
    }
    add(l, p, (double)n * sizeof(struct m2c_neuron_ref), p->achieved.other);
    add_floats(l, p, (double)rows * n);
}

static void of_call(const struct m2c_profile *p, const struct m2c_call *call, struct load *l)
{
    switch (call->op) {
    case M2C_OP_FILL:
        add_floats(l, p, call->u.fill.n);
        return;
    case M2C_OP_EMBED:
        add_floats(l, p, 2.0 * call->u.embed.rows * call->u.embed.table.cols);
        return;
    case M2C_OP_NORM:
        add_floats(l, p, 3.0 * call->u.norm.rows * call->u.norm.n);
        return;
    case M2C_OP_MATMUL:
        of_matmul(p, &call->u.matmul, l);
        return;
    case M2C_OP_ROPE:
        add_floats(l, p, 2.0 * call->u.rope.rows * call->u.rope.heads * call->u.rope.head_dim);
        return;
    case M2C_OP_KV_APPEND:
        add_floats(l, p, 2.0 * call->u.kv_append.rows * call->u.kv_append.n);
        return;
    case M2C_OP_ATTENTION:
        of_attention(p, &call->u.attention, l);
        return;
    case M2C_OP_FFN_UP: {
        const struct m2c_ffn_up_args *a = &call->u.ffn_up;
        of_ffn(p, a->unit, a->list, a->n, a->pass, a->unit->has_gate ? 2 : 1, a->rows, l);
        return;
    }
    case M2C_OP_FFN_DOWN: {
        const struct m2c_ffn_down_args *a = &call->u.ffn_down;
        of_ffn(p, a->unit, a->list, a->n, M2C_PASS_ANY, 1, a->rows, l);
        /* sums of all segments are read and written */
        add_floats(l, p, 2.0 * a->rows * a->unit->dim *
                             m2c_ffn_segments(a->unit->n_neurons, a->seg_neurons));
        return;
    }
    case M2C_OP_FFN_SUM: {
        const struct m2c_ffn_sum_args *a = &call->u.ffn_sum;
        add_floats(l, p, (double)a->rows * a->dim * (a->segments + 2.0));
        return;
    }
    case M2C_OP_ARGMAX:
        add_floats(l, p, (double)call->u.argmax.rows * call->u.argmax.n);
        return;
    case M2C_OP_SELECT: /* a radix sort of keys and ids: four passes there and back */
        add_floats(l, p, 16.0 * call->u.select.n);
        return;
    case M2C_OP_LOOKUP:
        add_floats(l, p, 16.0 * call->u.lookup.k);
        return;
    case M2C_N_OPS:
        return;
    }
}

void m2c_sim_price_call(const struct m2c_profile *p, const struct m2c_call *call,
                        struct m2c_sim_work *out)
{
    struct load l = {0};
    of_call(p, call, &l);
    bool gemm = call->op == M2C_OP_MATMUL &&
                (int64_t)call->u.matmul.rows >= p->gpu.gemm_rows;
    double flops_ns = gemm ? p->gpu.gemm_tflops * p->achieved.gemm
                           : p->gpu.tflops * p->achieved.compute;
    double ns = M2C_MAX(l.mem_ns, l.flops / (flops_ns * 1e3));
    *out = (struct m2c_sim_work){.engine = M2C_SIM_COMPUTE,
                                 .ns = (uint64_t)ceil(p->gpu.launch_us * 1e3)};
    if (p->gpu.kind == M2C_PROFILE_CARD) {
        out->ns = (uint64_t)ceil(p->gpu.launch_us * 1e3 + ns);
    } else if (ns > 0) { /* its memory is DRAM, which others use as well */
        out->bytes = l.bytes;
        out->rate = l.bytes / ns;
        out->weight = 1;
    }
}

/* ---- copies ---- */

/* Whether n pieces go one by one, as a driver's copies, or by a kernel that brings all:
 * as the words of cfg.copy say, or whichever is shorter. */
static bool one_by_one(const char *how, double each_ns, double gather_ns)
{
    if (strcmp(how, "each") == 0 || strcmp(how, "gather") == 0)
        return strcmp(how, "each") == 0;
    return each_ns < gather_ns;
}

/* Within one memory: read and written there, by kernels or, on a processor, by a
 * thread. */
static void price_inside(const struct m2c_profile *p, double bytes, size_t n,
                         const char *how, struct m2c_sim_work *out, double *host_ns)
{
    double launch = p->gpu.launch_us * 1e3;
    if (p->gpu.kind == M2C_PROFILE_PROCESSOR) {
        *out = (struct m2c_sim_work){.engine = M2C_SIM_IN,
                                     .ns = (uint64_t)ceil(launch),
                                     .bytes = bytes,
                                     .rate = p->host.pack_gb_s,
                                     .weight = 2};
        return;
    }
    double ns = 2 * bytes / (p->gpu.gb_s * p->achieved.other);
    double each = (double)n * launch, gather = launch + (double)n * p->pcie.gather_ns;
    bool apart = one_by_one(how, each + (double)(n - 1) * *host_ns, gather);
    *out = (struct m2c_sim_work){.engine = M2C_SIM_COMPUTE,
                                 .ns = (uint64_t)ceil((apart ? each : gather) + ns)};
    *host_ns *= apart ? (double)n : 1;
}

void m2c_sim_price_copies(const struct m2c_profile *p, const struct m2c_copy *batch,
                          size_t n, const char *how, struct m2c_sim_work *out,
                          double *host_ns)
{
    double bytes = 0, link = m2c_profile_link(p);
    for (size_t i = 0; i < n; i++)
        bytes += (double)batch[i].bytes;
    bool to = batch[0].dst.buf->place == M2C_PLACE_DEVICE;
    bool from = batch[0].src.buf->place == M2C_PLACE_DEVICE;
    double each = (double)n * p->pcie.latency_us * 1e3;
    double gather = p->gpu.launch_us * 1e3 + (double)n * p->pcie.gather_ns;
    *out = (struct m2c_sim_work){0};
    *host_ns = p->host.copy_us * 1e3;
    if (p->gpu.kind == M2C_PROFILE_PROCESSOR || to == from) {
        price_inside(p, bytes, n, how, out, host_ns);
        return;
    }
    out->engine = to || p->pcie.engines == 1 ? M2C_SIM_IN : M2C_SIM_OUT;
    out->bytes = bytes;
    out->weight = 1;
    bool apart = one_by_one(how, each + bytes / link + (double)(n - 1) * *host_ns,
                            gather + bytes / (link * p->pcie.gather_share));
    out->ns = (uint64_t)ceil(apart ? each : gather);
    out->rate = link * (apart ? 1 : p->pcie.gather_share);
    if (apart)
        *host_ns *= (double)n;
}
