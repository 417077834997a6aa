/* SPDX-License-Identifier: MIT */
/* m2c rank: how often and how strongly each neuron is active on a text. */
#include "infer/score.h"
#include "tools/commands.h"
#include "tools/rank_predict.h"
#include "tools/session.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Sums over tokens, per layer and neuron. */
struct watcher {
    struct m2c_rank *rank;
    uint64_t *tokens; /* [layers] */
    struct m2c_selector *top;
    struct m2c_want *wants;
    struct m2c_samples *samples; /* NULL: none are asked for */
    float *active;               /* [n] the scores of those that count as active */
    int failed;
};

/* The command line. */
struct args {
    const char *model, *text, *test, *split, *out;
    int64_t tokens;
    double active;
    bool json;
    struct m2c_predict_flags predict;
};

static void add_sample(struct watcher *w, uint32_t layer, const float *x,
                       const float *truth, uint32_t n, uint32_t k)
{
    double mass = 0;
    for (uint32_t i = 0; i < n; i++) {
        w->active[i] = 0;
        mass += (double)truth[i];
    }
    for (uint32_t i = 0; i < k; i++)
        w->active[w->wants[i].id] = truth[w->wants[i].id];
    m2c_samples_add(w->samples, layer, x, w->active, mass);
}

static void add_scores(void *ctx, uint32_t layer, const float *x, const float *truth,
                       uint32_t n)
{
    struct watcher *w = ctx;
    uint32_t k = 0;
    int r = m2c_selector_ideal(w->top, layer, truth, w->wants, &k, NULL);
    w->failed = r < 0 ? r : w->failed;
    if (r == 0 && w->samples)
        add_sample(w, layer, x, truth, n, k);
    if (r < 0 || !w->rank)
        return;
    struct m2c_rank_layer *l = &w->rank->layer[layer];
    for (uint32_t i = 0; i < n; i++) {
        l->mean[i] += truth[i];
        l->m2[i] += truth[i] * truth[i];
    }
    for (uint32_t i = 0; i < k; i++)
        l->freq[w->wants[i].id] += 1;
    w->tokens[layer]++;
}

static int finish(struct watcher *w, struct m2c_err *err)
{
    struct m2c_rank *r = w->rank;
    r->tokens = w->tokens[0];
    for (uint32_t l = 0; l < r->layers; l++) {
        float scale = 1.0f / (float)w->tokens[l];
        for (uint32_t i = 0; i < r->n; i++) {
            r->layer[l].freq[i] *= scale;
            r->layer[l].mean[i] *= scale;
            r->layer[l].m2[i] *= scale;
        }
    }
    int e = m2c_rank_sort(r);
    return e < 0 ? m2c_fail(err, e, "ranking: out of memory") : 0;
}

static int watch(struct m2c_session *s, struct m2c_engine *e, const struct m2c_text *text,
                 struct watcher *w, struct m2c_log *log, struct m2c_err *err)
{
    struct m2c_progress *bar = NULL;
    struct m2c_score sc = {0};
    int r = m2c_progress_open(&bar, log, "ranking", text->tokens, "tokens");
    if (r == 0) {
        m2c_engine_watch(e, add_scores, w);
        r = m2c_score_text(e, NULL, text, m2c_store_cfg(s->store)->bos, bar,
                           m2c_cli_stop(), &sc, err);
        m2c_engine_watch(e, NULL, NULL);
    }
    m2c_progress_close(bar);
    m2c_score_free(&sc);
    return r == 0 && w->failed ? m2c_fail(err, w->failed, "a score is not a number") : r;
}

/* A text through the engine; with predictors its samples are kept. */
static int watch_file(struct m2c_session *s, struct m2c_engine *e, const char *path,
                      const struct args *a, struct watcher *w, struct m2c_log *log,
                      struct m2c_err *err)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(s->store);
    struct m2c_text text = {0};
    int r = m2c_text_load(path, a->split, (uint64_t)a->tokens, s->tok, &text, err);
    if (r == 0 && a->predict.kinds.n)
        r = m2c_samples_open(&w->samples, m->layers, m->dim, m->hidden, text.tokens, err);
    if (r == 0)
        r = watch(s, e, &text, w, log, err);
    m2c_text_free(&text);
    return r;
}

static int predict(struct m2c_session *s, struct m2c_engine *e, const struct args *a,
                   struct watcher *w, json_t **report, struct m2c_log *log,
                   struct m2c_err *err)
{
    struct watcher test = *w;
    test.rank = NULL;
    test.samples = NULL;
    int r = a->test ? watch_file(s, e, a->test, a, &test, log, err) : 0;
    struct m2c_predict_task task = {.flags = &a->predict,
                                    .engine = e,
                                    .model = m2c_store_cfg(s->store),
                                    .rank = w->rank,
                                    .train = w->samples,
                                    .test = test.samples,
                                    .log = log};
    if (r == 0)
        r = m2c_predict_train(&task, report, err);
    m2c_samples_close(test.samples);
    return r;
}

static int rank_model(struct m2c_session *s, const struct args *a, struct watcher *w,
                      json_t **report, struct m2c_log *log, struct m2c_err *err)
{
    struct m2c_engine *e = NULL;
    s->engine.truth = true;
    int r = m2c_engine_open(&e, s->store, &s->engine, err);
    if (r == 0)
        r = watch_file(s, e, a->text, a, w, log, err);
    if (r == 0)
        r = finish(w, err);
    if (r == 0) {
        w->rank->model = m2c_store_model_hash(s->store);
        w->rank->order = m2c_store_order_hash(s->store);
        snprintf(w->rank->text, sizeof w->rank->text, "%s", a->text);
    }
    if (r == 0 && a->predict.kinds.n)
        r = predict(s, e, a, w, report, log, err);
    m2c_engine_close(e);
    return r < 0 ? r : m2c_rank_write(w->rank, a->out, err);
}

static int rank_text(struct m2c_session *s, const struct args *a, json_t **report,
                     struct m2c_log *log, struct m2c_err *err)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(s->store);
    struct m2c_select_cfg top = {.kind = "oracle",
                                 .active = a->active,
                                 .ratio = {1, {1}},
                                 .positive_only = m->act == M2C_ACT_RELU,
                                 .layers = m->layers,
                                 .n = m->hidden};
    struct watcher w = {0};
    w.tokens = calloc(m->layers, sizeof *w.tokens);
    w.wants = calloc(m->hidden, sizeof *w.wants);
    w.active = calloc(m->hidden, sizeof *w.active);
    int r = w.tokens && w.wants && w.active ? m2c_rank_new(&w.rank, m->layers, m->hidden)
                                            : -ENOMEM;
    if (r < 0)
        m2c_fail(err, r, "ranking: out of memory");
    if (r == 0)
        r = m2c_selector_open(&w.top, &top, err);
    if (r == 0)
        r = rank_model(s, a, &w, report, log, err);
    if (r == 0)
        m2c_log(log, M2C_LOG_INFO, "%s: %llu tokens, %u layers of %u neurons", a->out,
                (unsigned long long)w.rank->tokens, m->layers, m->hidden);
    m2c_samples_close(w.samples);
    m2c_selector_close(w.top);
    m2c_rank_free(w.rank);
    free(w.tokens);
    free(w.wants);
    free(w.active);
    return r;
}

/* The flags; false: done, with *code. */
static bool parse(int argc, char **argv, struct args *a, int *code)
{
    const struct m2c_flag flags[] = {
        {.name = "--text", .kind = M2C_FLAG_STR, .dest = &a->text, .arg = "FILE",
         .help = "calibration text (needed)"},
        {.name = "--split", .kind = M2C_FLAG_STR, .dest = &a->split, .arg = "STR",
         .help = "start afresh after each STR and strip the pieces"},
        {.name = "--output", .letter = 'o', .kind = M2C_FLAG_STR, .dest = &a->out,
         .arg = "OUT.rank.h5", .help = "the rank file (needed)"},
        {.name = "--tokens", .kind = M2C_FLAG_INT, .dest = &a->tokens, .arg = "N", .min = 0,
         .max = 1e15, .help = "use at most N tokens of a text; 0 (default): all"},
        {.name = "--active", .kind = M2C_FLAG_FLOAT, .dest = &a->active, .arg = "X",
         .min = 1e-6, .max = 1,
         .help = "share of the neurons that counts as active (models without ReLU)"},
        {.name = "--predictor", .kind = M2C_FLAG_LIST, .dest = &a->predict.kinds,
         .arg = "KIND", .help = "add a predictor: rrr, mlp, gate (may be given again)"},
        {.name = "--width", .kind = M2C_FLAG_INT, .dest = &a->predict.width, .arg = "R",
         .min = 0, .max = 1 << 20,
         .help = "rank of rrr and mlp; 0: one matrix (as large as 10 % of the FFN allows)"},
        {.name = "--lookahead", .kind = M2C_FLAG_INT, .dest = &a->predict.lookahead,
         .arg = "N", .min = 0, .max = M2C_LOOKAHEAD_MAX,
         .help = "layers ahead that rrr and mlp foresee, 0 (default) to 2"},
        {.name = "--weights", .kind = M2C_FLAG_ENUM, .dest = &a->predict.weights,
         .choices = m2c_predict_weights,
         .help = "type of a predictor's matrices (i8; gate: i4)"},
        {.name = "--test", .kind = M2C_FLAG_STR, .dest = &a->test, .arg = "FILE",
         .help = "judge predictors on this text (the last tenth of --text)"},
        {.name = "--json", .kind = M2C_FLAG_ON, .dest = &a->json,
         .help = "print the judgement of predictors as JSON"},
    };
    const struct m2c_cli cli = {
        .name = "m2c rank",
        .args = "MODEL.h5",
        .brief = "Ranks neurons by their activity on a text, and trains predictors of it",
        .notes = "Training holds layers x tokens x (4 dim + 2 neurons) bytes in memory.",
        .flags = flags,
        .n_flags = M2C_COUNTOF(flags),
        .min_args = 1,
        .max_args = 1};
    struct m2c_err err = {0};
    if (!m2c_cli_parse(&cli, argc, argv, &a->model, NULL, code))
        return false;
    if (a->text && a->out && m2c_predict_check(&a->predict, &err) == 0)
        return true;
    *code = m2c_cli_usage(&cli, "%s", err.code ? err.msg
                                               : "--text FILE and -o OUT.rank.h5 are needed");
    return false;
}

static int report_out(const struct args *a, json_t *report)
{
    if (a->json)
        return m2c_cli_json(json_pack("{s:O}", "predictors", report));
    m2c_predict_print(report);
    return M2C_EXIT_OK;
}

int m2c_cmd_rank(int argc, char **argv)
{
    struct m2c_session_flags sf = {0};
    struct args a = {.active = NAN, .predict = {.width = -1}};
    int code;
    if (!parse(argc, argv, &a, &code))
        return code;
    struct m2c_session s;
    struct m2c_err err = {0};
    struct m2c_log *log = m2c_cli_log();
    json_t *report = NULL;
    int r = m2c_session_open_text(&s, a.model, &sf, &err);
    if (r == 0)
        r = m2c_cli_writable(a.out, &err);
    if (r == 0)
        r = rank_text(&s, &a, &report, log, &err);
    if (r < 0)
        code = m2c_session_fail(&s, &err);
    else
        code = report ? report_out(&a, report) : M2C_EXIT_OK;
    json_decref(report);
    m2c_session_close(&s);
    m2c_log_close(log);
    return code;
}
