/* SPDX-License-Identifier: MIT */
/* Registry of backends, and what holds for all of them: budgets, bounds,
 * support, counters. */
#include "dev/dev_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct m2c_dev_ops *const registry[] = {
    &m2c_dev_cpu,
    &m2c_dev_null,
    NULL,
};

struct alloc {
    struct m2c_buf buf; /* first: a buffer is cast back to its node */
    struct alloc *next, **link;
};

const struct m2c_plugin *const *m2c_dev_backends(void)
{
    return (const struct m2c_plugin *const *)(const void *)registry;
}

int m2c_dev_open(struct m2c_dev **out, const struct m2c_dev_cfg *cfg, struct m2c_err *err)
{
    const struct m2c_dev_ops *ops = m2c_plugin_find(
        (const void *const *)(const void *)registry, "backend", cfg->backend, err);
    if (!ops)
        return -ENOENT;
    struct m2c_dev *dev = calloc(1, sizeof *dev);
    if (!dev || !(dev->priv = calloc(1, ops->p.priv_size ? ops->p.priv_size : 1))) {
        free(dev);
        return m2c_fail(err, -ENOMEM, "device: out of memory");
    }
    dev->ops = ops;
    dev->cfg = *cfg;
    snprintf(dev->info.backend, sizeof dev->info.backend, "%s", ops->p.name);
    int r = ops->open(dev, err);
    if (r < 0) {
        m2c_dev_close(dev);
        return r;
    }
    dev->limit = cfg->bytes && cfg->bytes < dev->info.mem_bytes ? cfg->bytes
                                                                : dev->info.mem_bytes;
    *out = dev;
    return 0;
}

void m2c_dev_close(struct m2c_dev *dev)
{
    if (!dev)
        return;
    while (dev->allocs)
        m2c_dev_free(dev, &dev->allocs->buf);
    dev->ops->close(dev);
    free(dev->priv);
    free(dev);
}

const struct m2c_dev_info *m2c_dev_info(const struct m2c_dev *dev) { return &dev->info; }

uint32_t m2c_dev_seg_neurons(const struct m2c_dev *dev, uint32_t n_neurons)
{
    return dev->ops->seg_neurons(dev, n_neurons);
}

/* ---- memory ---- */

static const char *place_name(enum m2c_place p)
{
    static const char *const names[] = {"device", "pinned host", "host"};
    return names[p];
}

int m2c_dev_alloc(struct m2c_dev *dev, enum m2c_place place, size_t bytes,
                  struct m2c_buf **out, struct m2c_err *err)
{
    if (place == M2C_PLACE_DEVICE && !m2c_range_ok(dev->used[place], bytes, dev->limit))
        return m2c_fail(err, -ENOMEM,
                        "device %s: %zu bytes asked for, %llu of %llu in use "
                        "(device.bytes)",
                        dev->info.name, bytes, (unsigned long long)dev->used[place],
                        (unsigned long long)dev->limit);
    if (bytes > dev->info.max_alloc)
        return m2c_fail(err, -ENOMEM, "device %s: %zu bytes asked for, at most %llu at once",
                        dev->info.name, bytes, (unsigned long long)dev->info.max_alloc);
    struct alloc *a = calloc(1, sizeof *a);
    if (!a)
        return m2c_fail(err, -ENOMEM, "device: out of memory");
    a->buf.bytes = bytes;
    a->buf.place = (int)place;
    int r = dev->ops->alloc(dev, &a->buf);
    if (r < 0) {
        free(a);
        return m2c_fail(err, r, "device %s: %zu bytes of %s memory: %s", dev->info.name,
                        bytes, place_name(place), strerror(-r));
    }
    a->next = dev->allocs;
    a->link = &dev->allocs;
    if (a->next)
        a->next->link = &a->next;
    dev->allocs = a;
    dev->used[place] += bytes;
    dev->peak[place] = M2C_MAX(dev->peak[place], dev->used[place]);
    *out = &a->buf;
    return 0;
}

void m2c_dev_free(struct m2c_dev *dev, struct m2c_buf *buf)
{
    if (!buf)
        return;
    struct alloc *a = (struct alloc *)buf;
    *a->link = a->next;
    if (a->next)
        a->next->link = a->link;
    dev->used[buf->place] -= buf->bytes;
    dev->ops->free(dev, buf);
    free(a);
}

uint64_t m2c_dev_used(const struct m2c_dev *dev, enum m2c_place place)
{
    return dev->used[place];
}

uint64_t m2c_dev_peak(const struct m2c_dev *dev, enum m2c_place place)
{
    return dev->peak[place];
}

void m2c_dev_counters(const struct m2c_dev *dev, struct m2c_dev_counters *out)
{
    *out = dev->count;
}

/* ---- queues ---- */

int m2c_queue_open(struct m2c_dev *dev, const char *name, struct m2c_queue **out,
                   struct m2c_err *err)
{
    struct m2c_queue *q = calloc(1, sizeof *q);
    if (!q)
        return m2c_fail(err, -ENOMEM, "queue %s: out of memory", name);
    q->dev = dev;
    snprintf(q->name, sizeof q->name, "%s", name);
    int r = dev->ops->queue_open(q, err);
    if (r < 0) {
        free(q);
        return r;
    }
    *out = q;
    return 0;
}

void m2c_queue_close(struct m2c_queue *q)
{
    if (!q)
        return;
    q->dev->ops->queue_close(q);
    free(q);
}

bool m2c_dev_supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type)
{
    return dev->ops->supports(dev, op, type);
}

static int queue_result(struct m2c_queue *q, int r, const char *what, struct m2c_err *err)
{
    if (r >= 0)
        return r;
    return m2c_fail(err, r, "device %s, queue %s: %s: %s", q->dev->info.name, q->name, what,
                    strerror(-r));
}

int m2c_queue_copy(struct m2c_queue *q, const struct m2c_copy *batch, size_t n,
                   struct m2c_err *err)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        const struct m2c_copy *c = &batch[i];
        if (!m2c_range_ok(c->dst.off, c->bytes, c->dst.buf->bytes) ||
            !m2c_range_ok(c->src.off, c->bytes, c->src.buf->bytes))
            return m2c_fail(err, -EINVAL, "copy %zu of %zu: %zu bytes leave their buffer", i,
                            n, c->bytes);
        bytes += c->bytes;
    }
    q->dev->count.copies += n;
    q->dev->count.copy_bytes += bytes;
    return queue_result(q, q->dev->ops->copy(q, batch, n), "copy", err);
}

static int check_support(const struct m2c_dev *dev, const struct m2c_call *call,
                         struct m2c_err *err)
{
    const struct m2c_ffn_unit *u = call->op == M2C_OP_FFN_UP     ? call->u.ffn_up.unit
                                   : call->op == M2C_OP_FFN_DOWN ? call->u.ffn_down.unit
                                                                 : NULL;
    enum m2c_type type = m2c_call_type(call);
    uint32_t n = u ? u->n_classes : 1;
    for (uint32_t c = 0; c < n; c++) {
        if (u)
            type = u->cls[c].type;
        if ((!u || u->cls[c].base.buf) && !m2c_dev_supports(dev, call->op, type))
            return m2c_fail(err, -ENOTSUP, "device %s does not do %s on %s",
                            dev->info.name, m2c_op_name(call->op), m2c_type_name(type));
    }
    return 0;
}

int m2c_queue_launch(struct m2c_queue *q, const struct m2c_call *call, struct m2c_err *err)
{
    int r = m2c_call_check(call, err);
    if (r == 0)
        r = check_support(q->dev, call, err);
    if (r < 0)
        return r;
    q->dev->count.launches++;
    return queue_result(q, q->dev->ops->launch(q, call), m2c_op_name(call->op), err);
}

int m2c_queue_record(struct m2c_queue *q, struct m2c_event **out, struct m2c_err *err)
{
    struct m2c_event *ev = calloc(1, sizeof *ev);
    if (!ev)
        return m2c_fail(err, -ENOMEM, "event: out of memory");
    ev->dev = q->dev;
    int r = q->dev->ops->record(q, ev);
    if (r < 0) {
        free(ev);
        return queue_result(q, r, "record", err);
    }
    q->dev->count.events++;
    *out = ev;
    return 0;
}

int m2c_queue_after(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err)
{
    return queue_result(q, q->dev->ops->after(q, ev), "after", err);
}

int m2c_event_wait(struct m2c_event *ev, uint64_t *device_ns, struct m2c_err *err)
{
    uint64_t ns = 0;
    int r = ev->dev->ops->event_wait(ev, &ns);
    if (device_ns)
        *device_ns = ns;
    return r < 0 ? m2c_fail(err, r, "device %s: work on a queue failed: %s",
                            ev->dev->info.name, strerror(-r))
                 : 0;
}

bool m2c_event_passed(struct m2c_event *ev) { return ev->dev->ops->event_passed(ev); }

void m2c_event_free(struct m2c_event *ev)
{
    if (!ev)
        return;
    ev->dev->ops->event_free(ev);
    free(ev);
}
