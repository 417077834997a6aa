/* SPDX-License-Identifier: MIT */
/* Registry of policies, and the residency that all of them share. */
#include "policy/policy_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In the order of listings: the paper's own first, the bounds last. */
static const struct m2c_policy_ops *const registry[] = {
    &m2c_policy_atu,
    &m2c_policy_lru,
    &m2c_policy_random,
    &m2c_policy_fifo,
    &m2c_policy_clock,
    &m2c_policy_sieve,
    &m2c_policy_lfu,
    &m2c_policy_lfuda,
    &m2c_policy_twoq,
    &m2c_policy_arc,
    &m2c_policy_s3fifo,
    &m2c_policy_wtinylfu,
    &m2c_policy_gdsf,
    &m2c_policy_score,
    &m2c_policy_window,
    &m2c_policy_static,
    &m2c_policy_none,
    &m2c_policy_belady,
    &m2c_policy_min,
    NULL,
};

const struct m2c_plugin *const *m2c_policy_list(void)
{
    return (const struct m2c_plugin *const *)(const void *)registry;
}

static const struct m2c_policy_ops *find(const char *name, struct m2c_err *err)
{
    return m2c_plugin_find((const void *const *)(const void *)registry, "policy", name,
                           err);
}

int m2c_policy_known(const char *name, struct m2c_err *err)
{
    return find(name, err) ? 0 : -ENOENT;
}

bool m2c_policy_needs_future(const char *name)
{
    const struct m2c_policy_ops *ops = find(name, NULL);
    return ops && ops->needs_next;
}

bool m2c_policy_needs_order(const char *name)
{
    const struct m2c_policy_ops *ops = find(name, NULL);
    return ops && ops->needs_order;
}

bool m2c_policy_is_bound(const char *name)
{
    const struct m2c_policy_ops *ops = find(name, NULL);
    return ops && ops->bound;
}

void *m2c_policy_array(struct m2c_policy *pol, size_t n, size_t size)
{
    assert(pol->n_arrays < M2C_POLICY_ARRAYS);
    void *a = calloc(n ? n : 1, size);
    if (a) {
        pol->array[pol->n_arrays++] = a;
        pol->bytes += n * size;
    }
    return a;
}

int m2c_policy_open(struct m2c_policy **out, const char *name,
                    const struct m2c_policy_cfg *cfg, struct m2c_err *err)
{
    const struct m2c_policy_ops *ops = find(name, err);
    if (!ops)
        return -ENOENT;
    if (ops->needs_next && !cfg->future)
        return m2c_fail(
            err, -EINVAL,
            "policy %s needs to know the next use of every neuron, which only "
            "a recorded trace can tell: m2c trace, then m2c replay",
            name);
    if (ops->needs_order && !cfg->order)
        return m2c_fail(err, -EINVAL,
                        "policy %s needs a rank file (model.rank, or --rank); `m2c rank` "
                        "makes one",
                        name);
    struct m2c_policy *p = calloc(1, sizeof *p);
    if (!p)
        return m2c_fail(err, -ENOMEM, "policy %s: out of memory", name);
    p->ops = ops;
    p->n_blocks = cfg->n_blocks;
    p->capacity = cfg->capacity;
    p->slots = M2C_MIN(cfg->slots ? cfg->slots : cfg->capacity, cfg->n_blocks);
    p->order = cfg->order;
    p->chosen = M2C_NO_BLOCK;
    p->resident = m2c_policy_array(p, cfg->n_blocks, 1);
    p->priv = calloc(1, ops->p.priv_size ? ops->p.priv_size : 1);
    if (!p->resident || !p->priv || ops->init(p, cfg->seed) < 0) {
        m2c_policy_close(p);
        return m2c_fail(err, -ENOMEM, "policy %s: out of memory for %u blocks", name,
                        cfg->n_blocks);
    }
    *out = p;
    return 0;
}

void m2c_policy_close(struct m2c_policy *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i < p->n_arrays; i++)
        free(p->array[i]);
    free(p->priv);
    free(p);
}

bool m2c_policy_admit(struct m2c_policy *p, const struct m2c_access *a)
{
    assert(a->id < p->n_blocks && !p->resident[a->id]);
    return !p->ops->admit || p->ops->admit(p, a);
}

void m2c_policy_insert(struct m2c_policy *p, const struct m2c_access *a)
{
    assert(a->id < p->n_blocks && !p->resident[a->id] && p->n_resident < p->slots);
    p->ops->insert(p, a);
    p->chosen = M2C_NO_BLOCK;
    p->resident[a->id] = 1;
    p->n_resident++;
}

void m2c_policy_hit(struct m2c_policy *p, const struct m2c_access *a)
{
    assert(a->id < p->n_blocks && p->resident[a->id]);
    p->chosen = M2C_NO_BLOCK;
    p->ops->hit(p, a);
}

uint32_t m2c_policy_victim(struct m2c_policy *p, const uint16_t *pins)
{
    p->chosen = M2C_NO_BLOCK;
    if (p->n_resident)
        p->chosen = p->ops->victim(p, p->ops->bound ? NULL : pins);
    return p->chosen;
}

void m2c_policy_remove(struct m2c_policy *p, uint32_t id)
{
    assert(id < p->n_blocks && p->resident[id]);
    p->ops->remove(p, id, id == p->chosen);
    p->chosen = M2C_NO_BLOCK;
    p->resident[id] = 0;
    p->n_resident--;
}

uint32_t m2c_policy_expired(struct m2c_policy *p, uint64_t now)
{
    return p->ops->expired && p->n_resident ? p->ops->expired(p, now) : M2C_NO_BLOCK;
}

void m2c_policy_clear(struct m2c_policy *p)
{
    p->chosen = M2C_NO_BLOCK;
    for (uint32_t id = 0; id < p->n_blocks && p->n_resident; id++) {
        if (p->resident[id])
            m2c_policy_remove(p, id);
    }
}

uint32_t m2c_policy_resident(const struct m2c_policy *p)
{
    return p->n_resident;
}
size_t m2c_policy_bytes(const struct m2c_policy *p)
{
    return p->bytes;
}

bool m2c_policy_check(const struct m2c_policy *p)
{
    uint32_t n = 0;
    for (uint32_t id = 0; id < p->n_blocks; id++)
        n += p->resident[id];
    return n == p->n_resident && n <= p->slots && p->ops->check(p);
}
