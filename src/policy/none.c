/* SPDX-License-Identifier: MIT */
/* No cache: whatever came for one token (a value of `now`) leaves before the next
 * one's wants are looked up, so that every want is a miss. The baseline that
 * shows what the others save. Within a token, where a set is larger than the
 * pool, the first that came goes first. */
#include "policy/policy_impl.h"

struct none {
    struct m2c_ring ring; /* in order of arrival */
    uint64_t now;         /* of all that is resident */
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct none *w = pol->priv;
    (void)seed;
    w->now = UINT64_MAX;
    return m2c_ring_init(&w->ring, pol);
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct none *w = pol->priv;
    m2c_ring_push(&w->ring, 0, a->id);
    w->now = a->now;
}

/* Where the cache does not ask what has expired, this is FIFO. */
static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    (void)a;
    m2c_ring_forget(pol->priv);
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    return m2c_ring_oldest(&((struct none *)pol->priv)->ring, 0, pins, true);
}

static uint32_t expired(struct m2c_policy *pol, uint64_t now)
{
    struct none *w = pol->priv;
    return w->now == now ? M2C_NO_BLOCK : m2c_ring_oldest(&w->ring, 0, NULL, false);
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    (void)evicted;
    m2c_ring_del(&((struct none *)pol->priv)->ring, 0, id);
}

static bool check(const struct m2c_policy *pol)
{
    uint32_t n = 0;
    return m2c_ring_check(&((const struct none *)pol->priv)->ring, pol, 0, true, &n) &&
           n == pol->n_resident;
}

const struct m2c_policy_ops m2c_policy_none = {
    .p = {.name = "none",
          .desc = "no cache: every token's neurons come anew",
          .priv_size = sizeof(struct none)},
    .expired = expired,
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
