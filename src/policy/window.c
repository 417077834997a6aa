/* SPDX-License-Identifier: MIT */
/* The sliding window of LLM in a flash (Alizadeh et al., arXiv 2312.11514, §3.1):
 * the pool holds the neurons that the last WINDOW tokens used, and no others:
 * what falls out of the window is deleted even where there is room. Where the
 * window does not fit, its oldest go first.
 *
 * A token is what comes with one value of `now`, so that a pool which sees every
 * n-th of them counts its own. */
#include "policy/policy_impl.h"

#include <errno.h>

enum { WINDOW = 5 };

struct window {
    struct m2c_ring ring; /* by last use */
    uint64_t now, tokens; /* the current token; how many there were */
    uint64_t *last;       /* [n_blocks] token of the last use */
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct window *w = pol->priv;
    (void)seed;
    w->now = UINT64_MAX;
    w->last = m2c_policy_array(pol, pol->n_blocks, sizeof *w->last);
    return w->last ? m2c_ring_init(&w->ring, pol) : -ENOMEM;
}

static void tick(struct window *w, uint64_t now)
{
    w->tokens += now != w->now;
    w->now = now;
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct window *w = pol->priv;
    tick(w, a->now);
    m2c_ring_push(&w->ring, 0, a->id);
    w->last[a->id] = w->tokens;
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct window *w = pol->priv;
    tick(w, a->now);
    m2c_ring_touch(&w->ring, 0, a->id);
    w->last[a->id] = w->tokens;
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    return m2c_ring_oldest(&((struct window *)pol->priv)->ring, 0, pins, false);
}

static uint32_t expired(struct m2c_policy *pol, uint64_t now)
{
    struct window *w = pol->priv;
    tick(w, now);
    uint32_t id = m2c_ring_tail(&w->ring, 0);
    return w->tokens - w->last[id] > WINDOW ? id : M2C_NO_BLOCK;
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    (void)evicted;
    m2c_ring_del(&((struct window *)pol->priv)->ring, 0, id);
}

static bool check(const struct m2c_policy *pol)
{
    const struct window *w = pol->priv;
    uint32_t n = 0;
    return m2c_ring_check(&w->ring, pol, 0, true, &n) && n == pol->n_resident;
}

const struct m2c_policy_ops m2c_policy_window = {
    .p = {.name = "window",
          .desc = "what the last 5 tokens used, and nothing else (LLM in a flash)",
          .priv_size = sizeof(struct window)},
    .expired = expired,
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
