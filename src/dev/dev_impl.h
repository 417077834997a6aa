/* SPDX-License-Identifier: MIT */
/* What a backend implements, and the objects that its hooks get; for src/dev
 * and its tests only.
 *
 * dev.c and queue.c own what holds for every backend: bounds, budgets,
 * support, counters, the lists of what is alive, sticky failures. A hook is
 * called after all that has been checked, from the one host thread that uses
 * the device; a backend's own threads never call back. */
#ifndef M2C_DEV_DEV_IMPL_H
#define M2C_DEV_DEV_IMPL_H

#include "dev/dev.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Hooks are mandatory where nothing else is said; m2c_dev_ops_check refuses a
 * table that lacks one. Those that return int return 0 or a negative errno,
 * and on failure have written *err (never NULL here) in a few words: device,
 * queue and op are put before them. A hook that fails owns nothing: what it
 * had begun is undone when it returns. */
struct m2c_dev_ops {
    struct m2c_plugin p; /* priv_size: of dev->priv */

    /* The backend computes nothing, so that a self-test would be no test. */
    bool hollow;

    /* Opens device cfg.index and fills dev->info (name, memory, limits; the
     * backend's name is there). -ENODEV when it is not there. After a failure
     * close is called. */
    int (*open)(struct m2c_dev *dev, struct m2c_err *err);
    /* Frees what open made, of a half-built device too; no queue, event or
     * buffer is left. Optional: there is nothing to free. */
    void (*close)(struct m2c_dev *dev);

    /* buf->bytes of zeroed memory in buf->place, 4096-aligned; sets
     * buf->handle, and buf->host where the CPU may read it. -ENOMEM. */
    int (*alloc)(struct m2c_dev *dev, struct m2c_buf *buf, struct m2c_err *err);
    void (*free)(struct m2c_dev *dev, struct m2c_buf *buf);

    /* q->priv is the backend's. */
    int (*queue_open)(struct m2c_queue *q, struct m2c_err *err);
    /* Waits until all that was enqueued has run, then frees q->priv.
     * Optional: there is nothing to wait for or to free. */
    void (*queue_close)(struct m2c_queue *q);

    /* Enqueue, and return without waiting for the work (for room, if the queue
     * is full). `batch` (n > 0) and `call` are the caller's: copy what is
     * needed later. Work that fails after it was enqueued fails its queue: the
     * rest of the queue is skipped, its events still pass, and the failure is
     * the result of event_wait for them and of every later call here. */
    int (*copy)(struct m2c_queue *q, const struct m2c_copy *batch, size_t n,
                struct m2c_err *err);
    int (*launch)(struct m2c_queue *q, const struct m2c_call *call, struct m2c_err *err);
    /* ev->priv is the backend's. The event outlives its queue, not its
     * device. */
    int (*record)(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err);
    /* ev may be freed before the queue reaches it. A queue that comes after
     * failed work fails too: what it would read is not there. */
    int (*after)(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err);

    /* Blocks until the event has passed; *ns is when, also on failure. Any
     * number of times. 0, or what had failed on its queue before it. */
    int (*event_wait)(struct m2c_event *ev, uint64_t *ns, struct m2c_err *err);
    bool (*event_passed)(struct m2c_event *ev);
    /* Passed or not. Optional: ev->priv holds nothing. */
    void (*event_free)(struct m2c_event *ev);

    bool (*supports)(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type);
    /* Never 0. */
    uint32_t (*seg_neurons)(const struct m2c_dev *dev, uint32_t n_neurons);

    /* Optional: the device is real. */
    struct m2c_machine *(*machine)(const struct m2c_dev *dev);
};

struct m2c_alloc; /* a live buffer, of dev.c */

struct m2c_dev {
    const struct m2c_dev_ops *ops;
    struct m2c_dev_cfg cfg; /* its strings are valid during open only */
    struct m2c_dev_info info;
    uint64_t used[M2C_N_PLACES], peak[M2C_N_PLACES];
    uint64_t limit; /* on used[M2C_PLACE_DEVICE] */
    struct m2c_dev_counters count;
    struct m2c_alloc *allocs; /* what is alive, to be freed by close */
    struct m2c_queue *queues;
    struct m2c_event *events;
    void *priv;
};

struct m2c_queue {
    struct m2c_dev *dev;
    char name[16];
    int failed; /* sticky: what the first failed hook returned */
    struct m2c_queue *next, **link;
    void *priv;
};

struct m2c_event {
    struct m2c_dev *dev;
    struct m2c_event *next, **link;
    void *priv;
};

extern const struct m2c_dev_ops m2c_dev_cpu, m2c_dev_cuda, m2c_dev_null, m2c_dev_sim;
extern const struct m2c_dev_ops m2c_dev_opencl; /* where M2C_HAVE_OPENCL */

/* -EINVAL naming the mandatory hook that a table lacks. */
M2C_MUST_USE int m2c_dev_ops_check(const struct m2c_dev_ops *ops, struct m2c_err *err);
/* m2c_dev_open with a table that need not be registered. */
M2C_MUST_USE int m2c_dev_open_ops(struct m2c_dev **out, const struct m2c_dev_ops *ops,
                                  const struct m2c_dev_cfg *cfg, struct m2c_err *err);

/* Whether a call's numbers make sense, and every operand lies inside its
 * buffer, at a multiple of its element's size, apart from what the call
 * writes, in memory that ops of `dev` can reach; -EINVAL names the operand. */
M2C_MUST_USE int m2c_call_check(const struct m2c_dev *dev, const struct m2c_call *call,
                                struct m2c_err *err);
/* What can only be known when the call runs, for backends whose memory the
 * CPU sees: ids of EMBED inside their table; lists of FFN ops sorted, with
 * ids, classes and slots that exist. -EINVAL names the entry. */
M2C_MUST_USE int m2c_call_check_data(const struct m2c_call *call, struct m2c_err *err);
/* Whether the device does the call on the types that it has; -ENOTSUP names
 * the one that it does not. */
M2C_MUST_USE int m2c_call_supported(const struct m2c_dev *dev,
                                    const struct m2c_call *call, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
