/* SPDX-License-Identifier: MIT */
/* LRU: the resident whose last access is longest ago. Within one token all
 * accesses are of the same age but for the order of ids. */
#include "policy/policy_impl.h"

static int init(struct m2c_policy *pol, uint64_t seed)
{
    (void)seed;
    return m2c_ring_init(pol->priv, pol);
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    m2c_ring_push(pol->priv, 0, a->id);
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    m2c_ring_touch(pol->priv, 0, a->id);
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    return m2c_ring_oldest(pol->priv, 0, pins, false);
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    (void)evicted;
    m2c_ring_del(pol->priv, 0, id);
}

static bool check(const struct m2c_policy *pol)
{
    uint32_t n = 0;
    return m2c_ring_check(pol->priv, pol, 0, true, &n) && n == pol->n_resident;
}

const struct m2c_policy_ops m2c_policy_lru = {
    .p = {.name = "lru",
          .desc = "least recently used",
          .priv_size = sizeof(struct m2c_ring)},
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
