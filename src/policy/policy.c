/* SPDX-License-Identifier: MIT */
/* Registry of policies, and the residency that all of them share. */
#include "policy/policy_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* In the order of listings: the paper's own first. */
static const struct m2c_policy_ops *const registry[] = {
    &m2c_policy_atu,
    &m2c_policy_lru,
    &m2c_policy_random,
    NULL,
};

const struct m2c_plugin *const *m2c_policy_list(void)
{
    return (const struct m2c_plugin *const *)(const void *)registry;
}

int m2c_policy_open(struct m2c_policy **out, const char *name, uint32_t n_blocks,
                    uint32_t capacity, uint64_t seed, struct m2c_err *err)
{
    const void *const *list = (const void *const *)(const void *)registry;
    const struct m2c_policy_ops *ops = m2c_plugin_find(list, "policy", name, err);
    if (!ops)
        return -ENOENT;
    struct m2c_policy *p = calloc(1, sizeof *p);
    if (!p)
        return m2c_fail(err, -ENOMEM, "policy %s: out of memory", name);
    p->ops = ops;
    p->n_blocks = n_blocks;
    p->capacity = capacity;
    p->resident = calloc(n_blocks ? n_blocks : 1, 1);
    p->priv = calloc(1, ops->p.priv_size ? ops->p.priv_size : 1);
    if (!p->resident || !p->priv || ops->init(p, seed) < 0) {
        m2c_policy_close(p);
        return m2c_fail(err, -ENOMEM, "policy %s: out of memory for %u blocks", name,
                        n_blocks);
    }
    *out = p;
    return 0;
}

void m2c_policy_close(struct m2c_policy *p)
{
    if (!p)
        return;
    if (p->priv && p->ops->fini)
        p->ops->fini(p);
    free(p->priv);
    free(p->resident);
    free(p);
}

bool m2c_policy_admit(struct m2c_policy *p, const struct m2c_access *a)
{
    return !p->ops->admit || p->ops->admit(p, a);
}

void m2c_policy_insert(struct m2c_policy *p, const struct m2c_access *a)
{
    assert(a->id < p->n_blocks && !p->resident[a->id] && p->n_resident < p->capacity);
    p->ops->insert(p, a);
    p->resident[a->id] = 1;
    p->n_resident++;
}

void m2c_policy_hit(struct m2c_policy *p, const struct m2c_access *a)
{
    assert(a->id < p->n_blocks && p->resident[a->id]);
    p->ops->hit(p, a);
}

uint32_t m2c_policy_victim(struct m2c_policy *p, const uint16_t *pins)
{
    return p->n_resident ? p->ops->victim(p, pins) : M2C_NO_BLOCK;
}

void m2c_policy_remove(struct m2c_policy *p, uint32_t id)
{
    assert(id < p->n_blocks && p->resident[id]);
    p->ops->remove(p, id);
    p->resident[id] = 0;
    p->n_resident--;
}

void m2c_policy_clear(struct m2c_policy *p)
{
    for (uint32_t id = 0; id < p->n_blocks && p->n_resident; id++) {
        if (p->resident[id])
            m2c_policy_remove(p, id);
    }
}

uint32_t m2c_policy_resident(const struct m2c_policy *p) { return p->n_resident; }

bool m2c_policy_check(const struct m2c_policy *p)
{
    uint32_t n = 0;
    for (uint32_t id = 0; id < p->n_blocks; id++)
        n += p->resident[id];
    return n == p->n_resident && n <= p->capacity && p->ops->check(p);
}

int m2c_idset_init(struct m2c_idset *s, uint32_t n_blocks, uint32_t cap)
{
    s->ids = calloc(cap ? cap : 1, sizeof *s->ids);
    s->where = calloc(n_blocks ? n_blocks : 1, sizeof *s->where);
    return s->ids && s->where ? 0 : -ENOMEM;
}

void m2c_idset_fini(struct m2c_idset *s)
{
    free(s->ids);
    free(s->where);
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
