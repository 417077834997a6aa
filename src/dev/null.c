/* SPDX-License-Identifier: MIT */
/* A device that computes nothing and fails on request. Everything completes
 * when it is enqueued; outputs keep the zeroes they were allocated with. For
 * tests of what stands above: cfg.fail_nth makes the Nth fallible call fail
 * with -EIO. */
#include "dev/dev_impl.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

struct null {
    unsigned calls;
};

static int fallible(struct m2c_dev *dev)
{
    struct null *s = dev->priv;
    return ++s->calls == dev->cfg.fail_nth ? -EIO : 0;
}

static int open_null(struct m2c_dev *dev, struct m2c_err *err)
{
    if (dev->cfg.index != 0)
        return m2c_fail(err, -ENODEV, "null: there is device 0 only, not %d",
                        dev->cfg.index);
    snprintf(dev->info.name, sizeof dev->info.name, "null");
    dev->info.mem_bytes = dev->info.max_alloc = UINT64_C(1) << 40;
    dev->info.ffn_seg_neurons_min = 64;
    dev->info.gemm_rows = UINT32_MAX;
    dev->info.threads = 1;
    dev->info.unified = true;
    int r = fallible(dev);
    return r < 0 ? m2c_fail(err, r, "null: fails as asked") : 0;
}

static void close_null(struct m2c_dev *dev) { (void)dev; }

static int alloc_null(struct m2c_dev *dev, struct m2c_buf *buf)
{
    return fallible(dev) < 0 ? -EIO : m2c_pages_alloc(buf->bytes, &buf->host);
}

static void free_null(struct m2c_dev *dev, struct m2c_buf *buf)
{
    (void)dev;
    m2c_pages_free(buf->host, buf->bytes);
}

static int queue_open(struct m2c_queue *q, struct m2c_err *err)
{
    int r = fallible(q->dev);
    return r < 0 ? m2c_fail(err, r, "queue %s: fails as asked", q->name) : 0;
}

static void queue_close(struct m2c_queue *q) { (void)q; }

static int copy(struct m2c_queue *q, const struct m2c_copy *batch, size_t n)
{
    (void)batch;
    (void)n;
    return fallible(q->dev);
}

static int launch(struct m2c_queue *q, const struct m2c_call *call)
{
    (void)call;
    return fallible(q->dev);
}

static int record(struct m2c_queue *q, struct m2c_event *ev)
{
    (void)ev;
    return fallible(q->dev);
}

static int after(struct m2c_queue *q, struct m2c_event *ev)
{
    (void)ev;
    return fallible(q->dev);
}

static int event_wait(struct m2c_event *ev, uint64_t *ns)
{
    *ns = m2c_now_ns();
    return fallible(ev->dev);
}

static bool event_passed(struct m2c_event *ev)
{
    (void)ev;
    return true;
}

static void event_free(struct m2c_event *ev) { (void)ev; }

static bool supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type)
{
    (void)dev;
    (void)op;
    return type < M2C_N_TYPES;
}

static uint32_t seg_neurons(const struct m2c_dev *dev, uint32_t n_neurons)
{
    (void)n_neurons;
    return dev->info.ffn_seg_neurons_min;
}

const struct m2c_dev_ops m2c_dev_null = {
    .p = {.name = "null",
          .desc = "computes nothing; fails on request, for tests",
          .priv_size = sizeof(struct null)},
    .open = open_null,
    .close = close_null,
    .alloc = alloc_null,
    .free = free_null,
    .queue_open = queue_open,
    .queue_close = queue_close,
    .copy = copy,
    .launch = launch,
    .record = record,
    .after = after,
    .event_wait = event_wait,
    .event_passed = event_passed,
    .event_free = event_free,
    .supports = supports,
    .seg_neurons = seg_neurons,
};
