/* SPDX-License-Identifier: MIT */
/* The device interface: memory, queues, events, ops.
 *
 * Work is enqueued; calls on one queue run in order, and record/after/wait
 * on events is all the ordering there is between queues and with the host.
 * Every call can fail and says so; nothing aborts. Used from one host
 * thread. Callers use these functions, never a backend's table (dev_impl.h):
 * bounds, budgets and counters live here. */
#ifndef M2C_DEV_DEV_H
#define M2C_DEV_DEV_H

#include "base/plugin.h"
#include "ops/op.h"
#include "sim/machine.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_dev;
struct m2c_queue;
struct m2c_event;

enum m2c_place {
    M2C_PLACE_DEVICE, /* device memory; counts against the device's limit */
    M2C_PLACE_PINNED, /* host memory that copies run from at full speed */
    M2C_PLACE_HOST,   /* plain host memory */
    M2C_N_PLACES
};

struct m2c_dev_cfg {
    const char *backend;  /* "cpu", "cuda", "opencl", "null" */
    int index;            /* which device of the backend */
    const char *platform; /* opencl: of platforms whose name or vendor has this in
                             it, in any case; NULL or "": of all */
    unsigned threads;     /* cpu: 0 = all in the affinity mask; opencl: compute units
                             of a device that can be partitioned, 0 = all */
    uint64_t bytes;       /* limit on M2C_PLACE_DEVICE; 0: all that it has */
    uint64_t max_alloc;   /* opencl: largest allocation to make; 0: what the driver
                             says */
    const char *isa;      /* cpu: "auto", "c", "avx2", "avx512"; opencl: "auto",
                             "vector", "team" */
    unsigned fail_nth;    /* null: the Nth fallible call fails (0: none) */
    const char *gemm;     /* products of many rows: "own" kernels, "blas" (-ENOTSUP or
                             -ENODEV without), or "auto": a library where there is one
                             and it is the faster (opencl: not on processors); NULL:
                             auto */
    const char *copy;     /* cuda: how batches travel: "auto" (measured), "each", "gather",
                             "batch"; NULL: auto */
    const char *library;  /* cuda: a folder where its libraries are looked for first */
    const char *cache;    /* of compiled kernels: a folder; NULL or "": see progcache.h */
    const char *profile;     /* sim: the machine's (sim/profile.h) */
    const char *ssd_profile; /* sim: a file whose SSD it has instead; NULL or "": none */
};

struct m2c_dev_info {
    char backend[16], name[128], driver[128];
    char isa[16];            /* of the kernels chosen; "" when not meaningful */
    uint64_t mem_bytes;      /* device memory, or host memory for the cpu */
    uint64_t max_alloc;      /* largest buffer */
    uint64_t piece_bytes;    /* larger buffers are several allocations; 0: never */
    uint32_t ffn_seg_neurons_min; /* see m2c_dev_seg_neurons */
    uint32_t gemm_rows;      /* MATMUL with rows >= this may have other bits */
    unsigned threads;
    char copies[32];         /* how batches can travel: words for cfg.copy, by blanks */
    bool unified;            /* ops may read PINNED and HOST memory directly */
    bool processor;          /* it is the host's own processor */
    bool simulated;          /* it computes nothing, and its times are a model's */
};

/* Registered backends, in probing order, NULL-terminated. */
const struct m2c_plugin *const *m2c_dev_backends(void);

/* The device that references are computed on, whatever `cfg` names: this
 * machine's processor, with cfg's kernels and threads if they are its own. */
void m2c_dev_reference_cfg(const struct m2c_dev_cfg *cfg, struct m2c_dev_cfg *out);
/* -ENODEV when the device is not there, -ENOENT for an unknown backend,
 * -ENOMEM when cfg->bytes is more than the device has. */
M2C_MUST_USE int m2c_dev_open(struct m2c_dev **out, const struct m2c_dev_cfg *cfg,
                              struct m2c_err *err);
void m2c_dev_close(struct m2c_dev *dev); /* accepts NULL; everything made from it freed */
const struct m2c_dev_info *m2c_dev_info(const struct m2c_dev *dev);

/* The machine that a simulated device is part of: what runs beside the device, as
 * the SSD, must be of the same. NULL where devices are real. */
struct m2c_machine *m2c_dev_machine(const struct m2c_dev *dev);
/* Whether such a device would have one; false for a backend that is not there. */
bool m2c_dev_is_simulated(const struct m2c_dev_cfg *cfg);
/* The time that everything about this device is measured by: the machine's, or
 * m2c_now_ns. */
uint64_t m2c_dev_now_ns(const struct m2c_dev *dev);
/* The host has done so much work for what runs on the device. Real hosts took their
 * time for it, on a simulated one this is what time it takes. */
void m2c_dev_host_work(struct m2c_dev *dev, enum m2c_host_work work, uint64_t n);

/* Ids a segment of the FFN sums (see m2c_ffn_down_args) for a layer of
 * n_neurons: depends on the backend and its ISA alone, never on threads. */
uint32_t m2c_dev_seg_neurons(const struct m2c_dev *dev, uint32_t n_neurons);

/* -ENOMEM when the memory or the budget is not there; detail says which. The
 * buffer is zeroed, its address a multiple of 4096. */
M2C_MUST_USE int m2c_dev_alloc(struct m2c_dev *dev, enum m2c_place place, size_t bytes,
                               struct m2c_buf **out, struct m2c_err *err);
void m2c_dev_free(struct m2c_dev *dev, struct m2c_buf *buf); /* accepts NULL */
/* Bytes held now and the most ever held in a place. */
uint64_t m2c_dev_used(const struct m2c_dev *dev, enum m2c_place place);
uint64_t m2c_dev_peak(const struct m2c_dev *dev, enum m2c_place place);

M2C_MUST_USE int m2c_queue_open(struct m2c_dev *dev, const char *name,
                                struct m2c_queue **out, struct m2c_err *err);
void m2c_queue_close(struct m2c_queue *q); /* drains; accepts NULL */

/* Whether an op can run with these weights: `type` is the type of the
 * matrix, cache or class; M2C_F32 where an op has none. */
bool m2c_dev_supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type);

/* dst and src must not overlap; the pieces of a batch are copied in any order,
 * so none may touch what another writes. The batch is copied, the memory must
 * stay until an event recorded later on this queue has passed. -EINVAL out of
 * bounds. */
struct m2c_copy {
    struct m2c_mem dst, src;
    size_t bytes;
};
M2C_MUST_USE int m2c_queue_copy(struct m2c_queue *q, const struct m2c_copy *batch,
                                size_t n, struct m2c_err *err);
/* The call is copied (unit structs too). -ENOTSUP, -EINVAL out of bounds. */
M2C_MUST_USE int m2c_queue_launch(struct m2c_queue *q, const struct m2c_call *call,
                                  struct m2c_err *err);

/* An event passes when all work enqueued before it on its queue is done. */
M2C_MUST_USE int m2c_queue_record(struct m2c_queue *q, struct m2c_event **out,
                                  struct m2c_err *err);
/* Work enqueued on q after this call starts after the event has passed. */
M2C_MUST_USE int m2c_queue_after(struct m2c_queue *q, struct m2c_event *ev,
                                 struct m2c_err *err);
/* Blocks until the event has passed; *device_ns (may be NULL) is when it did
 * on the device's clock (cpu: m2c_now_ns). A failure of the queue's work is
 * reported here, and by every later call on the queue. */
M2C_MUST_USE int m2c_event_wait(struct m2c_event *ev, uint64_t *device_ns,
                                struct m2c_err *err);
bool m2c_event_passed(struct m2c_event *ev);
void m2c_event_free(struct m2c_event *ev); /* accepts NULL; needs no wait before */

/* Counters since open, for the record. host_ns: the host's time in handing copies
 * and launches to the backend, which on a device of its own is all that an op costs
 * the host. */
struct m2c_dev_counters {
    uint64_t copies, copy_bytes, launches, events;
    uint64_t copy_batches; /* calls of m2c_queue_copy with something to copy */
    uint64_t host_ns;
};
void m2c_dev_counters(const struct m2c_dev *dev, struct m2c_dev_counters *out);

/* Known-answer check of every supported op and type on the open device, about
 * a second at most; leaves counters and peaks alone. -EIO names the op and the
 * error found; -ENOTSUP for a device that computes nothing; what allocation
 * and queues return. */
M2C_MUST_USE int m2c_dev_selftest(struct m2c_dev *dev, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
