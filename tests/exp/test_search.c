/* SPDX-License-Identifier: MIT */
/* The searches over scores with known answers, and the knapsack against all there is. */
#include "base/rng.h"
#include "exp/search.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int bowl(void *ctx, size_t index, const struct m2c_search_shares *at, double *out,
                struct m2c_err *err)
{
    const double *want = ctx;
    (void)index;
    (void)err;
    *out = pow(at->high - want[0], 2) + pow(at->middle - want[1], 2);
    return 0;
}

static int flat(void *ctx, size_t index, const struct m2c_search_shares *at, double *out,
                struct m2c_err *err)
{
    (void)at;
    *out = ctx && index == 1 ? NAN : 1;
    return ctx && index == 2 ? m2c_fail(err, -EIO, "enough") : 0;
}

static struct m2c_search_cfg plan(double step, double start, void *ctx)
{
    return (struct m2c_search_cfg){.step = step,
                                   .start = start,
                                   .bits_high = 16,
                                   .bits_middle = 8,
                                   .bits_low = 4,
                                   .score = bowl,
                                   .ctx = ctx};
}

static void algorithm_1_and_its_quirks(void **state)
{
    struct m2c_err err = {0};
    struct m2c_search s;
    double at[2] = {.2, 0};
    struct m2c_search_cfg cfg = plan(.1, 1, at);
    (void)state;
    assert_int_equal(m2c_search_two(&cfg, &s, &err), 0);
    /* (.1, .6) (.2, .2) (.3, -.2): the start is not among them, the last is below 0 */
    assert_int_equal(s.n, 3);
    assert_int_equal(s.best, 1);
    assert_true(s.step[0].at.high == .1 && fabs(s.step[2].at.low + .2) < 1e-12);
    assert_true(s.step[0].kept && s.step[1].kept && !s.step[2].kept);
    m2c_search_free(&s);
    cfg.score = flat;
    cfg.ctx = NULL;
    assert_int_equal(m2c_search_two(&cfg, &s, &err), 0);
    assert_int_equal(s.best, 2); /* ties go to more high precision */
    m2c_search_free(&s);
    cfg.start = 0; /* the loop is entered once */
    assert_int_equal(m2c_search_two(&cfg, &s, &err), 0);
    assert_int_equal(s.n, 1);
    m2c_search_free(&s);
    struct m2c_search_shares c = m2c_search_clamp((struct m2c_search_shares){.3, 0, -.2});
    assert_true(c.high == .3 && c.low == 0);
    c = m2c_search_clamp((struct m2c_search_shares){.25, 0, 2});
    assert_true(c.high == .25 && c.low == .75);
}

static void three_walk_the_plane(void **state)
{
    struct m2c_err err = {0};
    struct m2c_search s;
    double at[2] = {.1, .2};
    struct m2c_search_cfg cfg = plan(.05, 1, at);
    size_t n = 0;
    (void)state;
    assert_int_equal(m2c_search_three(&cfg, &s, &err), 0);
    for (int i = 0; i <= 20; i++) {
        for (int j = 0; j <= 20 && 4 * i + 2 * j <= 20; j++, n++) {
            assert_true(fabs(s.step[n].at.high - i * .05) < 1e-9);
            assert_true(fabs(s.step[n].at.middle - j * .05) < 1e-9);
            assert_true(fabs(s.step[n].at.low - (20 - 4 * i - 2 * j) * .05) < 1e-9);
        }
    }
    assert_int_equal(s.n, n);
    assert_true(fabs(s.step[s.best].at.high - .1) < 1e-9);
    assert_true(fabs(s.step[s.best].at.middle - .2) < 1e-9);
    m2c_search_free(&s);
}

static void searches_end_with_what_is_wrong(void **state)
{
    struct m2c_err err = {0};
    struct m2c_search s;
    int there = 1;
    struct m2c_search_cfg cfg = plan(.1, 1, &there);
    (void)state;
    cfg.score = flat;
    assert_int_equal(m2c_search_two(&cfg, &s, &err), -EDOM); /* NaN */
    cfg = plan(1e-3, 8, (double[2]){0, 0});
    assert_int_equal(m2c_search_three(&cfg, &s, &err), -E2BIG);
    cfg.step = 0;
    assert_int_equal(m2c_search_two(&cfg, &s, &err), -EINVAL);
    cfg.step = NAN;
    assert_int_equal(m2c_search_three(&cfg, &s, &err), -EINVAL);
}

enum { LAYERS = 4, PLANS = 5 };

/* The least loss of all plans within the budget. */
static double brute(const double *loss, const double *bytes, double budget)
{
    double best = INFINITY;
    for (int k = 0; k < PLANS * PLANS * PLANS * PLANS; k++) {
        double l = 0, b = 0;
        for (int i = 0, rest = k; i < LAYERS; i++, rest /= PLANS) {
            l += loss[i * PLANS + rest % PLANS];
            b += bytes[i * PLANS + rest % PLANS];
        }
        if (b <= budget)
            best = M2C_MIN(best, l);
    }
    return best;
}

static void the_knapsack_is_exact(void **state)
{
    struct m2c_rng r;
    struct m2c_err err = {0};
    int full = 0;
    (void)state;
    m2c_rng_init(&r, 8, 0);
    for (int round = 0; round < 200; round++) {
        double loss[LAYERS * PLANS], bytes[LAYERS * PLANS], l = 0, b = 0;
        uint32_t choice[LAYERS];
        for (int i = 0; i < LAYERS * PLANS; i++) {
            loss[i] = m2c_rng_double(&r) - .1;
            bytes[i] = m2c_rng_below(&r, 1000); /* whole buckets of 2 */
        }
        double budget = 2.0 * M2C_SEARCH_BUCKETS / (1 + m2c_rng_below(&r, 16));
        double best = brute(loss, bytes, budget);
        int got = m2c_search_least(LAYERS, PLANS, loss, bytes, budget, choice, &err);
        assert_int_equal(got, isfinite(best) ? 0 : -ENOSPC);
        full += got < 0;
        for (int i = 0; i < LAYERS && got == 0; i++) {
            l += loss[i * PLANS + choice[i]];
            b += bytes[i * PLANS + choice[i]];
        }
        assert_true(got < 0 || b <= budget * (1 + 1e-9));
        /* no better than all there is, and no worse than what fits with rounding up */
        double sure = brute(loss, bytes, budget * (1 - (double)LAYERS / M2C_SEARCH_BUCKETS));
        assert_true(got < 0 || (l >= best - 1e-12 && l <= sure + 1e-12));
    }
    assert_in_range(full, 1, 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(algorithm_1_and_its_quirks),
        cmocka_unit_test(three_walk_the_plane),
        cmocka_unit_test(searches_end_with_what_is_wrong),
        cmocka_unit_test(the_knapsack_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
