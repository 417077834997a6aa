/* SPDX-License-Identifier: MIT */
/* The engine's edges: what it refuses, what fails under it, prefill against
 * decode, sampling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/generate.h"
#include "infer/model.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct model model;

static void refuse(struct m2c_engine_cfg *cfg, int code, const char *word)
{
    struct m2c_engine *e = NULL;
    struct m2c_err err = {0};
    int r = m2c_engine_open(&e, model.store, cfg, &err);
    if (r != code || !strstr(err.msg, word))
        fail_msg("got %d '%s', wanted %d and '%s'", r, err.msg, code, word);
}

static void too_small_budgets_say_what_would_do(void **state)
{
    struct m2c_engine_cfg cfg;
    struct m2c_tier_plan plan;
    struct m2c_err err = {0};
    struct m2c_engine *e;
    (void)state;
    model_cfg(&model, .2, &cfg);
    cfg.tier.hbm_bytes = 1;
    refuse(&cfg, -ENOSPC, "hbm.bytes = 1");
    assert_true(m2c_tier_plan(model.store, &cfg.tier, &plan, &err) == -ENOSPC);
    cfg.tier.hbm_bytes = plan.hbm_min - 1;
    refuse(&cfg, -ENOSPC, "smallest that would do");
    cfg.tier.hbm_bytes = plan.hbm_min; /* and it does do */
    assert_int_equal(m2c_engine_open(&e, model.store, &cfg, &err), 0);
    const float *logits;
    assert_int_equal(m2c_engine_decode(e, 0, &logits, &err), 0);
    m2c_engine_close(e);
    model_cfg(&model, .2, &cfg);
    cfg.tier.dram_bytes = 4096;
    refuse(&cfg, -ENOSPC, "dram.bytes = 4096");
    model_cfg(&model, .2, &cfg);
    cfg.dev.bytes = 1 << 20;
    refuse(&cfg, -ENOSPC, "device.bytes");
}

static void wrong_settings_are_refused(void **state)
{
    struct m2c_engine_cfg cfg;
    (void)state;
    model_cfg(&model, .2, &cfg);
    cfg.selector = "orakel";
    refuse(&cfg, -ENOENT, "did you mean 'oracle'");
    model_cfg(&model, .2, &cfg);
    cfg.selector = "static";
    refuse(&cfg, -EINVAL, "rank file");
    model_cfg(&model, .2, &cfg);
    cfg.active = 1e-5;
    refuse(&cfg, -EINVAL, "selects none");
    model_cfg(&model, .2, &cfg);
    cfg.ctx = 513;
    refuse(&cfg, -EINVAL, "decode.ctx");
    model_cfg(&model, .2, &cfg);
    cfg.tier.ratio = (struct m2c_ratio){2, {.5, .5}};
    refuse(&cfg, -EINVAL, "2 classes");
    model_cfg(&model, .2, &cfg);
    cfg.tier.hbm_policy = "lfru";
    refuse(&cfg, -ENOENT, "policy");
    model_cfg(&model, .2, &cfg);
    cfg.prefill_class = 7;
    refuse(&cfg, -EINVAL, "prefill_class");
}

/* The largest difference of two rows of logits. */
static double distance(const float *a, const float *b, uint32_t n)
{
    double d = 0;
    for (uint32_t i = 0; i < n; i++)
        d = M2C_MAX(d, fabs((double)a[i] - b[i]));
    return d;
}

static void dense_prefill_is_dense_decode(void **state)
{
    struct m2c_engine_cfg cfg;
    struct m2c_engine *e;
    struct m2c_err err = {0};
    const struct m2c_piece *p = &model.text.piece[0];
    const float *logits;
    uint32_t n = M2C_MIN(p->n, 70u), vocab = m2c_store_cfg(model.store)->vocab;
    float *want = malloc(vocab * sizeof *want);
    (void)state;
    m2c_engine_dense_cfg(model.store, &cfg);
    assert_int_equal(m2c_engine_open(&e, model.store, &cfg, &err), 0);
    assert_int_equal(m2c_engine_prefill(e, p->ids, n, false, &logits, &err), 0);
    memcpy(want, logits, vocab * sizeof *want);
    m2c_engine_restart(e);
    assert_int_equal(m2c_engine_prefill(e, p->ids, n, true, &logits, &err), 0);
    /* f32 sums in another order over 6 layers: logits are of the order of 10 */
    assert_true(distance(want, logits, vocab) < 1e-3);
    m2c_engine_close(e);
    /* and through small units, in many waves */
    model_cfg(&model, .03, &cfg);
    cfg.tier.ratio = (struct m2c_ratio){3, {1, 0, 0}};
    assert_int_equal(m2c_engine_open(&e, model.store, &cfg, &err), 0);
    assert_int_equal(m2c_engine_prefill(e, p->ids, n, true, &logits, &err), 0);
    assert_true(distance(want, logits, vocab) < 1e-3);
    assert_int_equal(m2c_engine_pos(e), n);
    m2c_engine_close(e);
    free(want);
}

static void context_and_vocabulary_end(void **state)
{
    struct m2c_engine_cfg cfg;
    struct m2c_engine *e;
    struct m2c_err err = {0};
    const float *logits;
    (void)state;
    m2c_engine_dense_cfg(model.store, &cfg);
    cfg.ctx = 3;
    assert_int_equal(m2c_engine_open(&e, model.store, &cfg, &err), 0);
    assert_int_equal(m2c_engine_decode(e, 1u << 30, &logits, &err), -EINVAL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(m2c_engine_decode(e, 0, &logits, &err), 0);
    assert_int_equal(m2c_engine_decode(e, 0, &logits, &err), -ERANGE);
    m2c_engine_restart(e);
    assert_int_equal(m2c_engine_decode(e, 0, &logits, &err), 0);
    m2c_engine_close(e);
}

/* Every fallible device call fails in turn: an error each time, no crash, no
 * leak (ASan). */
static void every_device_failure_is_an_error(void **state)
{
    struct m2c_err err = {0};
    int r = -1;
    (void)state;
    for (unsigned nth = 1; r < 0; nth += nth < 60 ? 1 : 37) {
        struct m2c_engine_cfg cfg;
        struct m2c_engine *e = NULL;
        const float *logits;
        model_cfg(&model, .05, &cfg);
        cfg.selector = "all";
        cfg.active = 1;
        cfg.dev.backend = "null";
        cfg.dev.fail_nth = nth;
        r = m2c_engine_open(&e, model.store, &cfg, &err);
        for (int i = 0; i < 2 && r == 0; i++)
            r = m2c_engine_decode(e, 0, &logits, &err);
        if (r < 0)
            assert_true(err.msg[0] != 0);
        m2c_engine_close(e);
        assert_true(nth < 20000);
    }
}

static void a_failing_disk_is_an_error(void **state)
{
    struct m2c_engine_cfg cfg;
    struct m2c_engine *e;
    struct m2c_err err = {0};
    const float *logits;
    (void)state;
    model_cfg(&model, .2, &cfg);
    cfg.tier.engine = "null";
    cfg.tier.io.fail_nth = 4;
    cfg.tier.io.retries = 2;
    assert_int_equal(m2c_engine_open(&e, model.store, &cfg, &err), 0);
    assert_int_equal(m2c_engine_decode(e, 0, &logits, &err), -EIO);
    assert_non_null(strstr(err.msg, "layer"));
    assert_non_null(strstr(err.msg, "offset"));
    assert_true(m2c_engine_decode(e, 0, &logits, &err) < 0); /* stays failed */
    m2c_engine_close(e);
    cfg.tier.io.fail_nth = 0;
    cfg.tier.io.short_reads = 4096; /* slow, but whole */
    assert_int_equal(m2c_engine_open(&e, model.store, &cfg, &err), 0);
    assert_int_equal(m2c_engine_decode(e, 0, &logits, &err), 0);
    m2c_engine_close(e);
}

static void sampling_follows_the_distribution(void **state)
{
    const float logits[4] = {0, 1, 2, -INFINITY};
    double z = 1 + exp(1) + exp(2);
    struct m2c_sampler *s;
    struct m2c_err err = {0};
    int count[4] = {0};
    uint32_t t;
    (void)state;
    struct m2c_sampling cfg = {.temperature = 1, .top_p = 1, .seed = 3};
    assert_int_equal(m2c_sampler_open(&s, &cfg, 4, &err), 0);
    for (int i = 0; i < 40000; i++) {
        assert_int_equal(m2c_sampler_next(s, logits, &t, &err), 0);
        count[t]++;
    }
    m2c_sampler_close(s);
    for (int i = 0; i < 3; i++) /* 5 standard deviations are below 0.0125 */
        assert_true(fabs(count[i] / 40000.0 - exp(i) / z) < .0125);
    assert_int_equal(count[3], 0);
    cfg.top_p = .6; /* only the best token is needed for 0.665 */
    assert_int_equal(m2c_sampler_open(&s, &cfg, 4, &err), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(m2c_sampler_next(s, logits, &t, &err), 0);
        assert_int_equal(t, 2);
    }
    const float bad[4] = {0, NAN, 0, 0};
    assert_int_equal(m2c_sampler_next(s, bad, &t, &err), -EDOM);
    m2c_sampler_close(s);
}

/* The arg-max that the device finds is that of the logits, after a prompt and
 * after a token, however the prompt is prefilled. */
static void greedy_is_the_arg_max(void **state)
{
    struct m2c_engine_cfg cfg;
    struct m2c_engine *a = NULL, *b = NULL;
    struct m2c_err err = {0};
    const uint32_t prompt[] = {1, 5, 9, 3, 8};
    uint32_t got = 0, n = M2C_COUNTOF(prompt);
    const float *logits;
    (void)state;
    m2c_engine_dense_cfg(model.store, &cfg);
    assert_int_equal(m2c_engine_open(&a, model.store, &cfg, &err), 0);
    assert_int_equal(m2c_engine_open(&b, model.store, &cfg, &err), 0);
    assert_true(m2c_dev_supports(m2c_engine_dev(a), M2C_OP_ARGMAX, M2C_F32));
    for (int i = 0; i < 12; i++) {
        bool first = i % 6 == 0;
        const uint32_t *ids = first ? prompt : &got;
        uint32_t token = got, want = 0;
        if (first) {
            m2c_engine_restart(a);
            m2c_engine_restart(b);
        }
        assert_int_equal(m2c_engine_prefill(a, first ? ids : &token, first ? n : 1,
                                            first && i, &logits, &err),
                         0);
        for (uint32_t k = 1; k < m2c_engine_vocab(a); k++)
            want = logits[k] > logits[want] ? k : want;
        assert_int_equal(m2c_engine_greedy(b, first ? ids : &token, first ? n : 1,
                                           first && i, &got, &err),
                         0);
        assert_int_equal(got, want);
    }
    assert_int_equal(m2c_engine_stats(a)->tokens, m2c_engine_stats(b)->tokens);
    assert_int_equal(m2c_engine_greedy(b, prompt, 0, false, &got, &err), -EINVAL);
    m2c_engine_close(a);
    m2c_engine_close(b);
}

int main(void)
{
    model_open(&model, "engine");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_small_budgets_say_what_would_do),
        cmocka_unit_test(wrong_settings_are_refused),
        cmocka_unit_test(dense_prefill_is_dense_decode),
        cmocka_unit_test(context_and_vocabulary_end),
        cmocka_unit_test(every_device_failure_is_an_error),
        cmocka_unit_test(a_failing_disk_is_an_error),
        cmocka_unit_test(greedy_is_the_arg_max),
        cmocka_unit_test(sampling_follows_the_distribution),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    model_close(&model);
    return failed;
}
