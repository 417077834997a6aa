/* SPDX-License-Identifier: MIT */
/* A set of resident ids without an order of its own. */
#include "policy/policy_impl.h"

#include <errno.h>

int m2c_idset_init(struct m2c_idset *s, struct m2c_policy *pol)
{
    s->ids = m2c_policy_array(pol, pol->slots, sizeof *s->ids);
    s->where = m2c_policy_array(pol, pol->n_blocks, sizeof *s->where);
    return s->ids && s->where ? 0 : -ENOMEM;
}

void m2c_idset_add(struct m2c_idset *s, uint32_t id)
{
    s->where[id] = s->n;
    s->ids[s->n++] = id;
}

void m2c_idset_del(struct m2c_idset *s, uint32_t id)
{
    uint32_t at = s->where[id], last = s->ids[--s->n];
    s->ids[at] = last;
    s->where[last] = at;
}

bool m2c_idset_check(const struct m2c_idset *s, const struct m2c_policy *pol)
{
    if (s->n != pol->n_resident)
        return false;
    for (uint32_t i = 0; i < s->n; i++) {
        if (!pol->resident[s->ids[i]] || s->where[s->ids[i]] != i)
            return false;
    }
    return true;
}
