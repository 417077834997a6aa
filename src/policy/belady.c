/* SPDX-License-Identifier: MIT */
/* Belady's OPT with forced admission (L. A. Belady, "A study of replacement
 * algorithms for a virtual-storage computer", IBM Systems Journal 1966): the
 * resident whose next use is farthest away. No policy that has to bring in what
 * is wanted misses less, where all blocks are of one size. */
#include "policy/policy_impl.h"

static int init(struct m2c_policy *pol, uint64_t seed)
{
    (void)seed;
    return m2c_heap_init(pol->priv, pol);
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    m2c_heap_add(pol->priv, a->id, UINT64_MAX - a->next);
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    m2c_heap_update(pol->priv, a->id, UINT64_MAX - a->next);
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    return m2c_heap_victim(pol->priv, pins);
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    (void)evicted;
    m2c_heap_del(pol->priv, id);
}

static bool check(const struct m2c_policy *pol)
{
    return m2c_heap_check(pol->priv, pol);
}

const struct m2c_policy_ops m2c_policy_belady = {
    .p = {.name = "belady",
          .desc = "farthest next use, with forced admission (replay only)",
          .priv_size = sizeof(struct m2c_heap)},
    .needs_next = true,
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
