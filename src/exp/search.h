/* SPDX-License-Identifier: MIT */
/* Searching the shares of precisions: the arithmetic alone, over scores that the
 * caller measures.
 *
 * Shares are of a token's active neurons: `high` of them, the strongest, at the
 * wide precision, the next `middle`, then `low`; what they lack of 1 is not
 * computed. All searches compare plans of equal memory. */
#ifndef M2C_EXP_SEARCH_H
#define M2C_EXP_SEARCH_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_search_shares {
    double high, middle, low;
};

struct m2c_search_step {
    struct m2c_search_shares at; /* as the algorithm has them */
    double score;                /* lower is better */
    bool kept;                   /* best when it was scored */
};

struct m2c_search {
    struct m2c_search_step *step; /* [n] in the order scored */
    size_t n, best;               /* best: the last that was kept */
};

struct m2c_search_cfg {
    double step, start;                  /* of `high` (of `middle`); r_low at first */
    double bits_high, bits_middle, bits_low;
    /* Scores the shares, as the algorithm has them: m2c_search_clamp says what can be
     * computed of them. An error ends the search. */
    int (*score)(void *ctx, size_t index, const struct m2c_search_shares *at, double *out,
                 struct m2c_err *err);
    void *ctx;
};

/* M2Cache's Algorithm 1 as printed (arXiv 2410.14740, §5.2), two precisions: while
 * r_low >= 0, r_high += s and r_low -= s · bits_high / bits_low, then the pair is
 * scored and kept if it is no worse than the best. So the start itself is never
 * scored, the last pair may have r_low < 0, and ties go to more high precision.
 * -EINVAL, -E2BIG (more than M2C_SEARCH_MAX pairs). */
M2C_MUST_USE int m2c_search_two(const struct m2c_search_cfg *cfg, struct m2c_search *out,
                                struct m2c_err *err);

/* Its extension to three. Algorithm 1 walks the line of equal memory from all low
 * towards all high; with a third precision that line is a plane:
 *     bits_high · high + bits_middle · middle + bits_low · low = bits_low · start.
 * The outer loop is Algorithm 1's between high and low; at each of its points an
 * inner loop is Algorithm 1's between middle and low, from what is left of low. All
 * points with no share below zero are scored, the start too: middle = 0 are the
 * points of Algorithm 1. Ties go to more high, then to more middle. */
M2C_MUST_USE int m2c_search_three(const struct m2c_search_cfg *cfg, struct m2c_search *out,
                                  struct m2c_err *err);
void m2c_search_free(struct m2c_search *s);

enum { M2C_SEARCH_MAX = 10000 };

/* What can be computed of such shares: none below zero, together at most all
 * neurons, the higher precision first. */
struct m2c_search_shares m2c_search_clamp(struct m2c_search_shares s);

/* One plan for each layer, such that the sum of their losses is least and that of
 * their bytes at most `budget`. loss and bytes: [layers][plans]. Exact but for bytes,
 * which are rounded up to budget / M2C_SEARCH_BUCKETS (multiple-choice knapsack by
 * dynamic programming); equal losses: fewer bytes. -ENOSPC when nothing fits. */
M2C_MUST_USE int m2c_search_least(uint32_t layers, uint32_t plans, const double *loss,
                                  const double *bytes, double budget, uint32_t *choice,
                                  struct m2c_err *err);

enum { M2C_SEARCH_BUCKETS = 4096 };

#ifdef __cplusplus
}
#endif
#endif
