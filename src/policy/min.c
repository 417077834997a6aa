/* SPDX-License-Identifier: MIT */
/* MIN: Belady's choice where a block need not be kept after its use (bypass).
 *
 * A block stays from one use to the next or not at all; of these intervals as
 * many as possible are to be kept, at most `capacity` at any time. That is the
 * k-colouring of intervals, for which keeping the nearest next uses is optimal
 * (Carlisle, Lloyd, "On the k-coloring of intervals", 1995). So no policy misses
 * less, with or without admission, where blocks are of one size: a set that is
 * pinned together is served first, and then the nearest of it and of what was
 * there stay. */
#include "policy/policy_impl.h"

static int init(struct m2c_policy *pol, uint64_t seed)
{
    (void)seed;
    return m2c_heap_init(pol->priv, pol);
}

static bool admit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct m2c_heap *h = pol->priv;
    return pol->n_resident < pol->capacity ||
           UINT64_MAX - a->next > h->key[m2c_heap_least(h)];
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

const struct m2c_policy_ops m2c_policy_min = {
    .p = {.name = "min",
          .desc = "farthest next use, with bypass: no policy misses less (replay only)",
          .priv_size = sizeof(struct m2c_heap)},
    .needs_next = true,
    .bound = true,
    .admit = admit,
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
