/* SPDX-License-Identifier: MIT */
/* Random replacement: the floor that any policy has to beat. */
#include "base/rng.h"
#include "policy/policy_impl.h"

struct rnd {
    struct m2c_idset set;
    struct m2c_rng rng;
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct rnd *r = pol->priv;
    m2c_rng_init(&r->rng, seed, 0);
    return m2c_idset_init(&r->set, pol);
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    m2c_idset_add(&((struct rnd *)pol->priv)->set, a->id);
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    (void)pol;
    (void)a;
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    struct rnd *r = pol->priv;
    /* Drawing until an unpinned one comes is uniform over the unpinned; where
     * nearly all are pinned, walk on from the last draw instead of for ever. */
    uint32_t at = 0;
    for (int draws = 0; draws < 16; draws++) {
        at = m2c_rng_below(&r->rng, r->set.n);
        if (!m2c_pinned(pins, r->set.ids[at]))
            return r->set.ids[at];
    }
    for (uint32_t i = 0; i < r->set.n; i++) {
        uint32_t id = r->set.ids[(at + i) % r->set.n];
        if (!m2c_pinned(pins, id))
            return id;
    }
    return M2C_NO_BLOCK;
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    (void)evicted;
    m2c_idset_del(&((struct rnd *)pol->priv)->set, id);
}

static bool check(const struct m2c_policy *pol)
{
    const struct rnd *r = pol->priv;
    return m2c_idset_check(&r->set, pol);
}

const struct m2c_policy_ops m2c_policy_random = {
    .p = {.name = "random",
          .desc = "a victim drawn from what is not pinned",
          .priv_size = sizeof(struct rnd)},
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
