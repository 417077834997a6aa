/* SPDX-License-Identifier: MIT */
/* GDSF, Greedy Dual Size Frequency (Cherkasova, "Improving WWW Proxies
 * Performance with Greedy-Dual-Size-Frequency Caching Policy", HP Labs 1998): the
 * key of a block is L + uses · cost / bytes, L being the key of the last one
 * thrown out. So what is small, dear to fetch again and often used stays.
 *
 * A cost that is not known counts as 1, and so do bytes that are all equal. */
#include "policy/policy_impl.h"

#include <errno.h>

struct gdsf {
    struct m2c_heap heap;
    uint32_t *uses; /* [n_blocks] since it came in */
    double inflation;
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct gdsf *g = pol->priv;
    (void)seed;
    g->uses = m2c_policy_array(pol, pol->n_blocks, sizeof *g->uses);
    return g->uses ? m2c_heap_init(&g->heap, pol) : -ENOMEM;
}

static uint64_t key(const struct gdsf *g, const struct m2c_access *a)
{
    double cost = a->refetch_cost > 0 ? (double)a->refetch_cost : 1;
    double bytes = a->bytes ? a->bytes : 1;
    return m2c_heap_key(g->inflation + g->uses[a->id] * cost / bytes);
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct gdsf *g = pol->priv;
    g->uses[a->id] = 1;
    m2c_heap_add(&g->heap, a->id, key(g, a));
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct gdsf *g = pol->priv;
    g->uses[a->id] += g->uses[a->id] < UINT32_MAX;
    m2c_heap_update(&g->heap, a->id, key(g, a));
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    return m2c_heap_victim(&((struct gdsf *)pol->priv)->heap, pins);
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    struct gdsf *g = pol->priv;
    double k = m2c_heap_value(g->heap.key[id]);
    if (evicted && k > g->inflation) /* a pinned block may have stood before it */
        g->inflation = k;
    m2c_heap_del(&g->heap, id);
}

static bool check(const struct m2c_policy *pol)
{
    return m2c_heap_check(&((const struct gdsf *)pol->priv)->heap, pol);
}

const struct m2c_policy_ops m2c_policy_gdsf = {
    .p = {.name = "gdsf",
          .desc = "greedy dual: uses times cost over bytes, aged",
          .priv_size = sizeof(struct gdsf)},
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
