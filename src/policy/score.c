/* SPDX-License-Identifier: MIT */
/* By predicted importance: the resident whose scores of the selector, summed
 * with exponential decay, are lowest. It is LRFU (Lee et al., "LRFU: A Spectrum
 * of Policies", IEEE Trans. Computers 2001) with each use weighed by its score
 * instead of counted as one; HOBBIT (arXiv 2411.01433) weighs experts so too.
 *
 * A sum halves every HALF_LIFE tokens. Instead of halving all of them, new
 * scores are doubled (forward decay), in steps, so that all arithmetic is exact
 * powers of two and sums; before the numbers get too large all are scaled
 * down. What was learnt of a block stays when it leaves. */
#include "policy/policy_impl.h"

#include <math.h>

enum { HALF_LIFE = 16, RESCALE = 512 };

struct score {
    struct m2c_heap heap;   /* the keys of all ids are their sums */
    uint64_t token, tokens; /* the current one; how many there were */
    int scale;              /* new scores count 2^scale */
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct score *s = pol->priv;
    (void)seed;
    s->token = UINT64_MAX;
    return m2c_heap_init(&s->heap, pol);
}

static void tick(struct m2c_policy *pol, uint64_t now)
{
    struct score *s = pol->priv;
    if (now == s->token)
        return;
    s->token = now;
    s->scale += ++s->tokens % HALF_LIFE == 0;
    if (s->scale < RESCALE)
        return;
    /* Keeps the order, but for sums so small that they become equal. */
    for (uint32_t id = 0; id < pol->n_blocks; id++)
        s->heap.key[id] = m2c_heap_key(ldexp(m2c_heap_value(s->heap.key[id]), -RESCALE));
    s->scale = 0;
}

static uint64_t sum(const struct score *s, const struct m2c_access *a)
{
    double x = a->score > 0 ? fmin((double)a->score, 1e30) : 0;
    return m2c_heap_key(m2c_heap_value(s->heap.key[a->id]) + ldexp(x, s->scale));
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct score *s = pol->priv;
    tick(pol, a->now);
    m2c_heap_add(&s->heap, a->id, sum(s, a));
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct score *s = pol->priv;
    tick(pol, a->now);
    m2c_heap_update(&s->heap, a->id, sum(s, a));
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    return m2c_heap_victim(&((struct score *)pol->priv)->heap, pins);
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    (void)evicted;
    m2c_heap_del(&((struct score *)pol->priv)->heap, id);
}

static bool check(const struct m2c_policy *pol)
{
    return m2c_heap_check(&((const struct score *)pol->priv)->heap, pol);
}

const struct m2c_policy_ops m2c_policy_score = {
    .p = {.name = "score",
          .desc = "least predicted importance: decayed sum of the selector's scores",
          .priv_size = sizeof(struct score)},
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
