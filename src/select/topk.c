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

/* The bits in which the keys are not all the same. */
static uint32_t differing(const uint32_t *key, uint32_t n)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < n; i++)
        bits |= key[i] ^ key[0];
    return bits;
}

int m2c_radix_sort(struct m2c_selector *s, uint32_t n)
{
    uint32_t bits = differing(s->key[0], n);
    int from = 0;
    for (int shift = 0; shift < 32; shift += RADIX_BITS) {
        /* A pass over equal digits moves nothing: `all` sorts equal scores. */
        if (!(bits >> shift & (RADIX - 1)))
            continue;
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

int m2c_topk(struct m2c_selector *s, uint32_t layer, const float *scores,
             struct m2c_want *wants, uint32_t *n_out, struct m2c_err *err)
{
    uint32_t n = 0;
    int r = load(s, scores, &n, err);
    if (r < 0)
        return r;
    uint32_t k = M2C_MIN(m2c_plan_count(&s->cfg), n);
    m2c_classes_assign(s, layer, scores, s->id[m2c_radix_sort(s, n)], k);
    uint32_t m = 0;
    for (uint32_t i = 0; i < s->cfg.n; i++) {
        if (s->cls[i] != M2C_LEFT_OUT)
            wants[m++] = (struct m2c_want){.id = i, .score = scores[i], .cls = s->cls[i]};
    }
    *n_out = m;
    return 0;
}
