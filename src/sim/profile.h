/* SPDX-License-Identifier: MIT */
/* What a simulated machine is made of: the numbers of a card, its link, a host
 * and an SSD, from an ini file (configs/devices/NAME.ini) that says beside each
 * where it comes from.
 *
 * No number has a default: what a file leaves out is an error, and so is what no
 * machine can have. GB are 10^9 bytes. */
#ifndef M2C_SIM_PROFILE_H
#define M2C_SIM_PROFILE_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Weights by their width: achieved bandwidth differs. */
enum m2c_width { M2C_WIDTH_32, M2C_WIDTH_16, M2C_WIDTH_8, M2C_WIDTH_4, M2C_N_WIDTHS };

struct m2c_profile {
    struct {
        const char *name;
    } machine;
    struct {
        int kind;         /* enum m2c_profile_kind */
        uint64_t memory;  /* bytes */
        uint64_t reserve; /* of these, what context and driver take */
        double gb_s;      /* of its memory */
        double tflops;    /* f32, by ordinary kernels */
        double gemm_tflops; /* products of many rows, by a library */
        int64_t gemm_rows;  /* from so many rows on they go there */
        double launch_us;   /* from one kernel to the next on a queue */
    } gpu;
    struct { /* shares of the roofline that kernels reach */
        double matmul[M2C_N_WIDTHS]; /* of bandwidth: dense matrix times one row */
        double ffn[M2C_N_WIDTHS];    /* of bandwidth: phases A and B */
        double attention, other;     /* of bandwidth */
        double compute, gemm;        /* of tflops, of gemm_tflops */
    } achieved;
    struct {
        int64_t gen, lanes;
        double efficiency;   /* of gen and lanes' payload bandwidth */
        double latency_us;   /* of each copy on its engine, before its bytes */
        int64_t engines;     /* 2: both directions at once */
        double gather_ns;    /* of each piece that a kernel brings by itself */
        double gather_share; /* of the link's bandwidth that such a kernel reaches */
    } pcie;
    struct {
        uint64_t memory;
        double gb_s;        /* of DRAM, shared by all */
        double pack_gb_s;   /* one thread that packs pieces: bytes packed a second */
        double launch_us;   /* of the call that enqueues a kernel */
        double copy_us;     /* ... a copy */
        double event_us;    /* ... an event, and waiting on one in a queue */
        double sync_us;     /* from an event to the thread that waits for it */
        double score_ns;    /* to select: a neuron scored */
        double want_ns;     /* to look up: a neuron wanted */
        double move_ns;     /* to make room for one that misses, and list its copy */
        double read_us;     /* to submit and reap a read */
    } host;
    struct {
        const char *name;
        double gb_s, iops; /* at most */
        double latency_us; /* of a read that finds the device idle, without its bytes */
        int64_t depth;     /* reads that it takes at once */
        double idle_w, busy_w;
    } ssd;
    struct { /* watts */
        double gpu_idle, gpu_busy, gpu_copy; /* gpu_copy: copying, not computing */
        double cpu_idle, cpu_busy;           /* package; one thread more */
        double dram_w_per_gib;               /* of host.memory */
    } power;
};

enum m2c_profile_kind {
    M2C_PROFILE_CARD,     /* memory of its own, behind a link */
    M2C_PROFILE_PROCESSOR /* computes from the host's memory */
};

struct m2c_profile_file;

/* `ssd`: a file whose [ssd] replaces the one of `path`; NULL or "": none. -EINVAL
 * with file and line, or the section and key that is missing; -ENOENT and friends. */
M2C_MUST_USE int m2c_profile_load(struct m2c_profile_file **out, const char *path,
                                  const char *ssd, struct m2c_err *err);
void m2c_profile_close(struct m2c_profile_file *f); /* accepts NULL */
const struct m2c_profile *m2c_profile_of(const struct m2c_profile_file *f);

/* Bytes a nanosecond (GB/s) of the link, one direction. */
double m2c_profile_link(const struct m2c_profile *p);

#ifdef __cplusplus
}
#endif
#endif
