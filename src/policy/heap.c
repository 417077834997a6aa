/* SPDX-License-Identifier: MIT */
/* A binary heap of residents that knows where each of them lies. */
#include "policy/policy_impl.h"

#include <errno.h>
#include <string.h>

int m2c_heap_init(struct m2c_heap *h, struct m2c_policy *pol)
{
    h->cap = pol->slots;
    h->key = m2c_policy_array(pol, pol->n_blocks, sizeof *h->key);
    h->pos = m2c_policy_array(pol, pol->n_blocks, sizeof *h->pos);
    h->ids = m2c_policy_array(pol, h->cap, sizeof *h->ids);
    return h->key && h->pos && h->ids ? 0 : -ENOMEM;
}

static void put(struct m2c_heap *h, uint32_t at, uint32_t id)
{
    h->ids[at] = id;
    h->pos[id] = at;
}

static void up(struct m2c_heap *h, uint32_t at, uint32_t id)
{
    while (at) {
        uint32_t parent = (at - 1) / 2;
        if (h->key[h->ids[parent]] <= h->key[id])
            break;
        put(h, at, h->ids[parent]);
        at = parent;
    }
    put(h, at, id);
}

static void down(struct m2c_heap *h, uint32_t at, uint32_t id)
{
    for (;;) {
        size_t child = 2 * (size_t)at + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->key[h->ids[child + 1]] < h->key[h->ids[child]])
            child++;
        if (h->key[h->ids[child]] >= h->key[id])
            break;
        put(h, at, h->ids[child]);
        at = (uint32_t)child;
    }
    put(h, at, id);
}

/* Whoever stands at `at` may be too big or too small for it. */
static void settle(struct m2c_heap *h, uint32_t at, uint32_t id)
{
    if (at && h->key[h->ids[(at - 1) / 2]] > h->key[id])
        up(h, at, id);
    else
        down(h, at, id);
}

static void take(struct m2c_heap *h, uint32_t at)
{
    uint32_t last = h->ids[--h->n];
    if (at < h->n)
        settle(h, at, last);
}

void m2c_heap_forget(struct m2c_heap *h)
{
    while (h->aside) {
        uint32_t id = h->ids[h->cap - h->aside--];
        up(h, h->n++, id);
    }
}

void m2c_heap_add(struct m2c_heap *h, uint32_t id, uint64_t key)
{
    h->key[id] = key;
    up(h, h->n++, id);
}

void m2c_heap_del(struct m2c_heap *h, uint32_t id)
{
    if (h->pos[id] >= h->n)
        m2c_heap_forget(h);
    take(h, h->pos[id]);
}

void m2c_heap_update(struct m2c_heap *h, uint32_t id, uint64_t key)
{
    m2c_heap_forget(h);
    h->key[id] = key;
    settle(h, h->pos[id], id);
}

uint32_t m2c_heap_least(struct m2c_heap *h)
{
    m2c_heap_forget(h);
    return h->n ? h->ids[0] : M2C_NO_BLOCK;
}

uint32_t m2c_heap_victim(struct m2c_heap *h, const uint16_t *pins)
{
    if (h->aside && !m2c_pinned(pins, h->ids[h->cap - 1]))
        m2c_heap_forget(h);
    while (h->n) {
        uint32_t id = h->ids[0];
        if (!m2c_pinned(pins, id))
            return id;
        take(h, 0);
        put(h, h->cap - ++h->aside, id);
    }
    /* Some of those aside may have lost their pins since. */
    m2c_heap_forget(h);
    uint32_t best = M2C_NO_BLOCK;
    for (uint32_t i = 0; i < h->n; i++) {
        uint32_t id = h->ids[i];
        if (!m2c_pinned(pins, id) && (best == M2C_NO_BLOCK || h->key[id] < h->key[best]))
            best = id;
    }
    return best;
}

bool m2c_heap_check(const struct m2c_heap *h, const struct m2c_policy *pol)
{
    if (h->n + h->aside != pol->n_resident || h->n + h->aside > h->cap)
        return false;
    for (uint32_t i = 0; i < h->cap; i++) {
        bool heap = i < h->n, aside = i >= h->cap - h->aside;
        if (!heap && !aside)
            continue;
        uint32_t id = h->ids[i];
        if (!pol->resident[id] || h->pos[id] != i ||
            (heap && i && h->key[h->ids[(i - 1) / 2]] > h->key[id]))
            return false;
    }
    return true;
}

uint64_t m2c_heap_key(double x)
{
    uint64_t k;
    memcpy(&k, &x, sizeof k); /* the bits of numbers >= 0 are in their order */
    return k;
}

double m2c_heap_value(uint64_t key)
{
    double x;
    memcpy(&x, &key, sizeof x);
    return x;
}
