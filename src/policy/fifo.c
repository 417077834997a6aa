/* SPDX-License-Identifier: MIT */
/* FIFO: the resident that came in first, however often it was used since. */
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
    (void)a;
    m2c_ring_forget(pol->priv);
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    return m2c_ring_oldest(pol->priv, 0, pins, true);
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

const struct m2c_policy_ops m2c_policy_fifo = {
    .p = {.name = "fifo",
          .desc = "first in, first out",
          .priv_size = sizeof(struct m2c_ring)},
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
