/* SPDX-License-Identifier: MIT */
/* Exact top-k by a stable radix sort of the scores.
 *
 * A comparison sort of 11,008 scores costs a millisecond a layer; three
 * stable counting passes of 11 bits cost some tens of microseconds, and give
 * the stated order of ties (lower id first) for nothing. */
#include "select/topk.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { RADIX_BITS = 11, RADIX = 1 << RADIX_BITS };

uint32_t m2c_active_count(double fraction, uint32_t n)
{
    double k = floor(fraction * n + 0.5);
    return k >= n ? n : k <= 0 ? 0 : (uint32_t)k;
}

void m2c_class_counts(const struct m2c_ratio *ratio, uint32_t k,
                      uint32_t counts[M2C_MAX_CLASSES])
{
    double rest[M2C_MAX_CLASSES];
    uint32_t given = 0;
    for (unsigned c = 0; c < ratio->n; c++) {
        double want = ratio->share[c] * k;
        /* 0.25 · 100 must be 25 even when the share is 0.25 - 1 ulp */
        counts[c] = (uint32_t)floor(want + 1e-9);
        rest[c] = ratio->share[c] > 0 ? want - counts[c] : -1;
        given += counts[c];
    }
    while (given < k) {
        unsigned best = 0;
        for (unsigned c = 1; c < ratio->n; c++) {
            if (rest[c] > rest[best] + 1e-9)
                best = c;
        }
        counts[best]++;
        rest[best] -= 1;
        given++;
    }
}

void m2c_class_splits(const struct m2c_ratio *ratio, uint32_t k, uint32_t *splits)
{
    for (uint32_t m = 0; m <= k; m++) {
        uint32_t counts[M2C_MAX_CLASSES], end = 0;
        m2c_class_counts(ratio, m, counts);
        for (unsigned c = 0; c < ratio->n; c++)
            splits[(size_t)m * ratio->n + c] = end += counts[c];
    }
}

/* Order-preserving map of a float to an unsigned key, highest score least, so
 * that an ascending stable sort lists the best first. */
static uint32_t descending_key(float x)
{
    uint32_t u;
    if (x == 0)
        x = 0; /* -0 ties with 0 */
    memcpy(&u, &x, 4);
    u = u & 0x80000000u ? ~u : u | 0x80000000u;
    return ~u;
}

static int load(struct m2c_selector *s, const float *scores, uint32_t *n_out,
                struct m2c_err *err)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->cfg.n; i++) {
        if (isnan(scores[i]))
            return m2c_fail(err, -EDOM, "score of neuron %u is not a number", i);
        if (s->cfg.positive_only && !(scores[i] > 0))
            continue;
        s->key[0][n] = descending_key(scores[i]);
        s->id[0][n++] = i;
    }
    *n_out = n;
    return 0;
}

/* Returns the buffer (0 or 1) that holds the sorted ids. */
static int radix_sort(struct m2c_selector *s, uint32_t n)
{
    int from = 0;
    for (int shift = 0; shift < 32; shift += RADIX_BITS) {
        uint32_t start[RADIX] = {0};
        const uint32_t *key = s->key[from], *id = s->id[from];
        uint32_t *key_to = s->key[!from], *id_to = s->id[!from];
        for (uint32_t i = 0; i < n; i++)
            start[(key[i] >> shift) & (RADIX - 1)]++;
        uint32_t sum = 0;
        for (int b = 0; b < RADIX; b++) {
            uint32_t count = start[b];
            start[b] = sum;
            sum += count;
        }
        for (uint32_t i = 0; i < n; i++) {
            uint32_t at = start[(key[i] >> shift) & (RADIX - 1)]++;
            key_to[at] = key[i];
            id_to[at] = id[i];
        }
        from = !from;
    }
    return from;
}

int m2c_topk(struct m2c_selector *s, const float *scores, struct m2c_want *wants,
             uint32_t *n_out, struct m2c_err *err)
{
    uint32_t n = 0;
    int r = load(s, scores, &n, err);
    if (r < 0)
        return r;
    uint32_t k = M2C_MIN(m2c_plan_count(&s->cfg), n);
    const uint32_t *ids = s->id[radix_sort(s, n)];
    uint32_t counts[M2C_MAX_CLASSES];
    m2c_class_counts(&s->cfg.ratio, k, counts);
    memset(s->cls, 0xff, s->cfg.n);
    uint32_t rank = 0;
    for (unsigned c = 0; c < s->cfg.ratio.n; c++) {
        for (uint32_t i = 0; i < counts[c]; i++)
            s->cls[ids[rank++]] = (uint8_t)c;
    }
    uint32_t m = 0;
    for (uint32_t i = 0; i < s->cfg.n; i++) {
        if (s->cls[i] != 0xff)
            wants[m++] = (struct m2c_want){.id = i, .score = scores[i], .cls = s->cls[i]};
    }
    *n_out = m;
    return 0;
}
