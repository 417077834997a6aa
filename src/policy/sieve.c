/* SPDX-License-Identifier: MIT */
/* SIEVE (Zhang, Yang, Yue, Vigfusson, Rashmi, "SIEVE is Simpler than LRU", NSDI
 * 2024): a FIFO whose hand goes from the oldest to the newest, clears marks and
 * takes the first block without one. What survives stays where it is, so that
 * new blocks are sifted before old ones are looked at again.
 *
 * Pinned blocks are passed as if they were not there; their marks stay. */
#include "policy/policy_impl.h"

#include <errno.h>

struct sieve {
    struct m2c_ring ring;
    uint8_t *used; /* [n_blocks] */
    uint32_t hand; /* a block, or the head: the next round begins */
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct sieve *s = pol->priv;
    (void)seed;
    s->used = m2c_policy_array(pol, pol->n_blocks, 1);
    s->hand = pol->n_blocks;
    return s->used ? m2c_ring_init(&s->ring, pol) : -ENOMEM;
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct sieve *s = pol->priv;
    m2c_ring_push(&s->ring, 0, a->id);
    s->used[a->id] = 0;
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    ((struct sieve *)pol->priv)->used[a->id] = 1;
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    struct sieve *s = pol->priv;
    uint32_t head = m2c_ring_head(&s->ring, 0), id = s->hand;
    /* The rest of a round, one that clears all marks, one that finds. */
    for (uint64_t steps = 3 * ((uint64_t)pol->n_resident + 1); steps; steps--) {
        if (id == head) {
            id = m2c_ring_tail(&s->ring, 0);
        } else if (m2c_pinned(pins, id)) {
            id = s->ring.node[id].prev;
        } else if (s->used[id]) {
            s->used[id] = 0;
            id = s->ring.node[id].prev;
        } else {
            s->hand = id; /* its removal moves the hand on */
            return id;
        }
    }
    return M2C_NO_BLOCK;
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    struct sieve *s = pol->priv;
    (void)evicted;
    if (s->hand == id)
        s->hand = s->ring.node[id].prev;
    m2c_ring_del(&s->ring, 0, id);
}

static bool check(const struct m2c_policy *pol)
{
    const struct sieve *s = pol->priv;
    uint32_t n = 0;
    return m2c_ring_check(&s->ring, pol, 0, true, &n) && n == pol->n_resident &&
           (s->hand == pol->n_blocks ||
            (s->hand < pol->n_blocks && pol->resident[s->hand]));
}

const struct m2c_policy_ops m2c_policy_sieve = {
    .p = {.name = "sieve",
          .desc = "a FIFO with a hand that sifts out what was not used again",
          .priv_size = sizeof(struct sieve)},
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
