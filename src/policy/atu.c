/* SPDX-License-Identifier: MIT */
/* ATU, Adjacent Token Update (M2Cache, arXiv 2410.14740, §5.3): only the
 * neurons that differ between adjacent tokens are replaced.
 *
 * The paper's unit holds exactly one token's active set, so "what differs"
 * names the victims. A unit that is larger keeps neurons of earlier tokens
 * too, about which the paper says nothing: here a hand goes round the
 * residents and takes the first one that the current token does not want
 * (wants are pinned by the tier). That keeps the policy's promise of next to
 * no bookkeeping: a hit costs nothing, a miss moves the hand. */
#include "policy/policy_impl.h"

struct atu {
    struct m2c_idset set;
    uint32_t hand; /* index into set.ids */
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct atu *a = pol->priv;
    (void)seed;
    return m2c_idset_init(&a->set, pol);
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    m2c_idset_add(&((struct atu *)pol->priv)->set, a->id);
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    (void)pol;
    (void)a;
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    struct atu *a = pol->priv;
    for (uint32_t tried = 0; tried < a->set.n; tried++) {
        if (a->hand >= a->set.n)
            a->hand = 0;
        uint32_t id = a->set.ids[a->hand];
        if (!m2c_pinned(pins, id))
            return id; /* the hand stays: removal brings another id here */
        a->hand++;
    }
    return M2C_NO_BLOCK;
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    (void)evicted;
    m2c_idset_del(&((struct atu *)pol->priv)->set, id);
}

static bool check(const struct m2c_policy *pol)
{
    const struct atu *a = pol->priv;
    return m2c_idset_check(&a->set, pol);
}

const struct m2c_policy_ops m2c_policy_atu = {
    .p = {.name = "atu",
          .desc = "adjacent token update, the paper's: replace only what differs",
          .priv_size = sizeof(struct atu)},
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
