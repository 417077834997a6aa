/* SPDX-License-Identifier: MIT */
/* Queues, copies and events of the opencl backend: in-order command queues,
 * markers and barriers. A queue's commands are flushed when an event is
 * recorded, since other queues and the host wait for events only. */
#include "dev/opencl_queue_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* PoCL up to 3.1 does not hold a sub-device for the context made of it, and its
 * workers look at a command's device after clFinish has returned: a sub-device
 * must outlive the last of them. Each command owns its queue until then. */
static void wait_for_owners(cl_command_queue queue)
{
    const uint64_t give_up = m2c_now_ns() + 100000000u;
    cl_uint owners = 1;
    while (clGetCommandQueueInfo(queue, CL_QUEUE_REFERENCE_COUNT, sizeof(owners), &owners,
                                 NULL) == CL_SUCCESS &&
           owners > 1 && m2c_now_ns() < give_up)
        sched_yield();
}

void m2c_cl_queue_release(const struct m2c_cl *c, cl_command_queue queue)
{
    clFinish(queue);
    if (c->sub_device)
        wait_for_owners(queue);
    clReleaseCommandQueue(queue);
}

int m2c_cl_queue_open(struct m2c_queue *mq, struct m2c_err *err)
{
    struct m2c_cl *c = mq->dev->priv;
    struct m2c_cl_queue *q = calloc(1, sizeof(*q));
    cl_int e;
    if (!q)
        return m2c_fail(err, -ENOMEM, "out of memory");
    q->queue = clCreateCommandQueue(c->context, c->device, CL_QUEUE_PROFILING_ENABLE, &e);
    if (e != CL_SUCCESS) {
        free(q);
        return m2c_cl_fail(err, e, "clCreateCommandQueue");
    }
    mq->priv = q;
    return 0;
}

void m2c_cl_queue_close(struct m2c_queue *mq)
{
    struct m2c_cl_queue *q = mq->priv;
    clFinish(q->queue);
    if (q->bounce)
        clReleaseMemObject(q->bounce);
    for (int i = 0; i < M2C_CL_GEMM_N; i++)
        if (q->gemm[i].mem)
            clReleaseMemObject(q->gemm[i].mem);
    m2c_cl_stages_free(mq->dev->priv, q); /* their events own the queue too */
    m2c_cl_queue_release(mq->dev->priv, q->queue);
    free(q);
}

/* What every call on a device says once work that was enqueued has failed. */
static int standing(const struct m2c_cl *c, struct m2c_err *err)
{
    return c->fault.code < 0 ? m2c_fail(err, c->fault.code, "%s", c->fault.msg) : 0;
}

/* ---- copies ---- */

static bool on_device(struct m2c_mem m)
{
    return m.buf->place == M2C_PLACE_DEVICE;
}

static int write_piece(struct m2c_cl_queue *q, const struct m2c_cl_place *to, const void *src,
                       size_t n, struct m2c_err *err)
{
    cl_int e = clEnqueueWriteBuffer(q->queue, to->mem, CL_FALSE, to->off, n, src, 0, NULL, NULL);
    if (e == CL_SUCCESS && to->also)
        e = clEnqueueWriteBuffer(q->queue, to->also, CL_FALSE, to->also_off, n, src, 0, NULL,
                                 NULL);
    return e == CL_SUCCESS ? 0 : m2c_cl_fail(err, e, "clEnqueueWriteBuffer");
}

static int move_piece(struct m2c_cl_queue *q, const struct m2c_cl_place *to,
                      const struct m2c_cl_place *from, size_t n, struct m2c_err *err)
{
    cl_int e = clEnqueueCopyBuffer(q->queue, from->mem, to->mem, from->off, to->off, n, 0, NULL,
                                   NULL);
    if (e == CL_SUCCESS && to->also)
        e = clEnqueueCopyBuffer(q->queue, from->mem, to->also, from->off, to->also_off, n, 0,
                                NULL, NULL);
    return e == CL_SUCCESS ? 0 : m2c_cl_fail(err, e, "clEnqueueCopyBuffer");
}

static int read_piece(struct m2c_cl_queue *q, const struct m2c_cl_place *from, void *dst,
                      size_t n, struct m2c_err *err)
{
    cl_int e = clEnqueueReadBuffer(q->queue, from->mem, CL_FALSE, from->off, n, dst, 0, NULL,
                                   NULL);
    return e == CL_SUCCESS ? 0 : m2c_cl_fail(err, e, "clEnqueueReadBuffer");
}

/* OpenCL has no command from host memory to host memory: by the device. */
static int bounce(struct m2c_cl *c, struct m2c_cl_queue *q, void *dst, const void *src,
                  size_t n, struct m2c_err *err)
{
    cl_int e = CL_SUCCESS;
    if (!q->bounce)
        q->bounce = clCreateBuffer(c->context, CL_MEM_READ_WRITE, M2C_CL_TINY, NULL, &e);
    if (e != CL_SUCCESS)
        return m2c_cl_fail(err, e, "clCreateBuffer");
    struct m2c_cl_place by = {.mem = q->bounce};
    int r = write_piece(q, &by, src, n, err);
    return r < 0 ? r : read_piece(q, &by, dst, n, err);
}

static int copy_one(struct m2c_cl *c, struct m2c_cl_queue *q, const struct m2c_copy *copy,
                    struct m2c_err *err)
{
    struct m2c_cl_place to, from;
    const bool in = on_device(copy->dst), out = on_device(copy->src);
    if (!in)
        m2c_cl_buf(copy->dst.buf)->written = true;
    for (size_t at = 0, n = 0; at < copy->bytes; at += n) {
        struct m2c_mem d = m2c_mem_at(copy->dst, at), s = m2c_mem_at(copy->src, at);
        int r;
        n = copy->bytes - at;
        if (in) {
            m2c_cl_locate(c, d, &to);
            n = M2C_MIN(n, to.left);
        }
        if (out) {
            m2c_cl_locate(c, s, &from);
            n = M2C_MIN(n, from.left);
        }
        if (in && out) {
            r = move_piece(q, &to, &from, n, err);
        } else if (in) {
            r = write_piece(q, &to, m2c_mem_host(s), n, err);
        } else if (out) {
            r = read_piece(q, &from, m2c_mem_host(d), n, err);
        } else {
            n = M2C_MIN(n, (size_t)M2C_CL_TINY);
            r = bounce(c, q, m2c_mem_host(d), m2c_mem_host(s), n, err);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

/* Copies that continue each other on both sides are one. */
static size_t joined(const struct m2c_copy *batch, size_t n, struct m2c_copy *out)
{
    size_t i = 1;
    *out = batch[0];
    for (; i < n; i++) {
        const struct m2c_copy *next = &batch[i];
        if (next->dst.buf != out->dst.buf || next->src.buf != out->src.buf ||
            next->dst.off != out->dst.off + out->bytes ||
            next->src.off != out->src.off + out->bytes)
            break;
        out->bytes += next->bytes;
    }
    return i;
}

int m2c_cl_copy(struct m2c_queue *mq, const struct m2c_copy *batch, size_t n,
                struct m2c_err *err)
{
    struct m2c_cl *c = mq->dev->priv;
    struct m2c_cl_queue *q = mq->priv;
    int r = standing(c, err);
    for (size_t i = 0; i < n && r == 0;) {
        struct m2c_copy one;
        size_t gathered = 0;
        r = m2c_cl_gather(mq, batch + i, n - i, &gathered, err);
        if (r < 0 || gathered) {
            i += gathered;
            continue;
        }
        i += joined(batch + i, n - i, &one);
        r = copy_one(c, q, &one, err);
    }
    return r;
}

/* ---- events ---- */

int m2c_cl_record(struct m2c_queue *mq, struct m2c_event *ev, struct m2c_err *err)
{
    struct m2c_cl *c = mq->dev->priv;
    struct m2c_cl_queue *q = mq->priv;
    const cl_uint nothing = 0;
    cl_event e;
    int r = standing(c, err);
    if (r < 0)
        return r;
    cl_int code = c->marker_time
                      ? clEnqueueMarkerWithWaitList(q->queue, 0, NULL, &e)
                      : clEnqueueFillBuffer(q->queue, c->tiny, &nothing, sizeof(nothing), 0,
                                            sizeof(nothing), 0, NULL, &e);
    if (code != CL_SUCCESS)
        return m2c_cl_fail(err, code, "a marker");
    code = clFlush(q->queue);
    if (code != CL_SUCCESS) {
        clReleaseEvent(e);
        return m2c_cl_fail(err, code, "clFlush");
    }
    ev->priv = e;
    return 0;
}

int m2c_cl_after(struct m2c_queue *mq, struct m2c_event *ev, struct m2c_err *err)
{
    struct m2c_cl *c = mq->dev->priv;
    struct m2c_cl_queue *q = mq->priv;
    cl_event e = ev->priv;
    int r = standing(c, err);
    if (r < 0)
        return r;
    cl_int code = clEnqueueBarrierWithWaitList(q->queue, 1, &e, NULL);
    return code == CL_SUCCESS ? 0
                              : m2c_cl_fail(err, code, "clEnqueueBarrierWithWaitList");
}

static cl_int status_of(cl_event e)
{
    cl_int status = CL_SUCCESS;
    cl_int code = clGetEventInfo(e, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status), &status,
                                 NULL);
    return code == CL_SUCCESS ? status : code;
}

int m2c_cl_event_wait(struct m2c_event *ev, uint64_t *ns, struct m2c_err *err)
{
    struct m2c_cl *c = ev->dev->priv;
    cl_event e = ev->priv;
    cl_ulong at = 0;
    cl_int code = clWaitForEvents(1, &e), status = status_of(e);
    if (status < 0)
        code = status;
    if (code == CL_SUCCESS)
        code = clGetEventProfilingInfo(e, CL_PROFILING_COMMAND_END, sizeof(at), &at, NULL);
    *ns = code == CL_SUCCESS ? at : m2c_now_ns();
    if (code == CL_SUCCESS)
        return standing(c, err);
    if (c->fault.code == 0)
        m2c_cl_fail(&c->fault, code, "work on the device failed");
    return standing(c, err);
}

bool m2c_cl_event_passed(struct m2c_event *ev)
{
    return status_of(ev->priv) <= CL_COMPLETE;
}

void m2c_cl_event_free(struct m2c_event *ev)
{
    clReleaseEvent(ev->priv);
}
