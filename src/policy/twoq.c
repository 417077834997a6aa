/* SPDX-License-Identifier: MIT */
/* 2Q, the full version (Johnson, Shasha, "2Q: A Low Overhead High Performance
 * Buffer Management Replacement Algorithm", VLDB 1994): what comes for the first
 * time goes through a FIFO of a quarter of the pool, A1in; what is asked for
 * again within the memory of A1out (ids only, half a pool long) goes into an
 * LRU, Am. Hits in A1in change nothing.
 *
 * As in libCacheSim, A1in gives up its oldest while it holds more than its
 * quarter, and also when Am is empty. With all of one queue pinned, the other
 * gives. */
#include "policy/policy_impl.h"

enum { IN = M2C_NEW, AM = M2C_KEPT };

struct twoq {
    struct m2c_ghosts q; /* its ghosts: A1out */
    uint32_t k_in;
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct twoq *t = pol->priv;
    (void)seed;
    t->k_in = M2C_MAX(pol->capacity / 4, 1u);
    return m2c_ghosts_init(&t->q, pol, pol->capacity / 2);
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct twoq *t = pol->priv;
    m2c_ghosts_come(&t->q, m2c_ghosts_knew(&t->q, a->id) ? AM : IN, a->id);
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct twoq *t = pol->priv;
    m2c_ring_forget(&t->q.ring);
    if (m2c_ghosts_in(&t->q, AM, a->id))
        m2c_ring_touch(&t->q.ring, AM, a->id);
}

static uint32_t oldest(struct twoq *t, unsigned queue, const uint16_t *pins)
{
    return m2c_ring_oldest(&t->q.ring, queue, pins, queue == IN);
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    struct twoq *t = pol->priv;
    const struct m2c_ring *ring = &t->q.ring;
    unsigned from = ring->len[AM] && ring->len[IN] <= t->k_in ? AM : IN;
    uint32_t id = oldest(t, from, pins);
    return id == M2C_NO_BLOCK ? oldest(t, from == AM ? IN : AM, pins) : id;
}

const struct m2c_policy_ops m2c_policy_twoq = {
    .p = {.name = "2q",
          .desc = "2Q: a FIFO for what is new, an LRU for what came again",
          .priv_size = sizeof(struct twoq)},
    .admit = m2c_ghosts_admit,
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = m2c_ghosts_remove,
    .check = m2c_ghosts_check,
};
