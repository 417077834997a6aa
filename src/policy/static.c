/* SPDX-License-Identifier: MIT */
/* A static hot list, as in PowerInfer (Song et al., SOSP 2024): neurons are
 * ranked once, on another text, and the hottest stay for good.
 *
 * admit() refuses all but the hottest `capacity`, so that a cache which may
 * bypass fills with them once and then never changes. A unit of the engine has
 * to bring in what it computes: there the coldest slots are passed around and
 * the rest stays. */
#include "policy/policy_impl.h"

#include <errno.h>

struct hot {
    struct m2c_heap heap;
    uint32_t *heat; /* [n_blocks] n_blocks for the hottest, 1 for the coldest */
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct hot *h = pol->priv;
    (void)seed;
    h->heat = m2c_policy_array(pol, pol->n_blocks, sizeof *h->heat);
    if (!h->heat)
        return -ENOMEM;
    for (uint32_t i = 0; i < pol->n_blocks; i++)
        h->heat[pol->order[i]] = pol->n_blocks - i;
    return m2c_heap_init(&h->heap, pol);
}

static bool admit(struct m2c_policy *pol, const struct m2c_access *a)
{
    return ((struct hot *)pol->priv)->heat[a->id] > pol->n_blocks - pol->capacity;
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct hot *h = pol->priv;
    m2c_heap_add(&h->heap, a->id, h->heat[a->id]);
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    (void)a;
    m2c_heap_forget(&((struct hot *)pol->priv)->heap);
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    return m2c_heap_victim(&((struct hot *)pol->priv)->heap, pins);
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    (void)evicted;
    m2c_heap_del(&((struct hot *)pol->priv)->heap, id);
}

static bool check(const struct m2c_policy *pol)
{
    return m2c_heap_check(&((const struct hot *)pol->priv)->heap, pol);
}

const struct m2c_policy_ops m2c_policy_static = {
    .p = {.name = "static",
          .desc = "the hottest of a rank file stay for good (PowerInfer)",
          .priv_size = sizeof(struct hot)},
    .needs_order = true,
    .admit = admit,
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
