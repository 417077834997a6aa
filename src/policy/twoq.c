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

#include <errno.h>

enum { IN, AM, OUT };

struct twoq {
    struct m2c_ring ring;
    uint8_t *where; /* [n_blocks] queue + 1, 0: nowhere */
    uint32_t k_in, k_out;
    uint32_t again; /* the miss that A1out remembered, or M2C_NO_BLOCK */
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct twoq *q = pol->priv;
    (void)seed;
    q->k_in = M2C_MAX(pol->capacity / 4, 1u);
    q->k_out = pol->capacity / 2;
    q->again = M2C_NO_BLOCK;
    q->where = m2c_policy_array(pol, pol->n_blocks, 1);
    return q->where ? m2c_ring_init(&q->ring, pol) : -ENOMEM;
}

static void put(struct twoq *q, unsigned queue, uint32_t id)
{
    m2c_ring_push(&q->ring, queue, id);
    q->where[id] = (uint8_t)(queue + 1);
}

static void take(struct twoq *q, uint32_t id)
{
    m2c_ring_del(&q->ring, q->where[id] - 1u, id);
    q->where[id] = 0;
}

static bool admit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct twoq *q = pol->priv;
    q->again = M2C_NO_BLOCK;
    if (q->where[a->id] == OUT + 1) {
        take(q, a->id);
        q->again = a->id;
    }
    return true;
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct twoq *q = pol->priv;
    bool again = q->again == a->id || q->where[a->id] == OUT + 1;
    if (q->where[a->id])
        take(q, a->id);
    put(q, again ? AM : IN, a->id);
    q->again = M2C_NO_BLOCK;
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct twoq *q = pol->priv;
    m2c_ring_forget(&q->ring);
    if (q->where[a->id] == AM + 1)
        m2c_ring_touch(&q->ring, AM, a->id);
}

static uint32_t oldest(struct twoq *q, unsigned queue, const uint16_t *pins)
{
    return m2c_ring_oldest(&q->ring, queue, pins, queue == IN);
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    struct twoq *q = pol->priv;
    unsigned from = q->ring.len[AM] && q->ring.len[IN] <= q->k_in ? AM : IN;
    uint32_t id = oldest(q, from, pins);
    return id == M2C_NO_BLOCK ? oldest(q, from == AM ? IN : AM, pins) : id;
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    struct twoq *q = pol->priv;
    bool remember = evicted && q->where[id] == IN + 1 && q->k_out;
    take(q, id);
    if (!remember)
        return;
    if (q->ring.len[OUT] >= q->k_out)
        take(q, m2c_ring_tail(&q->ring, OUT));
    put(q, OUT, id);
}

static bool check(const struct m2c_policy *pol)
{
    const struct twoq *q = pol->priv;
    uint32_t n = 0, ghosts = 0;
    return m2c_ring_check(&q->ring, pol, IN, true, &n) &&
           m2c_ring_check(&q->ring, pol, AM, true, &n) && n == pol->n_resident &&
           m2c_ring_check(&q->ring, pol, OUT, false, &ghosts) && ghosts <= q->k_out;
}

const struct m2c_policy_ops m2c_policy_twoq = {
    .p = {.name = "2q",
          .desc = "2Q: a FIFO for what is new, an LRU for what came again",
          .priv_size = sizeof(struct twoq)},
    .admit = admit,
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
