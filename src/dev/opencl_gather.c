/* SPDX-License-Identifier: MIT */
/* Many small copies to the device as one.
 *
 * A neuron comes in half a dozen pieces of some hundred bytes, a layer's misses
 * in thousands, and a command of its own for each costs a driver more than the
 * bytes do. Here the host packs them into pinned memory behind a table, one
 * command writes all, and a kernel puts each where it belongs.
 *
 * The source is read when the copy is enqueued, which nobody can tell: it must
 * stay until the copy has run, and memory that the device itself writes to is
 * never gathered. */
#include "dev/opencl_queue_impl.h"

#include <errno.h>
#include <string.h>

enum {
    STAGE = 4 << 20,      /* bytes of a stage */
    SMALL = 64 << 10,     /* larger copies go alone */
    FEW = 4,              /* so do fewer than these */
    ENTRIES = 4096,       /* at most, in one stage */
    ALIGN = 16
};

static bool fits(const struct m2c_copy *copy)
{
    return copy->dst.buf->place == M2C_PLACE_DEVICE &&
           copy->src.buf->place != M2C_PLACE_DEVICE && copy->bytes <= SMALL &&
           !m2c_cl_buf(copy->src.buf)->written;
}

static int open_stage(struct m2c_cl *c, struct m2c_cl_queue *q, struct m2c_cl_stage *s,
                      struct m2c_err *err)
{
    cl_int e;
    s->device = clCreateBuffer(c->context, CL_MEM_READ_ONLY, STAGE, NULL, &e);
    if (e != CL_SUCCESS)
        return m2c_cl_fail(err, e, "clCreateBuffer of a stage");
    s->pinned = clCreateBuffer(c->context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, STAGE,
                               NULL, &e);
    if (e == CL_SUCCESS)
        s->host = clEnqueueMapBuffer(q->queue, s->pinned, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0,
                                     STAGE, 0, NULL, NULL, &e);
    return e == CL_SUCCESS ? 0 : m2c_cl_fail(err, e, "clCreateBuffer of a stage");
}

/* A stage that is not in use; waits for the oldest, if all are. */
static int take_stage(struct m2c_cl *c, struct m2c_cl_queue *q, struct m2c_cl_stage **out,
                      struct m2c_err *err)
{
    struct m2c_cl_stage *s = &q->stage[q->next];
    q->next = (q->next + 1) % M2C_CL_STAGES;
    *out = s;
    if (!s->host)
        return open_stage(c, q, s, err);
    if (s->done) {
        cl_int e = clWaitForEvents(1, &s->done);
        clReleaseEvent(s->done);
        s->done = NULL;
        if (e != CL_SUCCESS)
            return m2c_cl_fail(err, e, "an earlier copy");
    }
    return 0;
}

/* Packs copies, as long as they fit and go to one allocation; returns how many.
 * A copy that two windows must have is two pieces. */
static size_t pack(const struct m2c_cl *c, const struct m2c_copy *batch, size_t n,
                   struct m2c_cl_stage *s, cl_mem *to, uint32_t *pieces, size_t *bytes)
{
    struct m2c_cl_piece *table = (struct m2c_cl_piece *)(void *)s->host;
    const size_t most = M2C_MIN(n, (size_t)ENTRIES);
    size_t at = m2c_align_up(most * sizeof(*table), ALIGN), i = 0;
    uint32_t k = 0;
    for (; i < n && fits(&batch[i]); i++) {
        struct m2c_cl_place p;
        m2c_cl_locate(c, batch[i].dst, &p);
        size_t len = batch[i].bytes;
        if (len > p.left || p.also || at + len > STAGE || k == most || (k && p.mem != *to))
            break;
        *to = p.mem;
        memcpy(s->host + at, m2c_mem_host(batch[i].src), len);
        table[k++] = (struct m2c_cl_piece){.dst = p.off, .src = at, .bytes = len};
        at = m2c_align_up(at + len, ALIGN);
    }
    *pieces = k;
    *bytes = at;
    return i;
}

static int scatter(struct m2c_dev *dev, struct m2c_cl_queue *q, const struct m2c_cl_stage *s,
                   cl_mem to, uint32_t pieces, struct m2c_err *err)
{
    struct m2c_cl *c = dev->priv;
    int r = m2c_cl_build(dev, M2C_CL_SCATTER, err);
    if (r < 0)
        return r;
    cl_kernel k = c->program[M2C_CL_SCATTER].kernel[0];
    const size_t local = c->shape.wide, global = local * pieces;
    cl_int e = clSetKernelArg(k, 0, sizeof(cl_mem), &s->device);
    if (e == CL_SUCCESS)
        e = clSetKernelArg(k, 1, sizeof(cl_mem), &to);
    if (e == CL_SUCCESS)
        e = clEnqueueNDRangeKernel(q->queue, k, 1, NULL, &global, &local, 0, NULL, NULL);
    return e == CL_SUCCESS ? 0 : m2c_cl_fail(err, e, "spreading a batch of copies");
}

int m2c_cl_gather(struct m2c_queue *mq, const struct m2c_copy *batch, size_t n, size_t *taken,
                  struct m2c_err *err)
{
    struct m2c_cl *c = mq->dev->priv;
    struct m2c_cl_queue *q = mq->priv;
    struct m2c_cl_stage *s;
    cl_mem to = NULL;
    uint32_t pieces;
    size_t bytes, few = 0;
    *taken = 0;
    while (few < FEW && few < n && fits(&batch[few]))
        few++;
    if (few < FEW)
        return 0;
    int r = take_stage(c, q, &s, err);
    if (r < 0)
        return r;
    size_t packed = pack(c, batch, n, s, &to, &pieces, &bytes);
    if (pieces == 0)
        return 0;
    cl_int e = clEnqueueWriteBuffer(q->queue, s->device, CL_FALSE, 0, bytes, s->host, 0, NULL,
                                    NULL);
    if (e != CL_SUCCESS)
        return m2c_cl_fail(err, e, "clEnqueueWriteBuffer of a batch");
    r = scatter(mq->dev, q, s, to, pieces, err);
    if (r == 0) {
        e = clEnqueueMarkerWithWaitList(q->queue, 0, NULL, &s->done);
        if (e != CL_SUCCESS) {
            s->done = NULL;
            r = m2c_cl_fail(err, e, "a marker");
        }
    }
    *taken = packed;
    return r;
}

/* The queue has drained. */
void m2c_cl_stages_free(struct m2c_cl *c, struct m2c_cl_queue *q)
{
    for (unsigned i = 0; i < M2C_CL_STAGES; i++) {
        struct m2c_cl_stage *s = &q->stage[i];
        if (s->done)
            clReleaseEvent(s->done);
        if (s->host && clEnqueueUnmapMemObject(c->queue, s->pinned, s->host, 0, NULL, NULL) ==
                           CL_SUCCESS)
            clFinish(c->queue);
        if (s->pinned)
            clReleaseMemObject(s->pinned);
        if (s->device)
            clReleaseMemObject(s->device);
    }
}
