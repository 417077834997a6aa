/* SPDX-License-Identifier: MIT */
/* Queues and events of every backend: what is enqueued is in bounds and
 * supported, it is counted once it is accepted, and a queue that has failed
 * takes nothing more. */
#include "dev/dev_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int m2c_queue_open(struct m2c_dev *dev, const char *name, struct m2c_queue **out,
                   struct m2c_err *err)
{
    struct m2c_err own = {0};
    struct m2c_queue *q = calloc(1, sizeof *q);
    if (!q)
        return m2c_fail(err, -ENOMEM, "queue %s: out of memory", name);
    q->dev = dev;
    snprintf(q->name, sizeof q->name, "%s", name);
    int r = dev->ops->queue_open(q, &own);
    if (r < 0) {
        free(q);
        return m2c_fail(err, r, "device %s, queue %s: %s", dev->info.name, name, own.msg);
    }
    q->next = dev->queues;
    q->link = &dev->queues;
    if (q->next)
        q->next->link = &q->next;
    dev->queues = q;
    *out = q;
    return 0;
}

void m2c_queue_close(struct m2c_queue *q)
{
    if (!q)
        return;
    if (q->dev->ops->queue_close)
        q->dev->ops->queue_close(q);
    *q->link = q->next;
    if (q->next)
        q->next->link = q->link;
    free(q);
}

/* Takes a hook's result. Work that was not enqueued is missed by all that
 * follows, so that the queue is of no use any more. */
static int result(struct m2c_queue *q, int r, const char *what, const struct m2c_err *own,
                  struct m2c_err *err)
{
    if (r >= 0)
        return 0;
    q->failed = r;
    return m2c_fail(err, r, "device %s, queue %s: %s: %s", q->dev->info.name, q->name,
                    what, own->msg);
}

static int check_alive(const struct m2c_queue *q, struct m2c_err *err)
{
    return q->failed < 0
               ? m2c_fail(err, q->failed, "device %s, queue %s: earlier work has failed",
                          q->dev->info.name, q->name)
               : 0;
}

/* ---- copies ---- */

static bool inside(struct m2c_mem m, size_t bytes)
{
    return m.buf && m2c_range_ok(m.off, bytes, m.buf->bytes);
}

static int check_copy(const struct m2c_copy *c, size_t i, size_t n, struct m2c_err *err)
{
    const char *fault = NULL;
    if (!inside(c->dst, c->bytes))
        fault = "leave the buffer they go to";
    else if (!inside(c->src, c->bytes))
        fault = "leave the buffer they come from";
    else if (c->dst.buf == c->src.buf && c->dst.off < c->src.off + c->bytes &&
             c->src.off < c->dst.off + c->bytes && c->bytes)
        fault = "overlap where they go";
    return fault ? m2c_fail(
                       err, -EINVAL,
                       "copy %zu of %zu: %zu bytes, offset %zu of %zu to offset %zu of "
                       "%zu, %s",
                       i + 1, n, c->bytes, c->src.off,
                       c->src.buf ? c->src.buf->bytes : (size_t)0, c->dst.off,
                       c->dst.buf ? c->dst.buf->bytes : (size_t)0, fault)
                 : 0;
}

int m2c_queue_copy(struct m2c_queue *q, const struct m2c_copy *batch, size_t n,
                   struct m2c_err *err)
{
    struct m2c_err own = {0};
    uint64_t bytes = 0;
    int r = check_alive(q, err);
    for (size_t i = 0; i < n && r == 0; i++) {
        r = check_copy(&batch[i], i, n, err);
        bytes += batch[i].bytes;
    }
    if (r < 0 || n == 0)
        return r;
    const uint64_t start = m2c_dev_now_ns(q->dev);
    r = q->dev->ops->copy(q, batch, n, &own);
    q->dev->count.host_ns += m2c_dev_now_ns(q->dev) - start;
    if (r < 0)
        return result(q, r, "copy", &own, err);
    q->dev->count.copies += n;
    q->dev->count.copy_batches++;
    q->dev->count.copy_bytes += bytes;
    return 0;
}

/* ---- ops ---- */

int m2c_queue_launch(struct m2c_queue *q, const struct m2c_call *call,
                     struct m2c_err *err)
{
    struct m2c_err own = {0};
    int r = check_alive(q, err);
    r = r < 0 ? r : m2c_call_check(q->dev, call, err);
    r = r < 0 ? r : m2c_call_supported(q->dev, call, err);
    if (r < 0)
        return r;
    const uint64_t start = m2c_dev_now_ns(q->dev);
    r = q->dev->ops->launch(q, call, &own);
    q->dev->count.host_ns += m2c_dev_now_ns(q->dev) - start;
    if (r < 0)
        return result(q, r, m2c_op_name(call->op), &own, err);
    q->dev->count.launches++;
    return 0;
}

/* ---- events ---- */

int m2c_queue_record(struct m2c_queue *q, struct m2c_event **out, struct m2c_err *err)
{
    struct m2c_err own = {0};
    int r = check_alive(q, err);
    if (r < 0)
        return r;
    struct m2c_event *ev = calloc(1, sizeof *ev);
    if (!ev)
        return m2c_fail(err, -ENOMEM, "event: out of memory");
    ev->dev = q->dev;
    r = q->dev->ops->record(q, ev, &own);
    if (r < 0) {
        free(ev);
        return result(q, r, "record", &own, err);
    }
    ev->next = q->dev->events;
    ev->link = &q->dev->events;
    if (ev->next)
        ev->next->link = &ev->next;
    q->dev->events = ev;
    q->dev->count.events++;
    *out = ev;
    return 0;
}

int m2c_queue_after(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err)
{
    struct m2c_err own = {0};
    int r = check_alive(q, err);
    if (r == 0 && ev->dev != q->dev)
        r = m2c_fail(err, -EINVAL, "queue %s: the event is of another device", q->name);
    return r < 0 ? r : result(q, q->dev->ops->after(q, ev, &own), "after", &own, err);
}

int m2c_event_wait(struct m2c_event *ev, uint64_t *device_ns, struct m2c_err *err)
{
    struct m2c_err own = {0};
    uint64_t ns = 0;
    int r = ev->dev->ops->event_wait(ev, &ns, &own);
    if (device_ns)
        *device_ns = ns;
    return r < 0 ? m2c_fail(err, r, "device %s: %s", ev->dev->info.name, own.msg) : 0;
}

bool m2c_event_passed(struct m2c_event *ev)
{
    return ev->dev->ops->event_passed(ev);
}

void m2c_event_free(struct m2c_event *ev)
{
    if (!ev)
        return;
    if (ev->dev->ops->event_free)
        ev->dev->ops->event_free(ev);
    *ev->link = ev->next;
    if (ev->next)
        ev->next->link = ev->link;
    free(ev);
}
