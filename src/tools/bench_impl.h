/* SPDX-License-Identifier: MIT */
/* What the files of m2c bench kernels share: settings, operands, kinds. */
#ifndef M2C_TOOLS_BENCH_IMPL_H
#define M2C_TOOLS_BENCH_IMPL_H

#include "base/pool.h"
#include "dev/cpu/kernels.h"
#include "dev/dev.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { BENCH_REPS = 1001, BENCH_KINDS = 48, BENCH_ROWS = 64, BENCH_SIDES = 2 };

struct bench_settings {
    const char *isa, *backend, *platform, *library; /* backend: the other one, or NULL */
    int64_t threads, index, reps, dim, hidden, active_percent;
    uint64_t bytes; /* of the buffer of weights; 0: chosen by the machine */
    bool json;
};

struct bench;

/* A device and its operands; the cpu is side 0. */
struct bench_side {
    struct m2c_dev *dev;
    struct m2c_queue *queue;
    struct m2c_buf *weights, *x, *h, *acc, *y, *list;
    uint32_t seg, segments;
};

/* One thing that is timed. A pass takes milliseconds, so that some passes go
 * undisturbed on a machine that has other work; pass number `rep` reads
 * another part of the buffer than the passes before it. */
struct bench_kind {
    const char *name; /* "ffn i4" */
    int (*pass)(struct bench *b, const struct bench_kind *k, uint32_t rep,
                struct m2c_err *err);
    unsigned side;
    enum m2c_type type;
    uint32_t rows;
    bool one_thread, up, down, cached;
    double bytes, flops;       /* of one pass */
    double sample[BENCH_REPS]; /* seconds */
};

struct bench {
    struct bench_settings s;
    const struct m2c_cpu_isa *isa;
    struct m2c_pool *pool, *one;
    struct bench_side side[BENCH_SIDES];
    unsigned n_sides;
    uint32_t n_active, lists;
    struct bench_kind kind[BENCH_KINDS];
    unsigned n_kinds;
};

/* Device, queue, pools, operands. b->s is set; close also what is half open. */
M2C_MUST_USE int bench_open(struct bench *b, struct m2c_err *err);
void bench_close(struct bench *b);
/* The kinds: reads of memory first, of which the first is the measure. */
void bench_add_reads(struct bench *b);
void bench_add_kernels(struct bench *b, unsigned side);

#ifdef __cplusplus
}
#endif
#endif
