/* SPDX-License-Identifier: MIT */
/* A machine that exists as numbers: one virtual clock, a host, and DRAM that
 * everything shares.
 *
 * The clock's time is the host's: it moves when the host works (spend) or waits
 * (step), and what devices do meanwhile happens in between as events. Transfers
 * are flows: each has a rate of its own and takes bandwidth from DRAM; when they
 * ask for more than there is, all slow down alike. Used from one thread. Nothing
 * here depends on the host that runs it: same calls, same times. */
#ifndef M2C_SIM_MACHINE_H
#define M2C_SIM_MACHINE_H

#include "base/vclock.h"
#include "sim/profile.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_machine;

M2C_MUST_USE int m2c_machine_open(struct m2c_machine **out, const char *profile,
                                  const char *ssd_profile, struct m2c_err *err);
void m2c_machine_close(struct m2c_machine *m); /* accepts NULL; drops what is pending */
const struct m2c_profile *m2c_machine_profile(const struct m2c_machine *m);
struct m2c_vclock *m2c_machine_clock(struct m2c_machine *m);
uint64_t m2c_machine_now(const struct m2c_machine *m);

/* The host computes for so long. */
void m2c_machine_spend(struct m2c_machine *m, double ns);

/* Bytes on their way. The caller keeps it, and what it holds, until done. */
struct m2c_flow {
    double left;        /* bytes */
    double rate;        /* bytes a ns, at most */
    double weight;      /* DRAM bytes for each of them */
    m2c_vclock_fn done;
    void *ctx;
    /* the machine's */
    double now_rate;
    struct m2c_flow *next;
};
/* left > 0, rate > 0. -ENOMEM. */
M2C_MUST_USE int m2c_flow_start(struct m2c_machine *m, struct m2c_flow *f);

/* Cumulative, for the meter: times that something was busy. */
struct m2c_machine_use {
    uint64_t host_ns, compute_ns, copy_ns, ssd_ns;
    double dram_bytes, ssd_bytes;
};
struct m2c_machine_use *m2c_machine_use(struct m2c_machine *m);

/* ---- what the host's work costs ---- */

enum m2c_host_work {
    M2C_HOST_SCORE, /* a neuron scored and ranked */
    M2C_HOST_WANT,  /* a wanted neuron looked up */
    M2C_HOST_MOVE,  /* one that has to come, and whose copies are listed */
    M2C_N_HOST_WORK
};
void m2c_machine_work(struct m2c_machine *m, enum m2c_host_work work, uint64_t n);

#ifdef __cplusplus
}
#endif
#endif
