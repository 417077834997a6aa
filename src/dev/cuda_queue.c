/* SPDX-License-Identifier: MIT */
/* Queues are streams, events are events. An event of ours is a CUevent that
 * goes back to a pool when it is freed: making one costs more than using it.
 *
 * An error of a kernel is found by whatever call comes next, breaks the whole
 * context, and is the result of every later call: that is how it reaches all
 * queues and their events. */
#include "dev/cuda_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

/* ---- the pool ---- */

int m2c_cuda_event_take(struct m2c_cuda *c, m2c_cu_event *out, struct m2c_err *err)
{
    *out = NULL;
    if (c->n_idle) {
        *out = c->idle[--c->n_idle];
        return 0;
    }
    int r = m2c_cuda_check(&c->cu, c->cu.event_create(out, M2C_CU_EVENT_BLOCKING_SYNC),
                           "cuEventCreate", err);
    if (r < 0)
        *out = NULL;
    return r;
}

void m2c_cuda_event_drop(struct m2c_cuda *c, m2c_cu_event ev)
{
    if (!ev)
        return;
    if (c->n_idle < M2C_CUDA_EVENTS)
        c->idle[c->n_idle++] = ev;
    else
        c->cu.event_destroy(ev);
}

/* ---- queues ---- */

static int enter(struct m2c_cuda *c, struct m2c_err *err)
{
    return m2c_cuda_check(&c->cu, c->cu.ctx_set(c->ctx), "cuCtxSetCurrent", err);
}

int m2c_cuda_queue_open(struct m2c_queue *mq, struct m2c_err *err)
{
    struct m2c_cuda *c = mq->dev->priv;
    struct m2c_cuda_queue *q = calloc(1, sizeof *q);
    if (!q)
        return m2c_fail(err, -ENOMEM, "out of memory");
    q->c = c;
    int r = enter(c, err);
    r = r < 0 ? r : m2c_cuda_check(&c->cu, c->cu.stream_create(&q->stream,
                                                               M2C_CU_STREAM_NON_BLOCKING),
                                   "cuStreamCreate", err);
    if (r < 0) {
        free(q);
        return r;
    }
    mq->priv = q;
    return 0;
}

void m2c_cuda_queue_close(struct m2c_queue *mq)
{
    struct m2c_cuda_queue *q = mq->priv;
    const struct m2c_cu *cu = &q->c->cu;
    cu->ctx_set(q->c->ctx);
    cu->stream_sync(q->stream); /* what failed has been told by its event */
    m2c_cuda_copy_fini(q);
    m2c_cuda_gemm_fini(q);
    if (q->part.at)
        cu->mem_free(q->part.at);
    cu->stream_destroy(q->stream);
    free(q);
}

/* ---- events ---- */

/* Once an event has been waited for, its time is all that is left of it. */
struct event {
    m2c_cu_event e; /* NULL: it has passed, at ns */
    uint64_t ns;
};

int m2c_cuda_record(struct m2c_queue *mq, struct m2c_event *ev, struct m2c_err *err)
{
    struct m2c_cuda_queue *q = mq->priv;
    struct event *s = calloc(1, sizeof *s);
    if (!s)
        return m2c_fail(err, -ENOMEM, "out of memory");
    int r = enter(q->c, err);
    r = r < 0 ? r : m2c_cuda_event_take(q->c, &s->e, err);
    r = r < 0 ? r : m2c_cuda_check(&q->c->cu, q->c->cu.event_record(s->e, q->stream),
                                   "cuEventRecord", err);
    if (r < 0) {
        m2c_cuda_event_drop(q->c, s->e);
        free(s);
        return r;
    }
    ev->priv = s;
    return 0;
}

int m2c_cuda_after(struct m2c_queue *mq, struct m2c_event *ev, struct m2c_err *err)
{
    struct m2c_cuda_queue *q = mq->priv;
    const struct event *s = ev->priv;
    if (!s->e)
        return 0;
    int r = enter(q->c, err);
    return r < 0 ? r
                 : m2c_cuda_check(&q->c->cu, q->c->cu.stream_wait(q->stream, s->e, 0),
                                  "cuStreamWaitEvent", err);
}

/* The driver tells the time between two events in float milliseconds: exact to
 * 60 ns up to a second, after which it is counted from another event. */
static int pass(struct m2c_cuda *c, struct event *s, struct m2c_err *err)
{
    float ms = 0;
    int r = m2c_cuda_check(&c->cu, c->cu.event_elapsed(&ms, c->base, s->e),
                           "cuEventElapsedTime", err);
    if (r < 0)
        return r;
    s->ns = (uint64_t)((int64_t)c->base_ns + (int64_t)((double)ms * 1e6));
    if (ms > 1000) {
        m2c_cuda_event_drop(c, c->base);
        c->base = s->e;
        c->base_ns = s->ns;
    } else {
        m2c_cuda_event_drop(c, s->e);
    }
    s->e = NULL;
    return 0;
}

int m2c_cuda_event_wait(struct m2c_event *ev, uint64_t *ns, struct m2c_err *err)
{
    struct m2c_cuda *c = ev->dev->priv;
    struct event *s = ev->priv;
    int r = 0;
    if (s->e) {
        r = enter(c, err);
        r = r < 0 ? r : m2c_cuda_check(&c->cu, c->cu.event_sync(s->e),
                                       "cuEventSynchronize", err);
        r = r < 0 ? r : pass(c, s, err);
    }
    *ns = s->e ? m2c_now_ns() : s->ns; /* where it has failed there is no other clock */
    return r;
}

bool m2c_cuda_event_passed(struct m2c_event *ev)
{
    struct m2c_cuda *c = ev->dev->priv;
    const struct event *s = ev->priv;
    if (!s->e)
        return true;
    c->cu.ctx_set(c->ctx);
    return c->cu.event_query(s->e) != M2C_CU_NOT_READY;
}

void m2c_cuda_event_free(struct m2c_event *ev)
{
    struct m2c_cuda *c = ev->dev->priv;
    struct event *s = ev->priv;
    c->cu.ctx_set(c->ctx);
    m2c_cuda_event_drop(c, s->e);
    free(s);
}
