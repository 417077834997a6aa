/* SPDX-License-Identifier: MIT */
/* LFU: the resident with the fewest uses since it came in; of those the one
 * whose last use is longest ago. A block that leaves is forgotten, which is the
 * only aging here: see lfuda.c for the one with a clock. */
#include "policy/policy_impl.h"

/* A key is the number of uses, then the time of the last one. 2^36 accesses are
 * hours of replay; where the clock wraps, only ties are broken differently. */
enum { CLOCK_BITS = 36 };

struct lfu {
    struct m2c_heap heap;
    uint64_t clock;
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct lfu *l = pol->priv;
    (void)seed;
    return m2c_heap_init(&l->heap, pol);
}

static uint64_t key(struct lfu *l, uint64_t uses)
{
    const uint64_t max_uses = (UINT64_C(1) << (64 - CLOCK_BITS)) - 1;
    uint64_t now = l->clock++ & ((UINT64_C(1) << CLOCK_BITS) - 1);
    return (uses < max_uses ? uses : max_uses) << CLOCK_BITS | now;
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct lfu *l = pol->priv;
    m2c_heap_add(&l->heap, a->id, key(l, 1));
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct lfu *l = pol->priv;
    m2c_heap_update(&l->heap, a->id, key(l, (l->heap.key[a->id] >> CLOCK_BITS) + 1));
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    return m2c_heap_victim(&((struct lfu *)pol->priv)->heap, pins);
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    (void)evicted;
    m2c_heap_del(&((struct lfu *)pol->priv)->heap, id);
}

static bool check(const struct m2c_policy *pol)
{
    return m2c_heap_check(&((const struct lfu *)pol->priv)->heap, pol);
}

const struct m2c_policy_ops m2c_policy_lfu = {
    .p = {.name = "lfu",
          .desc = "least frequently used since it came in",
          .priv_size = sizeof(struct lfu)},
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
