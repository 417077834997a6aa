/* SPDX-License-Identifier: MIT */
/* What a policy implements, and the structures that several of them use. One
 * file a policy; the registry is in policy.c. */
#ifndef M2C_POLICY_POLICY_IMPL_H
#define M2C_POLICY_POLICY_IMPL_H

#include "policy/policy.h"

struct m2c_policy_ops {
    struct m2c_plugin p;
    bool needs_next;  /* the access's `next` must be known: replay only */
    bool needs_order; /* pol->order must be there */
    bool bound;       /* may choose what is pinned (`pins` is NULL) */
    /* Mandatory but admit and expired. Called from one thread. The framework has
     * checked ids and residency before each call, and frees what init got from
     * m2c_policy_array. */
    int (*init)(struct m2c_policy *pol, uint64_t seed);                /* -ENOMEM */
    bool (*admit)(struct m2c_policy *pol, const struct m2c_access *a); /* NULL: yes */
    void (*insert)(struct m2c_policy *pol, const struct m2c_access *a);
    void (*hit)(struct m2c_policy *pol, const struct m2c_access *a);
    uint32_t (*victim)(struct m2c_policy *pol, const uint16_t *pins);
    /* evicted: it leaves because victim() just named it, not for another reason. */
    void (*remove)(struct m2c_policy *pol, uint32_t id, bool evicted);
    uint32_t (*expired)(struct m2c_policy *pol, uint64_t now); /* NULL: nothing does */
    bool (*check)(const struct m2c_policy *pol);
};

enum { M2C_POLICY_ARRAYS = 8 };

struct m2c_policy {
    const struct m2c_policy_ops *ops;
    uint32_t n_blocks, capacity, slots, n_resident;
    uint32_t chosen;       /* the last victim, until something else happens */
    const uint32_t *order; /* [n_blocks] hottest first, or NULL */
    uint8_t *resident;     /* [n_blocks], 0 or 1 */
    void *priv;            /* ops->p.priv_size bytes, zeroed */
    void *array[M2C_POLICY_ARRAYS];
    unsigned n_arrays;
    size_t bytes;
};

extern const struct m2c_policy_ops m2c_policy_arc, m2c_policy_atu, m2c_policy_belady,
    m2c_policy_clock, m2c_policy_fifo, m2c_policy_gdsf, m2c_policy_lfu, m2c_policy_lfuda,
    m2c_policy_lru, m2c_policy_min, m2c_policy_none, m2c_policy_random, m2c_policy_s3fifo,
    m2c_policy_score, m2c_policy_sieve, m2c_policy_static, m2c_policy_twoq,
    m2c_policy_window, m2c_policy_wtinylfu;

/* Zeroed array that lives as long as the policy; NULL: no memory. */
void *m2c_policy_array(struct m2c_policy *pol, size_t n, size_t size);

static inline bool m2c_pinned(const uint16_t *pins, uint32_t id)
{
    return pins && pins[id];
}

/* ---- a set without order (set.c) ---- */

/* A dense array of resident ids with O(1) insertion and removal. */
struct m2c_idset {
    uint32_t *ids;   /* [n] resident ids */
    uint32_t *where; /* [n_blocks] index into ids */
    uint32_t n;
};
M2C_MUST_USE int m2c_idset_init(struct m2c_idset *s, struct m2c_policy *pol);
void m2c_idset_add(struct m2c_idset *s, uint32_t id);
void m2c_idset_del(struct m2c_idset *s, uint32_t id);
bool m2c_idset_check(const struct m2c_idset *s, const struct m2c_policy *pol);

/* ---- queues (ring.c) ---- */

enum { M2C_RINGS = 4 };

/* Up to four queues over the same ids; an id is in at most one of them. Node
 * n_blocks + q is the head of queue q: its next is the newest, its prev the
 * oldest. 8 bytes an id. */
struct m2c_ring {
    struct m2c_link {
        uint32_t next, prev;
    } * node;
    uint32_t n_blocks;
    uint32_t len[M2C_RINGS];
    uint32_t passed; /* see m2c_ring_oldest */
};
M2C_MUST_USE int m2c_ring_init(struct m2c_ring *r, struct m2c_policy *pol);
static inline uint32_t m2c_ring_head(const struct m2c_ring *r, unsigned q)
{
    return r->n_blocks + q;
}
static inline uint32_t m2c_ring_tail(const struct m2c_ring *r, unsigned q)
{
    return r->node[r->n_blocks + q].prev; /* the head itself when empty */
}
void m2c_ring_push(struct m2c_ring *r, unsigned q, uint32_t id);
void m2c_ring_del(struct m2c_ring *r, unsigned q, uint32_t id);
/* To the front of its own queue. */
void m2c_ring_touch(struct m2c_ring *r, unsigned q, uint32_t id);
/* The oldest that is not pinned, or M2C_NO_BLOCK. For one queue of a policy
 * (`memo`) it remembers how many pinned ones it has passed, so that the victims
 * of one pinned set take one walk together; hits forget it (m2c_ring_forget),
 * since they come before the first victim of the next set. */
uint32_t m2c_ring_oldest(struct m2c_ring *r, unsigned q, const uint16_t *pins, bool memo);
static inline void m2c_ring_forget(struct m2c_ring *r)
{
    r->passed = M2C_NO_BLOCK;
}
/* Links fit, lengths are right; every member of queue q is or is not resident,
 * as `resident` says; adds the lengths to *n. */
bool m2c_ring_check(const struct m2c_ring *r, const struct m2c_policy *pol, unsigned q,
                    bool resident, uint32_t *n);

/* ---- two queues and what left the first one (ghost.c) ---- */

enum { M2C_NEW, M2C_KEPT, M2C_GHOST };

/* S3-FIFO and 2Q: what comes for the first time goes into one queue, what comes
 * again while a third one still remembers its id into another. First member of
 * the policy's own struct, for the hooks admit, remove and check below. 9 bytes
 * an id. */
struct m2c_ghosts {
    struct m2c_ring ring;
    uint8_t *where; /* [n_blocks] queue + 1, 0: nowhere */
    uint32_t most;  /* ids remembered */
    uint32_t again; /* the miss that was remembered, or M2C_NO_BLOCK */
};
M2C_MUST_USE int m2c_ghosts_init(struct m2c_ghosts *g, struct m2c_policy *pol, uint32_t most);
static inline bool m2c_ghosts_in(const struct m2c_ghosts *g, unsigned queue, uint32_t id)
{
    return g->where[id] == queue + 1;
}
bool m2c_ghosts_knew(const struct m2c_ghosts *g, uint32_t id);
/* To the front of a queue, from wherever it is; come: as the answer to a miss. */
void m2c_ghosts_move(struct m2c_ghosts *g, unsigned queue, uint32_t id);
void m2c_ghosts_come(struct m2c_ghosts *g, unsigned queue, uint32_t id);
bool m2c_ghosts_admit(struct m2c_policy *pol, const struct m2c_access *a);
void m2c_ghosts_remove(struct m2c_policy *pol, uint32_t id, bool evicted);
bool m2c_ghosts_check(const struct m2c_policy *pol);

/* ---- priorities (heap.c) ---- */

/* Residents by key, the smallest first. Pinned ones that stood in the way of a
 * victim wait aside until the pins change. 12 bytes an id and 4 a slot. */
struct m2c_heap {
    uint64_t *key; /* [n_blocks]; that of an absent id is the caller's to use */
    uint32_t *pos; /* [n_blocks] index into ids */
    uint32_t *ids; /* [cap]: [0, n) the heap, [cap - aside, cap) those aside */
    uint32_t n, aside, cap;
};
M2C_MUST_USE int m2c_heap_init(struct m2c_heap *h, struct m2c_policy *pol);
void m2c_heap_add(struct m2c_heap *h, uint32_t id, uint64_t key);
void m2c_heap_del(struct m2c_heap *h, uint32_t id);
void m2c_heap_update(struct m2c_heap *h, uint32_t id, uint64_t key);
uint32_t m2c_heap_victim(struct m2c_heap *h, const uint16_t *pins);
/* For hits that change no key: the pins are those of another set. */
void m2c_heap_forget(struct m2c_heap *h);
/* The smallest of all, pinned or not; M2C_NO_BLOCK when empty. */
uint32_t m2c_heap_least(struct m2c_heap *h);
bool m2c_heap_check(const struct m2c_heap *h, const struct m2c_policy *pol);

/* A number >= 0 as a key of the same order. */
uint64_t m2c_heap_key(double x);
double m2c_heap_value(uint64_t key);

#endif
