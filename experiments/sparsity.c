/* SPDX-License-Identifier: MIT */
/* sparsity: how few neurons a token needs, and how few make most activations.
 *
 * Nothing here is timed. A text is scored, each token as in decode, and the sets that
 * the selector wants are counted: density by layer, and how the activations share
 * themselves out among neurons, hottest first, by layer and over the whole model
 * (PowerInfer, SOSP 2024, §3.1, asks for the neurons that make 80 % of them). */
#include "experiments/experiments.h"

#include "infer/score.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS = 101 }; /* of a curve: 0 to 100 % of the neurons */

struct sparsity {
    struct m2c_engine *engine;
    struct m2c_text text;
    uint32_t layers, n;
    uint64_t tokens;
    uint64_t *seen; /* [layers][n] tokens that wanted it */
};

static int on_wants(void *ctx, uint32_t layer, const struct m2c_want *wants, uint32_t n)
{
    struct sparsity *s = ctx;
    s->tokens += layer == 0;
    for (uint32_t i = 0; i < n; i++)
        s->seen[(size_t)layer * s->n + wants[i].id]++;
    return 0;
}

static int setup(struct m2c_run *run, struct m2c_err *err)
{
    struct sparsity *s = run->priv;
    s->layers = m2c_store_cfg(run->store)->layers;
    s->n = m2c_store_cfg(run->store)->hidden;
    s->seen = calloc((size_t)s->layers * s->n, sizeof *s->seen);
    int r = s->seen ? m2c_run_text(run, &s->text, err)
                    : m2c_fail(err, -ENOMEM, "sparsity: out of memory");
    return r < 0 ? r : m2c_run_engine(run, &s->engine, err);
}

static int hotter(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

struct shape {
    double density, make80, never;
    double curve[POINTS]; /* share of activations of the hottest k % */
};

/* Sorts the counts. */
static void shape_of(uint64_t *seen, size_t n, uint64_t tokens, struct shape *out)
{
    uint64_t all = 0, sum = 0;
    *out = (struct shape){.make80 = NAN};
    qsort(seen, n, sizeof *seen, hotter);
    for (size_t i = 0; i < n; i++) {
        all += seen[i];
        out->never += seen[i] == 0;
    }
    out->density = (double)all / ((double)n * (double)tokens);
    out->never /= (double)n;
    for (size_t i = 0, k = 1; i < n && all; i++) {
        sum += seen[i];
        if (isnan(out->make80) && (double)sum >= 0.8 * (double)all)
            out->make80 = (double)(i + 1) / (double)n;
        for (; k < POINTS && (i + 1) * 100 >= k * n; k++)
            out->curve[k] = (double)sum / (double)all;
    }
}

static int put_shape(struct m2c_run *run, const struct shape *s, const char *layer,
                     struct m2c_err *err)
{
    const struct {
        const char *name;
        double value;
    } rows[] = {{"density", s->density},
                {"concentration_80", s->make80},
                {"never_active", s->never}};
    int r = 0;
    char name[32];
    for (size_t i = 0; i < M2C_COUNTOF(rows) && r == 0; i++)
        r = m2c_figure_put(run->figures, rows[i].name, layer, rows[i].value,
                           isnan(rows[i].value) ? M2C_UNAVAILABLE : M2C_MEASURED,
                           "selection", err);
    snprintf(name, sizeof name, "concentration%s%s", layer ? "." : "", layer ? layer : "");
    return r < 0 ? r : m2c_run_samples(run, name, s->curve, POINTS, err);
}

static int step(struct m2c_run *run, struct m2c_err *err)
{
    struct sparsity *s = run->priv;
    struct m2c_score score;
    struct shape shape;
    m2c_engine_watch_wants(s->engine, on_wants, s);
    int r = m2c_score_text(s->engine, NULL, &s->text, m2c_store_cfg(run->store)->bos, NULL,
                           run->stop, &score, err);
    if (r < 0)
        return r;
    m2c_score_free(&score);
    for (uint32_t l = 0; l < s->layers && r == 0; l++) {
        char layer[16];
        snprintf(layer, sizeof layer, "%u", l);
        shape_of(s->seen + (size_t)l * s->n, s->n, s->tokens, &shape);
        r = put_shape(run, &shape, layer, err);
    }
    if (r == 0) {
        shape_of(s->seen, (size_t)s->layers * s->n, s->tokens, &shape);
        r = put_shape(run, &shape, NULL, err);
    }
    return r < 0 ? r : m2c_run_put_selection(run, s->engine, err);
}

static void teardown(struct m2c_run *run)
{
    struct sparsity *s = run->priv;
    m2c_engine_close(s->engine);
    m2c_text_free(&s->text);
    free(s->seen);
}

const struct m2c_exp_ops m2c_exp_sparsity = {
    .p = {.name = "sparsity",
          .desc = "density by layer, and how few neurons make most activations",
          .priv_size = sizeof(struct sparsity)},
    .setup = setup,
    .step = step,
    .teardown = teardown,
};
