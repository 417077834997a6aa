/* SPDX-License-Identifier: MIT */
/* Merging, and the string map under it. */
#include "token/bpe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NONE = -1 };

struct node {
    int32_t prev, next; /* NONE at the ends */
    uint32_t sym;
    bool gone;
};

/* A pair as it was when it was found; stale when a symbol has changed. */
struct cand {
    double priority;
    int32_t left, right;
    uint32_t a, b, merged;
};

struct heap {
    struct cand *c;
    size_t n;
};

static bool before(const struct cand *x, const struct cand *y)
{
    return x->priority < y->priority || (x->priority == y->priority && x->left < y->left);
}

static void heap_push(struct heap *h, struct cand c)
{
    size_t i = h->n++;
    for (; i && before(&c, &h->c[(i - 1) / 2]); i = (i - 1) / 2)
        h->c[i] = h->c[(i - 1) / 2];
    h->c[i] = c;
}

static struct cand heap_pop(struct heap *h)
{
    struct cand top = h->c[0], last = h->c[--h->n];
    size_t i = 0;
    for (size_t k; (k = 2 * i + 1) < h->n; i = k) {
        if (k + 1 < h->n && before(&h->c[k + 1], &h->c[k]))
            k++;
        if (!before(&h->c[k], &last))
            break;
        h->c[i] = h->c[k];
    }
    h->c[i] = last;
    return top;
}

static void offer(struct heap *h, const struct node *node, int32_t left, m2c_bpe_pair pair,
                  const void *ctx)
{
    int32_t right = left == NONE ? NONE : node[left].next;
    struct cand c = {.left = left, .right = right};
    if (right == NONE)
        return;
    c.a = node[left].sym;
    c.b = node[right].sym;
    if (pair(ctx, c.a, c.b, &c.priority, &c.merged))
        heap_push(h, c);
}

int64_t m2c_bpe(uint32_t *sym, size_t n, m2c_bpe_pair pair, const void *ctx)
{
    if (n < 2)
        return (int64_t)n;
    if (n > INT32_MAX / 4)
        return -EFBIG;
    struct node *node = malloc(n * sizeof *node);
    struct heap h = {malloc(3 * n * sizeof(struct cand)), 0}; /* n-1, and two a merge */
    if (!node || !h.c) {
        free(node);
        free(h.c);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        node[i] = (struct node){(int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : NONE, sym[i],
                                false};
    for (size_t i = 0; i + 1 < n; i++)
        offer(&h, node, (int32_t)i, pair, ctx);
    while (h.n) {
        struct cand c = heap_pop(&h);
        struct node *l = &node[c.left], *r = &node[c.right];
        if (l->gone || r->gone || l->next != c.right || l->sym != c.a || r->sym != c.b)
            continue;
        l->sym = c.merged;
        l->next = r->next;
        r->gone = true;
        if (r->next != NONE)
            node[r->next].prev = c.left;
        offer(&h, node, l->prev, pair, ctx);
        offer(&h, node, c.left, pair, ctx);
    }
    size_t m = 0;
    for (int32_t i = 0; i != NONE; i = node[i].next)
        sym[m++] = node[i].sym;
    free(node);
    free(h.c);
    return (int64_t)m;
}

int m2c_strmap_init(struct m2c_strmap *m, size_t n)
{
    size_t cap = 16;
    while (cap < n * 2)
        cap *= 2;
    m->slot = calloc(cap, sizeof *m->slot);
    m->mask = cap - 1;
    return m->slot ? 0 : -ENOMEM;
}

void m2c_strmap_fini(struct m2c_strmap *m)
{
    free(m->slot);
    m->slot = NULL;
}

static bool same(const struct m2c_strmap_slot *s, const char *a, size_t na, const char *b,
                 size_t nb)
{
    return s->n == na + nb && memcmp(s->s, a, na) == 0 &&
           (nb == 0 || memcmp(s->s + na, b, nb) == 0);
}

/* FNV-1a over both halves: tokens are a few bytes long. */
static uint64_t hash2(const char *a, size_t na, const char *b, size_t nb)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < na; i++)
        h = (h ^ (unsigned char)a[i]) * 1099511628211u;
    for (size_t i = 0; i < nb; i++)
        h = (h ^ (unsigned char)b[i]) * 1099511628211u;
    return h ^ (h >> 32);
}

void m2c_strmap_add(struct m2c_strmap *m, const char *s, uint32_t n, uint32_t id)
{
    size_t i = hash2(s, n, NULL, 0) & m->mask;
    while (m->slot[i].s && !same(&m->slot[i], s, n, NULL, 0))
        i = (i + 1) & m->mask;
    if (!m->slot[i].s)
        m->slot[i] = (struct m2c_strmap_slot){s, n, id};
}

uint32_t m2c_strmap_find(const struct m2c_strmap *m, const char *a, size_t na,
                         const char *b, size_t nb)
{
    size_t i = hash2(a, na, b, nb) & m->mask;
    while (m->slot[i].s) {
        if (same(&m->slot[i], a, na, b, nb))
            return m->slot[i].id;
        i = (i + 1) & m->mask;
    }
    return UINT32_MAX;
}
