/* SPDX-License-Identifier: MIT */
/* Strings in text, by narrowing a sorted list byte after byte. */
#include "token/match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int m2c_match_add(struct m2c_match *m, const char *s, size_t n, uint32_t id)
{
    if (n == 0)
        return 0;
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 16;
        void *more = realloc(m->v, cap * sizeof *m->v);
        if (!more)
            return -ENOMEM;
        m->v = more;
        m->cap = cap;
    }
    m->v[m->n++] = (struct m2c_match_str){s, n, id};
    return 0;
}

static int compare(const void *pa, const void *pb)
{
    const struct m2c_match_str *a = pa, *b = pb;
    int c = memcmp(a->s, b->s, M2C_MIN(a->n, b->n));
    return c ? c : (a->n > b->n) - (a->n < b->n);
}

void m2c_match_sort(struct m2c_match *m)
{
    if (m->n)
        qsort(m->v, m->n, sizeof *m->v, compare);
    size_t i = 0;
    for (size_t b = 0; b < 257; b++) {
        while (i < m->n && (unsigned char)m->v[i].s[0] < b)
            i++;
        m->first[b] = i;
    }
}

void m2c_match_fini(struct m2c_match *m)
{
    free(m->v);
    *m = (struct m2c_match){0};
}

/* The first of [lo, hi), which agree up to byte k, that has byte k >= c; one
 * that ends there comes before all. */
static size_t lower(const struct m2c_match *m, size_t lo, size_t hi, size_t k, unsigned c)
{
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct m2c_match_str *x = &m->v[mid];
        if (x->n <= k || (unsigned char)x->s[k] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

size_t m2c_match_prefix(const struct m2c_match *m, const char *text, size_t n,
                        uint32_t *id)
{
    size_t best = 0;
    if (n == 0 || m->n == 0)
        return 0;
    unsigned c = (unsigned char)text[0];
    size_t lo = m->first[c], hi = m->first[c + 1];
    for (size_t k = 1; lo < hi; k++) {
        if (m->v[lo].n == k) {
            best = k;
            *id = m->v[lo].id;
        }
        if (k == n)
            break;
        c = (unsigned char)text[k];
        lo = lower(m, lo, hi, k, c);
        hi = lower(m, lo, hi, k, c + 1);
    }
    return best;
}

size_t m2c_match_next(const struct m2c_match *m, const char *text, size_t n, size_t at,
                      size_t *len, uint32_t *id)
{
    for (*len = 0; m->n && at < n; at++) {
        *len = m2c_match_prefix(m, text + at, n - at, id);
        if (*len)
            return at;
    }
    return n;
}
