/* SPDX-License-Identifier: MIT */
/* Replaying a trace through eviction policies, without model and device.
 *
 * One row is one policy at one capacity: a pool for all layers, or one a layer
 * that gets an equal share. Everything is counted, nothing is moved. Rows are
 * independent and run on all threads; their numbers do not depend on that.
 *
 * token: what a token wants of a layer is a set, served together and pinned
 * (tier/unit.c does the same); a set that is larger than the pool is served in
 * waves of ascending ids. seq: one access after the other, nothing pinned, as
 * other simulators do.
 *
 * Equal sizes: a neuron is a neuron, whatever its class. Sized: a neuron has the
 * bytes of the parts that are held of it, capacity is in bytes, and a hit needs
 * all parts of the wanted class; what is missing is fetched. Where a wider class
 * contains the narrower ones, missing parts are added; else the new copy takes
 * the place of the old one. */
#ifndef M2C_EXP_REPLAY_H
#define M2C_EXP_REPLAY_H

#include "store/rank.h"
#include "store/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_replay_cfg {
    const struct m2c_trace *trace;
    const struct m2c_rank *rank; /* for policies that need an order; or NULL */
    bool per_layer, sized, seq;
    uint64_t seed;
    unsigned threads;          /* 0: all */
    const volatile bool *stop; /* or NULL */
};

struct m2c_replay_row {
    /* in */
    const char *policy;
    uint64_t capacity; /* neurons, or bytes where sized; of all layers */
    /* out */
    uint64_t accesses, hits, misses; /* hits + misses = accesses */
    uint64_t bytes;                  /* fetched */
    uint64_t evictions, bypassed;    /* bypassed: misses that were not kept */
    uint64_t waves;                  /* beyond the first of each set */
    uint64_t ns;                     /* that cores computed, in all */
    uint64_t metadata_bytes;         /* of the policy's arrays */
};

/* -EINVAL: a policy cannot be asked so (a bound with sizes, an order that is not
 * there, a capacity below one neuron a pool); -EINTR: *stop. */
M2C_MUST_USE int m2c_replay(const struct m2c_replay_cfg *cfg, struct m2c_replay_row *rows,
                            size_t n, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
