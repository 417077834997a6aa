/* SPDX-License-Identifier: MIT */
/* One pool of a replay; inside the module. */
#ifndef M2C_EXP_REPLAY_IMPL_H
#define M2C_EXP_REPLAY_IMPL_H

#include "policy/policy.h"
#include "exp/replay.h"

struct m2c_replay_pool {
    const struct m2c_trace *t;
    const uint32_t *next; /* [accesses], or NULL: nobody asks */
    bool sized, seq, bound;
    struct m2c_policy *policy;
    uint32_t class_bytes[M2C_LAYOUT_CLASSES];
    uint64_t capacity, used; /* blocks or bytes */
    uint8_t *held;           /* [blocks] mask of parts; equal sizes: 1 */
    uint32_t *size;          /* [blocks] bytes held, where sized */
    uint16_t *pins;          /* [blocks] */
    uint64_t *missing;       /* [blocks] accesses of the set that miss */
    struct m2c_replay_row count;
};

/* `order`: of the pool's own blocks, or NULL. */
M2C_MUST_USE int m2c_replay_pool_open(struct m2c_replay_pool *p,
                                      const struct m2c_replay_cfg *cfg,
                                      const char *policy, uint32_t blocks,
                                      uint64_t capacity, uint64_t seed,
                                      const uint32_t *order, const uint32_t *next,
                                      struct m2c_err *err);
void m2c_replay_pool_close(struct m2c_replay_pool *p);
/* One list; ids of the pool are `base` above those of the trace. */
void m2c_replay_list(struct m2c_replay_pool *p, uint64_t list, uint32_t base);

#endif
