/* SPDX-License-Identifier: MIT */
/* LRU: the resident whose last access is longest ago. Within one token all
 * accesses are of the same age but for the order of ids. */
#include "policy/policy_impl.h"

#include <errno.h>
#include <stdlib.h>

/* A ring through n_blocks + 1 nodes; node n_blocks is the head: its next is
 * the most recent, its prev the least recent. */
struct lru {
    uint32_t *next, *prev;
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct lru *l = pol->priv;
    uint32_t head = pol->n_blocks;
    (void)seed;
    l->next = calloc((size_t)head + 1, sizeof *l->next);
    l->prev = calloc((size_t)head + 1, sizeof *l->prev);
    if (!l->next || !l->prev)
        return -ENOMEM;
    l->next[head] = l->prev[head] = head;
    return 0;
}

static void fini(struct m2c_policy *pol)
{
    struct lru *l = pol->priv;
    free(l->next);
    free(l->prev);
}

static void link_front(struct m2c_policy *pol, uint32_t id)
{
    struct lru *l = pol->priv;
    uint32_t head = pol->n_blocks;
    l->next[id] = l->next[head];
    l->prev[id] = head;
    l->prev[l->next[head]] = id;
    l->next[head] = id;
}

static void del(struct m2c_policy *pol, uint32_t id)
{
    struct lru *l = pol->priv;
    l->next[l->prev[id]] = l->next[id];
    l->prev[l->next[id]] = l->prev[id];
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    link_front(pol, a->id);
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    del(pol, a->id);
    link_front(pol, a->id);
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    const struct lru *l = pol->priv;
    uint32_t id = l->prev[pol->n_blocks];
    while (id != pol->n_blocks && pins[id])
        id = l->prev[id];
    return id == pol->n_blocks ? M2C_NO_BLOCK : id;
}

static bool check(const struct m2c_policy *pol)
{
    const struct lru *l = pol->priv;
    uint32_t n = 0;
    for (uint32_t id = l->next[pol->n_blocks]; id != pol->n_blocks; id = l->next[id]) {
        if (!pol->resident[id] || l->next[l->prev[id]] != id || n++ > pol->n_resident)
            return false;
    }
    return n == pol->n_resident;
}

const struct m2c_policy_ops m2c_policy_lru = {
    .p = {.name = "lru",
          .desc = "least recently used",
          .priv_size = sizeof(struct lru)},
    .init = init,
    .fini = fini,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
