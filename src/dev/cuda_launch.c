/* SPDX-License-Identifier: MIT */
/* From calls to kernels: which entries serve a call, and their parameters.
 * Shapes come from kernels/cuda/launch.h, so that every launch of a kernel, in
 * tests too, is shaped alike. */
#include "dev/cuda_impl.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

int m2c_cuda_run(struct m2c_cuda_queue *q, enum m2c_cuda_kernel kernel,
                 const struct m2c_k_shape *s, const void *args, size_t bytes,
                 struct m2c_err *err)
{
    static const char *const names[] = {
#define NAME(entry, file, type, args) "cuLaunchKernel of m2c_" #entry,
        M2C_K_MANIFEST(NAME)
#undef NAME
    };
    void *extra[] = {M2C_CU_PARAMS, (void *)(uintptr_t)args, M2C_CU_PARAM_BYTES, &bytes,
                     M2C_CU_PARAMS_END};
    const struct m2c_cu *cu = &q->c->cu;
    return m2c_cuda_check(cu,
                          cu->launch(q->c->kernel[kernel], s->grid[0], s->grid[1],
                                     s->grid[2], s->block[0], s->block[1], s->block[2],
                                     s->smem, q->stream, NULL, extra),
                          names[kernel], err);
}

int m2c_cuda_want(struct m2c_cuda_queue *q, struct m2c_cuda_scratch *s, uint64_t need,
                  struct m2c_err *err)
{
    const struct m2c_cu *cu = &q->c->cu;
    if (need <= s->bytes)
        return 0;
    int r = m2c_cuda_check(cu, cu->stream_sync(q->stream), "cuStreamSynchronize", err);
    if (r < 0)
        return r;
    if (s->at)
        cu->mem_free(s->at);
    *s = (struct m2c_cuda_scratch){0};
    r = m2c_cuda_check(cu, cu->mem_alloc(&s->at, need), "cuMemAlloc of scratch", err);
    if (r < 0)
        s->at = 0;
    else
        s->bytes = need;
    return r;
}

#define RUN(kernel, shape, a)                                                            \
    do {                                                                                 \
        const struct m2c_k_shape run_shape = m2c_k_shape_##shape(&q->c->card, &(a));     \
        return m2c_cuda_run(q, kernel, &run_shape, &(a), sizeof(a), err);                \
    } while (0)

/* ---- dense ---- */

static int fill(struct m2c_cuda_queue *q, const struct m2c_fill_args *c, struct m2c_err *err)
{
    const struct m2c_k_fill a = {.dst = m2c_cuda_at(c->dst), .n = c->n, .value = c->value};
    RUN(M2C_CUDA_fill, fill, a);
}

static int embed(struct m2c_cuda_queue *q, const struct m2c_embed_args *c,
                 struct m2c_err *err)
{
    const struct m2c_tensor *t = &c->table;
    const struct m2c_k_embed a = {.codes = m2c_cuda_at(t->codes),
                                  .scales = m2c_cuda_at(t->scales),
                                  .ids = m2c_cuda_at(c->ids),
                                  .out = m2c_cuda_at(c->out),
                                  .code_step = m2c_code_bytes(t->type, t->cols),
                                  .scale_step = m2c_scale_bytes(t->type, t->cols),
                                  .rows = c->rows,
                                  .cols = t->cols,
                                  .scale = c->scale};
    RUN(m2c_cuda_of_type(M2C_CUDA_embed_f32, t->type), embed, a);
}

static int norm(struct m2c_cuda_queue *q, const struct m2c_norm_args *c, struct m2c_err *err)
{
    const struct m2c_k_norm a = {.x = m2c_cuda_at(c->x),
                                 .w = m2c_cuda_at(c->w),
                                 .y = m2c_cuda_at(c->y),
                                 .rows = c->rows,
                                 .n = c->n,
                                 .eps = c->eps,
                                 .shift = c->shift,
                                 .relu = c->relu};
    RUN(M2C_CUDA_norm, norm, a);
}

static int matmul(struct m2c_cuda_queue *q, const struct m2c_matmul_args *c,
                  struct m2c_err *err)
{
    const struct m2c_tensor *t = &c->w;
    const struct m2c_k_matmul a = {.codes = m2c_cuda_at(t->codes),
                                   .scales = m2c_cuda_at(t->scales),
                                   .x = m2c_cuda_at(c->x),
                                   .y = m2c_cuda_at(c->y),
                                   .code_step = m2c_code_bytes(t->type, t->cols),
                                   .scale_step = m2c_scale_bytes(t->type, t->cols),
                                   .rows = c->rows,
                                   .cols = t->cols,
                                   .outs = t->rows,
                                   .add = c->add};
    if (c->rows >= M2C_K_GEMM_ROWS && q->c->cublas.lib)
        return m2c_cuda_gemm(q, c, err);
    if (c->rows >= M2C_K_GEMM_ROWS)
        RUN(m2c_cuda_of_type(M2C_CUDA_gemm_f32, t->type), gemm, a);
    if (c->rows == 1)
        RUN(m2c_cuda_of_type(M2C_CUDA_matvec_f32, t->type), matvec, a);
    RUN(m2c_cuda_of_type(M2C_CUDA_matrows_f32, t->type), matrows, a);
}

/* ---- attention ---- */

static int rope(struct m2c_cuda_queue *q, const struct m2c_rope_args *c, struct m2c_err *err)
{
    const struct m2c_k_rope a = {.x = m2c_cuda_at(c->x),
                                 .inv_freq = m2c_cuda_at(c->inv_freq),
                                 .rows = c->rows,
                                 .heads = c->heads,
                                 .head_dim = c->head_dim,
                                 .pos = c->pos,
                                 .style = (m2c_u32)c->style};
    RUN(M2C_CUDA_rope, rope, a);
}

static int kv_append(struct m2c_cuda_queue *q, const struct m2c_kv_append_args *c,
                     struct m2c_err *err)
{
    const struct m2c_k_kv_append a = {.x = m2c_cuda_at(c->x),
                                      .cache = m2c_cuda_at(c->cache),
                                      .at = (m2c_u64)c->pos * c->n,
                                      .n = (m2c_u64)c->rows * c->n};
    RUN(m2c_cuda_of_type(M2C_CUDA_kv_append_f32, c->type), kv_append, a);
}

/* Some rows of a call: as many as the scratch holds. */
static int attention_rows(struct m2c_cuda_queue *q, const struct m2c_attention_args *c,
                          uint32_t row, uint32_t rows, struct m2c_err *err)
{
    const size_t step = (size_t)c->heads * c->head_dim * sizeof(float);
    const struct m2c_k_attention a = {
        .q = m2c_cuda_at(c->q) + row * step,
        .k = m2c_cuda_at(c->k),
        .v = m2c_cuda_at(c->v),
        .out = m2c_cuda_at(c->out) + row * step,
        .part = q->part.at,
        .rows = rows,
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .pos = c->pos + row,
        .splits = m2c_k_attention_splits(c->pos + row, rows),
        .scale = 1 / sqrtf((float)c->head_dim)};
    const struct m2c_k_shape s = m2c_k_shape_attention(&q->c->card, &a);
    int r = m2c_cuda_run(q, m2c_cuda_of_type(M2C_CUDA_attention_f32, c->type), &s, &a,
                         sizeof a, err);
    if (r < 0 || a.splits < 2)
        return r;
    RUN(M2C_CUDA_attention_join, attention_join, a);
}

static int attention(struct m2c_cuda_queue *q, const struct m2c_attention_args *c,
                     struct m2c_err *err)
{
    enum { PART_BYTES = 8 << 20 };
    if (c->head_dim % 2 || c->head_dim > M2C_K_HEAD_DIM_MAX || c->kv_heads > 65535)
        return m2c_fail(err, -ENOTSUP,
                        "%u kv heads of dim %u: the dim must be even, at most %d",
                        c->kv_heads, c->head_dim, M2C_K_HEAD_DIM_MAX);
    const uint32_t splits = m2c_k_attention_splits(c->pos, c->rows);
    uint32_t rows = c->rows;
    if (splits > 1) {
        uint64_t one = (uint64_t)c->heads * splits * (c->head_dim + 2) * sizeof(float);
        rows = (uint32_t)M2C_MIN(M2C_MAX(PART_BYTES / one, UINT64_C(1)), (uint64_t)c->rows);
        int r = m2c_cuda_want(q, &q->part, M2C_MAX(one * rows, (uint64_t)PART_BYTES), err);
        if (r < 0)
            return r;
    }
    for (uint32_t row = 0; row < c->rows; row += rows) {
        int r = attention_rows(q, c, row, M2C_MIN(rows, c->rows - row), err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- the sparse FFN ---- */

static void unit_of(const struct m2c_ffn_unit *u, struct m2c_k_unit *out)
{
    *out = (struct m2c_k_unit){.dim = u->dim,
                               .n_neurons = u->n_neurons,
                               .has_gate = u->has_gate,
                               .act = (m2c_u32)u->act,
                               .act_shift = u->act_shift,
                               .n_classes = u->n_classes};
    for (uint32_t i = 0; i < u->n_classes; i++) {
        const struct m2c_ffn_class *c = &u->cls[i];
        struct m2c_k_class *k = &out->cls[i];
        k->base = m2c_cuda_at(c->base);
        k->stride = c->stride;
        k->type = (m2c_u32)c->type;
        memcpy(k->code_off, c->code_off, sizeof k->code_off);
        memcpy(k->scale_off, c->scale_off, sizeof k->scale_off);
        for (unsigned p = 0; p + 1 < m2c_type_planes(c->type); p++) {
            k->plane[p].base = m2c_cuda_at(c->plane[p].base);
            k->plane[p].stride = c->plane[p].stride;
            memcpy(k->plane[p].off, c->plane[p].off, sizeof k->plane[p].off);
        }
    }
}

static int ffn_up(struct m2c_cuda_queue *q, const struct m2c_ffn_up_args *c,
                  struct m2c_err *err)
{
    struct m2c_k_ffn_up a = {.x = m2c_cuda_at(c->x),
                             .list = m2c_cuda_at(c->list),
                             .h = m2c_cuda_at(c->h),
                             .rows = c->rows,
                             .n = c->n,
                             .pass = c->pass};
    unit_of(c->unit, &a.unit);
    if (c->rows == 1)
        RUN(M2C_CUDA_ffn_up, ffn_up, a);
    RUN(M2C_CUDA_ffn_up_rows, ffn_up_rows, a);
}

static int ffn_down(struct m2c_cuda_queue *q, const struct m2c_ffn_down_args *c,
                    struct m2c_err *err)
{
    struct m2c_k_ffn_down a = {.list = m2c_cuda_at(c->list),
                               .h = m2c_cuda_at(c->h),
                               .acc = m2c_cuda_at(c->acc),
                               .rows = c->rows,
                               .n = c->n,
                               .seg_neurons = c->seg_neurons,
                               .segments =
                                   m2c_ffn_segments(c->unit->n_neurons, c->seg_neurons)};
    unit_of(c->unit, &a.unit);
    if (c->rows == 1)
        RUN(M2C_CUDA_ffn_down, ffn_down, a);
    RUN(M2C_CUDA_ffn_down_rows, ffn_down_rows, a);
}

static int ffn_sum(struct m2c_cuda_queue *q, const struct m2c_ffn_sum_args *c,
                   struct m2c_err *err)
{
    const struct m2c_k_ffn_sum a = {.acc = m2c_cuda_at(c->acc),
                                    .y = m2c_cuda_at(c->y),
                                    .rows = c->rows,
                                    .dim = c->dim,
                                    .segments = c->segments};
    RUN(M2C_CUDA_ffn_sum, ffn_sum, a);
}

static int argmax(struct m2c_cuda_queue *q, const struct m2c_argmax_args *c,
                  struct m2c_err *err)
{
    const struct m2c_k_argmax a = {
        .x = m2c_cuda_at(c->x), .out = m2c_cuda_at(c->out), .rows = c->rows, .n = c->n};
    RUN(M2C_CUDA_argmax, argmax, a);
}

static int choose(struct m2c_cuda_queue *q, const struct m2c_select_args *c,
                  struct m2c_err *err)
{
    const struct m2c_k_select a = {.scores = m2c_cuda_at(c->scores),
                                   .splits = m2c_cuda_at(c->splits),
                                   .wants = m2c_cuda_at(c->wants),
                                   .counts = m2c_cuda_at(c->counts),
                                   .n = c->n,
                                   .k = c->k,
                                   .n_classes = c->n_classes,
                                   .magnitude = c->magnitude,
                                   .positive_only = c->positive_only};
    RUN(M2C_CUDA_select, select, a);
}

static int lookup(struct m2c_cuda_queue *q, const struct m2c_lookup_args *c,
                  struct m2c_err *err)
{
    const struct m2c_k_lookup a = {.wants = m2c_cuda_at(c->wants),
                                   .n_wants = m2c_cuda_at(c->n_wants),
                                   .table = m2c_cuda_at(c->table),
                                   .list = m2c_cuda_at(c->list),
                                   .misses = m2c_cuda_at(c->misses),
                                   .counts = m2c_cuda_at(c->counts),
                                   .k = c->k,
                                   .n_classes = c->n_classes,
                                   .n_neurons = c->n_neurons};
    RUN(M2C_CUDA_lookup, lookup, a);
}

/* ---- the hooks ---- */

bool m2c_cuda_supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type)
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
    default:
        return (unsigned)op < M2C_N_OPS && type == M2C_F32;
    }
}

/* A call of no elements has no grid. */
static bool is_empty(const struct m2c_call *c)
{
    switch (c->op) {
    case M2C_OP_FILL:
        return c->u.fill.n == 0;
    case M2C_OP_EMBED:
        return c->u.embed.rows == 0 || c->u.embed.table.cols == 0;
    case M2C_OP_NORM:
        return c->u.norm.rows == 0 || c->u.norm.n == 0;
    case M2C_OP_MATMUL:
        return c->u.matmul.rows == 0 || c->u.matmul.w.rows == 0;
    case M2C_OP_ROPE:
        return c->u.rope.rows == 0 || c->u.rope.heads == 0 || c->u.rope.head_dim == 0;
    case M2C_OP_KV_APPEND:
        return c->u.kv_append.rows == 0 || c->u.kv_append.n == 0;
    case M2C_OP_ATTENTION:
        return c->u.attention.rows == 0 || c->u.attention.heads == 0 ||
               c->u.attention.head_dim == 0;
    case M2C_OP_FFN_UP:
        return c->u.ffn_up.rows == 0 || c->u.ffn_up.n == 0;
    case M2C_OP_FFN_DOWN:
        return c->u.ffn_down.rows == 0 || c->u.ffn_down.n == 0;
    case M2C_OP_FFN_SUM:
        return c->u.ffn_sum.rows == 0 || c->u.ffn_sum.dim == 0 || c->u.ffn_sum.segments == 0;
    case M2C_OP_ARGMAX:
        return c->u.argmax.rows == 0;
    case M2C_OP_SELECT: /* these write their counts whatever there is */
    case M2C_OP_LOOKUP:
        return false;
    case M2C_N_OPS:
        break;
    }
    return true;
}

int m2c_cuda_launch(struct m2c_queue *mq, const struct m2c_call *c, struct m2c_err *err)
{
    struct m2c_cuda_queue *q = mq->priv;
    int r = m2c_cuda_check(&q->c->cu, q->c->cu.ctx_set(q->c->ctx), "cuCtxSetCurrent", err);
    if (r < 0 || is_empty(c))
        return r;
    switch (c->op) {
    case M2C_OP_FILL:
        return fill(q, &c->u.fill, err);
    case M2C_OP_EMBED:
        return embed(q, &c->u.embed, err);
    case M2C_OP_NORM:
        return norm(q, &c->u.norm, err);
    case M2C_OP_MATMUL:
        return matmul(q, &c->u.matmul, err);
    case M2C_OP_ROPE:
        return rope(q, &c->u.rope, err);
    case M2C_OP_KV_APPEND:
        return kv_append(q, &c->u.kv_append, err);
    case M2C_OP_ATTENTION:
        return attention(q, &c->u.attention, err);
    case M2C_OP_FFN_UP:
        return ffn_up(q, &c->u.ffn_up, err);
    case M2C_OP_FFN_DOWN:
        return ffn_down(q, &c->u.ffn_down, err);
    case M2C_OP_FFN_SUM:
        return ffn_sum(q, &c->u.ffn_sum, err);
    case M2C_OP_ARGMAX:
        return argmax(q, &c->u.argmax, err);
    case M2C_OP_SELECT:
        return choose(q, &c->u.select, err);
    case M2C_OP_LOOKUP:
        return lookup(q, &c->u.lookup, err);
    case M2C_N_OPS:
        break;
    }
    return m2c_fail(err, -ENOTSUP, "there is no such op");
}
