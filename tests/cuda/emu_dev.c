/* SPDX-License-Identifier: MIT */
/* A device for the kernel program alone: every op is a launch of the emulated
 * CUDA kernels, at once, with nothing of a driver between. What a kernel may
 * touch is the op's operands, to the byte, so that a read beside one is found
 * though there is memory. Devices of one, two and three threads differ in
 * their number of multiprocessors, thus in their grids. */
#include "emu_dev.h"

#include "dev/dev_impl.h"

#include "base/clock.h"
#include "base/mem.h"
#include "emu.h"
#include "launch.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(struct m2c_k_ref) == sizeof(struct m2c_neuron_ref), "one list");
_Static_assert(M2C_K_F32 == (int)M2C_F32 && M2C_K_F16 == (int)M2C_F16 &&
                   M2C_K_BF16 == (int)M2C_BF16 && M2C_K_I8 == (int)M2C_I8 &&
                   M2C_K_I4 == (int)M2C_I4 && M2C_K_P16 == (int)M2C_P16 &&
                   M2C_K_P8 == (int)M2C_P8,
               "the kernels' types");
_Static_assert(M2C_K_SILU == (int)M2C_ACT_SILU && M2C_K_GELU == (int)M2C_ACT_GELU &&
                   M2C_K_RELU == (int)M2C_ACT_RELU,
               "the kernels' activations");

enum { MAX_RANGES = 32 };

/* One op on its way to the kernels. */
struct run {
    struct m2c_k_card card;
    const void *range[MAX_RANGES];
    unsigned n_ranges;
    int r;
    struct m2c_err *err;
};

/* An operand's address, from now until the op is over. */
static m2c_u64 at(struct run *run, struct m2c_mem m, uint64_t bytes)
{
    unsigned char *p = m2c_mem_host(m);
    if (bytes && run->r == 0) {
        run->r = m2c_emu_memory_add(p, bytes);
        run->range[run->n_ranges++] = p;
    }
    return (m2c_u64)(uintptr_t)p;
}

/* Kernels that ran, by their place in the manifest. */
static bool ran[128];

/* With M2C_EMU_ALL set, the program must have run every kernel that is an op's
 * (gather is of copies, tests/cuda/test_choose.cc), or it fails. */
static void tell_missing(void)
{
    const struct m2c_emu_kernel *k;
    bool missing = false;
    for (size_t i = 0; (k = m2c_emu_kernel_at(i)); i++) {
        if (i < M2C_COUNTOF(ran) && (ran[i] || strcmp(k->file, "gather") == 0))
            continue;
        fprintf(stderr, "kernel %s was not run\n", k->entry);
        missing = true;
    }
    if (missing)
        _exit(1);
}

static void note(const struct m2c_emu_kernel *kernel)
{
    const struct m2c_emu_kernel *k;
    for (size_t i = 0; i < M2C_COUNTOF(ran) && (k = m2c_emu_kernel_at(i)); i++)
        ran[i] = ran[i] || k == kernel;
}

static void launch(struct run *run, const char *entry, struct m2c_k_shape s,
                   const void *args, size_t bytes)
{
    const struct m2c_emu_kernel *k = m2c_emu_find(entry);
    char why[400] = "";
    if (run->r < 0)
        return;
    note(k);
    run->r = k ? m2c_emu_launch(k, s.grid, s.block, s.smem, args, bytes, why, sizeof(why))
               : -ENOENT;
    if (run->r < 0)
        m2c_fail(run->err, run->r, "%s: %s", entry, why);
}

static void launch_typed(struct run *run, const char *op, enum m2c_type type,
                         struct m2c_k_shape s, const void *args, size_t bytes)
{
    char entry[64];
    snprintf(entry, sizeof(entry), "m2c_%s_%s", op, m2c_type_name(type));
    launch(run, entry, s, args, bytes);
}

#define RUN(kernel, k) launch(run, "m2c_" #kernel, m2c_k_shape_##kernel(&run->card, &k), &k, sizeof(k))
#define RUN_TYPED(kernel, type, k)                                                       \
    launch_typed(run, #kernel, type, m2c_k_shape_##kernel(&run->card, &k), &k, sizeof(k))

/* ---- one function an op ---- */

static void run_fill(struct run *run, const struct m2c_fill_args *a)
{
    struct m2c_k_fill k = {at(run, a->dst, 4 * (uint64_t)a->n), a->n, a->value, 0};
    RUN(fill, k);
}

static void run_embed(struct run *run, const struct m2c_embed_args *a)
{
    const struct m2c_tensor *t = &a->table;
    const uint64_t code = m2c_code_bytes(t->type, t->cols);
    const uint64_t scale = m2c_scale_bytes(t->type, t->cols);
    struct m2c_k_embed k = {.codes = at(run, t->codes, code * t->rows),
                            .scales = at(run, t->scales, scale * t->rows),
                            .ids = at(run, a->ids, 4 * (uint64_t)a->rows),
                            .out = at(run, a->out, 4 * (uint64_t)a->rows * t->cols),
                            .code_step = code,
                            .scale_step = scale,
                            .rows = a->rows,
                            .cols = t->cols,
                            .scale = a->scale};
    RUN_TYPED(embed, t->type, k);
}

static void run_norm(struct run *run, const struct m2c_norm_args *a)
{
    const uint64_t bytes = 4 * (uint64_t)a->rows * a->n;
    struct m2c_k_norm k = {.x = at(run, a->x, bytes),
                           .w = at(run, a->w, 4 * (uint64_t)a->n),
                           .y = at(run, a->y, bytes),
                           .rows = a->rows,
                           .n = a->n,
                           .eps = a->eps,
                           .shift = a->shift,
                           .relu = a->relu};
    RUN(norm, k);
}

static void run_matmul(struct run *run, const struct m2c_matmul_args *a)
{
    const struct m2c_tensor *w = &a->w;
    const uint64_t code = m2c_code_bytes(w->type, w->cols);
    const uint64_t scale = m2c_scale_bytes(w->type, w->cols);
    struct m2c_k_matmul k = {.codes = at(run, w->codes, code * w->rows),
                             .scales = at(run, w->scales, scale * w->rows),
                             .x = at(run, a->x, 4 * (uint64_t)a->rows * w->cols),
                             .y = at(run, a->y, 4 * (uint64_t)a->rows * w->rows),
                             .code_step = code,
                             .scale_step = scale,
                             .rows = a->rows,
                             .cols = w->cols,
                             .outs = w->rows,
                             .add = a->add};
    if (a->rows == 1)
        RUN_TYPED(matvec, w->type, k);
    else if (a->rows < M2C_K_GEMM_ROWS)
        RUN_TYPED(matrows, w->type, k);
    else
        RUN_TYPED(gemm, w->type, k);
}

static void run_rope(struct run *run, const struct m2c_rope_args *a)
{
    struct m2c_k_rope k = {
        .x = at(run, a->x, 4 * (uint64_t)a->rows * a->heads * a->head_dim),
        .inv_freq = at(run, a->inv_freq, 2 * (uint64_t)a->head_dim),
        .rows = a->rows,
        .heads = a->heads,
        .head_dim = a->head_dim,
        .pos = a->pos,
        .style = a->style == M2C_ROPE_HALF ? M2C_K_ROPE_HALF : M2C_K_ROPE_INTERLEAVED};
    RUN(rope, k);
}

static void run_kv_append(struct run *run, const struct m2c_kv_append_args *a)
{
    const uint64_t n = (uint64_t)a->rows * a->n, from = (uint64_t)a->pos * a->n;
    struct m2c_k_kv_append k = {.x = at(run, a->x, 4 * n),
                                .cache = at(run, a->cache, m2c_code_bytes(a->type, from + n)),
                                .at = from,
                                .n = n};
    RUN_TYPED(kv_append, a->type, k);
}

static void run_attention(struct run *run, const struct m2c_attention_args *a)
{
    const uint64_t elements = (uint64_t)a->rows * a->heads * a->head_dim;
    const uint64_t seen = ((uint64_t)a->pos + a->rows) * a->kv_heads * a->head_dim;
    struct m2c_k_attention k = {.q = at(run, a->q, 4 * elements),
                                .k = at(run, a->k, m2c_code_bytes(a->type, seen)),
                                .v = at(run, a->v, m2c_code_bytes(a->type, seen)),
                                .out = at(run, a->out, 4 * elements),
                                .rows = a->rows,
                                .heads = a->heads,
                                .kv_heads = a->kv_heads,
                                .head_dim = a->head_dim,
                                .pos = a->pos,
                                .splits = m2c_k_attention_splits(a->pos, a->rows),
                                .scale = 1 / sqrtf((float)a->head_dim)};
    struct m2c_buf part = {.bytes = m2c_k_attention_part_bytes(&k)};
    if (part.bytes) {
        part.host = malloc(part.bytes);
        if (!part.host) {
            run->r = m2c_fail(run->err, -ENOMEM, "no memory");
            return;
        }
        memset(part.host, 0xff, part.bytes);
        k.part = at(run, (struct m2c_mem){&part, 0}, part.bytes);
    }
    RUN_TYPED(attention, a->type, k);
    if (k.splits > 1)
        RUN(attention_join, k);
    free(part.host);
}

/* A further plane: inside the slots of the first one, or apart. */
static void set_plane(struct run *run, const struct m2c_ffn_class *c, unsigned p,
                      uint64_t slots, struct m2c_k_plane *k)
{
    const struct m2c_ffn_plane *from = &c->plane[p];
    const bool inside = from->base.buf == c->base.buf && from->stride == c->stride &&
                        from->base.off - c->base.off < c->stride;
    k->base = at(run, from->base, inside ? 0 : slots * from->stride);
    k->stride = from->stride;
    memcpy(k->off, from->off, sizeof(from->off));
}

/* A class's slots, as far as the list names them. */
static void set_unit(struct run *run, const struct m2c_ffn_unit *u,
                     const struct m2c_neuron_ref *list, uint32_t n, struct m2c_k_unit *k)
{
    *k = (struct m2c_k_unit){.dim = u->dim,
                             .n_neurons = u->n_neurons,
                             .has_gate = u->has_gate,
                             .act = (m2c_u32)u->act,
                             .act_shift = u->act_shift,
                             .n_classes = u->n_classes};
    for (uint32_t c = 0; c < u->n_classes; c++) {
        const struct m2c_ffn_class *from = &u->cls[c];
        uint64_t slots = 0;
        for (uint32_t i = 0; i < n; i++)
            if (list[i].cls == c && list[i].slot >= slots)
                slots = (uint64_t)list[i].slot + 1;
        k->cls[c].base = at(run, from->base, slots * from->stride);
        k->cls[c].stride = from->stride;
        k->cls[c].type = (m2c_u32)from->type;
        memcpy(k->cls[c].code_off, from->code_off, sizeof(from->code_off));
        memcpy(k->cls[c].scale_off, from->scale_off, sizeof(from->scale_off));
        for (unsigned p = 0; p + 1 < m2c_type_planes(from->type); p++)
            set_plane(run, from, p, slots, &k->cls[c].plane[p]);
    }
}

static void run_ffn_up(struct run *run, const struct m2c_ffn_up_args *a)
{
    struct m2c_k_ffn_up k = {
        .x = at(run, a->x, 4 * (uint64_t)a->rows * a->unit->dim),
        .list = at(run, a->list, a->n * sizeof(struct m2c_neuron_ref)),
        .h = at(run, a->h, 4 * (uint64_t)a->rows * a->n),
        .rows = a->rows,
        .n = a->n,
        .pass = a->pass};
    set_unit(run, a->unit, m2c_mem_host(a->list), a->n, &k.unit);
    if (a->rows == 1)
        RUN(ffn_up, k);
    else
        RUN(ffn_up_rows, k);
}

static void run_ffn_down(struct run *run, const struct m2c_ffn_down_args *a)
{
    const uint32_t segments = m2c_ffn_segments(a->unit->n_neurons, a->seg_neurons);
    struct m2c_k_ffn_down k = {
        .list = at(run, a->list, a->n * sizeof(struct m2c_neuron_ref)),
        .h = at(run, a->h, 4 * (uint64_t)a->rows * a->n),
        .acc = at(run, a->acc, 4 * (uint64_t)a->rows * segments * a->unit->dim),
        .rows = a->rows,
        .n = a->n,
        .seg_neurons = a->seg_neurons,
        .segments = segments};
    set_unit(run, a->unit, m2c_mem_host(a->list), a->n, &k.unit);
    if (a->rows == 1)
        RUN(ffn_down, k);
    else
        RUN(ffn_down_rows, k);
}

static void run_ffn_sum(struct run *run, const struct m2c_ffn_sum_args *a)
{
    struct m2c_k_ffn_sum k = {
        .acc = at(run, a->acc, 4 * (uint64_t)a->rows * a->segments * a->dim),
        .y = at(run, a->y, 4 * (uint64_t)a->rows * a->dim),
        .rows = a->rows,
        .dim = a->dim,
        .segments = a->segments};
    RUN(ffn_sum, k);
}

static void run_argmax(struct run *run, const struct m2c_argmax_args *a)
{
    struct m2c_k_argmax k = {.x = at(run, a->x, 4 * (uint64_t)a->rows * a->n),
                             .out = at(run, a->out, 4 * (uint64_t)a->rows),
                             .rows = a->rows,
                             .n = a->n};
    RUN(argmax, k);
}

static void run_select(struct run *run, const struct m2c_select_args *a)
{
    struct m2c_k_select k = {
        .scores = at(run, a->scores, 4 * (uint64_t)a->n),
        .splits = at(run, a->splits, 4 * ((uint64_t)a->k + 1) * a->n_classes),
        .wants = at(run, a->wants, (uint64_t)a->k * sizeof(struct m2c_want)),
        .counts = at(run, a->counts, 4 * ((uint64_t)a->n_classes + 1)),
        .n = a->n,
        .k = a->k,
        .n_classes = a->n_classes,
        .magnitude = a->magnitude,
        .positive_only = a->positive_only};
    RUN(select, k);
}

static void run_lookup(struct run *run, const struct m2c_lookup_args *a)
{
    struct m2c_k_lookup k = {
        .wants = at(run, a->wants, (uint64_t)a->k * sizeof(struct m2c_want)),
        .n_wants = at(run, a->n_wants, 4),
        .table = at(run, a->table, 4 * (uint64_t)a->n_classes * a->n_neurons),
        .list = at(run, a->list, (uint64_t)a->k * sizeof(struct m2c_neuron_ref)),
        .misses = at(run, a->misses, (uint64_t)a->k * sizeof(struct m2c_want)),
        .counts = at(run, a->counts, 16),
        .k = a->k,
        .n_classes = a->n_classes,
        .n_neurons = a->n_neurons};
    RUN(lookup, k);
}

/* ---- the device ---- */

static int launch_call(struct m2c_queue *q, const struct m2c_call *c, struct m2c_err *err)
{
    struct run r = {.card = {q->dev->cfg.threads ? q->dev->cfg.threads : 1}, .err = err};
    switch (c->op) {
    case M2C_OP_FILL: run_fill(&r, &c->u.fill); break;
    case M2C_OP_EMBED: run_embed(&r, &c->u.embed); break;
    case M2C_OP_NORM: run_norm(&r, &c->u.norm); break;
    case M2C_OP_MATMUL: run_matmul(&r, &c->u.matmul); break;
    case M2C_OP_ROPE: run_rope(&r, &c->u.rope); break;
    case M2C_OP_KV_APPEND: run_kv_append(&r, &c->u.kv_append); break;
    case M2C_OP_ATTENTION: run_attention(&r, &c->u.attention); break;
    case M2C_OP_FFN_UP: run_ffn_up(&r, &c->u.ffn_up); break;
    case M2C_OP_FFN_DOWN: run_ffn_down(&r, &c->u.ffn_down); break;
    case M2C_OP_FFN_SUM: run_ffn_sum(&r, &c->u.ffn_sum); break;
    case M2C_OP_ARGMAX: run_argmax(&r, &c->u.argmax); break;
    case M2C_OP_SELECT: run_select(&r, &c->u.select); break;
    case M2C_OP_LOOKUP: run_lookup(&r, &c->u.lookup); break;
    case M2C_N_OPS: break;
    }
    for (unsigned i = 0; i < r.n_ranges; i++)
        m2c_emu_memory_drop(r.range[i]);
    return r.r;
}

static int open_emu(struct m2c_dev *dev, struct m2c_err *err)
{
    static bool told;
    if (!told && getenv("M2C_EMU_ALL") && atexit(tell_missing) != 0)
        return m2c_fail(err, -ENOMEM, "atexit");
    told = true;
    snprintf(dev->info.name, sizeof(dev->info.name), "CUDA kernels, emulated");
    dev->info.mem_bytes = dev->info.max_alloc = UINT64_C(1) << 32;
    dev->info.ffn_seg_neurons_min = M2C_K_SEG_MIN;
    dev->info.gemm_rows = M2C_K_GEMM_ROWS;
    dev->info.threads = 1;
    return 0;
}

static int alloc_emu(struct m2c_dev *dev, struct m2c_buf *buf, struct m2c_err *err)
{
    (void)dev;
    int r = m2c_pages_alloc(buf->bytes, &buf->host);
    return r < 0 ? m2c_fail(err, r, "no memory") : 0;
}

static void free_emu(struct m2c_dev *dev, struct m2c_buf *buf)
{
    (void)dev;
    m2c_pages_free(buf->host, buf->bytes);
}

static int queue_open(struct m2c_queue *q, struct m2c_err *err)
{
    (void)q;
    (void)err;
    return 0;
}

static int copy(struct m2c_queue *q, const struct m2c_copy *batch, size_t n,
                struct m2c_err *err)
{
    (void)q;
    (void)err;
    for (size_t i = 0; i < n; i++)
        memcpy(m2c_mem_host(batch[i].dst), m2c_mem_host(batch[i].src), batch[i].bytes);
    return 0;
}

static int on_event(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err)
{
    (void)q;
    (void)ev;
    (void)err;
    return 0;
}

static int event_wait(struct m2c_event *ev, uint64_t *ns, struct m2c_err *err)
{
    (void)ev;
    (void)err;
    *ns = m2c_now_ns();
    return 0;
}

static bool event_passed(struct m2c_event *ev)
{
    (void)ev;
    return true;
}

static bool supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type)
{
    (void)dev;
    switch (op) {
    case M2C_OP_EMBED:
    case M2C_OP_MATMUL: return (unsigned)type <= M2C_I4;
    case M2C_OP_FFN_UP:
    case M2C_OP_FFN_DOWN: return (unsigned)type <= M2C_P8;
    case M2C_OP_KV_APPEND:
    case M2C_OP_ATTENTION: return type == M2C_F32 || type == M2C_F16;
    default: return type == M2C_F32;
    }
}

static uint32_t seg_neurons(const struct m2c_dev *dev, uint32_t n_neurons)
{
    (void)dev;
    return m2c_k_seg_neurons(n_neurons);
}

const struct m2c_dev_ops m2c_dev_emu = {
    .p = {.name = "cuda-emulated", .desc = "the CUDA kernels on the CPU, for tests"},
    .open = open_emu,
    .alloc = alloc_emu,
    .free = free_emu,
    .queue_open = queue_open,
    .copy = copy,
    .launch = launch_call,
    .record = on_event,
    .after = on_event,
    .event_wait = event_wait,
    .event_passed = event_passed,
    .supports = supports,
    .seg_neurons = seg_neurons,
};
