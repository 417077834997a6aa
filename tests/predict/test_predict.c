/* SPDX-License-Identifier: MIT */
/* Predictors on the device: scores against sums in double, with and without
 * looking ahead; the device's choice against the host's; predictors in the rank
 * file, there and back, and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "infer/predict.h"
#include "store/rank.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LAYERS = 5, DIM = 40, N = 70 };

static void make(struct m2c_predictor *p, const char *kind, uint32_t lookahead,
                 uint32_t width, enum m2c_type type)
{
    struct m2c_rng r;
    struct m2c_predictor shape = {.lookahead = lookahead, .layers = LAYERS, .n = N,
                                  .dim = DIM, .width = width, .type = type, .tokens = 77};
    m2c_rng_init(&r, 9, width);
    snprintf(shape.kind, sizeof shape.kind, "%s", kind);
    snprintf(shape.text, sizeof shape.text, "tales.txt");
    assert_int_equal(m2c_predictor_init(p, &shape), 0);
    for (uint32_t l = 0; l < LAYERS; l++) {
        struct m2c_predictor_layer *y = &p->layer[l];
        for (size_t i = 0; i < (size_t)width * DIM; i++)
            y->narrow[i] = m2c_rng_normal(&r);
        for (size_t i = 0; i < (size_t)N * m2c_predictor_inner(p); i++)
            y->wide[i] = m2c_rng_normal(&r);
        for (uint32_t i = 0; i < N; i++)
            y->bias[i] = m2c_rng_normal(&r);
        y->recall = 0.5f;
    }
}

static double score(const struct m2c_predictor *p, uint32_t l, const float *x, uint32_t i)
{
    const struct m2c_predictor_layer *y = &p->layer[l];
    double sum = y->bias[i];
    for (uint32_t k = 0; k < m2c_predictor_inner(p); k++) {
        double in = p->width ? 0 : x[k];
        for (uint32_t j = 0; j < DIM && p->width; j++)
            in += (double)y->narrow[k * DIM + j] * x[j];
        sum += y->wide[i * m2c_predictor_inner(p) + k] * in;
    }
    return sum;
}

struct rig {
    struct m2c_dev *dev;
    struct m2c_queue *q;
    struct m2c_buf *x; /* [LAYERS][DIM] */
    struct m2c_err err;
};

static void rig_open(struct rig *g)
{
    struct m2c_dev_cfg cfg = {.backend = "cpu", .threads = 1};
    struct m2c_rng r;
    *g = (struct rig){0};
    m2c_rng_init(&r, 2, 0);
    assert_int_equal(m2c_dev_open(&g->dev, &cfg, &g->err), 0);
    assert_int_equal(m2c_queue_open(g->dev, "test", &g->q, &g->err), 0);
    assert_int_equal(
        m2c_dev_alloc(g->dev, M2C_PLACE_DEVICE, LAYERS * DIM * 4, &g->x, &g->err), 0);
    for (int i = 0; i < LAYERS * DIM; i++)
        ((float *)g->x->host)[i] = m2c_rng_normal(&r);
}

static void rig_close(struct rig *g)
{
    m2c_queue_close(g->q);
    m2c_dev_close(g->dev);
}

static void walk(uint32_t lookahead, uint32_t width)
{
    struct rig g;
    struct m2c_predictor p;
    struct m2c_predict *work;
    rig_open(&g);
    make(&p, "rrr", lookahead, width, M2C_F32);
    assert_int_equal(m2c_predict_open(&work, g.dev, g.q, &p, M2C_ACT_RELU, &g.err), 0);
    for (uint32_t l = 0; l < LAYERS; l++) {
        const float *got, *x = g.x->host;
        assert_int_equal(
            m2c_predict_from(work, l, (struct m2c_mem){g.x, l * DIM * 4}, &g.err), 0);
        assert_int_equal(m2c_predict_scores(work, l, &got, &g.err), 0);
        for (uint32_t i = 0; i < N; i++) {
            double want = score(&p, l, x + (l - M2C_MIN(l, lookahead)) * DIM, i);
            assert_true(fabs(got[i] - want) <= 2e-4);
        }
    }
    m2c_predict_close(work);
    m2c_predictor_fini(&p);
    rig_close(&g);
}

static void scores_are_sums(void **state)
{
    (void)state;
    for (uint32_t a = 0; a <= M2C_LOOKAHEAD_MAX; a++) {
        walk(a, 0);
        walk(a, 6);
    }
}

/* By rank and by threshold; `gate` of SwiGLU goes by |silu| on the host. */
static void choice_is_the_hosts(void **state)
{
    static const double active[] = {0.3, NAN};
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool silu = i == 3;
        struct rig g;
        struct m2c_predictor p;
        struct m2c_predict *work;
        struct m2c_selector *plan;
        struct m2c_want got[N], want[N];
        struct m2c_rank rank = {.layers = LAYERS, .n = N};
        struct m2c_select_cfg cfg = {.kind = silu ? "gate" : "rrr",
                                     .active = silu ? 0.4 : active[i % 2],
                                     .ratio = {3, {.25, .25, .5}},
                                     .positive_only = !silu,
                                     .layers = LAYERS,
                                     .n = N,
                                     .rank = &rank};
        const float *scores;
        uint32_t n, m;
        rig_open(&g);
        make(&p, cfg.kind, 0, 0, i == 2 ? M2C_I4 : M2C_I8);
        assert_int_equal(m2c_selector_open(&plan, &cfg, &g.err), 0);
        assert_true(m2c_selector_predicted(plan) && !m2c_selector_informed(plan));
        assert_int_equal(m2c_predict_open(&work, g.dev, g.q, &p,
                                          silu ? M2C_ACT_SILU : M2C_ACT_RELU, &g.err),
                         0);
        for (uint32_t l = 0; l < LAYERS; l++) {
            struct m2c_mem x = {g.x, l * DIM * 4};
            assert_int_equal(m2c_predict_from(work, l, x, &g.err), 0);
            assert_int_equal(m2c_predict_wants(work, plan, l, got, &n, &g.err), 0);
            assert_int_equal(m2c_predict_scores(work, l, &scores, &g.err), 0);
            assert_int_equal(m2c_selector_ideal(plan, l, scores, want, &m, &g.err), 0);
            assert_true(n == m && n > 0 && n < N);
            assert_memory_equal(got, want, n * sizeof *got);
            for (uint32_t k = 0; k < N; k++)
                assert_true(!silu || scores[k] >= 0);
        }
        ((float *)g.x->host)[5] = NAN;
        assert_int_equal(m2c_predict_from(work, 0, (struct m2c_mem){g.x, 0}, &g.err), 0);
        assert_int_equal(m2c_predict_wants(work, plan, 0, got, &n, &g.err), -EDOM);
        assert_int_equal(m2c_selector_pick(plan, 0, NULL, got, &n, &g.err), -EINVAL);
        m2c_predict_close(work);
        m2c_selector_close(plan);
        m2c_predictor_fini(&p);
        rig_close(&g);
    }
}

static void files_bring_them_back(void **state)
{
    const struct m2c_hash128 model = {1, 2};
    const char *path = "predict_test.rank.h5";
    struct m2c_rank *r, *back;
    struct m2c_err err = {0};
    (void)state;
    assert_int_equal(m2c_rank_new(&r, LAYERS, N), 0);
    r->model = model;
    for (uint32_t l = 0; l < LAYERS; l++)
        for (uint32_t i = 0; i < N; i++)
            r->layer[l].order[i] = i;
    make(&r->pred[0], "rrr", 2, 6, M2C_I8);
    make(&r->pred[1], "gate", 0, 0, M2C_I4);
    r->n_pred = 2;
    if (m2c_rank_write(r, path, &err) < 0)
        fail_msg("%s", err.msg);
    if (m2c_rank_read(&back, path, model, LAYERS, N, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(back->n_pred, 2);
    assert_null(m2c_rank_predictor(back, "rrr", 1));
    for (int i = 0; i < 2; i++) {
        const struct m2c_predictor *a = &r->pred[i];
        const struct m2c_predictor *b = m2c_rank_predictor(back, a->kind, a->lookahead);
        assert_non_null(b);
        assert_true(a->width == b->width && a->dim == b->dim && a->type == b->type &&
                    a->tokens == b->tokens && strcmp(a->text, b->text) == 0);
        for (uint32_t l = 0; l < LAYERS; l++) {
            assert_memory_equal(a->layer[l].wide, b->layer[l].wide,
                                (size_t)N * m2c_predictor_inner(a) * sizeof(float));
            assert_memory_equal(a->layer[l].bias, b->layer[l].bias, N * sizeof(float));
            if (a->width)
                assert_memory_equal(a->layer[l].narrow, b->layer[l].narrow,
                                    (size_t)a->width * DIM * sizeof(float));
            assert_true(b->layer[l].recall == 0.5f);
        }
    }
    m2c_rank_free(back);
    r->pred[1].layer[3].wide[7] = NAN; /* what no trainer writes */
    assert_int_equal(m2c_rank_write(r, path, &err), 0);
    assert_int_equal(m2c_rank_read(&back, path, model, LAYERS, N, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "wide: element 7"));
    m2c_rank_free(r);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_sums),
        cmocka_unit_test(choice_is_the_hosts),
        cmocka_unit_test(files_bring_them_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
