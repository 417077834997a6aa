/* SPDX-License-Identifier: MIT */
/* Eviction policies. A policy chooses, the cache acts.
 *
 * One instance serves one pool: a set of slots of equal size that hold blocks
 * named by dense ids. Residency changes only in insert() and remove();
 * victim() may move a hand or draw a random number and may find that all is
 * pinned. The tier owns bytes, pins, capacity and the loop that makes room. */
#ifndef M2C_POLICY_POLICY_H
#define M2C_POLICY_POLICY_H

#include "base/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define M2C_NO_BLOCK UINT32_MAX

/* What a policy may know about an access. */
struct m2c_access {
    uint32_t id, bytes;
    uint32_t want, held;  /* masks of parts */
    float score;          /* the selector's; higher matters more */
    float refetch_cost;   /* any unit, the same for all; 0: unknown */
    uint64_t now;         /* token number */
    uint64_t next;        /* of the next access, UINT64_MAX: never or unknown */
};

struct m2c_policy;

const struct m2c_plugin *const *m2c_policy_list(void); /* NULL-terminated */

/* n_blocks: ids are below it; capacity: slots of the pool; seed: for
 * policies that draw. -ENOENT for an unknown name. */
M2C_MUST_USE int m2c_policy_open(struct m2c_policy **out, const char *name,
                                 uint32_t n_blocks, uint32_t capacity, uint64_t seed,
                                 struct m2c_err *err);
void m2c_policy_close(struct m2c_policy *p); /* accepts NULL */

/* Whether a missing block shall enter the pool at all. */
bool m2c_policy_admit(struct m2c_policy *p, const struct m2c_access *a);
/* a->id is not resident; it is afterwards. */
void m2c_policy_insert(struct m2c_policy *p, const struct m2c_access *a);
void m2c_policy_hit(struct m2c_policy *p, const struct m2c_access *a);
/* A resident id with pins[id] == 0, or M2C_NO_BLOCK when all are pinned. */
uint32_t m2c_policy_victim(struct m2c_policy *p, const uint16_t *pins);
void m2c_policy_remove(struct m2c_policy *p, uint32_t id);
/* All blocks leave; what was learnt may stay where a policy says so. */
void m2c_policy_clear(struct m2c_policy *p);

uint32_t m2c_policy_resident(const struct m2c_policy *p); /* number of blocks */
/* Invariants of the policy's own structures; called by tests after every
 * access. */
bool m2c_policy_check(const struct m2c_policy *p);

#ifdef __cplusplus
}
#endif
#endif
