/* SPDX-License-Identifier: MIT */
/* overlap: how much of a token's active set earlier tokens had wanted.
 *
 * Nothing here is timed. A text is scored, each token as in decode, and the sets that
 * the selector wants are compared with those 1, 2, 5 and 20 tokens before, in the
 * same document: by neuron, and by neuron and class together, since a cache holds a
 * neuron at a class. Beside it what the neurons' frequencies alone would give, if
 * tokens were drawn one without the other: sum f^2 / sum f; and the variance of the
 * number of active neurons, beside sum f (1 - f), that of neurons which know nothing
 * of each other. */
#include "experiments/experiments.h"

#include "infer/score.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t lags[] = {1, 2, 5, 20};
enum { N_LAGS = M2C_COUNTOF(lags), RING = 21 };

struct overlap {
    struct m2c_engine *engine;
    struct m2c_text text;
    uint32_t layers, n, classes;
    uint64_t tokens, age;  /* of all; since the sequence began */
    uint8_t *ring;         /* [RING][layers][n] class + 1 of the last tokens' wants */
    uint32_t *size;        /* [RING][layers] neurons wanted */
    uint64_t *seen;        /* [layers][classes][n] tokens that wanted it */
    uint64_t *same, *kept, *base; /* [N_LAGS][layers] */
    double *sum, *sum2;    /* [layers] of the number wanted */
};

static int on_wants(void *ctx, uint32_t layer, const struct m2c_want *wants, uint32_t n)
{
    struct overlap *o = ctx;
    if (layer == 0) {
        o->age = m2c_engine_pos(o->engine) == 0 ? 0 : o->age + 1;
        o->tokens++;
    }
    size_t slot = (o->age % RING) * o->layers + layer;
    uint8_t *mine = o->ring + slot * o->n;
    uint64_t *seen = o->seen + (size_t)layer * o->classes * o->n;
    memset(mine, 0, o->n);
    o->size[slot] = n;
    o->sum[layer] += n;
    o->sum2[layer] += (double)n * n;
    for (uint32_t i = 0; i < n; i++) {
        mine[wants[i].id] = (uint8_t)(wants[i].cls + 1);
        seen[(size_t)wants[i].cls * o->n + wants[i].id]++;
    }
    for (unsigned d = 0; d < N_LAGS && lags[d] <= o->age; d++) {
        size_t then = ((o->age - lags[d]) % RING) * o->layers + layer;
        const uint8_t *was = o->ring + then * o->n;
        size_t at = (size_t)d * o->layers + layer;
        for (uint32_t i = 0; i < n; i++) {
            o->same[at] += was[wants[i].id] > 0;
            o->kept[at] += was[wants[i].id] == wants[i].cls + 1;
        }
        o->base[at] += o->size[then];
    }
    return 0;
}

static int open_arrays(struct overlap *o, struct m2c_err *err)
{
    size_t neurons = (size_t)o->layers * o->n, at = (size_t)N_LAGS * o->layers;
    o->ring = calloc(RING * neurons, 1);
    o->size = calloc((size_t)RING * o->layers, sizeof *o->size);
    o->seen = calloc(neurons * o->classes, sizeof *o->seen);
    o->same = calloc(at, sizeof *o->same);
    o->kept = calloc(at, sizeof *o->kept);
    o->base = calloc(at, sizeof *o->base);
    o->sum = calloc(o->layers, sizeof *o->sum);
    o->sum2 = calloc(o->layers, sizeof *o->sum2);
    return o->ring && o->size && o->seen && o->same && o->kept && o->base && o->sum && o->sum2
               ? 0
               : m2c_fail(err, -ENOMEM, "overlap: out of memory");
}

static int setup(struct m2c_run *run, struct m2c_err *err)
{
    struct overlap *o = run->priv;
    o->layers = m2c_store_cfg(run->store)->layers;
    o->n = m2c_store_cfg(run->store)->hidden;
    o->classes = m2c_store_layout(run->store)->n_classes;
    int r = m2c_run_text(run, &o->text, err);
    if (r == 0)
        r = open_arrays(o, err);
    return r < 0 ? r : m2c_run_engine(run, &o->engine, err);
}

/* ---- figures ---- */

static int put(struct m2c_run *run, const char *name, const char *suffix, double value,
               struct m2c_err *err)
{
    return m2c_figure_put(run->figures, name, suffix, value,
                          isnan(value) ? M2C_UNAVAILABLE : M2C_MEASURED, "selection", err);
}

/* num / den for each layer as name.<head><layer>, and of their sums as name.<head>. */
static int put_layers(struct m2c_run *run, const struct overlap *o, const char *name,
                      const char *head, const double *num, const double *den,
                      struct m2c_err *err)
{
    double a = 0, b = 0;
    int r = 0;
    char suffix[32];
    for (uint32_t l = 0; l < o->layers && r == 0; l++) {
        a += num[l];
        b += den[l];
        snprintf(suffix, sizeof suffix, "%s%s%u", head, head[0] ? "." : "", l);
        r = put(run, name, suffix, den[l] > 0 ? num[l] / den[l] : NAN, err);
    }
    return r < 0 ? r : put(run, name, head[0] ? head : NULL, b > 0 ? a / b : NAN, err);
}

static int put_lags(struct m2c_run *run, const struct overlap *o, double *num, double *den,
                    struct m2c_err *err)
{
    int r = 0;
    for (unsigned d = 0; d < N_LAGS && r == 0; d++) {
        char head[16];
        snprintf(head, sizeof head, "%u", lags[d]);
        for (int k = 0; k < 2 && r == 0; k++) {
            const uint64_t *of = k ? o->kept : o->same;
            for (uint32_t l = 0; l < o->layers; l++) {
                num[l] = (double)of[(size_t)d * o->layers + l];
                den[l] = (double)o->base[(size_t)d * o->layers + l];
            }
            r = put_layers(run, o, k ? "overlap_class_at" : "overlap_at", head, num, den, err);
        }
    }
    return r;
}

/* What frequencies alone give: of neurons, then of neurons at a class. */
static int put_static(struct m2c_run *run, const struct overlap *o, double *num, double *den,
                      struct m2c_err *err)
{
    double tokens = (double)o->tokens;
    for (int k = 0; k < 2; k++) {
        for (uint32_t l = 0; l < o->layers; l++) {
            const uint64_t *seen = o->seen + (size_t)l * o->classes * o->n;
            num[l] = 0;
            den[l] = o->sum[l];
            for (uint32_t i = 0; i < o->n; i++) {
                double all = 0;
                for (uint32_t c = 0; c < o->classes; c++) {
                    double f = (double)seen[(size_t)c * o->n + i];
                    all += f;
                    num[l] += k ? f * f / tokens : 0;
                }
                num[l] += k ? 0 : all * all / tokens;
            }
        }
        int r = put_layers(run, o, k ? "overlap_class_static" : "overlap_static", "", num, den,
                           err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int put_counts(struct m2c_run *run, const struct overlap *o, struct m2c_err *err)
{
    double tokens = (double)o->tokens;
    int r = 0;
    for (uint32_t l = 0; l < o->layers && r == 0; l++) {
        const uint64_t *seen = o->seen + (size_t)l * o->classes * o->n;
        double mean = o->sum[l] / tokens, alone = 0;
        char layer[16];
        for (uint32_t i = 0; i < o->n; i++) {
            double f = 0;
            for (uint32_t c = 0; c < o->classes; c++)
                f += (double)seen[(size_t)c * o->n + i] / tokens;
            alone += f * (1 - f);
        }
        snprintf(layer, sizeof layer, "%u", l);
        r = put(run, "active_count", layer, mean, err);
        if (r == 0)
            r = put(run, "active_count_var", layer, o->sum2[l] / tokens - mean * mean, err);
        if (r == 0)
            r = put(run, "active_count_var_alone", layer, alone, err);
    }
    return r;
}

static int step(struct m2c_run *run, struct m2c_err *err)
{
    struct overlap *o = run->priv;
    struct m2c_score s;
    m2c_engine_watch_wants(o->engine, on_wants, o);
    int r = m2c_score_text(o->engine, NULL, &o->text, m2c_store_cfg(run->store)->bos, NULL,
                           run->stop, &s, err);
    if (r < 0)
        return r;
    m2c_score_free(&s);
    double *num = calloc(o->layers, sizeof *num), *den = calloc(o->layers, sizeof *den);
    r = num && den ? put_lags(run, o, num, den, err)
                   : m2c_fail(err, -ENOMEM, "overlap: out of memory");
    if (r == 0)
        r = put_static(run, o, num, den, err);
    if (r == 0)
        r = put_counts(run, o, err);
    if (r == 0)
        r = m2c_run_put_selection(run, o->engine, err);
    free(num);
    free(den);
    return r;
}

static void teardown(struct m2c_run *run)
{
    struct overlap *o = run->priv;
    m2c_engine_close(o->engine);
    m2c_text_free(&o->text);
    free(o->ring);
    free(o->size);
    free(o->seen);
    free(o->same);
    free(o->kept);
    free(o->base);
    free(o->sum);
    free(o->sum2);
}

const struct m2c_exp_ops m2c_exp_overlap = {
    .p = {.name = "overlap",
          .desc = "active neurons common to tokens 1, 2, 5 and 20 apart, by layer",
          .priv_size = sizeof(struct overlap)},
    .setup = setup,
    .step = step,
    .teardown = teardown,
};
