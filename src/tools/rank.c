/* SPDX-License-Identifier: MIT */
/* m2c rank: how often and how strongly each neuron is active on a text. */
#include "infer/score.h"
#include "tools/commands.h"
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
    int failed;
};

static void add_scores(void *ctx, uint32_t layer, const float *truth, uint32_t n)
{
    struct watcher *w = ctx;
    struct m2c_rank_layer *l = &w->rank->layer[layer];
    for (uint32_t i = 0; i < n; i++) {
        l->mean[i] += truth[i];
        l->m2[i] += truth[i] * truth[i];
    }
    uint32_t k = 0;
    int r = m2c_selector_ideal(w->top, truth, w->wants, &k, NULL);
    w->failed = r < 0 ? r : w->failed;
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

static int watch(struct m2c_session *s, const struct m2c_text *text, struct watcher *w,
                 struct m2c_log *log, struct m2c_err *err)
{
    struct m2c_engine *e = NULL;
    struct m2c_progress *bar = NULL;
    struct m2c_score sc = {0};
    s->engine.truth = true;
    int r = m2c_engine_open(&e, s->store, &s->engine, err);
    if (r == 0)
        r = m2c_progress_open(&bar, log, "ranking", text->tokens, "tokens");
    if (r == 0) {
        m2c_engine_watch(e, add_scores, w);
        r = m2c_score_text(e, NULL, text, m2c_store_cfg(s->store)->bos, bar,
                           m2c_cli_stop(), &sc, err);
    }
    m2c_progress_close(bar);
    m2c_score_free(&sc);
    m2c_engine_close(e);
    return r == 0 && w->failed ? m2c_fail(err, w->failed, "a score is not a number") : r;
}

static int rank_text(struct m2c_session *s, const char *path, const char *split,
                     int64_t tokens, double active, const char *out, struct m2c_log *log,
                     struct m2c_err *err)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(s->store);
    struct m2c_select_cfg top = {.kind = "oracle",
                                 .active = active,
                                 .ratio = {1, {1}},
                                 .positive_only = m->act == M2C_ACT_RELU,
                                 .layers = m->layers,
                                 .n = m->hidden};
    struct watcher w = {0};
    struct m2c_text text = {0};
    w.tokens = calloc(m->layers, sizeof *w.tokens);
    w.wants = calloc(m->hidden, sizeof *w.wants);
    int r = w.tokens && w.wants ? m2c_rank_new(&w.rank, m->layers, m->hidden) : -ENOMEM;
    if (r < 0)
        m2c_fail(err, r, "ranking: out of memory");
    if (r == 0)
        r = m2c_selector_open(&w.top, &top, err);
    if (r == 0)
        r = m2c_text_load(path, split, (uint64_t)tokens, s->tok, &text, err);
    if (r == 0)
        r = watch(s, &text, &w, log, err);
    if (r == 0)
        r = finish(&w, err);
    if (r == 0) {
        w.rank->model = m2c_store_model_hash(s->store);
        w.rank->order = m2c_store_order_hash(s->store);
        snprintf(w.rank->text, sizeof w.rank->text, "%s", path);
        r = m2c_rank_write(w.rank, out, err);
    }
    if (r == 0)
        m2c_log(log, M2C_LOG_INFO, "%s: %llu tokens, %u layers of %u neurons", out,
                (unsigned long long)w.rank->tokens, m->layers, m->hidden);
    m2c_text_free(&text);
    m2c_selector_close(w.top);
    m2c_rank_free(w.rank);
    free(w.tokens);
    free(w.wants);
    return r;
}

int m2c_cmd_rank(int argc, char **argv)
{
    struct m2c_session_flags sf = {0};
    const char *text = NULL, *split = NULL, *out = NULL;
    int64_t tokens = 0;
    double active = NAN;
    const struct m2c_flag flags[] = {
        {.name = "--text", .kind = M2C_FLAG_STR, .dest = &text, .arg = "FILE",
         .help = "calibration text (needed)"},
        {.name = "--split", .kind = M2C_FLAG_STR, .dest = &split, .arg = "STR",
         .help = "start afresh after each STR and strip the pieces"},
        {.name = "--output", .letter = 'o', .kind = M2C_FLAG_STR, .dest = &out,
         .arg = "OUT.rank.h5", .help = "the rank file (needed)"},
        {.name = "--tokens", .kind = M2C_FLAG_INT, .dest = &tokens, .arg = "N", .min = 0,
         .max = 1e15, .help = "use at most N tokens; 0 (default): all"},
        {.name = "--active", .kind = M2C_FLAG_FLOAT, .dest = &active, .arg = "X",
         .min = 1e-6, .max = 1,
         .help = "share of the neurons that counts as active (models without ReLU)"},
    };
    const struct m2c_cli cli = {.name = "m2c rank",
                                .args = "MODEL.h5",
                                .brief = "Ranks neurons by their activity on a text",
                                .flags = flags,
                                .n_flags = M2C_COUNTOF(flags),
                                .min_args = 1,
                                .max_args = 1};
    const char *model;
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, &model, NULL, &code))
        return code;
    if (!text || !out)
        return m2c_cli_usage(&cli, "--text FILE and -o OUT.rank.h5 are needed");
    struct m2c_session s;
    struct m2c_err err = {0};
    struct m2c_log *log = m2c_cli_log();
    int r = m2c_session_open(&s, model, &sf, &err);
    if (r == 0 && !s.tok)
        r = m2c_fail(&err, -ENOENT, "%s holds no tokenizer; import it with --tokenizer FILE",
                     model);
    if (r == 0)
        r = rank_text(&s, text, split, tokens, active, out, log, &err);
    code = r < 0 ? m2c_session_fail(&s, &err) : M2C_EXIT_OK;
    m2c_session_close(&s);
    m2c_log_close(log);
    return code;
}
