/* SPDX-License-Identifier: MIT */
/* Merging, where text can be cut, and the string map under both. */
#include "token/bpe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NONE = -1, JOIN_BITS = 18 };

struct m2c_bpe_node {
    int32_t prev, next; /* NONE at the ends */
    uint32_t sym;
    bool gone;
};

/* A pair as it was when it was found; stale when a symbol has changed. */
struct m2c_bpe_cand {
    double priority;
    int32_t left, right;
    uint32_t a, b, merged;
};

struct heap {
    struct m2c_bpe_cand *c;
    size_t n;
};

static bool before(const struct m2c_bpe_cand *x, const struct m2c_bpe_cand *y)
{
    return x->priority < y->priority || (x->priority == y->priority && x->left < y->left);
}

static void heap_push(struct heap *h, struct m2c_bpe_cand c)
{
    size_t i = h->n++;
    for (; i && before(&c, &h->c[(i - 1) / 2]); i = (i - 1) / 2)
        h->c[i] = h->c[(i - 1) / 2];
    h->c[i] = c;
}

static struct m2c_bpe_cand heap_pop(struct heap *h)
{
    struct m2c_bpe_cand top = h->c[0], last = h->c[--h->n];
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

static void offer(struct heap *h, const struct m2c_bpe_node *node, int32_t left,
                  m2c_bpe_pair pair, const void *ctx)
{
    int32_t right = left == NONE ? NONE : node[left].next;
    struct m2c_bpe_cand c = {.left = left, .right = right};
    if (right == NONE)
        return;
    c.a = node[left].sym;
    c.b = node[right].sym;
    if (pair(ctx, c.a, c.b, &c.priority, &c.merged))
        heap_push(h, c);
}

int m2c_bpe_add(struct m2c_bpe *b, uint32_t sym)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 256;
        void *more = realloc(b->sym, cap * sizeof *b->sym);
        if (!more)
            return -ENOMEM;
        b->sym = more;
        b->cap = cap;
    }
    b->sym[b->n++] = sym;
    return 0;
}

void m2c_bpe_fini(struct m2c_bpe *b)
{
    free(b->sym);
    free(b->node);
    free(b->cand);
    *b = (struct m2c_bpe){0};
}

/* Room for n symbols: n - 1 candidates, and two more for each merge. */
static int reserve(struct m2c_bpe *b, size_t n)
{
    if (n <= b->cap_work)
        return 0;
    n = M2C_MAX(n, M2C_MAX((size_t)256, b->cap_work / 2 * 3));
    free(b->node);
    free(b->cand);
    b->node = malloc(n * sizeof *b->node);
    b->cand = malloc(3 * n * sizeof *b->cand);
    b->cap_work = b->node && b->cand ? n : 0;
    return b->cap_work ? 0 : -ENOMEM;
}

int m2c_bpe_merge(struct m2c_bpe *b, m2c_bpe_pair pair, const void *ctx)
{
    size_t n = b->n;
    if (n < 2)
        return 0;
    if (n > INT32_MAX / 4)
        return -EFBIG;
    if (reserve(b, n) < 0)
        return -ENOMEM;
    struct m2c_bpe_node *node = b->node;
    struct heap h = {b->cand, 0};
    for (size_t i = 0; i < n; i++)
        node[i] = (struct m2c_bpe_node){(int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : NONE,
                                        b->sym[i], false};
    for (size_t i = 0; i + 1 < n; i++)
        offer(&h, node, (int32_t)i, pair, ctx);
    while (h.n) {
        struct m2c_bpe_cand c = heap_pop(&h);
        struct m2c_bpe_node *l = &node[c.left], *r = &node[c.right];
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
    b->n = 0;
    for (int32_t i = 0; i != NONE; i = node[i].next)
        b->sym[b->n++] = node[i].sym;
    return 0;
}

int m2c_joins_init(struct m2c_joins *j)
{
    j->bits = calloc((size_t)1 << (JOIN_BITS - 6), sizeof *j->bits);
    return j->bits ? 0 : -ENOMEM;
}

void m2c_joins_fini(struct m2c_joins *j)
{
    free(j->bits);
    j->bits = NULL;
}

static size_t join_bit(uint32_t left, uint32_t right)
{
    uint64_t x = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 32)) * 0xD6E8FEB86659FD93u;
    return (size_t)(x >> (64 - JOIN_BITS));
}

void m2c_joins_add(struct m2c_joins *j, uint32_t left, uint32_t right)
{
    size_t bit = join_bit(left, right);
    j->bits[bit >> 6] |= UINT64_C(1) << (bit & 63);
}

bool m2c_joins_has(const struct m2c_joins *j, uint32_t left, uint32_t right)
{
    size_t bit = join_bit(left, right);
    return j->bits[bit >> 6] >> (bit & 63) & 1;
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

uint32_t m2c_strmap_add(struct m2c_strmap *m, const char *s, uint32_t n, uint32_t id)
{
    size_t i = hash2(s, n, NULL, 0) & m->mask;
    while (m->slot[i].s && !same(&m->slot[i], s, n, NULL, 0))
        i = (i + 1) & m->mask;
    if (!m->slot[i].s)
        m->slot[i] = (struct m2c_strmap_slot){s, n, id};
    return m->slot[i].id;
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
