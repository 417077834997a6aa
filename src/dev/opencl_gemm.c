/* SPDX-License-Identifier: MIT */
/* Products of many rows through CLBlast, as cuda_gemm.c has them through cuBLAS:
 * weights become f32 in scratch first, some at a time, and CLBlast sees tiles of
 * one size only, the last one filled up, so that a row's bits do not depend on
 * how many rows there are.
 *
 * Weights are decoded once for all rows, ten bytes of traffic each; the kernel of
 * opencl_launch.c reads them in their type, but for M2C_CL_ROWS rows at a time. So
 * a library pays on a GPU from some tens of rows on. On a processor it does not:
 * there the kernel decodes into registers as fast as CLBlast multiplies. */
#include "dev/opencl_launch_impl.h"

#include "m2c_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#if M2C_HAVE_CLBLAST

#include <clblast_c.h>

enum { TILE = 32, IDS = 8192, WEIGHT_BYTES = 64 << 20 };

int m2c_cl_gemm_open(struct m2c_dev *dev, struct m2c_err *err)
{
    struct m2c_cl *c = dev->priv;
    const char *gemm = dev->cfg.gemm ? dev->cfg.gemm : "auto";
    const bool own = strcmp(gemm, "own") == 0, autom = strcmp(gemm, "auto") == 0;
    if (!own && !autom && strcmp(gemm, "blas") != 0)
        return m2c_fail(err, -EINVAL, "device.gemm = %s: it is auto, own or blas", gemm);
    c->gemm_rows = own || (autom && dev->info.processor) ? 0 : TILE;
    return 0;
}

/* Its programs hold the context. They are this process's: another device that has
 * some builds them again. */
void m2c_cl_gemm_close(struct m2c_cl *c)
{
    if (c->gemm_used)
        CLBlastClearCache();
}

static int fail(struct m2c_err *err, int code)
{
    if (code > -1024) /* OpenCL's own, from within */
        return m2c_cl_fail(err, code, "CLBlastSgemm");
    return m2c_fail(err, -EIO, "CLBlastSgemm: status %d of CLBlast", code);
}

/* A buffer of at least so many bytes; what is enqueued keeps the one before. */
static int want(struct m2c_cl *c, struct m2c_cl_scratch *s, uint64_t bytes,
                struct m2c_err *err)
{
    cl_int e;
    if (s->bytes >= bytes)
        return 0;
    if (s->mem)
        clReleaseMemObject(s->mem);
    s->bytes = 0;
    s->mem = clCreateBuffer(c->context, CL_MEM_READ_WRITE, bytes, NULL, &e);
    if (e != CL_SUCCESS) {
        s->mem = NULL;
        return m2c_cl_fail(err, e, "clCreateBuffer for a product");
    }
    s->bytes = bytes;
    return 0;
}

/* Rows of w are decoded by the kernel that embeds, which looks up 0, 1, 2 … */
static int want_ids(struct m2c_cl *c, struct m2c_cl_queue *q, struct m2c_err *err)
{
    struct m2c_cl_scratch *s = &q->gemm[M2C_CL_GEMM_IDS];
    if (s->mem)
        return 0;
    uint32_t *ids = malloc(IDS * sizeof(*ids));
    if (!ids)
        return m2c_fail(err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < IDS; i++)
        ids[i] = i;
    int r = want(c, s, IDS * sizeof(*ids), err);
    if (r == 0) {
        cl_int e = clEnqueueWriteBuffer(q->queue, s->mem, CL_TRUE, 0, IDS * sizeof(*ids),
                                        ids, 0, NULL, NULL);
        r = e == CL_SUCCESS ? 0
                            : m2c_cl_fail(err, e, "clEnqueueWriteBuffer for a product");
        if (r < 0) {
            clReleaseMemObject(s->mem);
            *s = (struct m2c_cl_scratch){0};
        }
    }
    free(ids);
    return r;
}

static int decode(struct m2c_cl *c, struct m2c_cl_queue *q, const struct m2c_tensor *w,
                  uint32_t out, uint32_t outs, struct m2c_err *err)
{
    struct m2c_cl_args a = {.c = c, .q = q, .program = &c->program[M2C_OP_EMBED]};
    struct m2c_cl_embed p = {.scale = 1};
    struct m2c_tensor part = *w;
    M2C_CL_PARAMS(&a, p);
    part.rows = outs;
    part.codes.off += out * m2c_code_bytes(w->type, w->cols);
    part.scales.off += out * m2c_scale_bytes(w->type, w->cols);
    int r = m2c_cl_add_matrix(&a, "w", &part, &p.table, err);
    m2c_cl_end_windows(&a);
    a.mem[a.n_mem++] = q->gemm[M2C_CL_GEMM_IDS].mem;
    a.mem[a.n_mem++] = q->gemm[M2C_CL_GEMM_W].mem;
    return r < 0 ? r : m2c_cl_run_items(&a, w->cols, outs, 1, err);
}

/* Rows of x and y, at most TILE of them from `row` on: where they lie, or copies
 * of the last ones in scratch. */
struct tile {
    cl_mem x, y;
    uint64_t x_off, y_off; /* bytes */
};

static int move(struct m2c_cl_queue *q, cl_mem from, uint64_t from_off, cl_mem to,
                uint64_t to_off, uint64_t bytes, struct m2c_err *err)
{
    cl_int e =
        clEnqueueCopyBuffer(q->queue, from, to, from_off, to_off, bytes, 0, NULL, NULL);
    return e == CL_SUCCESS ? 0 : m2c_cl_fail(err, e, "clEnqueueCopyBuffer for a product");
}

static int multiply(struct m2c_cl_queue *q, const struct m2c_matmul_args *m,
                    const struct tile *t, uint32_t out, uint32_t outs,
                    struct m2c_err *err)
{
    const CLBlastStatusCode code = CLBlastSgemm(
        CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, TILE, outs,
        m->w.cols, 1, t->x, t->x_off / 4, m->w.cols, q->gemm[M2C_CL_GEMM_W].mem, 0,
        m->w.cols, m->add ? 1 : 0, t->y, t->y_off / 4 + out, m->w.rows, &q->queue, NULL);
    return code == CLBlastSuccess ? 0 : fail(err, (int)code);
}

/* `whole`: where the rows lie; `last`: those that fill no tile, in scratch. */
static int multiply_all(struct m2c_cl *c, struct m2c_cl_queue *q,
                        const struct m2c_matmul_args *m, const struct tile *whole,
                        const struct tile *last, struct m2c_err *err)
{
    const uint64_t x_row = (uint64_t)m->w.cols * 4, y_row = (uint64_t)m->w.rows * 4;
    const uint32_t most =
        (uint32_t)M2C_MIN(M2C_MAX(WEIGHT_BYTES / x_row, UINT64_C(1)), (uint64_t)IDS);
    int r = want(c, &q->gemm[M2C_CL_GEMM_W], M2C_MIN(most, m->w.rows) * x_row, err);
    for (uint32_t out = 0; out < m->w.rows && r == 0; out += most) {
        const uint32_t outs = M2C_MIN(most, m->w.rows - out);
        struct tile t = *whole;
        r = decode(c, q, &m->w, out, outs, err);
        for (uint32_t row = 0; row + TILE <= m->rows && r == 0; row += TILE) {
            r = multiply(q, m, &t, out, outs, err);
            t.x_off += TILE * x_row;
            t.y_off += TILE * y_row;
        }
        if (r == 0 && m->rows % TILE)
            r = multiply(q, m, last, out, outs, err);
    }
    return r;
}

int m2c_cl_gemm(struct m2c_queue *mq, const struct m2c_matmul_args *m,
                struct m2c_err *err)
{
    struct m2c_cl *c = mq->dev->priv;
    struct m2c_cl_queue *q = mq->priv;
    struct m2c_cl_args a = {.c = c, .q = q}; /* for its operands alone */
    const uint64_t x_row = (uint64_t)m->w.cols * 4, y_row = (uint64_t)m->w.rows * 4;
    const uint32_t rest = m->rows % TILE, done = m->rows - rest;
    struct tile whole, last;
    c->gemm_used = true;
    int r = m2c_cl_build(mq->dev, M2C_OP_EMBED, err);
    r = r < 0 ? r : want_ids(c, q, err);
    r = r < 0 ? r
              : m2c_cl_add_mem(&a, "x", m->x, m->rows * x_row, false, &whole.x_off, err);
    r = r < 0 ? r
              : m2c_cl_add_mem(&a, "y", m->y, m->rows * y_row, true, &whole.y_off, err);
    if (r == 0 && rest)
        r = want(c, &q->gemm[M2C_CL_GEMM_X], TILE * x_row, err);
    if (r == 0 && rest)
        r = want(c, &q->gemm[M2C_CL_GEMM_Y], TILE * y_row, err);
    if (r < 0)
        return r;
    whole.x = a.mem[0];
    whole.y = a.mem[1];
    last = (struct tile){q->gemm[M2C_CL_GEMM_X].mem, q->gemm[M2C_CL_GEMM_Y].mem, 0, 0};
    if (rest)
        r = move(q, whole.x, whole.x_off + done * x_row, last.x, 0, rest * x_row, err);
    if (r == 0 && rest && m->add)
        r = move(q, whole.y, whole.y_off + done * y_row, last.y, 0, rest * y_row, err);
    r = r < 0 ? r : multiply_all(c, q, m, &whole, &last, err);
    if (r == 0 && rest)
        r = move(q, last.y, 0, whole.y, whole.y_off + done * y_row, rest * y_row, err);
    return r;
}

#else

int m2c_cl_gemm_open(struct m2c_dev *dev, struct m2c_err *err)
{
    struct m2c_cl *c = dev->priv;
    const char *gemm = dev->cfg.gemm ? dev->cfg.gemm : "auto";
    c->gemm_rows = 0;
    if (strcmp(gemm, "blas") == 0)
        return m2c_fail(err, -ENOTSUP,
                        "device.gemm = blas: m2c was built without CLBlast");
    return strcmp(gemm, "own") == 0 || strcmp(gemm, "auto") == 0
               ? 0
               : m2c_fail(err, -EINVAL, "device.gemm = %s: it is auto, own or blas",
                          gemm);
}

void m2c_cl_gemm_close(struct m2c_cl *c)
{
    (void)c;
}

int m2c_cl_gemm(struct m2c_queue *mq, const struct m2c_matmul_args *m,
                struct m2c_err *err)
{
    (void)mq;
    (void)m;
    return m2c_fail(err, -ENOTSUP, "m2c was built without CLBlast");
}

#endif
