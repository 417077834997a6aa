/* SPDX-License-Identifier: MIT */
/* What a backend implements. Bounds, budgets, counters and support have been
 * checked by dev.c before a hook is called. */
#ifndef M2C_DEV_DEV_IMPL_H
#define M2C_DEV_DEV_IMPL_H

#include "dev/dev.h"

struct m2c_dev_ops {
    struct m2c_plugin p; /* priv_size: of the device */
    /* Opens device cfg.index and fills dev->info. -ENODEV. Mandatory. */
    int (*open)(struct m2c_dev *dev, struct m2c_err *err);
    void (*close)(struct m2c_dev *dev); /* half-built is fine; mandatory */
    /* Zeroed memory; sets handle and host. -ENOMEM. Mandatory. */
    int (*alloc)(struct m2c_dev *dev, struct m2c_buf *buf);
    void (*free)(struct m2c_dev *dev, struct m2c_buf *buf); /* mandatory */
    /* Queues: q->priv is the backend's. Mandatory. close drains. */
    int (*queue_open)(struct m2c_queue *q, struct m2c_err *err);
    void (*queue_close)(struct m2c_queue *q);
    /* Enqueue only; a failure that shows later is reported by event_wait.
     * Mandatory. */
    int (*copy)(struct m2c_queue *q, const struct m2c_copy *batch, size_t n);
    int (*launch)(struct m2c_queue *q, const struct m2c_call *call);
    int (*record)(struct m2c_queue *q, struct m2c_event *ev);
    int (*after)(struct m2c_queue *q, struct m2c_event *ev);
    /* Waits; 0, or what failed on the event's queue before it. */
    int (*event_wait)(struct m2c_event *ev, uint64_t *ns);
    bool (*event_passed)(struct m2c_event *ev);
    void (*event_free)(struct m2c_event *ev);
    bool (*supports)(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type);
    uint32_t (*seg_neurons)(const struct m2c_dev *dev, uint32_t n_neurons);
};

struct m2c_dev {
    const struct m2c_dev_ops *ops;
    struct m2c_dev_cfg cfg;
    struct m2c_dev_info info;
    uint64_t used[M2C_N_PLACES], peak[M2C_N_PLACES], limit;
    struct m2c_dev_counters count;
    struct alloc *allocs; /* list of live buffers */
    void *priv;
};

struct m2c_queue {
    struct m2c_dev *dev;
    char name[16];
    void *priv;
};

struct m2c_event {
    struct m2c_dev *dev;
    void *priv;
};

extern const struct m2c_dev_ops m2c_dev_cpu, m2c_dev_null;

/* Whether every operand lies inside its buffer; -EINVAL names the operand. */
M2C_MUST_USE int m2c_call_check(const struct m2c_call *call, struct m2c_err *err);
/* The type whose support decides whether the call can run. */
enum m2c_type m2c_call_type(const struct m2c_call *call);

#endif
