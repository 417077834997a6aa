/* SPDX-License-Identifier: MIT */
/* Products of many rows through cuBLAS. Activations are f32, and cuBLAS takes
 * both sides in one type, so weights become f32 in scratch first, some of them
 * at a time: a pass over the weights that many rows pay for. A row's bits must
 * not depend on how many rows there are, so cuBLAS sees tiles of one size
 * only; the last is filled up. */
#include "dev/cuda_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { TILE = 32, IDS = 8192, WEIGHT_BYTES = 64 << 20 };

static int blas_check(int code, const char *what, struct m2c_err *err)
{
    /* CUBLAS_STATUS_ALLOC_FAILED is 3; names exist since 11.4 only. */
    return code == M2C_CUBLAS_OK ? 0
                                 : m2c_fail(err, code == 3 ? -ENOMEM : -EIO,
                                            "%s: status %d of cuBLAS", what, code);
}

void m2c_cuda_gemm_fini(struct m2c_cuda_queue *q)
{
    if (q->blas)
        q->c->cublas.destroy(q->blas);
    if (q->gemm.at)
        q->c->cu.mem_free(q->gemm.at);
}

static int open_blas(struct m2c_cuda_queue *q, struct m2c_err *err)
{
    const struct m2c_cublas *b = &q->c->cublas;
    if (q->blas)
        return 0;
    int r = blas_check(b->create(&q->blas), "cublasCreate", err);
    if (r < 0) {
        q->blas = NULL;
        return r;
    }
    r = blas_check(b->set_stream(q->blas, q->stream), "cublasSetStream", err);
    if (r < 0) {
        b->destroy(q->blas);
        q->blas = NULL;
    }
    return r;
}

/* Where the parts of the scratch lie. */
struct plan {
    uint32_t outs;          /* rows of w at once */
    m2c_cu_ptr ids, x, y, w;
};

/* Rows of w are dequantised by the kernel that embeds, which looks up 0, 1, 2 … */
static int put_ids(struct m2c_cuda_queue *q, struct m2c_err *err)
{
    const struct m2c_cu *cu = &q->c->cu;
    uint32_t *ids = malloc(IDS * sizeof *ids);
    if (!ids)
        return m2c_fail(err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < IDS; i++)
        ids[i] = i;
    int r = m2c_cuda_check(cu, cu->copy(q->gemm.at, (uintptr_t)ids, IDS * sizeof *ids, q->stream),
                           "cuMemcpyAsync", err);
    int s = m2c_cuda_check(cu, cu->stream_sync(q->stream), "cuStreamSynchronize",
                           r < 0 ? NULL : err);
    free(ids);
    return r < 0 ? r : s;
}

static int make_plan(struct m2c_cuda_queue *q, const struct m2c_matmul_args *a,
                     struct plan *p, struct m2c_err *err)
{
    const uint64_t row = (uint64_t)a->w.cols * sizeof(float);
    uint64_t outs = M2C_MIN(M2C_MAX(WEIGHT_BYTES / M2C_MAX(row, UINT64_C(1)), UINT64_C(1)),
                            (uint64_t)IDS);
    p->outs = a->w.type == M2C_F32 ? a->w.rows : (uint32_t)M2C_MIN(outs, (uint64_t)a->w.rows);
    const uint64_t ids = IDS * sizeof(uint32_t), x = TILE * row;
    const uint64_t y = TILE * (uint64_t)a->w.rows * sizeof(float);
    const uint64_t w = a->w.type == M2C_F32 ? 0 : p->outs * row;
    const bool fresh = q->gemm.bytes < ids + x + y + w;
    int r = m2c_cuda_want(q, &q->gemm, ids + x + y + w, err);
    if (r == 0 && fresh)
        r = put_ids(q, err);
    p->ids = q->gemm.at;
    p->x = p->ids + ids;
    p->y = p->x + x;
    p->w = p->y + y;
    return r;
}

static int to_f32(struct m2c_cuda_queue *q, const struct m2c_tensor *t, uint32_t out,
                  uint32_t outs, const struct plan *p, struct m2c_err *err)
{
    const uint64_t code = m2c_code_bytes(t->type, t->cols);
    const uint64_t scale = m2c_scale_bytes(t->type, t->cols);
    const struct m2c_k_embed a = {.codes = m2c_cuda_at(t->codes) + out * code,
                                  .scales = m2c_cuda_at(t->scales) + out * scale,
                                  .ids = p->ids,
                                  .out = p->w,
                                  .code_step = code,
                                  .scale_step = scale,
                                  .rows = outs,
                                  .cols = t->cols,
                                  .scale = 1};
    const struct m2c_k_shape s = m2c_k_shape_embed(&q->c->card, &a);
    return m2c_cuda_run(q, m2c_cuda_of_type(M2C_CUDA_embed_f32, t->type), &s, &a, sizeof a,
                        err);
}

/* Columns out .. out + outs of TILE rows of y; both are as cuBLAS sees them,
 * transposed: y has a column a row. */
static int multiply(struct m2c_cuda_queue *q, const struct m2c_matmul_args *a, m2c_cu_ptr w,
                    m2c_cu_ptr x, m2c_cu_ptr y, uint32_t outs, struct m2c_err *err)
{
    const float one = 1, beta = a->add ? 1 : 0;
    return blas_check(
        q->c->cublas.sgemm(q->blas, M2C_CUBLAS_T, M2C_CUBLAS_N, (int)outs, TILE,
                           (int)a->w.cols, &one, (const float *)(uintptr_t)w,
                           (int)a->w.cols, (const float *)(uintptr_t)x, (int)a->w.cols,
                           &beta, (float *)(uintptr_t)y, (int)a->w.rows),
        "cublasSgemm", err);
}

static int move(struct m2c_cuda_queue *q, m2c_cu_ptr dst, m2c_cu_ptr src, uint64_t bytes,
                struct m2c_err *err)
{
    return m2c_cuda_check(&q->c->cu, q->c->cu.copy(dst, src, bytes, q->stream),
                          "cuMemcpyAsync", err);
}

int m2c_cuda_gemm(struct m2c_cuda_queue *q, const struct m2c_matmul_args *a,
                  struct m2c_err *err)
{
    struct plan p = {0};
    const uint64_t x_row = (uint64_t)a->w.cols * sizeof(float);
    const uint64_t y_row = (uint64_t)a->w.rows * sizeof(float);
    const uint32_t rest = a->rows % TILE, whole = a->rows - rest;
    const m2c_cu_ptr x = m2c_cuda_at(a->x), y = m2c_cuda_at(a->y);
    if (a->w.rows > INT32_MAX || a->w.cols > INT32_MAX)
        return m2c_fail(err, -ENOTSUP, "a matrix of %u x %u", a->w.rows, a->w.cols);
    int r = open_blas(q, err);
    r = r < 0 ? r : make_plan(q, a, &p, err);
    if (r == 0 && rest)
        r = move(q, p.x, x + whole * x_row, rest * x_row, err);
    if (r == 0 && rest && a->add)
        r = move(q, p.y, y + whole * y_row, rest * y_row, err);
    for (uint32_t out = 0; out < a->w.rows && r == 0; out += p.outs) {
        const uint32_t outs = M2C_MIN(p.outs, a->w.rows - out);
        const uint64_t skip = (uint64_t)out * sizeof(float);
        const m2c_cu_ptr w = a->w.type == M2C_F32 ? m2c_cuda_at(a->w.codes) : p.w;
        if (a->w.type != M2C_F32)
            r = to_f32(q, &a->w, out, outs, &p, err);
        for (uint32_t row = 0; row < whole && r == 0; row += TILE)
            r = multiply(q, a, w, x + row * x_row, y + row * y_row + skip, outs, err);
        if (r == 0 && rest)
            r = multiply(q, a, w, p.x, p.y + skip, outs, err);
    }
    return r == 0 && rest ? move(q, y + whole * y_row, p.y, rest * y_row, err) : r;
}
