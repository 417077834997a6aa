/* SPDX-License-Identifier: MIT */
/* Running a sweep: points, repetitions, records. */
#define _GNU_SOURCE /* asprintf */
#include "exp/exp.h"

#include "base/clock.h"
#include "exp/identity.h"
#include "exp/journal.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KINDS = 16 };

/* A sweep under way: what stays open from point to point. */
struct sweeper {
    const struct m2c_exp_cfg *cfg;
    struct m2c_journal *journal;
    const struct m2c_optset *config; /* with axes */
    struct m2c_sweep sweep;
    json_t *identity;
    char *model; /* the keys of what is open */
    struct m2c_store *store;
    struct m2c_rank *rank;
    struct m2c_tok *tok;
};

/* ---- kinds ---- */

static int split_kinds(const struct m2c_exp_ops *const *registry, const char *kinds,
                       const struct m2c_exp_ops **out, unsigned *n, struct m2c_err *err)
{
    *n = 0;
    for (const char *p = kinds; *p;) {
        char word[64];
        size_t len = strcspn(p, ", ");
        snprintf(word, sizeof word, "%.*s", (int)M2C_MIN(len, sizeof word - 1), p);
        p += len;
        p += strspn(p, ", ");
        const struct m2c_exp_ops *ops = m2c_plugin_find(
            (const void *const *)(const void *)registry, "experiment", word, err);
        if (!ops)
            return m2c_fail_in(err, -EINVAL, "[experiment] kinds");
        if (*n == MAX_KINDS)
            return m2c_fail(err, -EINVAL, "[experiment] kinds: more than %d", MAX_KINDS);
        out[(*n)++] = ops;
    }
    return *n ? 0 : m2c_fail(err, -EINVAL, "[experiment] kinds: names no experiment");
}

int m2c_exp_check_kinds(const struct m2c_exp_ops *const *registry, const char *kinds,
                        struct m2c_err *err)
{
    const struct m2c_exp_ops *list[MAX_KINDS];
    unsigned n;
    int r = m2c_plugin_check((const void *const *)(const void *)registry, "experiment", err);
    return r < 0 ? r : split_kinds(registry, kinds, list, &n, err);
}

/* ---- the model of a point ---- */

static void close_model(struct sweeper *s)
{
    m2c_tok_close(s->tok);
    m2c_rank_free(s->rank);
    m2c_store_close(s->store);
    free(s->model);
    s->tok = NULL;
    s->rank = NULL;
    s->store = NULL;
    s->model = NULL;
}

static int open_model(struct sweeper *s, const struct m2c_settings *cfg,
                      struct m2c_err *err)
{
    char *model = NULL;
    if (asprintf(&model, "%s|%s|%s %s %s %s", cfg->model.path, cfg->model.rank,
                 cfg->model.synth, cfg->model.layout, cfg->model.arrange,
                 cfg->model.dense) < 0)
        return m2c_fail(err, -ENOMEM, "out of memory");
    bool same = s->store && strcmp(s->model, model) == 0;
    if (same) {
        free(model);
        return 0;
    }
    close_model(s);
    s->model = model;
    int r = m2c_settings_store(cfg, &s->store, err);
    if (r < 0)
        return r;
    const struct m2c_model_cfg *m = m2c_store_cfg(s->store);
    if (cfg->model.rank[0])
        r = m2c_rank_read(&s->rank, cfg->model.rank, m2c_store_model_hash(s->store),
                          m->layers, m->hidden, err);
    const char *kind;
    const void *bytes;
    size_t n;
    if (r == 0 && m2c_store_tokenizer(s->store, &kind, &bytes, &n))
        r = m2c_text_tokenizer(s->store, &s->tok, err);
    if (r < 0)
        close_model(s);
    return r;
}

/* ---- one record ---- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t pair[2] = {a, b};
    return m2c_hash64(pair, sizeof pair);
}

static json_t *config_json(const struct m2c_optset *set)
{
    json_t *o = json_object();
    for (size_t i = 0; o && i < m2c_optset_count(set); i++) {
        const struct m2c_opt *row = m2c_optset_row(set, i);
        char key[96];
        snprintf(key, sizeof key, "%s.%s", row->section, row->key);
        if (json_object_set_new(o, key, json_string(m2c_optset_text(set, i))) < 0) {
            json_decref(o);
            return NULL;
        }
    }
    return o;
}

static json_t *axes_json(const struct m2c_optset *config, const struct m2c_optset *point)
{
    json_t *o = json_object();
    for (size_t a = 0; o && a < m2c_optset_axes(config); a++) {
        const struct m2c_opt *row = m2c_optset_axis(config, a);
        char key[96];
        snprintf(key, sizeof key, "%s.%s", row->section, row->key);
        json_object_set_new(o, key,
                            json_string(m2c_optset_get(point, row->section, row->key)));
    }
    return o;
}

static int run_kind(const struct m2c_exp_ops *ops, struct m2c_run *run, struct m2c_err *err)
{
    run->priv = calloc(1, ops->p.priv_size ? ops->p.priv_size : 1);
    if (!run->priv)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", ops->p.name);
    int r = ops->setup(run, err);
    if (r == 0)
        r = ops->step(run, err);
    ops->teardown(run);
    free(run->priv);
    run->priv = NULL;
    return r;
}

/* Of this process; a machine that is simulated has none. */
static int put_process(struct m2c_run *run, double cached, struct m2c_err *err)
{
    if (run->simulated) {
        int s = m2c_figure_put(run->figures, "rss_peak", NULL, NAN, M2C_UNAVAILABLE,
                               "simulated", err);
        return s < 0 ? s
                     : m2c_figure_put(run->figures, "page_cache", NULL, NAN,
                                      M2C_UNAVAILABLE, "simulated", err);
    }
    uint64_t rss = m2c_rss_peak();
    int r = m2c_figure_put(run->figures, "rss_peak", NULL, rss ? (double)rss : NAN,
                           rss ? M2C_MEASURED : M2C_UNAVAILABLE, "VmHWM", err);
    return r < 0 ? r
                 : m2c_figure_put(run->figures, "page_cache", NULL, cached,
                                  isnan(cached) ? M2C_UNAVAILABLE : M2C_MEASURED, "mincore",
                                  err);
}

static int measure(struct sweeper *s, const struct m2c_settings *cfg, struct m2c_run *run,
                   struct m2c_err *err)
{
    const struct m2c_exp_ops *kinds[MAX_KINDS];
    unsigned n = 0;
    int r = split_kinds(s->cfg->registry, cfg->experiment.kinds, kinds, &n, err);
    if (r == 0)
        r = open_model(s, cfg, err);
    if (r < 0)
        return r;
    run->store = s->store;
    run->rank = s->rank;
    run->tok = s->tok;
    double cached = m2c_page_cache_share(cfg->model.path);
    m2c_rss_reset();
    for (unsigned i = 0; i < n && r == 0; i++) {
        r = run_kind(kinds[i], run, err);
        if (r < 0)
            m2c_fail_in(err, r, "%s", kinds[i]->p.name);
    }
    return r < 0 ? r : put_process(run, cached, err);
}

static json_t *model_json(const struct sweeper *s)
{
    if (!s->store)
        return json_null();
    char model[33], order[33];
    m2c_hash_hex(m2c_store_model_hash(s->store), model);
    m2c_hash_hex(m2c_store_order_hash(s->store), order);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "name", m2c_store_cfg(s->store)->name,
                     "synthetic", m2c_store_cfg(s->store)->synthetic, "hash", model, "order", order, "layout",
                     m2c_store_layout(s->store)->name, "rank", s->rank != NULL);
}

static json_t *record_of(const struct sweeper *s, const struct m2c_point *p,
                         const struct m2c_run *run, const char *started, int status,
                         const struct m2c_err *why)
{
    char hex[33];
    m2c_hash_hex(p->hash, hex);
    json_t *error = status < 0 ? json_string(why->msg) : json_null();
    return json_pack("{s:i, s:s, s:I, s:I, s:s, s:o, s:s, s:O, s:o, s:o, s:o, s:O, s:O, s:O}",
                     "version", 1, "point", hex, "index", (json_int_t)p->index, "rep",
                     (json_int_t)run->rep, "status", status < 0 ? "failed" : "ok", "error",
                     error, "started", started, "identity", s->identity, "model",
                     model_json(s), "config", config_json(p->set), "axes",
                     axes_json(s->config, p->set), "figures", run->figures, "samples",
                     run->samples, "labels", run->labels);
}

/* One (point, repetition). Its own failure goes into the record; *failed. */
static int run_point(struct sweeper *s, const struct m2c_point *p, int64_t rep,
                     bool *failed, struct m2c_err *err)
{
    struct m2c_settings cfg;
    struct m2c_err why = {0};
    char started[21];
    m2c_utc(started);
    int r = m2c_settings_apply(p->set, &cfg, err);
    if (r < 0)
        return r;
    uint64_t seed = mix((uint64_t)cfg.experiment.seed, (uint64_t)rep);
    struct m2c_run run = {.cfg = &cfg,
                          .index = p->index,
                          .rep = rep,
                          .workload_seed = seed,
                          .mechanism_seed = mix(seed, p->hash.lo ^ p->hash.hi),
                          .stop = s->cfg->stop,
                          .log = s->cfg->log,
                          .timeline = s->cfg->timeline,
                          .figures = json_object(),
                          .samples = json_object(),
                          .labels = json_array()};
    int status = measure(s, &cfg, &run, &why);
    json_t *record = status == -EINTR ? NULL : record_of(s, p, &run, started, status, &why);
    if (status == -EINTR)
        r = m2c_fail(err, -EINTR, "%s", why.msg);
    else if (!record)
        r = m2c_fail(err, -ENOMEM, "record: out of memory");
    else
        r = m2c_journal_add(s->journal, record, err);
    if (status < 0 && status != -EINTR)
        m2c_log(s->cfg->log, M2C_LOG_ERROR, "point %u, repetition %lld: %s", p->index,
                (long long)rep, why.msg);
    *failed = status < 0;
    json_decref(record);
    json_decref(run.figures);
    json_decref(run.samples);
    json_decref(run.labels);
    return r;
}

/* ---- the sweep ---- */

static int64_t repeats(const struct m2c_optset *set)
{
    return strtoll(m2c_optset_get(set, "experiment", "repeat"), NULL, 10);
}

static int run_all(struct sweeper *s, struct m2c_exp_result *out, struct m2c_err *err)
{
    int64_t reps = repeats(s->config);
    uint64_t total = 0, done = 0;
    for (uint32_t i = 0; i < s->sweep.n; i++)
        total += i % s->cfg->shards == s->cfg->shard ? (uint64_t)reps : 0;
    struct m2c_progress *bar = NULL;
    int r = m2c_progress_open(&bar, s->cfg->log, "points", total, "points");
    /* Repetitions go round the whole sweep, so that a drift of the machine
     * does not fall on one point alone. */
    for (int64_t rep = 0; rep < reps && r == 0; rep++) {
        for (uint32_t i = 0; i < s->sweep.n && r == 0; i++) {
            const struct m2c_point *p = &s->sweep.point[i];
            if (i % s->cfg->shards != s->cfg->shard)
                continue;
            bool failed = false;
            if (s->cfg->stop && *s->cfg->stop) {
                r = m2c_fail(err, -EINTR, "interrupted");
            } else if (m2c_journal_has(s->journal, p->hash, rep)) {
                out->skipped++;
            } else {
                r = run_point(s, p, rep, &failed, err);
                out->ran += r == 0;
                out->failed += r == 0 && failed;
            }
            m2c_progress_set(bar, ++done);
        }
    }
    m2c_progress_close(bar);
    return r;
}

int m2c_exp_sweep(const struct m2c_optset *config, const struct m2c_exp_cfg *cfg,
                  struct m2c_exp_result *out, struct m2c_err *err)
{
    struct sweeper s = {.cfg = cfg, .config = config};
    *out = (struct m2c_exp_result){0};
    int r = m2c_sweep_expand(config, &s.sweep, err);
    if (r == 0)
        r = m2c_journal_open(&s.journal, cfg->dir, config, cfg->resume, err);
    if (r == 0 && !(s.identity = m2c_identity()))
        r = m2c_fail(err, -ENOMEM, "record: out of memory");
    if (r == 0) {
        out->dropped_bytes = m2c_journal_dropped(s.journal);
        r = run_all(&s, out, err);
    }
    close_model(&s);
    json_decref(s.identity);
    /* what is finished is worth a table, though the rest was interrupted */
    if (r == 0 || (r == -EINTR && out->ran)) {
        struct m2c_err late = {0};
        int x = m2c_exp_export(cfg->dir, &late);
        if (r == 0 && x < 0)
            r = m2c_fail(err, x, "%s", late.msg);
    }
    m2c_journal_close(s.journal);
    m2c_sweep_free(&s.sweep);
    return r;
}
