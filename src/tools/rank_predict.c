/* SPDX-License-Identifier: MIT */
/* m2c rank --predictor: from samples to predictors in the rank file, judged on
 * text that they were not trained on, by the arithmetic that will be used. */
#include "tools/rank_predict.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const m2c_predict_weights[] = {"own", "i4", "i8", "f16", NULL};
static const enum m2c_type weight_types[] = {M2C_I8, M2C_I4, M2C_I8, M2C_F16};

static bool known(const char *kind)
{
    for (int k = 0; m2c_predictor_kinds[k]; k++) {
        if (strcmp(kind, m2c_predictor_kinds[k]) == 0)
            return true;
    }
    return false;
}

int m2c_predict_check(const struct m2c_predict_flags *f, struct m2c_err *err)
{
    for (unsigned i = 0; i < f->kinds.n; i++) {
        const char *kind = f->kinds.v[i];
        if (!known(kind)) {
            const char *near = m2c_nearest(kind, m2c_predictor_kinds);
            return m2c_fail(err, -EINVAL, "--predictor: no kind '%s'%s%s%s (gate, mlp, rrr)",
                            kind, near ? "; did you mean '" : "", near ? near : "",
                            near ? "'?" : "");
        }
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(kind, f->kinds.v[j]) == 0)
                return m2c_fail(err, -EINVAL, "--predictor %s is given twice", kind);
        }
        if (strcmp(kind, "gate") == 0 && f->lookahead)
            return m2c_fail(err, -EINVAL,
                            "--predictor gate sees its own layer's input; --lookahead %d is "
                            "for rrr and mlp",
                            (int)f->lookahead);
    }
    return 0;
}

/* ---- shape ---- */

/* The greatest width within a tenth of the FFN's f16 bytes; 0, one matrix, where
 * that fits, since it can do all that two of its size can. */
static uint32_t width_of_a_tenth(const struct m2c_model_cfg *m, enum m2c_type type)
{
    uint64_t vectors = m->has_gate ? 3 : 2;
    uint64_t budget = vectors * m->dim * m->hidden * 2 * m->layers / 10;
    struct m2c_predictor p = {
        .layers = m->layers, .n = m->hidden, .dim = m->dim, .type = type};
    if (m2c_predictor_bytes(&p) <= budget)
        return 0;
    for (p.width = m->dim - 1; p.width > 1 && m2c_predictor_bytes(&p) > budget;)
        p.width--;
    return p.width;
}

static struct m2c_predictor shape_of(const struct m2c_predict_task *t, const char *kind)
{
    const struct m2c_model_cfg *m = t->model;
    const struct m2c_predict_flags *f = t->flags;
    bool gate = strcmp(kind, "gate") == 0;
    struct m2c_predictor p = {.lookahead = (uint32_t)f->lookahead,
                              .layers = m->layers,
                              .n = m->hidden,
                              .dim = m->dim,
                              .type = gate && f->weights == 0 ? M2C_I4
                                                              : weight_types[f->weights],
                              .tokens = gate ? 0 : t->train->layer[0].n_tok};
    if (!gate)
        p.width = f->width < 0 ? width_of_a_tenth(m, p.type) : (uint32_t)f->width;
    if (p.width >= m->dim)
        p.width = 0;
    snprintf(p.kind, sizeof p.kind, "%s", kind);
    snprintf(p.text, sizeof p.text, "%s", gate ? "" : t->rank->text);
    return p;
}

/* ---- training ---- */

static int train_layer(const struct m2c_predict_task *t, struct m2c_predictor *p, uint32_t l,
                       struct m2c_err *err)
{
    struct m2c_predictor_layer *y = &p->layer[l];
    if (strcmp(p->kind, "gate") == 0) {
        for (uint32_t i = 0; i < p->n; i++)
            y->bias[i] = -t->model->act_shift;
        return m2c_engine_gate(t->engine, l, y->wide, err);
    }
    struct m2c_train_job job = {.s = t->train,
                                .from = l - M2C_MIN(l, p->lookahead),
                                .to = l,
                                .shape = p,
                                .log = t->log,
                                .stop = m2c_cli_stop()};
    return strcmp(p->kind, "mlp") == 0 ? m2c_train_mlp(&job, y, err)
                                       : m2c_train_rrr(&job, y, err);
}

/* The tenth of the samples that no training learns from. */
static int last_tenth(const struct m2c_samples *s, struct m2c_samples *out,
                      struct m2c_err *err)
{
    *out = *s;
    out->layer = calloc(s->layers, sizeof *out->layer);
    if (!out->layer)
        return m2c_fail(err, -ENOMEM, "judging: out of memory");
    for (uint32_t l = 0; l < s->layers; l++) {
        const struct m2c_sample_layer *y = &s->layer[l];
        uint64_t at = y->n_tok - y->n_tok / 10;
        out->layer[l] = (struct m2c_sample_layer){.x = y->x + at * s->dim,
                                                  .score = y->score + at * s->n,
                                                  .mass = y->mass + at,
                                                  .n_tok = y->n_tok - at};
    }
    return 0;
}

static json_t *row(uint32_t l, uint32_t from, const struct m2c_judgement *j)
{
    return json_pack("{s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "layer",
                     (int)l, "from", (int)from, "active", j->active, "recall", j->recall,
                     "mass", j->mass, "prev", j->prev, "static", j->fixed,
                     "threshold_recall", j->threshold_recall, "threshold_precision",
                     j->threshold_precision, "threshold_share", j->threshold_share,
                     "token_us", j->token_ns / 1e3);
}

static int judge(const struct m2c_predict_task *t, struct m2c_predictor *p,
                 const struct m2c_samples *s, json_t *rows, struct m2c_err *err)
{
    struct m2c_predict *work = NULL;
    struct m2c_dev *dev = m2c_engine_dev(t->engine);
    struct m2c_queue *q = m2c_engine_queue(t->engine);
    int r = m2c_predict_open(&work, dev, q, p, t->model->act, err);
    for (uint32_t l = 0; l < p->layers && r == 0; l++) {
        uint32_t from = l - M2C_MIN(l, p->lookahead);
        struct m2c_judgement j;
        r = m2c_judge_predictor(work, dev, q, s, from, l, t->rank->layer[l].order, &j, err);
        if (r == 0 && json_array_append_new(rows, row(l, from, &j)))
            r = m2c_fail(err, -ENOMEM, "judging: out of memory");
        if (r == 0)
            p->layer[l].recall = (float)j.recall;
    }
    m2c_predict_close(work);
    return r;
}

static double mean_of(const json_t *rows, const char *name)
{
    double sum = 0;
    for (size_t i = 0; i < json_array_size(rows); i++)
        sum += json_real_value(json_object_get(json_array_get(rows, i), name));
    return sum / (double)json_array_size(rows);
}

static json_t *summary(const struct m2c_predict_task *t, const struct m2c_predictor *p,
                       uint64_t judged, json_t *rows)
{
    const struct m2c_model_cfg *m = t->model;
    double ffn = (m->has_gate ? 3.0 : 2.0) * m->dim * m->hidden * 2 * m->layers;
    double bytes = (double)m2c_predictor_bytes(p);
    return json_pack("{s:s, s:i, s:i, s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:o}", "kind",
                     p->kind, "lookahead", (int)p->lookahead, "width", (int)p->width, "type",
                     m2c_type_name(p->type), "trained_tokens", (json_int_t)p->tokens,
                     "judged_tokens", (json_int_t)judged, "bytes", (json_int_t)bytes,
                     "share_of_ffn", bytes / ffn, "recall", mean_of(rows, "recall"),
                     "token_us", mean_of(rows, "token_us") * m->layers, "layers", rows);
}

static int train_one(const struct m2c_predict_task *t, const char *kind,
                     const struct m2c_samples *test, json_t *report, struct m2c_err *err)
{
    struct m2c_predictor *p = &t->rank->pred[t->rank->n_pred];
    struct m2c_predictor shape = shape_of(t, kind);
    json_t *rows = json_array();
    if (!rows || m2c_predictor_init(p, &shape) < 0) {
        json_decref(rows);
        return m2c_fail(err, -ENOMEM, "predictor %s: out of memory", kind);
    }
    t->rank->n_pred++;
    int r = 0;
    for (uint32_t l = 0; l < p->layers && r == 0; l++) {
        r = train_layer(t, p, l, err);
        if (r < 0)
            m2c_fail_in(err, r, "predictor %s, layer %u", kind, l);
    }
    if (r == 0)
        r = judge(t, p, test, rows, err);
    if (r < 0) {
        json_decref(rows);
        return r;
    }
    json_t *item = summary(t, p, test->layer[0].n_tok, rows);
    return json_array_append_new(report, item)
               ? m2c_fail(err, -ENOMEM, "report: out of memory")
               : 0;
}

int m2c_predict_train(const struct m2c_predict_task *t, json_t **report,
                      struct m2c_err *err)
{
    struct m2c_samples tail = {0};
    const struct m2c_samples *test = t->test ? t->test : &tail;
    *report = json_array();
    int r = *report ? 0 : m2c_fail(err, -ENOMEM, "report: out of memory");
    if (r == 0 && !t->test)
        r = last_tenth(t->train, &tail, err);
    if (r == 0 && test->layer[0].n_tok == 0)
        r = m2c_fail(err, -EINVAL,
                     "the text is too short to judge predictors: give more, or --test FILE");
    for (unsigned i = 0; i < t->flags->kinds.n && r == 0; i++)
        r = train_one(t, t->flags->kinds.v[i], test, *report, err);
    free(tail.layer);
    return r;
}

/* ---- the report ---- */

static double real(const json_t *o, const char *name)
{
    return json_real_value(json_object_get(o, name));
}

static int whole(const json_t *o, const char *name)
{
    return (int)json_integer_value(json_object_get(o, name));
}

static void print_one(const json_t *p)
{
    const json_t *rows = json_object_get(p, "layers");
    printf("predictor %s, %d ahead: width %d, %s, %d bytes (%.1f %% of the FFN at f16), "
           "%.0f us a token; %d tokens\n",
           json_string_value(json_object_get(p, "kind")), whole(p, "lookahead"),
           whole(p, "width"), json_string_value(json_object_get(p, "type")),
           whole(p, "bytes"), 100 * real(p, "share_of_ffn"), real(p, "token_us"),
           whole(p, "judged_tokens"));
    printf("layer from  active  recall    mass    prev  static | score > 0: recall precision "
           "share\n");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *o = json_array_get(rows, i);
        printf("%5d %4d  %.4f  %.4f  %.4f  %.4f  %.4f | %17.4f %9.4f %.4f\n",
               whole(o, "layer"), whole(o, "from"), real(o, "active"), real(o, "recall"),
               real(o, "mass"), real(o, "prev"), real(o, "static"),
               real(o, "threshold_recall"), real(o, "threshold_precision"),
               real(o, "threshold_share"));
    }
    printf(" mean              %.4f  %.4f  %.4f  %.4f\n", real(p, "recall"),
           mean_of(rows, "mass"), mean_of(rows, "prev"), mean_of(rows, "static"));
}

void m2c_predict_print(const json_t *report)
{
    for (size_t i = 0; i < json_array_size(report); i++)
        print_one(json_array_get(report, i));
}
