/* SPDX-License-Identifier: MIT */
/* LFU with dynamic aging (Arlitt, Cherkasova, Dilley, Friedrich, Jin,
 * "Evaluating Content Management Techniques for Web Proxy Caches", 1999): a use
 * sets a block's key to its number of uses plus the cache's age, and the age is
 * the key of the last one thrown out. So a block that was hot once and is no
 * longer used is caught up with.
 *
 * Ties: the one whose last use is longest ago. */
#include "policy/policy_impl.h"

#include <errno.h>

enum { CLOCK_BITS = 36 }; /* as in lfu.c */

struct lfuda {
    struct m2c_heap heap;
    uint32_t *uses; /* [n_blocks] since it came in */
    uint64_t clock, age;
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct lfuda *l = pol->priv;
    (void)seed;
    l->uses = m2c_policy_array(pol, pol->n_blocks, sizeof *l->uses);
    return l->uses ? m2c_heap_init(&l->heap, pol) : -ENOMEM;
}

static uint64_t key(struct lfuda *l, uint32_t id)
{
    const uint64_t max = (UINT64_C(1) << (64 - CLOCK_BITS)) - 1;
    uint64_t now = l->clock++ & ((UINT64_C(1) << CLOCK_BITS) - 1);
    uint64_t k = l->age + l->uses[id];
    return (k < max ? k : max) << CLOCK_BITS | now;
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct lfuda *l = pol->priv;
    l->uses[a->id] = 1;
    m2c_heap_add(&l->heap, a->id, key(l, a->id));
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct lfuda *l = pol->priv;
    l->uses[a->id] += l->uses[a->id] < UINT32_MAX;
    m2c_heap_update(&l->heap, a->id, key(l, a->id));
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    return m2c_heap_victim(&((struct lfuda *)pol->priv)->heap, pins);
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    struct lfuda *l = pol->priv;
    uint64_t k = l->heap.key[id] >> CLOCK_BITS;
    if (evicted && k > l->age) /* a pinned block may have stood before it */
        l->age = k;
    m2c_heap_del(&l->heap, id);
}

static bool check(const struct m2c_policy *pol)
{
    return m2c_heap_check(&((const struct lfuda *)pol->priv)->heap, pol);
}

const struct m2c_policy_ops m2c_policy_lfuda = {
    .p = {.name = "lfuda",
          .desc = "least frequently used, with dynamic aging",
          .priv_size = sizeof(struct lfuda)},
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
