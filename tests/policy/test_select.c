/* SPDX-License-Identifier: MIT */
/* Exact top-k with classes against sorting, with ties, zeros and odd sizes, and
 * against the device's op; the split of a unit into slots against its own
 * promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "ops/ref.h"
#include "select/selector.h"
#include "store/rank.h"
#include "tier/tier.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pair {
    float score;
    uint32_t id;
};

static int better(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

static struct m2c_mem at(struct m2c_buf *buf, void *host, size_t bytes)
{
    *buf = (struct m2c_buf){.host = host, .bytes = bytes};
    return (struct m2c_mem){buf, 0};
}

/* M2C_OP_SELECT by its definition chooses what the host has chosen. */
static void check_op(const struct m2c_select_cfg *cfg, const float *score,
                     const struct m2c_want *want, uint32_t n_want)
{
    uint32_t n = cfg->n, k = isnan(cfg->active) ? n : m2c_active_count(cfg->active, n);
    size_t row = cfg->ratio.n * sizeof(uint32_t);
    uint32_t *splits = calloc(k + 1, row), counts[1 + M2C_MAX_CLASSES];
    struct m2c_want *got = calloc(k + 1, sizeof *got);
    float *scores = calloc(n, sizeof *scores);
    memcpy(scores, score, n * sizeof *score);
    m2c_class_splits(&cfg->ratio, k, splits);
    struct m2c_buf b[4];
    struct m2c_call c = {.op = M2C_OP_SELECT};
    c.u.select = (struct m2c_select_args){.scores = at(&b[0], scores, n * sizeof *score),
                                          .splits = at(&b[1], splits, (k + 1) * row),
                                          .wants = at(&b[2], got, k * sizeof *got),
                                          .counts = at(&b[3], counts, sizeof counts),
                                          .n = n,
                                          .k = k,
                                          .n_classes = cfg->ratio.n,
                                          .positive_only = cfg->positive_only};
    m2c_ref(c.op)(&c);
    assert_int_equal(counts[0], n_want);
    assert_memory_equal(got, want, n_want * sizeof *got);
    free(splits);
    free(got);
    free(scores);
}

static void check_topk(struct m2c_rng *r, uint32_t n, double active, bool positive)
{
    struct m2c_ratio ratio = {3, {.25, .25, .5}};
    struct m2c_select_cfg cfg = {.kind = "oracle",
                                 .active = active,
                                 .ratio = ratio,
                                 .positive_only = positive,
                                 .layers = 1,
                                 .n = n};
    struct m2c_selector *s;
    struct m2c_err err = {0};
    float *score = calloc(n, sizeof *score);
    struct pair *sorted = calloc(n, sizeof *sorted);
    struct m2c_want *got = calloc(n, sizeof *got);
    uint32_t m = 0, k = 0;
    assert_int_equal(m2c_selector_open(&s, &cfg, &err), 0);
    for (uint32_t i = 0; i < n; i++) {
        /* few values, so that there are ties; both zeros; some negative */
        score[i] = (float)((int)m2c_rng_below(r, 9) - 2) * 0.5f;
        if (score[i] == 0 && i % 2)
            score[i] = -0.0f;
        if (!positive || score[i] > 0)
            sorted[m++] = (struct pair){score[i], i};
    }
    qsort(sorted, m, sizeof *sorted, better);
    uint32_t want = isnan(active) ? m : M2C_MIN(m, (uint32_t)floor(active * n + .5));
    assert_int_equal(m2c_selector_pick(s, 0, score, got, &k, &err), 0);
    assert_int_equal(k, want);
    uint32_t counts[M2C_MAX_CLASSES];
    m2c_class_counts(&ratio, k, counts);
    for (uint32_t i = 0; i < k; i++) {
        unsigned cls = i < counts[0] ? 0 : i < counts[0] + counts[1] ? 1 : 2;
        bool found = false;
        for (uint32_t j = 0; j < k && !found; j++)
            found = got[j].id == sorted[i].id && got[j].cls == cls;
        assert_true(found);
    }
    for (uint32_t j = 1; j < k; j++)
        assert_true(got[j - 1].id < got[j].id);
    check_op(&cfg, score, got, k);
    m2c_selector_close(s);
    free(score);
    free(sorted);
    free(got);
}

static void topk_is_sorting(void **state)
{
    struct m2c_rng r;
    (void)state;
    m2c_rng_init(&r, 5, 0);
    for (int round = 0; round < 300; round++) {
        uint32_t n = 1 + m2c_rng_below(&r, 200);
        double active = m2c_rng_double(&r);
        if (m2c_active_count(active, n) == 0)
            active = 1;
        check_topk(&r, n, active, m2c_rng_below(&r, 2));
        check_topk(&r, n, NAN, true);
    }
}

static void counts_are_largest_remainder(void **state)
{
    uint32_t c[M2C_MAX_CLASSES];
    struct m2c_ratio paper = {3, {.25, .25, .5}}, thirds = {3, {1 / 3., 1 / 3., 1 / 3.}};
    (void)state;
    m2c_class_counts(&paper, 100, c);
    assert_true(c[0] == 25 && c[1] == 25 && c[2] == 50);
    m2c_class_counts(&paper, 1, c);
    assert_true(c[0] == 0 && c[1] == 0 && c[2] == 1);
    m2c_class_counts(&paper, 2, c); /* .5 .5 1: the tie goes to the wider */
    assert_true(c[0] == 1 && c[1] == 0 && c[2] == 1);
    m2c_class_counts(&thirds, 100, c);
    assert_true(c[0] == 34 && c[1] == 33 && c[2] == 33);
    m2c_class_counts(&thirds, 0, c);
    assert_true(c[0] == 0 && c[1] == 0 && c[2] == 0);
    assert_int_equal(m2c_active_count(.5, 3), 2); /* half up */
    assert_int_equal(m2c_active_count(.1, 4), 0);
    assert_int_equal(m2c_active_count(1, 7), 7);
}

static void prev_is_the_token_before(void **state)
{
    struct m2c_select_cfg cfg = {.kind = "prev",
                                 .active = NAN,
                                 .ratio = {1, {1}},
                                 .positive_only = true,
                                 .layers = 2,
                                 .n = 4};
    const float a[4] = {1, 0, 2, 0}, b[4] = {0, 3, 0, 0};
    struct m2c_selector *s;
    struct m2c_want w[4];
    struct m2c_err err = {0};
    uint32_t n;
    (void)state;
    assert_int_equal(m2c_selector_open(&s, &cfg, &err), 0);
    assert_true(m2c_selector_informed(s));
    assert_int_equal(m2c_selector_pick(s, 0, a, w, &n, &err), 0); /* its own */
    assert_true(n == 2 && w[0].id == 0 && w[1].id == 2);
    assert_int_equal(m2c_selector_pick(s, 1, b, w, &n, &err), 0);
    assert_true(n == 1 && w[0].id == 1);
    assert_int_equal(m2c_selector_pick(s, 0, b, w, &n, &err), 0); /* a, of layer 0 */
    assert_true(n == 2 && w[0].id == 0 && w[1].id == 2);
    m2c_selector_restart(s);
    assert_int_equal(m2c_selector_pick(s, 0, b, w, &n, &err), 0);
    assert_true(n == 1 && w[0].id == 1);
    assert_int_equal(m2c_selector_pick(s, 0, NULL, w, &n, &err), -EINVAL);
    const float nan[4] = {0, NAN, 0, 0};
    m2c_selector_restart(s);
    assert_int_equal(m2c_selector_pick(s, 1, nan, w, &n, &err), -EDOM);
    assert_non_null(strstr(err.msg, "layer 1"));
    m2c_selector_close(s);
}

static void static_takes_the_hottest(void **state)
{
    struct m2c_rank *rank;
    struct m2c_selector *s;
    struct m2c_want w[4];
    struct m2c_err err = {0};
    uint32_t n;
    (void)state;
    assert_int_equal(m2c_rank_new(&rank, 1, 4), 0);
    const float freq[4] = {.1f, .9f, .5f, .5f}, mean[4] = {1, 1, 1, 2};
    memcpy(rank->layer[0].freq, freq, sizeof freq);
    memcpy(rank->layer[0].mean, mean, sizeof mean);
    assert_int_equal(m2c_rank_sort(rank), 0);
    const uint32_t order[4] = {1, 3, 2, 0};
    assert_memory_equal(rank->layer[0].order, order, sizeof order);
    struct m2c_select_cfg cfg = {.kind = "static",
                                 .active = .5,
                                 .ratio = {2, {.5, .5}},
                                 .positive_only = true,
                                 .layers = 1,
                                 .n = 4,
                                 .rank = rank};
    assert_int_equal(m2c_selector_open(&s, &cfg, &err), 0);
    assert_false(m2c_selector_informed(s));
    assert_int_equal(m2c_selector_pick(s, 0, NULL, w, &n, &err), 0);
    assert_true(n == 2 && w[0].id == 1 && w[0].cls == 0 && w[1].id == 3 && w[1].cls == 1);
    m2c_selector_close(s);
    cfg.active = NAN;
    assert_int_equal(m2c_selector_open(&s, &cfg, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "precision.active = auto"));
    m2c_rank_free(rank);
}

static void a_unit_is_split_as_promised(void **state)
{
    struct m2c_rng r;
    (void)state;
    m2c_rng_init(&r, 11, 0);
    for (int round = 0; round < 2000; round++) {
        struct m2c_ratio ratio = {3, {0}};
        uint64_t stride[M2C_MAX_CLASSES] = {0}, min, used = 0, least = 0;
        uint32_t n = 1 + m2c_rng_below(&r, 500), slots[M2C_MAX_CLASSES] = {0};
        double sum = 0;
        for (int c = 0; c < 3; c++) {
            stride[c] = 64 * (1 + m2c_rng_below(&r, 30));
            ratio.share[c] = m2c_rng_below(&r, 4);
            sum += ratio.share[c];
        }
        if (sum == 0)
            continue;
        for (int c = 0; c < 3; c++) {
            ratio.share[c] /= sum;
            least += ratio.share[c] > 0 ? stride[c] : 0;
        }
        uint64_t bytes = m2c_rng_below(&r, 200000);
        bool fits = m2c_tier_split(bytes, &ratio, stride, n, slots, &min);
        assert_int_equal(min, least);
        assert_int_equal(fits, bytes >= least);
        for (int c = 0; c < 3 && fits; c++) {
            assert_true((ratio.share[c] > 0) == (slots[c] > 0));
            assert_true(slots[c] <= n);
            used += slots[c] * stride[c];
        }
        assert_true(!fits || used <= bytes);
    }
    /* 25:25:50 of 100 equal slots' worth */
    struct m2c_ratio paper = {3, {.25, .25, .5}};
    const uint64_t stride[M2C_MAX_CLASSES] = {640, 320, 160};
    uint32_t slots[M2C_MAX_CLASSES];
    uint64_t min;
    assert_true(m2c_tier_split(25 * 640 + 25 * 320 + 50 * 160, &paper, stride, 1000, slots,
                               &min));
    assert_true(slots[0] == 25 && slots[1] == 25 && slots[2] == 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topk_is_sorting),
        cmocka_unit_test(counts_are_largest_remainder),
        cmocka_unit_test(prev_is_the_token_before),
        cmocka_unit_test(static_takes_the_hottest),
        cmocka_unit_test(a_unit_is_split_as_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
