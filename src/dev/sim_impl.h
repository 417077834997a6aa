/* SPDX-License-Identifier: MIT */
/* What the files of the simulated device share. */
#ifndef M2C_DEV_SIM_IMPL_H
#define M2C_DEV_SIM_IMPL_H

#include "dev/dev_impl.h"
#include "sim/machine.h"

/* A piece of work on an engine: a fixed time, and then bytes that travel. */
struct m2c_sim_work {
    unsigned engine;    /* M2C_SIM_COMPUTE ... */
    uint64_t ns;        /* fixed */
    double bytes;       /* then these (0: none), at `rate` a ns at most, ... */
    double rate, weight; /* ... each of them `weight` bytes of DRAM traffic */
};

enum { M2C_SIM_COMPUTE, M2C_SIM_IN, M2C_SIM_OUT, M2C_SIM_ENGINES };

/* What a call takes on a device. Lists are counted as they are now: that is when
 * the call is enqueued, and copies of lists have been made. */
void m2c_sim_price_call(const struct m2c_profile *p, const struct m2c_call *call,
                        struct m2c_sim_work *out);
/* What n > 0 copies take that travel the same way; `how` is a word of cfg.copy. */
void m2c_sim_price_copies(const struct m2c_profile *p, const struct m2c_copy *batch,
                          size_t n, const char *how, struct m2c_sim_work *out,
                          double *host_ns);

/* Where the CPU keeps what a buffer holds; NULL: nowhere. */
unsigned char *m2c_sim_kept(struct m2c_mem m);

#endif
