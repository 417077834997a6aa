/* SPDX-License-Identifier: MIT */
/* m2c ppl: score a text. */
#include "infer/score.h"
#include "tools/commands.h"
#include "tools/session.h"

#include <math.h>

struct args {
    const char *text, *split;
    int64_t tokens, ctx;
    bool kl, json;
};

static json_t *density(const struct m2c_session *s, const struct m2c_engine_stats *st)
{
    json_t *a = json_array();
    const struct m2c_model_cfg *m = m2c_store_cfg(s->store);
    for (uint32_t l = 0; l < m->layers && st->layer_judged; l++)
        json_array_append_new(a, json_real((double)st->layer_true[l] /
                                           ((double)st->layer_judged * m->hidden)));
    return a;
}

static int print_json(const struct m2c_session *s, struct m2c_engine *e,
                      struct m2c_score *sc)
{
    double n = (double)sc->n;
    const struct m2c_engine_stats *st = m2c_engine_stats(e);
    json_t *o = json_pack("{s:I, s:f, s:f}", "n_tokens", (json_int_t)sc->n,
                          "nll_per_token", sc->nll / n, "ppl", exp(sc->nll / n));
    if (o && st->judged) {
        double judged = (double)st->judged;
        json_object_set_new(o, "selector_recall", json_real(st->recall / judged));
        json_object_set_new(o, "selector_recall_true_k",
                            json_real(st->recall_true_k / judged));
        json_object_set_new(o, "active_true", density(s, st));
        json_object_set_new(o, "informed", json_boolean(m2c_engine_informed(e)));
    }
    if (o && sc->has_kl) {
        json_object_set_new(o, "kl_mean", json_real(sc->kl_sum / n));
        json_object_set_new(o, "kl_p99", json_real(m2c_score_kl_quantile(sc, .99)));
        json_object_set_new(o, "top1_agree", json_real((double)sc->agree / n));
    }
    return m2c_cli_json(o);
}

static int print_text(struct m2c_score *sc)
{
    double n = (double)sc->n, nll = sc->nll / n;
    printf("tokens      %llu\nNLL         %.6f nats a token\nperplexity  %.4f\n",
           (unsigned long long)sc->n, nll, exp(nll));
    if (sc->has_kl)
        printf("KL mean     %.6g nats (dense || this)\nKL p99      %.6g\ntop-1 agree %.4f\n",
               sc->kl_sum / n, m2c_score_kl_quantile(sc, .99), (double)sc->agree / n);
    return M2C_EXIT_OK;
}

static int score(struct m2c_session *s, const struct args *a, struct m2c_log *log,
                 int *code, struct m2c_err *err)
{
    struct m2c_text text = {0};
    struct m2c_engine *e = NULL, *ref = NULL;
    struct m2c_progress *bar = NULL;
    struct m2c_score sc = {0};
    struct m2c_engine_cfg dense;
    m2c_engine_dense_cfg(s->store, &dense);
    dense.ctx = s->engine.ctx;
    dense.dev.threads = s->engine.dev.threads;
    int r = m2c_text_load(a->text, a->split, (uint64_t)a->tokens, s->tok, &text, err);
    if (r == 0)
        r = m2c_engine_open(&e, s->store, &s->engine, err);
    if (r == 0 && a->kl)
        r = m2c_engine_open(&ref, s->store, &dense, err);
    if (r == 0)
        r = m2c_progress_open(&bar, log, "scoring", text.tokens, "tokens");
    if (r == 0)
        r = m2c_score_text(e, ref, &text, m2c_store_cfg(s->store)->bos, bar,
                           m2c_cli_stop(), &sc, err);
    m2c_progress_close(bar);
    if (r == 0)
        *code = a->json ? print_json(s, e, &sc) : print_text(&sc);
    m2c_score_free(&sc);
    m2c_engine_close(ref);
    m2c_engine_close(e);
    m2c_text_free(&text);
    return r;
}

int m2c_cmd_ppl(int argc, char **argv)
{
    struct m2c_session_flags sf = {0};
    struct args a = {0};
    const struct m2c_flag flags[] = {
        {.name = "--text", .kind = M2C_FLAG_STR, .dest = &a.text, .arg = "FILE",
         .help = "the text to score (needed)"},
        {.name = "--split", .kind = M2C_FLAG_STR, .dest = &a.split, .arg = "STR",
         .help = "start afresh after each STR and strip the pieces"},
        {.name = "--tokens", .kind = M2C_FLAG_INT, .dest = &a.tokens, .arg = "N", .min = 0,
         .max = 1e15, .help = "score at most N tokens; 0 (default): all"},
        {.name = "--ctx", .kind = M2C_FLAG_INT, .dest = &a.ctx, .arg = "N", .min = 0,
         .max = 16777216, .help = "context length; 0 (default): the model's"},
        {.name = "--kl", .kind = M2C_FLAG_ON, .dest = &a.kl,
         .help = "compare with the dense model on the same tokens"},
        {.name = "--json", .kind = M2C_FLAG_ON, .dest = &a.json,
         .help = "one JSON object on stdout"},
        M2C_SESSION_FLAGS(&sf),
    };
    const struct m2c_cli cli = {
        .name = "m2c ppl",
        .args = "MODEL.h5",
        .brief = "Scores a text: mean negative log-likelihood and perplexity",
        .notes = "BOS, then the text's tokens; every token but BOS is scored. A piece longer "
                 "than\nthe context goes in consecutive windows, each starting with BOS.",
        .flags = flags,
        .n_flags = M2C_COUNTOF(flags),
        .min_args = 1,
        .max_args = 1};
    const char *model;
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, &model, NULL, &code))
        return code;
    if (!a.text)
        return m2c_cli_usage(&cli, "--text FILE is needed");
    struct m2c_session s;
    struct m2c_err err = {0};
    struct m2c_log *log = m2c_cli_log();
    int r = m2c_session_open_text(&s, model, &sf, &err);
    if (r == 0 && a.ctx)
        s.engine.ctx = (uint32_t)a.ctx;
    if (r == 0)
        r = score(&s, &a, log, &code, &err);
    if (r < 0)
        code = m2c_session_fail(&s, &err);
    m2c_session_close(&s);
    m2c_log_close(log);
    return code;
}
