/* SPDX-License-Identifier: MIT */
/* ratio: which shares of precisions? Three searches, and all in one table.
 *
 * Nothing here is timed. M2Cache's Algorithm 1 as printed and its extension to three
 * precisions (exp/search.h) choose by UQEst, the entropy of what the model
 * generates; the third search (ratio_least.c) by KL to the dense model, layer by
 * layer, at equal bytes. They see the calibration text alone; the table is of other
 * text. Every step goes into the log and into the samples, with its entropies. */
#include "experiments/experiments.h"
#include "experiments/ratio_impl.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int open_tasks(struct ratio *p, struct m2c_err *err)
{
    const struct m2c_settings *c = p->run->cfg;
    int r = 0;
    for (const char *at = c->tasks.files; *at && r == 0;) {
        size_t n = strcspn(at, ",");
        char *path = strndup(at, n);
        if (!path)
            return m2c_fail(err, -ENOMEM, "ratio: out of memory");
        if (p->n_tasks == RATIO_TASKS)
            r = m2c_fail(err, -EINVAL, "[tasks] files: more than %d", RATIO_TASKS);
        if (r == 0)
            r = m2c_task_load(path, (uint64_t)c->tasks.limit, NULL, p->run->tok,
                              &p->task[p->n_tasks++], err);
        free(path);
        at += n;
        at += strspn(at, ", ");
    }
    return r;
}

/* One engine for all plans: its units have slots of every class. */
static int open_engine(struct ratio *p, struct m2c_err *err)
{
    struct m2c_engine_cfg cfg;
    struct m2c_run *run = p->run;
    int r = m2c_settings_engine(run->cfg, run->store, run->rank, run->mechanism_seed, &cfg,
                                err);
    free(cfg.layer_ratio);
    cfg.layer_ratio = NULL;
    cfg.class_seed = run->workload_seed;
    cfg.tier.ratio.n = p->classes;
    for (uint32_t c = 0; c < p->classes; c++)
        cfg.tier.ratio.share[c] = 1.0 / p->classes;
    return r < 0 ? r : m2c_engine_open(&p->engine, run->store, &cfg, err);
}

static int setup(struct m2c_run *run, struct m2c_err *err)
{
    struct ratio *p = run->priv;
    const struct m2c_settings *c = run->cfg;
    p->run = run;
    p->layers = m2c_store_cfg(run->store)->layers;
    p->vocab = m2c_store_cfg(run->store)->vocab;
    p->classes = m2c_store_layout(run->store)->n_classes;
    if (!c->ratio.text[0] || !c->text.file[0])
        return m2c_fail(err, -EINVAL, "[%s: no text is named to %s",
                        c->ratio.text[0] ? "text] file" : "ratio] text",
                        c->ratio.text[0] ? "test the ratios" : "search the ratios on");
    if (strcmp(c->ratio.text, c->text.file) == 0)
        return m2c_fail(err, -EINVAL, "[ratio] text and [text] file are the same: ratios are "
                                      "tested on text that they were not searched on");
    if (!run->tok || m2c_store_cfg(run->store)->bos < 0)
        return m2c_fail(err, -EINVAL, "%s holds no tokenizer, or names no BOS token",
                        m2c_store_path(run->store));
    if (p->classes < 2)
        return m2c_fail(err, -EINVAL, "%s has one class: there is no ratio to search",
                        m2c_store_path(run->store));
    int r = m2c_text_load(c->ratio.text, c->text.split, 0, run->tok, &p->calib, err);
    if (r == 0)
        r = m2c_text_load(c->text.file, c->text.split, (uint64_t)c->text.tokens, run->tok,
                          &p->test, err);
    if (r == 0)
        r = open_tasks(p, err);
    if (r == 0)
        r = open_engine(p, err);
    if (r == 0)
        r = m2c_run_dense(run, &p->dense, err);
    return r < 0 ? r : ratio_prepare(p, err);
}

/* ---- the searches by UQEst ---- */

struct search {
    struct ratio *p;
    const char *name;
    double best;
};

static struct m2c_ratio *shares_of(const struct ratio *p, const struct m2c_search_shares *at,
                                   struct m2c_err *err)
{
    struct m2c_search_shares s = m2c_search_clamp(*at);
    struct m2c_ratio ratio = {.n = p->classes}, *out = NULL;
    ratio.share[0] = s.high;
    if (p->classes > 2)
        ratio.share[1] = s.middle;
    ratio.share[p->classes - 1] = s.low;
    return ratio_uniform(p, &ratio, &out, err) < 0 ? NULL : out;
}

static int score_step(void *ctx, size_t index, const struct m2c_search_shares *at,
                      double *out, struct m2c_err *err)
{
    struct search *s = ctx;
    struct ratio *p = s->p;
    const struct m2c_settings *c = p->run->cfg;
    struct m2c_ratio *plan = shares_of(p, at, err);
    char name[64];
    if (!plan)
        return -ENOMEM;
    int r = ratio_uq(p, plan, out, err);
    snprintf(name, sizeof name, "%s_entropy.%zu", s->name, index);
    if (r == 0)
        r = m2c_run_samples(p->run, name, p->entropy,
                            (size_t)(c->ratio.prompts * c->decode.new_tokens), err);
    bool kept = r == 0 && s->best >= *out;
    if (r == 0)
        m2c_log(p->run->log, M2C_LOG_INFO,
                "%s step %zu: r_high %.6g, r_middle %.6g, r_low %.6g: UQEst %.9g%s", s->name,
                index + 1, at->high, at->middle, at->low, *out, kept ? ", kept" : "");
    s->best = kept ? *out : s->best;
    free(plan);
    return r;
}

/* The steps, as the algorithm has them, one array a quantity. */
static int put_steps(struct ratio *p, const char *name, const struct m2c_search *s,
                     struct m2c_err *err)
{
    static const char *const what[] = {"high", "middle", "low", "uq", "kept"};
    double *v = calloc(s->n, sizeof *v);
    int r = v ? 0 : m2c_fail(err, -ENOMEM, "ratio: out of memory");
    for (size_t k = 0; k < M2C_COUNTOF(what) && r == 0; k++) {
        char key[64];
        for (size_t i = 0; i < s->n; i++) {
            const struct m2c_search_step *t = &s->step[i];
            const double of[] = {t->at.high, t->at.middle, t->at.low, t->score, t->kept};
            v[i] = of[k];
        }
        snprintf(key, sizeof key, "%s_%s", name, what[k]);
        r = m2c_run_samples(p->run, key, v, s->n, err);
    }
    free(v);
    return r;
}

static int by_entropy(struct ratio *p, const char *name, bool three, double *bytes,
                      struct m2c_err *err)
{
    const struct m2c_layout *layout = m2c_store_layout(p->run->store);
    struct search ctx = {p, name, INFINITY};
    struct m2c_search_cfg cfg = {.step = p->run->cfg->ratio.step,
                                 .start = p->run->cfg->ratio.start,
                                 .bits_high = layout->cls[0].bits,
                                 .bits_middle = layout->cls[1].bits,
                                 .bits_low = layout->cls[p->classes - 1].bits,
                                 .score = score_step,
                                 .ctx = &ctx};
    struct m2c_search s;
    double kl = NAN;
    int r = three ? m2c_search_three(&cfg, &s, err) : m2c_search_two(&cfg, &s, err);
    if (r < 0)
        return r;
    const struct m2c_search_step *best = &s.step[s.best];
    m2c_log(p->run->log, M2C_LOG_INFO,
            "%s: %zu steps, the choice is step %zu: r_high %.6g, r_middle %.6g, r_low %.6g",
            name, s.n, s.best + 1, best->at.high, best->at.middle, best->at.low);
    r = put_steps(p, name, &s, err);
    struct m2c_ratio *plan = r == 0 ? shares_of(p, &best->at, err) : NULL;
    if (r == 0 && !plan)
        r = -ENOMEM;
    m2c_search_free(&s);
    if (r == 0)
        r = ratio_kl(p, plan, &kl, bytes, err);
    if (r < 0) {
        free(plan);
        return r;
    }
    return ratio_row_add(p, name, plan, kl, err);
}

/* ---- what they are compared with ---- */

/* Each class alone, then the point's own ratio, whose bytes on the calibration text
 * are returned. */
static int add_given(struct ratio *p, double *bytes, struct m2c_err *err)
{
    const struct m2c_layout *layout = m2c_store_layout(p->run->store);
    const struct m2c_settings *c = p->run->cfg;
    struct m2c_ratio *plan = NULL;
    double kl = NAN;
    int r = 0;
    for (uint32_t k = 0; k < p->classes && r == 0; k++) {
        struct m2c_ratio one = {.n = p->classes};
        one.share[k] = 1;
        r = ratio_uniform(p, &one, &plan, err);
        if (r == 0)
            r = ratio_row_add(p, layout->cls[k].name, plan, NAN, err);
    }
    if (r < 0)
        return r;
    r = m2c_settings_layers(c->precision.layers, &c->precision.ratio, p->layers, p->classes,
                            &plan, err);
    if (r == 0)
        r = ratio_kl(p, plan, &kl, bytes, err);
    if (r < 0) {
        free(plan);
        return r;
    }
    return ratio_row_add(p, "given", plan, kl, err);
}

static int step(struct m2c_run *run, struct m2c_err *err)
{
    struct ratio *p = run->priv;
    struct ratio_least least = {0};
    double given, paper, three;
    int r = add_given(p, &given, err);
    if (r == 0)
        r = by_entropy(p, "alg1", false, &paper, err);
    if (r == 0 && p->classes > 2)
        r = by_entropy(p, "alg1_three", true, &three, err);
    if (r == 0)
        r = ratio_least_open(p, &least, err);
    uint64_t asked = run->cfg->ratio.bytes;
    if (r == 0)
        r = ratio_least_row(p, &least, "least_kl", asked ? (double)asked : paper, err);
    if (r == 0)
        r = ratio_least_row(p, &least, "least_kl_given", given, err);
    ratio_least_close(&least);
    return r < 0 ? r : ratio_table(p, err);
}

static void teardown(struct m2c_run *run)
{
    struct ratio *p = run->priv;
    m2c_engine_close(p->engine);
    m2c_engine_close(p->dense);
    m2c_text_free(&p->calib);
    m2c_text_free(&p->test);
    for (uint32_t i = 0; i < p->n_tasks; i++)
        m2c_task_free(&p->task[i]);
    for (uint32_t i = 0; i < p->n_rows; i++)
        free(p->row[i].by_layer);
    free(p->ref);
    free(p->prompt);
    free(p->count);
    free(p->entropy);
}

const struct m2c_exp_ops m2c_exp_ratio = {
    .p = {.name = "ratio",
          .desc = "shares of precisions: Algorithm 1, its extension, least KL at equal bytes",
          .priv_size = sizeof(struct ratio)},
    .setup = setup,
    .step = step,
    .teardown = teardown,
};
