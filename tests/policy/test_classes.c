/* SPDX-License-Identifier: MIT */
/* Classes of the chosen neurons: shares by layer, neurons left out, and the two
 * controls that keep the shares and lose the order. */
#include "base/rng.h"
#include "select/selector.h"
#include "store/rank.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 200 };

static struct m2c_select_cfg plan(unsigned layers)
{
    return (struct m2c_select_cfg){.kind = "oracle",
                                   .active = NAN,
                                   .ratio = {3, {.25, .25, .5}},
                                   .positive_only = true,
                                   .layers = layers,
                                   .n = N};
}

static struct m2c_selector *opened(const struct m2c_select_cfg *cfg)
{
    struct m2c_selector *s = NULL;
    struct m2c_err err = {0};
    int r = m2c_selector_open(&s, cfg, &err);
    assert_int_equal(r, 0);
    return s;
}

static uint32_t pick(struct m2c_selector *s, uint32_t layer, const float *score,
                     struct m2c_want *out, uint32_t count[3])
{
    struct m2c_err err = {0};
    uint32_t n = 0;
    memset(count, 0, 3 * sizeof *count);
    assert_int_equal(m2c_selector_pick(s, layer, score, out, &n, &err), 0);
    for (uint32_t i = 0; i < n; i++)
        count[out[i].cls]++;
    return n;
}

static void counts_may_leave_out(void **state)
{
    uint32_t c[M2C_MAX_CLASSES];
    struct m2c_ratio some = {3, {.1, 0, .5}}, none = {3, {0}}, tie = {2, {.25, .5}};
    (void)state;
    m2c_class_counts(&some, 100, c);
    assert_true(c[0] == 10 && c[1] == 0 && c[2] == 50);
    m2c_class_counts(&none, 100, c);
    assert_true(c[0] == 0 && c[1] == 0 && c[2] == 0);
    m2c_class_counts(&tie, 2, c); /* .5, 1 and .5 left out: the tie goes to the class */
    assert_true(c[0] == 1 && c[1] == 1);
    m2c_class_counts(&tie, 3, c); /* .75, 1.5, .75 */
    assert_true(c[0] == 1 && c[1] == 1);
}

static void layers_have_their_own(void **state)
{
    const struct m2c_ratio by[3] = {
        {3, {1, 0, 0}}, {3, {.1, .2, .3}}, {3, {0, 0, 0}}};
    struct m2c_select_cfg cfg = plan(3);
    struct m2c_want w[N];
    float score[N];
    uint32_t c[3];
    (void)state;
    assert_true(m2c_plan_is_table(&cfg));
    cfg.by_layer = by;
    assert_false(m2c_plan_is_table(&cfg));
    for (uint32_t i = 0; i < N; i++)
        score[i] = (float)(i % 2 ? i : 0); /* 1 3 5 ... 199: 100 of them */
    struct m2c_selector *s = opened(&cfg);
    assert_int_equal(pick(s, 0, score, w, c), 100);
    assert_int_equal(c[0], 100);
    assert_int_equal(pick(s, 1, score, w, c), 60);
    assert_true(c[0] == 10 && c[1] == 20 && c[2] == 30);
    for (uint32_t i = 0; i < 60; i++) {
        assert_int_equal(w[i].id, 81 + 2 * i); /* the 60 best */
        assert_int_equal(w[i].cls, i < 30 ? 2 : i < 50 ? 1 : 0);
    }
    assert_int_equal(pick(s, 2, score, w, c), 0);
    /* other shares, in place */
    const struct m2c_ratio swap[3] = {by[2], by[0], by[1]};
    struct m2c_err err = {0};
    assert_int_equal(m2c_selector_shares(s, swap, &err), 0);
    assert_int_equal(pick(s, 0, score, w, c), 0);
    assert_int_equal(pick(s, 2, score, w, c), 60);
    const struct m2c_ratio bad[3] = {{3, {.9, .2, 0}}, by[0], by[0]};
    assert_int_equal(m2c_selector_shares(s, bad, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "1.1"));
    m2c_selector_close(s);
}

static void random_keeps_set_and_shares(void **state)
{
    struct m2c_select_cfg cfg = plan(2), control = plan(2);
    struct m2c_want a[N], b[N], again[N];
    uint32_t ca[3], cb[3], wide[N] = {0}, n;
    float score[N];
    struct m2c_rng r;
    (void)state;
    control.assign = M2C_ASSIGN_RANDOM;
    control.seed = 7;
    struct m2c_selector *x = opened(&cfg), *y = opened(&control);
    assert_true(m2c_selector_memoryless(y));
    m2c_rng_init(&r, 3, 0);
    enum { TOKENS = 400 };
    for (int t = 0; t < TOKENS; t++) {
        for (uint32_t i = 0; i < N; i++) /* low ids score high */
            score[i] = 1 + m2c_rng_normal(&r) * .1f - (float)i / N;
        n = pick(x, 0, score, a, ca);
        assert_int_equal(pick(y, 0, score, b, cb), n);
        assert_memory_equal(ca, cb, sizeof ca);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(a[i].id, b[i].id);
            wide[b[i].id] += b[i].cls == 0;
        }
        assert_int_equal(pick(y, 0, score, again, cb), n); /* of the token alone */
        assert_memory_equal(b, again, n * sizeof *b);
        pick(y, 1, score, again, cb); /* another layer draws for itself */
        assert_memory_not_equal(b, again, n * sizeof *b);
    }
    /* a quarter each, whatever the rank: 5 standard deviations are 44 */
    for (uint32_t i = 0; i < N / 2; i++)
        assert_in_range(wide[i], TOKENS / 4 - 44, TOKENS / 4 + 44);
    m2c_selector_close(x);
    m2c_selector_close(y);
}

static void static_follows_the_ranking(void **state)
{
    struct m2c_select_cfg cfg = plan(1);
    struct m2c_rank *rank;
    struct m2c_selector *s;
    struct m2c_want w[N];
    struct m2c_err err = {0};
    float score[N];
    uint32_t c[3];
    (void)state;
    cfg.assign = M2C_ASSIGN_STATIC;
    assert_int_equal(m2c_selector_open(&s, &cfg, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "m2c rank"));
    assert_int_equal(m2c_rank_new(&rank, 1, N), 0);
    /* one neuron makes 25 of 100 activations, 50 make 25 and 100 make 50 */
    for (uint32_t i = 0; i < N; i++)
        rank->layer[0].freq[i] = i == 150 ? 1 : i < 50 ? .02f : i < 150 ? .02f : 0;
    for (uint32_t i = 0; i < N; i++)
        rank->layer[0].mean[i] = (float)(N - i);
    assert_int_equal(m2c_rank_sort(rank), 0);
    cfg.rank = rank;
    s = opened(&cfg);
    for (uint32_t i = 0; i < N; i++)
        score[i] = 1;
    assert_int_equal(pick(s, 0, score, w, c), N);
    assert_int_equal(w[150].cls, 0);
    for (uint32_t i = 0; i < 150; i++)
        assert_int_equal(w[i].cls, i < 50 ? 1 : 2);
    score[0] = 9; /* whatever the token says */
    pick(s, 0, score, w, c);
    assert_int_equal(w[0].cls, 1);
    const struct m2c_ratio out = {3, {.25, .25, 0}};
    assert_int_equal(m2c_selector_shares(s, &out, &err), 0);
    assert_int_equal(pick(s, 0, score, w, c), 51);
    m2c_selector_close(s);
    m2c_rank_free(rank);
}

static void hysteresis_keeps_what_is_near_the_border(void **state)
{
    struct m2c_select_cfg cfg = plan(1);
    struct m2c_selector *s;
    struct m2c_err err = {0};
    struct m2c_want w[N];
    float score[N];
    uint32_t c[3];
    (void)state;
    cfg.hysteresis = .05; /* 10 ranks of 200 */
    assert_false(m2c_plan_is_table(&cfg));
    s = opened(&cfg);
    assert_false(m2c_selector_memoryless(s));
    for (uint32_t i = 0; i < N; i++)
        score[i] = (float)(N - i); /* id i has rank i: 50, 50, 100 */
    assert_int_equal(pick(s, 0, score, w, c), N);
    assert_true(c[0] == 50 && c[1] == 50 && c[2] == 100);
    score[0] = (float)(N - 55) - .5f;  /* from rank 0 to 55: within 10 of the border */
    score[1] = (float)(N - 62) - .5f;  /* to rank 61: beyond */
    score[120] = (float)(N - 94) + .5f; /* from 4 bits to rank 93 or so: keeps them */
    score[121] = (float)(N - 80) + .5f; /* to 80 or so: widened */
    pick(s, 0, score, w, c);
    assert_int_equal(w[0].cls, 0);
    assert_int_equal(w[1].cls, 1);
    assert_int_equal(w[120].cls, 2);
    assert_int_equal(w[121].cls, 1);
    /* ids 50 and 51 came into the first 50 ranks, but just so */
    assert_true(w[50].cls == 1 && w[51].cls == 1);
    m2c_selector_restart(s);
    pick(s, 0, score, w, c);
    assert_true(c[0] == 50 && c[1] == 50 && w[0].cls == 1 && w[50].cls == 0);
    m2c_selector_close(s);
    cfg.assign = M2C_ASSIGN_RANDOM;
    assert_int_equal(m2c_selector_open(&s, &cfg, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_may_leave_out),
        cmocka_unit_test(layers_have_their_own),
        cmocka_unit_test(random_keeps_set_and_shares),
        cmocka_unit_test(static_follows_the_ranking),
        cmocka_unit_test(hysteresis_keeps_what_is_near_the_border),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
