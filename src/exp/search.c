/* SPDX-License-Identifier: MIT */
/* Algorithm 1, its extension, and the knapsack over layers. */
#include "exp/search.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct m2c_search_shares m2c_search_clamp(struct m2c_search_shares s)
{
    s.high = M2C_MIN(M2C_MAX(s.high, 0.0), 1.0);
    s.middle = M2C_MIN(M2C_MAX(s.middle, 0.0), 1 - s.high);
    s.low = M2C_MIN(M2C_MAX(s.low, 0.0), 1 - s.high - s.middle);
    return s;
}

void m2c_search_free(struct m2c_search *s)
{
    free(s->step);
    *s = (struct m2c_search){0};
}

/* Scores a point and keeps it where it is no worse than the best. */
static int visit(const struct m2c_search_cfg *cfg, struct m2c_search *s,
                 struct m2c_search_shares at, struct m2c_err *err)
{
    double score = NAN;
    if (s->n == M2C_SEARCH_MAX)
        return m2c_fail(err, -E2BIG, "the search has more than %d points: a larger step",
                        M2C_SEARCH_MAX);
    int r = cfg->score(cfg->ctx, s->n, &at, &score, err);
    if (r < 0)
        return r;
    if (isnan(score))
        return m2c_fail(err, -EDOM, "the score of shares %g, %g and %g is not a number",
                        at.high, at.middle, at.low);
    bool kept = s->n == 0 || s->step[s->best].score >= score;
    s->step[s->n] = (struct m2c_search_step){at, score, kept};
    s->best = kept ? s->n : s->best;
    s->n++;
    return 0;
}

static int begin(const struct m2c_search_cfg *cfg, struct m2c_search *out,
                 struct m2c_err *err)
{
    *out = (struct m2c_search){0};
    if (!(cfg->step > 0) || !(cfg->start >= 0) || !(cfg->bits_low > 0) ||
        !(cfg->bits_high > cfg->bits_low))
        return m2c_fail(err, -EINVAL,
                        "a search needs a step above 0, a start of 0 or more, and a high "
                        "precision wider than the low one");
    out->step = calloc(M2C_SEARCH_MAX, sizeof *out->step);
    return out->step ? 0 : m2c_fail(err, -ENOMEM, "search: out of memory");
}

int m2c_search_two(const struct m2c_search_cfg *cfg, struct m2c_search *out,
                   struct m2c_err *err)
{
    struct m2c_search_shares at = {.low = cfg->start};
    double n = cfg->bits_high / cfg->bits_low;
    int r = begin(cfg, out, err);
    while (r == 0 && at.low >= 0) {
        at.high += cfg->step;
        at.low -= cfg->step * n;
        r = visit(cfg, out, at, err);
    }
    if (r < 0)
        m2c_search_free(out);
    return r;
}

int m2c_search_three(const struct m2c_search_cfg *cfg, struct m2c_search *out,
                     struct m2c_err *err)
{
    double n = cfg->bits_high / cfg->bits_low, m = cfg->bits_middle / cfg->bits_low;
    /* counted, not summed up: points on an edge are not lost by rounding */
    double slack = 1e-9 * (1 + cfg->start);
    int r = begin(cfg, out, err);
    for (uint32_t i = 0; r == 0; i++) {
        double high = i * cfg->step, left = cfg->start - n * high;
        if (left < -slack || high > 1 + slack)
            break;
        for (uint32_t j = 0; r == 0; j++) {
            double middle = j * cfg->step, low = left - m * middle;
            if (low < -slack)
                break;
            low = M2C_MAX(low, 0.0);
            r = visit(cfg, out, (struct m2c_search_shares){high, middle, low}, err);
        }
    }
    if (r < 0)
        m2c_search_free(out);
    return r;
}

/* ---- the knapsack ---- */

/* best[b]: least loss of the layers so far with at most b buckets; from[l][b]: the
 * plan of layer l there. */
struct sack {
    double *best, *next;
    uint32_t *from;
};

enum { SIZE = M2C_SEARCH_BUCKETS + 1 };

static void add_layer(struct sack *k, uint32_t plans, const double *loss,
                      const double *bytes, double bucket, uint32_t *from)
{
    for (uint32_t b = 0; b < SIZE; b++) {
        k->next[b] = INFINITY;
        from[b] = 0;
        for (uint32_t p = 0; p < plans; p++) {
            double need = ceil(bytes[p] / bucket - 1e-9);
            if (need > b)
                continue;
            double sum = k->best[b - (uint32_t)need] + loss[p];
            bool less = sum == k->next[b] && bytes[p] < bytes[from[b]];
            if (sum < k->next[b] || less) {
                k->next[b] = sum;
                from[b] = p;
            }
        }
    }
    double *t = k->best;
    k->best = k->next;
    k->next = t;
}

int m2c_search_least(uint32_t layers, uint32_t plans, const double *loss,
                     const double *bytes, double budget, uint32_t *choice,
                     struct m2c_err *err)
{
    struct sack k = {calloc(SIZE, sizeof(double)), calloc(SIZE, sizeof(double)),
                     calloc((size_t)layers * SIZE, sizeof(uint32_t))};
    double bucket = budget / M2C_SEARCH_BUCKETS;
    int r = 0;
    if (!k.best || !k.next || !k.from)
        r = m2c_fail(err, -ENOMEM, "search: out of memory");
    else if (!(budget > 0))
        r = m2c_fail(err, -EINVAL, "search: a budget of %g bytes", budget);
    for (uint32_t l = 0; l < layers && r == 0; l++) {
        size_t at = (size_t)l * plans;
        add_layer(&k, plans, loss + at, bytes + at, bucket, k.from + (size_t)l * SIZE);
    }
    uint32_t b = M2C_SEARCH_BUCKETS;
    if (r == 0 && !isfinite(k.best[b]))
        r = m2c_fail(err, -ENOSPC, "search: no plan fits %.0f bytes a token", budget);
    for (uint32_t l = layers; l-- > 0 && r == 0;) {
        choice[l] = k.from[(size_t)l * SIZE + b];
        b -= (uint32_t)ceil(bytes[(size_t)l * plans + choice[l]] / bucket - 1e-9);
    }
    free(k.best);
    free(k.next);
    free(k.from);
    return r;
}
