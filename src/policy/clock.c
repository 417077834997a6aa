/* SPDX-License-Identifier: MIT */
/* CLOCK, also called second chance or FIFO with reinsertion (F. J. Corbato, "A
 * Paging Experiment with the Multics System", 1968): the hand goes round; a
 * block that was used since it last came by loses its mark and stays.
 *
 * Pinned blocks are passed as if they were not there; their marks stay. */
#include "policy/policy_impl.h"

#include <errno.h>

struct clock {
    struct m2c_ring ring; /* the hand points to the oldest */
    uint8_t *used;        /* [n_blocks] */
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct clock *c = pol->priv;
    (void)seed;
    c->used = m2c_policy_array(pol, pol->n_blocks, 1);
    return c->used ? m2c_ring_init(&c->ring, pol) : -ENOMEM;
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct clock *c = pol->priv;
    m2c_ring_push(&c->ring, 0, a->id);
    c->used[a->id] = 0;
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    ((struct clock *)pol->priv)->used[a->id] = 1;
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    struct clock *c = pol->priv;
    /* One round clears all marks, the next meets whatever is not pinned. */
    for (uint64_t steps = 2 * (uint64_t)pol->n_resident; steps; steps--) {
        uint32_t id = m2c_ring_tail(&c->ring, 0);
        if (!m2c_pinned(pins, id)) {
            if (!c->used[id])
                return id;
            c->used[id] = 0;
        }
        m2c_ring_touch(&c->ring, 0, id);
    }
    return M2C_NO_BLOCK;
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    (void)evicted;
    m2c_ring_del(&((struct clock *)pol->priv)->ring, 0, id);
}

static bool check(const struct m2c_policy *pol)
{
    const struct clock *c = pol->priv;
    uint32_t n = 0;
    return m2c_ring_check(&c->ring, pol, 0, true, &n) && n == pol->n_resident;
}

const struct m2c_policy_ops m2c_policy_clock = {
    .p = {.name = "clock",
          .desc = "second chance: a used block is passed once",
          .priv_size = sizeof(struct clock)},
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
