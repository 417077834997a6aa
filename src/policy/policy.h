/* SPDX-License-Identifier: MIT */
/* Eviction policies. A policy chooses, the cache acts.
 *
 * One instance serves one pool: slots that hold blocks named by dense ids.
 * Residency changes only in insert() and remove(); victim() may move a hand or
 * draw a random number and may find that all is pinned. The cache owns bytes,
 * pins, capacity and the loop that makes room.
 *
 * What a cache owes, per set of accesses that are pinned together (the wants
 * of a token in a layer, or a single access):
 *     while ((id = m2c_policy_expired(p, now)) != M2C_NO_BLOCK) remove(id)
 *     hit() for every one that is resident
 *     for every other: admit(); while there is no room, victim() and remove();
 *                      insert()
 * A cache may ask for another victim than the one it got, or for none. */
#ifndef M2C_POLICY_POLICY_H
#define M2C_POLICY_POLICY_H

#include "base/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define M2C_NO_BLOCK UINT32_MAX

/* What a policy may know about an access. */
struct m2c_access {
    uint32_t id, bytes;  /* bytes 0: all blocks are of one size */
    uint32_t want, held; /* masks of parts */
    float score;         /* the selector's; higher matters more */
    float refetch_cost;  /* any unit, the same for all; 0: unknown */
    uint64_t now;        /* token number */
    uint64_t next;       /* of the next access, UINT64_MAX: never or unknown */
};

struct m2c_policy_cfg {
    uint32_t n_blocks;     /* ids are below it */
    uint32_t capacity;     /* blocks that the pool is expected to hold */
    uint32_t slots;        /* blocks that it can hold at most; 0: capacity */
    uint64_t seed;         /* for policies that draw */
    const uint32_t *order; /* [n_blocks], hottest first, borrowed; or NULL */
    bool future;           /* accesses carry `next`: a recorded trace is replayed */
};

struct m2c_policy;

const struct m2c_plugin *const *m2c_policy_list(void); /* NULL-terminated */

/* -ENOENT for an unknown name; -EINVAL for a policy that needs an order or the
 * future and does not get it. */
M2C_MUST_USE int m2c_policy_open(struct m2c_policy **out, const char *name,
                                 const struct m2c_policy_cfg *cfg, struct m2c_err *err);
void m2c_policy_close(struct m2c_policy *p); /* accepts NULL */

/* -ENOENT names the choices and the nearest. */
M2C_MUST_USE int m2c_policy_known(const char *name, struct m2c_err *err);
/* What the policy of that name needs; false for an unknown name too. */
bool m2c_policy_needs_future(const char *name);
bool m2c_policy_needs_order(const char *name);
/* It bounds the others and may throw out what is pinned: the cache serves a
 * set and keeps what it likes of it. */
bool m2c_policy_is_bound(const char *name);

/* To be called once for every miss, before room is made: policies that remember
 * what they threw out learn here what comes. False: better not kept. A cache
 * that can only use what lies in its slots inserts it all the same. */
bool m2c_policy_admit(struct m2c_policy *p, const struct m2c_access *a);
/* a->id is not resident; it is afterwards. */
void m2c_policy_insert(struct m2c_policy *p, const struct m2c_access *a);
void m2c_policy_hit(struct m2c_policy *p, const struct m2c_access *a);
/* A resident id with pins[id] == 0, or M2C_NO_BLOCK when all are pinned. pins
 * u16[n_blocks]; NULL: none is pinned. */
uint32_t m2c_policy_victim(struct m2c_policy *p, const uint16_t *pins);
void m2c_policy_remove(struct m2c_policy *p, uint32_t id);
/* A resident that the policy does not want to keep even where there is room, at
 * the beginning of token `now`; M2C_NO_BLOCK: none (any more). */
uint32_t m2c_policy_expired(struct m2c_policy *p, uint64_t now);
/* All blocks leave; what was learnt may stay where a policy says so. */
void m2c_policy_clear(struct m2c_policy *p);

uint32_t m2c_policy_resident(const struct m2c_policy *p); /* number of blocks */
/* Bytes of the policy's own arrays, residency included. */
size_t m2c_policy_bytes(const struct m2c_policy *p);
/* Invariants of the policy's own structures; called by tests after every
 * access. */
bool m2c_policy_check(const struct m2c_policy *p);

#ifdef __cplusplus
}
#endif
#endif
