/* SPDX-License-Identifier: MIT */
/* A device that computes nothing and fails on request. Everything completes
 * when it is enqueued; neither ops nor copies write, so that memory keeps the
 * zeroes it was allocated with. For tests of what stands above: cfg.fail_nth
 * makes the Nth call of a fallible hook, from open on, fail with -EIO. */
#include "dev/dev_impl.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

struct null {
    unsigned calls;
};

static int fallible(struct m2c_dev *dev, struct m2c_err *err)
{
    struct null *s = dev->priv;
    if (++s->calls != dev->cfg.fail_nth)
        return 0;
    return m2c_fail(err, -EIO, "null: call %u fails as asked", s->calls);
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
    return fallible(dev, err);
}

static int alloc_null(struct m2c_dev *dev, struct m2c_buf *buf, struct m2c_err *err)
{
    int r = fallible(dev, err);
    if (r < 0)
        return r;
    r = m2c_pages_alloc(buf->bytes, &buf->host);
    return r < 0 ? m2c_fail(err, r, "the system has no more memory") : 0;
}

static void free_null(struct m2c_dev *dev, struct m2c_buf *buf)
{
    (void)dev;
    m2c_pages_free(buf->host, buf->bytes);
}

static int queue_open(struct m2c_queue *q, struct m2c_err *err)
{
    return fallible(q->dev, err);
}

static int copy(struct m2c_queue *q, const struct m2c_copy *batch, size_t n,
                struct m2c_err *err)
{
    (void)batch;
    (void)n;
    return fallible(q->dev, err);
}

static int launch(struct m2c_queue *q, const struct m2c_call *call, struct m2c_err *err)
{
    (void)call;
    return fallible(q->dev, err);
}

static int record(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err)
{
    (void)ev;
    return fallible(q->dev, err);
}

static int after(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err)
{
    (void)ev;
    return fallible(q->dev, err);
}

static int event_wait(struct m2c_event *ev, uint64_t *ns, struct m2c_err *err)
{
    *ns = m2c_now_ns();
    return fallible(ev->dev, err);
}

static bool event_passed(struct m2c_event *ev)
{
    (void)ev;
    return true;
}

static bool supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type)
{
    (void)dev;
    return (unsigned)op < M2C_N_OPS && (unsigned)type < M2C_N_TYPES;
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
    .hollow = true,
    .open = open_null,
    .alloc = alloc_null,
    .free = free_null,
    .queue_open = queue_open,
    .copy = copy,
    .launch = launch,
    .record = record,
    .after = after,
    .event_wait = event_wait,
    .event_passed = event_passed,
    .supports = supports,
    .seg_neurons = seg_neurons,
};
