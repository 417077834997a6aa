/* SPDX-License-Identifier: MIT */
/* ARC (Megiddo, Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST
 * 2003, Fig. 4): T1 holds what was used once of late, T2 what was used more
 * often, both LRU; B1 and B2 remember the ids that left them, and a miss that
 * one of them remembers moves the target size p of T1.
 *
 * p is a real number, as in libCacheSim; the paper leaves that open. With all of
 * one queue pinned, the other gives. */
#include "policy/policy_impl.h"

#include <errno.h>

enum { T1, T2, B1, B2 };

struct arc {
    struct m2c_ring ring;
    uint8_t *where; /* [n_blocks] queue + 1, 0: nowhere */
    double p;       /* target size of T1 */
    uint32_t again; /* the miss that B1 or B2 remembered, or M2C_NO_BLOCK */
    bool again_b2;
    /* what victim() found, for the removal that follows it */
    int trim; /* B1 or B2 to be shortened, or -1 */
    bool forget;
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct arc *c = pol->priv;
    (void)seed;
    c->again = M2C_NO_BLOCK;
    c->where = m2c_policy_array(pol, pol->n_blocks, 1);
    return c->where ? m2c_ring_init(&c->ring, pol) : -ENOMEM;
}

static void put(struct arc *c, unsigned queue, uint32_t id)
{
    m2c_ring_push(&c->ring, queue, id);
    c->where[id] = (uint8_t)(queue + 1);
}

static void take(struct arc *c, uint32_t id)
{
    m2c_ring_del(&c->ring, c->where[id] - 1u, id);
    c->where[id] = 0;
}

/* Cases II and III. */
static void adapt(struct m2c_policy *pol, bool b2)
{
    struct arc *c = pol->priv;
    double own = c->ring.len[b2 ? B2 : B1], other = c->ring.len[b2 ? B1 : B2];
    double delta = M2C_MAX(other / own, 1.0);
    c->p = b2 ? M2C_MAX(c->p - delta, 0.0) : M2C_MIN(c->p + delta, (double)pol->capacity);
}

static bool admit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct arc *c = pol->priv;
    c->again = M2C_NO_BLOCK;
    if (c->where[a->id] >= B1 + 1) {
        c->again = a->id;
        c->again_b2 = c->where[a->id] == B2 + 1;
        adapt(pol, c->again_b2);
        take(c, a->id);
    }
    return true;
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct arc *c = pol->priv;
    bool again = c->again == a->id || c->where[a->id];
    if (c->where[a->id])
        take(c, a->id);
    put(c, again ? T2 : T1, a->id);
    c->again = M2C_NO_BLOCK;
}

/* Case I. */
static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct arc *c = pol->priv;
    take(c, a->id);
    put(c, T2, a->id);
}

/* Both are LRU, so that what is pinned is in front: where the oldest of one is
 * pinned, the other is asked before the whole of the first is searched. */
static uint32_t pick(struct arc *c, unsigned queue, const uint16_t *pins)
{
    unsigned order[4] = {queue, T1 + T2 - queue, queue, T1 + T2 - queue};
    for (int i = 0; i < 4; i++) {
        uint32_t id = m2c_ring_tail(&c->ring, order[i]);
        if (id == m2c_ring_head(&c->ring, order[i]))
            continue;
        if (i >= 2)
            id = m2c_ring_oldest(&c->ring, order[i], pins, false);
        if (id != M2C_NO_BLOCK && !m2c_pinned(pins, id))
            return id;
    }
    return M2C_NO_BLOCK;
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    struct arc *c = pol->priv;
    const uint32_t *len = c->ring.len;
    bool again = c->again != M2C_NO_BLOCK;
    c->trim = -1;
    c->forget = false;
    if (!again && len[T1] + len[B1] + 1 > pol->capacity) { /* case IV A */
        if (!len[B1]) {
            c->forget = true;
            return pick(c, T1, pins);
        }
        c->trim = B1;
    } else if (!again && (uint64_t)len[T1] + len[T2] + len[B1] + len[B2] >=
                             2 * (uint64_t)pol->capacity) { /* case IV B */
        c->trim = B2;
    }
    /* REPLACE */
    bool t1 = len[T1] && (len[T1] > c->p || (len[T1] == c->p && again && c->again_b2));
    return pick(c, t1 || !len[T2] ? T1 : T2, pins);
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    struct arc *c = pol->priv;
    unsigned queue = c->where[id] - 1u;
    take(c, id);
    if (!evicted || c->forget)
        return;
    if (c->trim >= 0 && c->ring.len[c->trim])
        take(c, m2c_ring_tail(&c->ring, (unsigned)c->trim));
    put(c, queue == T1 ? B1 : B2, id);
}

static bool check(const struct m2c_policy *pol)
{
    const struct arc *c = pol->priv;
    uint32_t n = 0, ghosts = 0;
    return m2c_ring_check(&c->ring, pol, T1, true, &n) &&
           m2c_ring_check(&c->ring, pol, T2, true, &n) && n == pol->n_resident &&
           m2c_ring_check(&c->ring, pol, B1, false, &ghosts) &&
           m2c_ring_check(&c->ring, pol, B2, false, &ghosts) && c->p >= 0 &&
           c->p <= pol->capacity;
}

const struct m2c_policy_ops m2c_policy_arc = {
    .p = {.name = "arc",
          .desc = "ARC: recency and frequency, balanced by what was missed",
          .priv_size = sizeof(struct arc)},
    .admit = admit,
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
