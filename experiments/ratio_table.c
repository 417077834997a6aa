/* SPDX-License-Identifier: MIT */
/* The rows of experiment `ratio`: each plan on text and questions that no search
 * has seen. */
#include "experiments/ratio_impl.h"

#include "infer/score.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ratio_row_add(struct ratio *p, const char *name, struct m2c_ratio *by_layer,
                  double kl_calib, struct m2c_err *err)
{
    if (p->n_rows == RATIO_ROWS) {
        free(by_layer);
        return m2c_fail(err, -E2BIG, "ratio: more than %d rows", RATIO_ROWS);
    }
    struct ratio_row *row = &p->row[p->n_rows++];
    row->by_layer = by_layer;
    row->kl_calib = kl_calib;
    snprintf(row->name, sizeof row->name, "%s", name);
    return 0;
}

/* ---- a plan in words ---- */

static double left_out(const struct m2c_ratio *ratio)
{
    double rest = 1;
    for (unsigned c = 0; c < ratio->n; c++)
        rest -= ratio->share[c];
    return rest > 1e-9 ? rest : 0;
}

static bool uniform(const struct ratio *p, const struct m2c_ratio *by_layer)
{
    for (uint32_t l = 1; l < p->layers; l++) {
        if (memcmp(by_layer[l].share, by_layer[0].share, sizeof by_layer[0].share) != 0)
            return false;
    }
    return true;
}

char *ratio_text(const struct ratio *p, const struct m2c_ratio *by_layer)
{
    bool same = uniform(p, by_layer);
    uint32_t n = same ? 1 : p->layers;
    size_t most = 32 + (size_t)n * (p->classes + 1) * 16, at;
    char *out = calloc(most, 1);
    if (!out)
        return NULL;
    at = (size_t)snprintf(out, most, "precision.%s =", same ? "ratio" : "layers");
    for (uint32_t l = 0; l < n; l++) {
        double rest = left_out(&by_layer[l]);
        for (uint32_t c = 0; c < p->classes; c++)
            at += (size_t)snprintf(out + at, most - at, "%s%.6g", c ? ":" : " ",
                                   100 * by_layer[l].share[c]);
        if (rest > 0)
            at += (size_t)snprintf(out + at, most - at, ":%.6g", 100 * rest);
    }
    return out;
}

/* ---- figures ---- */

static int put(struct ratio *p, const char *figure, const char *row, const char *part,
               double value, const char *source, struct m2c_err *err)
{
    char suffix[80];
    snprintf(suffix, sizeof suffix, "%s%s%s", row, part ? "." : "", part ? part : "");
    return m2c_figure_put(p->run->figures, figure, suffix, value,
                          isnan(value) ? M2C_UNAVAILABLE : M2C_MEASURED, source, err);
}

static int put_shares(struct ratio *p, const struct ratio_row *row, const char *text,
                      struct m2c_err *err)
{
    const struct m2c_layout *layout = m2c_store_layout(p->run->store);
    double mean[M2C_MAX_CLASSES + 1] = {0};
    int r = 0;
    for (uint32_t l = 0; l < p->layers; l++) {
        for (uint32_t c = 0; c < p->classes; c++)
            mean[c] += row->by_layer[l].share[c] / p->layers;
        mean[p->classes] += left_out(&row->by_layer[l]) / p->layers;
    }
    for (uint32_t c = 0; c <= p->classes && r == 0; c++)
        r = put(p, "plan_share", row->name, c < p->classes ? layout->cls[c].name : "none",
                mean[c], text, err);
    return r;
}

static int put_tasks(struct ratio *p, const struct ratio_row *row, struct m2c_err *err)
{
    int r = 0;
    for (uint32_t i = 0; i < p->n_tasks && r == 0; i++) {
        const struct m2c_task *t = &p->task[i];
        struct m2c_task_score s;
        struct m2c_task_figures f;
        char name[128];
        r = m2c_task_run(p->engine, t, m2c_store_cfg(p->run->store)->bos, false, NULL,
                         p->run->stop, &s, err);
        if (r < 0)
            break;
        m2c_task_figures(t, &s, &f);
        r = put(p, "plan_acc", row->name, t->name, f.acc, "answered questions", err);
        if (r == 0)
            r = put(p, "plan_acc_err", row->name, t->name, f.acc_err, "answered questions",
                    err);
        /* each item's outcome, so that plans can be compared in pairs */
        snprintf(name, sizeof name, "plan_ll.%s.%s", row->name, t->name);
        if (r == 0)
            r = m2c_run_samples(p->run, name, s.gold_ll, t->n, err);
        m2c_task_score_free(&s);
    }
    return r;
}

/* FFN bytes a token since the engine's last reset. */
static double bytes_read(const struct ratio *p)
{
    const struct m2c_engine_stats *s = m2c_engine_stats(p->engine);
    double sum = 0;
    for (uint32_t c = 0; c < p->classes; c++)
        sum += (double)s->active[c] * ratio_class_bytes(p, c);
    return s->tokens ? sum / (double)s->tokens : NAN;
}

static int put_text(struct ratio *p, const struct ratio_row *row, const char *text,
                    struct m2c_err *err)
{
    struct m2c_score s;
    double uq;
    int r = ratio_uq(p, row->by_layer, &uq, err);
    m2c_engine_stats_reset(p->engine);
    if (r == 0)
        r = m2c_score_text(p->engine, p->dense, &p->test,
                           m2c_store_cfg(p->run->store)->bos, NULL, p->run->stop, &s, err);
    if (r < 0)
        return r;
    double n = (double)s.n;
    const struct {
        const char *figure;
        double value;
        const char *source;
    } rows[] = {
        {"plan_bytes", bytes_read(p), text},
        {"plan_uq", uq, "generated text"},
        {"plan_kl_calib", row->kl_calib, isnan(row->kl_calib) ? "no search needed it"
                                                              : "calibration text"},
        {"plan_kl", s.kl_sum / n, "scored text"},
        {"plan_kl_p99", m2c_score_kl_quantile(&s, .99), "scored text"},
        {"plan_perplexity", exp(s.nll / n), "scored text"},
    };
    for (size_t i = 0; i < M2C_COUNTOF(rows) && r == 0; i++)
        r = put(p, rows[i].figure, row->name, NULL, rows[i].value, rows[i].source, err);
    if (r == 0)
        m2c_log(p->run->log, M2C_LOG_INFO,
                "%-16s %8.0f B/tok  UQEst %9.4f  KL %.3e (p99 %.2e)  ppl %.5f  %s", row->name,
                rows[0].value, uq, rows[3].value, rows[4].value, rows[5].value, text);
    m2c_score_free(&s);
    return r;
}

int ratio_table(struct ratio *p, struct m2c_err *err)
{
    int r = 0;
    for (uint32_t i = 0; i < p->n_rows && r == 0; i++) {
        struct ratio_row *row = &p->row[i];
        char *text = ratio_text(p, row->by_layer);
        r = text ? put_text(p, row, text, err) : m2c_fail(err, -ENOMEM, "out of memory");
        if (r == 0)
            r = put_shares(p, row, text, err);
        if (r == 0)
            r = put_tasks(p, row, err);
        free(text);
    }
    return r;
}
