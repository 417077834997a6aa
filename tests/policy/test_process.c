/* SPDX-License-Identifier: MIT */
/* Processes: what they draw has the statistics that were asked for, by brute force;
 * what cannot be is refused with the range that can; a set depends on its address
 * alone; a recording comes back as it was, or at another shape with the same
 * statistics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/sets.h"
#include "select/gauss_impl.h"
#include "select/process.h"
#include "select/selector.h"
#include "store/trace.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct m2c_ratio mixed = {3, {0.25, 0.25, 0.5}};
static const struct m2c_process_numbers unset = {NAN, NAN, NAN, NAN, NAN};

static struct m2c_select_cfg plan(const char *kind, uint32_t layers, uint32_t n)
{
    return (struct m2c_select_cfg){.kind = kind,
                                   .active = NAN,
                                   .ratio = mixed,
                                   .layers = layers,
                                   .n = n,
                                   .source = {.num = unset, .seed = 3}};
}

static struct m2c_selector *open_selector(const struct m2c_select_cfg *cfg)
{
    struct m2c_selector *s = NULL;
    struct m2c_err err = {0};
    if (m2c_selector_open(&s, cfg, &err))
        fail_msg("open: %s", err.msg);
    return s;
}

/* Sets of one layer; the others are drawn too. */
static struct sets draw(struct m2c_selector *s, const struct m2c_select_cfg *cfg,
                        uint32_t layer, uint32_t tokens)
{
    struct sets out = {tokens, cfg->n, calloc((size_t)tokens * cfg->n, 1)};
    struct m2c_want *wants = calloc(cfg->n, sizeof *wants);
    struct m2c_err err = {0};
    for (uint32_t t = 0; t < tokens; t++) {
        for (uint32_t l = 0; l < cfg->layers; l++) {
            uint32_t n;
            if (m2c_selector_pick(s, l, NULL, wants, &n, &err))
                fail_msg("pick: %s", err.msg);
            for (uint32_t i = 0; l == layer && i < n; i++)
                out.cls[(size_t)t * cfg->n + wants[i].id] = (uint8_t)(wants[i].cls + 1);
        }
    }
    free(wants);
    return out;
}

static void near(const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s: %g, expected %g +- %g", what, got, want, tolerance);
}

/* ---- probabilities ---- */

/* By summing the conditional probability over quantiles of X. */
static double both_by_sum(double h, double k, double rho)
{
    enum { N = 4000 };
    double sum = 0, p = m2c_gauss_below(-h);
    for (int i = 0; i < N; i++) {
        double x = -m2c_gauss_point((i + 0.5) / N * p);
        sum += m2c_gauss_below((rho * x - k) / sqrt(1 - rho * rho)) / N * p;
    }
    return sum;
}

static void test_gauss(void **state)
{
    (void)state;
    near("below", m2c_gauss_below(1.959963984540054), 0.975, 1e-12);
    near("point", m2c_gauss_point(0.025), -1.959963984540054, 1e-9);
    near("point", m2c_gauss_point(0.975), 1.959963984540054, 1e-9);
    near("tail", m2c_gauss_point(1e-12), -7.034483825301131, 1e-9);
    for (double rho = 0; rho < 1; rho += 0.11) {
        near("quadrant", m2c_gauss_both(0, 0, rho), 0.25 + asin(rho) / (8 * atan(1)),
             1e-9);
        for (double h = -2; h <= 2.5; h += 0.75)
            for (double k = -2; k <= 2.5; k += 1.5)
                near("both", m2c_gauss_both(h, k, rho), both_by_sum(h, k, rho), 2e-5);
    }
    assert_true(m2c_gauss_both(INFINITY, 0, 0.5) == 0);
    near("infinite", m2c_gauss_both(-INFINITY, 1, 0.5), m2c_gauss_below(-1), 1e-15);
}

/* ---- by numbers ---- */

static void test_numbers(void **state)
{
    (void)state;
    static const struct m2c_process_numbers num[] = {
        {0.3, 0.52, 0.55, 0.22, 0.59}, /* about what relu2M's layer 3 has */
        {0.3, 0.43, 0.8, 0.1, 0.3},    {0.1, 0.3, 0.7, 0.3, 0.2},
        {0.5, 0.6, 0.75, 0.15, 0.625}, {0.15, 0.6, 0.4, 0.4, 0.5},
    };
    for (size_t i = 0; i < M2C_COUNTOF(num); i++) {
        struct m2c_select_cfg cfg = plan("synthetic", 1, 1500);
        cfg.source.num = num[i];
        cfg.source.seed = 11 + i;
        struct m2c_selector *s = open_selector(&cfg);
        struct sets d = draw(s, &cfg, 0, 1200);
        near("density", sets_density(&d), num[i].density, 0.06 * num[i].density);
        near("concentration", sets_concentration(&d), num[i].concentration, 0.02);
        near("overlap", sets_overlap(&d, 1), num[i].overlap, 0.015);
        near("spread", sets_spread(&d), num[i].spread, 0.12 * num[i].spread);
        near("class_change", sets_class_change(&d), num[i].class_change, 0.015);
        /* It falls with the lag, to what chance makes. */
        double chance = sets_chance(&d), last = sets_overlap(&d, 1);
        for (uint32_t lag = 2; lag <= 32; lag *= 2) {
            assert_true(sets_overlap(&d, lag) < last);
            last = sets_overlap(&d, lag);
        }
        assert_true(last > chance - 0.02 && last < num[i].overlap);
        free(d.cls);
        m2c_selector_close(s);
    }
}

/* Scores at an address are what they are, in whatever order they are asked for. */
static void addressed(const struct m2c_process_cfg *cfg)
{
    struct m2c_process *a = NULL, *b = NULL;
    struct m2c_err err = {0};
    static const uint64_t tokens[] = {0,   1,   2, 3, 4,   255, 256,
                                      257, 700, 3, 2, 701, 702, 1000};
    float *x = calloc(cfg->n, sizeof *x), *y = calloc(cfg->n, sizeof *y);
    if (m2c_process_open(&a, cfg, &err) || m2c_process_open(&b, cfg, &err))
        fail_msg("open: %s", err.msg);
    for (size_t i = 0; i < M2C_COUNTOF(tokens); i++) {
        for (uint32_t l = 0; l < cfg->layers; l++) {
            m2c_process_scores(a, tokens[i], l, x);
            /* the other comes from elsewhere */
            m2c_process_scores(b, tokens[i] * 7 % 900, l, y);
            m2c_process_scores(b, tokens[i], l, y);
            assert_memory_equal(x, y, cfg->n * sizeof *x);
        }
    }
    struct m2c_process_cfg other = *cfg;
    other.seed++;
    m2c_process_close(b);
    assert_int_equal(m2c_process_open(&b, &other, &err), 0);
    m2c_process_scores(a, 5, 0, x);
    m2c_process_scores(b, 5, 0, y);
    assert_memory_not_equal(x, y, cfg->n * sizeof *x);
    if (cfg->layers > 1) {
        m2c_process_scores(a, 5, 1, y);
        assert_memory_not_equal(x, y, cfg->n * sizeof *x);
    }
    m2c_process_close(a);
    m2c_process_close(b);
    free(x);
    free(y);
}

static void test_addressed(void **state)
{
    (void)state;
    const struct m2c_process_cfg cfg = {
        .layers = 3, .n = 200, .seed = 5, .ratio = mixed, .num = unset};
    addressed(&cfg);
}

static void refused(struct m2c_process_numbers num, const char *word, double *lo,
                    double *hi)
{
    struct m2c_process *p = NULL;
    struct m2c_err err = {0};
    const struct m2c_process_cfg cfg = {
        .layers = 1, .n = 1000, .seed = 1, .ratio = mixed, .num = num};
    assert_int_equal(m2c_process_open(&p, &cfg, &err), -EINVAL);
    assert_null(p);
    if (!strstr(err.msg, word))
        fail_msg("'%s' is not in: %s", word, err.msg);
    if (lo && (!strrchr(err.msg, ':') ||
               sscanf(strrchr(err.msg, ':') + 1, "%lf%*[^0-9]%lf", lo, hi) != 2))
        fail_msg("no range in: %s", err.msg);
}

static void accepted(struct m2c_process_numbers num)
{
    struct m2c_process *p = NULL;
    struct m2c_err err = {0};
    const struct m2c_process_cfg cfg = {
        .layers = 1, .n = 1000, .seed = 1, .ratio = mixed, .num = num};
    if (m2c_process_open(&p, &cfg, &err))
        fail_msg("%s", err.msg);
    m2c_process_close(p);
}

static void test_refused(void **state)
{
    (void)state;
    double lo, hi;
    struct m2c_process_numbers num = unset;
    accepted(num);
    num.density = 0;
    refused(num, "selector.density is 0", NULL, NULL);
    num.density = 1;
    refused(num, "selector.density is 1", NULL, NULL);
    num.density = 0.3;
    num.concentration = 0.24; /* 0.8 of the activations fit no fewer neurons */
    refused(num, "selector.concentration", NULL, NULL);
    num.concentration = 0.8;
    refused(num, "selector.concentration", NULL, NULL);
    num.concentration = 0.5;
    num.spread = 0.001;
    refused(num, "selector.spread", &lo, &hi);
    near("least spread", lo, sqrt(0.3 * 0.7 / 1000) / 0.3, 0.02); /* at most: all alike */
    num.spread = lo;
    accepted(num);
    num.spread = 10;
    refused(num, "selector.spread", NULL, NULL);
    num.spread = 0.1;
    /* What the message says is possible is, and nothing beyond. */
    for (int i = 0; i < 2; i++) {
        num.overlap = i ? 1 : 0.1;
        refused(num, "selector.overlap", &lo, &hi);
        assert_true(lo > 0.4 && lo < 0.5 && hi > 0.9 && hi < 1);
        num.overlap = i ? hi : lo;
        accepted(num);
        num.overlap = i ? hi + 1e-4 : lo - 1e-4;
        refused(num, "selector.overlap", NULL, NULL);
    }
    num.overlap = 0.8;
    num.class_change = 0.63; /* 1 - 1/16 - 1/16 - 1/4 */
    refused(num, "0 to 0.625", NULL, NULL);
    num.class_change = 0.625;
    accepted(num);
}

/* ---- recordings ---- */

static char path[64];

static void make_path(void)
{
    snprintf(path, sizeof path, "/tmp/m2c-process-%ld.trace.h5", (long)getpid());
}

/* Two layers; in the first pairs of neurons are one. */
static struct sets record(uint32_t n, uint32_t tokens, uint32_t layer)
{
    struct m2c_select_cfg cfg = plan("synthetic", 2, n / 2);
    struct m2c_layout layout;
    const uint32_t parts[M2C_LAYOUT_PARTS] = {400, 200, 100};
    struct m2c_trace *t = NULL;
    struct m2c_err err = {0};
    struct m2c_want *wants = calloc(n, sizeof *wants);
    struct sets out = {tokens, n, calloc((size_t)tokens * n, 1)};
    cfg.source.num = (struct m2c_process_numbers){0.3, 0.5, 0.6, 0.25, 0.4};
    struct m2c_selector *s = open_selector(&cfg);
    assert_int_equal(m2c_layout_find("copies", &layout, &err), 0);
    assert_int_equal(m2c_trace_new(&t, 2, n, &layout, parts), 0);
    for (uint32_t i = 0; i < 2 * tokens; i++) {
        uint32_t k;
        assert_int_equal(m2c_selector_pick(s, i % 2, NULL, wants, &k, &err), 0);
        for (uint32_t j = k; j-- > 0;) {
            struct m2c_want w = wants[j];
            wants[2 * j] = (struct m2c_want){2 * w.id, w.score, w.cls};
            wants[2 * j + 1] = (struct m2c_want){2 * w.id + 1, w.score * 0.9999f, w.cls};
        }
        k *= 2;
        assert_int_equal(m2c_trace_add(t, i % 2, wants, k), 0);
        for (uint32_t j = 0; i % 2 == layer && j < k; j++)
            out.cls[(size_t)(i / 2) * n + wants[j].id] = (uint8_t)(wants[j].cls + 1);
    }
    if (m2c_trace_write(t, path, &err))
        fail_msg("%s", err.msg);
    m2c_trace_free(t);
    m2c_selector_close(s);
    free(wants);
    return out;
}

static void test_trace(void **state)
{
    (void)state;
    struct sets real = record(120, 60, 1);
    struct m2c_select_cfg cfg = plan("trace", 2, 120);
    struct m2c_layout layout;
    struct m2c_err err = {0};
    struct m2c_selector *s = NULL;
    struct m2c_want wants[120];
    uint32_t n;
    cfg.source.trace = path;
    assert_int_equal(m2c_layout_find("copies", &layout, &err), 0);
    cfg.source.layout = &layout;
    s = open_selector(&cfg);
    assert_true(m2c_selector_made_up(s) && !m2c_selector_memoryless(s));
    struct sets again = draw(s, &cfg, 1, 60);
    assert_memory_equal(real.cls, again.cls, (size_t)60 * 120);
    assert_int_equal(m2c_selector_pick(s, 0, NULL, wants, &n, &err), -ENODATA);
    assert_non_null(strstr(err.msg, "ends after 60 tokens"));
    m2c_selector_close(s);
#define REFUSED(code, word, ...)                                                         \
    do {                                                                                 \
        struct m2c_select_cfg c = cfg;                                                   \
        __VA_ARGS__;                                                                     \
        s = NULL;                                                                        \
        assert_int_equal(m2c_selector_open(&s, &c, &err), code);                         \
        assert_null(s);                                                                  \
        if (!strstr(err.msg, word))                                                      \
            fail_msg("'%s' is not in: %s", word, err.msg);                               \
    } while (0)
    REFUSED(-EINVAL, "2 layers of 120 neurons, the model has 3", c.layers = 3);
    REFUSED(-EINVAL, "the model has 2 of 121", c.n = 121);
    REFUSED(-EINVAL, "must be auto", c.active = 0.5);
    REFUSED(-EINVAL, "must be rank", c.assign = M2C_ASSIGN_RANDOM);
    REFUSED(-EINVAL, "needs selector.trace", c.source.trace = "");
    REFUSED(-ENOENT, "no-such", c.source.trace = "/tmp/no-such.trace.h5");
    REFUSED(-EINVAL, "of which precision.ratio has none",
            c.ratio = ((struct m2c_ratio){3, {0.5, 0, 0.5}}));
    struct m2c_layout planes;
    assert_int_equal(m2c_layout_find("planes", &planes, &err), 0);
    REFUSED(-EINVAL, "its class 0 is f16, the model's is i16", c.source.layout = &planes);
    REFUSED(-EINVAL, "exclude each other", c.kind = "synthetic",
            c.source.num.overlap = 0.5);
    FILE *f = fopen(path, "r+b"); /* forged: a byte of the index */
    assert_non_null(f);
    fseek(f, 4200, SEEK_SET);
    fputc('#', f);
    fclose(f);
    REFUSED(-EINVAL, path, c.n = 120);
    REFUSED(-EINVAL, path, c.kind = "synthetic");
    assert_int_equal(truncate(path, 5000), 0);
    REFUSED(-EINVAL, path, c.kind = "synthetic");
#undef REFUSED
    free(real.cls);
    free(again.cls);
    unlink(path);
}

static void test_scaled(void **state)
{
    (void)state;
    struct sets real = record(240, 900, 0);
    static const uint32_t sizes[] = {240, 720, 100, 333};
    for (size_t i = 0; i < M2C_COUNTOF(sizes); i++) {
        struct m2c_select_cfg cfg = plan("synthetic", i == 1 ? 4 : 2, sizes[i]);
        cfg.source.trace = path;
        struct m2c_selector *s = open_selector(&cfg);
        /* both layers are alike: any will do */
        struct sets d = draw(s, &cfg, 0, 900);
        double loose = sizes[i] % 240 ? 3 : 1; /* some blocks once more than others */
        near("density", sets_density(&d), sets_density(&real), 0.02 * loose);
        near("spread", sets_spread(&d), sets_spread(&real), 0.03 * loose);
        near("class_change", sets_class_change(&d), sets_class_change(&real), 0.05);
        for (uint32_t lag = 1; lag <= 16; lag *= 4)
            near("overlap", sets_overlap(&d, lag), sets_overlap(&real, lag),
                 0.03 * loose);
        /* no copy of the recording, and no two copies of a block alike */
        assert_memory_not_equal(d.cls, real.cls, 240 * 10);
        free(d.cls);
        m2c_selector_close(s);
    }
    struct m2c_trace *t = NULL;
    struct m2c_err err = {0};
    assert_int_equal(m2c_trace_read(&t, path, &err), 0);
    const struct m2c_process_cfg cfg = {
        .layers = 3, .n = 300, .seed = 5, .ratio = mixed, .num = unset, .source = t};
    addressed(&cfg);
    m2c_trace_free(t);
    free(real.cls);
    unlink(path);
}

/* By the recording's numbers, layer by layer. */
static void test_fitted(void **state)
{
    (void)state;
    struct sets real = record(400, 900, 1);
    struct m2c_select_cfg cfg = plan("synthetic", 2, 600);
    cfg.source.trace = path;
    cfg.source.fit = M2C_FIT_NUMBERS;
    struct m2c_selector *s = open_selector(&cfg);
    struct sets d = draw(s, &cfg, 1, 900);
    near("density", sets_density(&d), sets_density(&real), 0.02);
    near("concentration", sets_concentration(&d), sets_concentration(&real), 0.02);
    near("spread", sets_spread(&d), sets_spread(&real), 0.04);
    near("class_change", sets_class_change(&d), sets_class_change(&real), 0.03);
    for (uint32_t lag = 1; lag <= 16; lag *= 4)
        near("overlap", sets_overlap(&d, lag), sets_overlap(&real, lag), 0.03);
    near("chance", sets_chance(&d), sets_chance(&real), 0.03);
    m2c_selector_close(s);
    struct m2c_trace *t = NULL;
    struct m2c_process *p = NULL;
    struct m2c_err err = {0};
    assert_int_equal(m2c_trace_read(&t, path, &err), 0);
    struct m2c_process_cfg c = {.layers = 3, .n = 100, .seed = 5, .ratio = mixed,
                                .num = unset, .source = t, .fit = M2C_FIT_NUMBERS};
    assert_int_equal(m2c_process_open(&p, &c, &err), 0);
    near("measured", m2c_process_numbers(p, 2)->overlap, sets_overlap(&real, 1), 1e-12);
    near("measured", m2c_process_numbers(p, 2)->spread, sets_spread(&real), 1e-9);
    near("measured", m2c_process_numbers(p, 2)->class_change, sets_class_change(&real), 1e-12);
    m2c_process_close(p);
    addressed(&c);
    m2c_trace_free(t);
    free(real.cls);
    free(d.cls);
    unlink(path);
}

/* Copies of a block agree in how many are active, not in which. */
static void test_copies_differ(void **state)
{
    (void)state;
    struct sets real = record(80, 600, 0);
    struct m2c_select_cfg cfg = plan("synthetic", 2, 160);
    cfg.source.trace = path;
    struct m2c_selector *s = open_selector(&cfg);
    struct sets d = draw(s, &cfg, 0, 600);
    uint32_t twins = 0;
    for (uint32_t i = 0; i < d.n; i++) {
        for (uint32_t k = 0; k < i; k++) {
            uint32_t same = 0, active = 0;
            for (uint32_t t = 0; t < d.tokens; t++) {
                bool x = d.cls[(size_t)t * d.n + i], y = d.cls[(size_t)t * d.n + k];
                active += x;
                same += x == y;
            }
            twins += active > 60 && active < 540 && same == d.tokens;
        }
    }
    /* The recording has 40 pairs that are one; each may come twice, but as its own. */
    assert_true(twins <= 2 * 40);
    free(d.cls);
    free(real.cls);
    m2c_selector_close(s);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gauss),         cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_addressed),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_trace),         cmocka_unit_test(test_scaled),
        cmocka_unit_test(test_fitted),    cmocka_unit_test(test_copies_differ),
    };
    make_path();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
