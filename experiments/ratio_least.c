/* SPDX-License-Identifier: MIT */
/* Least KL at a given number of bytes, layer by layer.
 *
 * The active neurons of a layer, by the rank of their scores, are cut into `grid`
 * equal parts. For each layer and each narrower class (and for leaving out) the KL
 * is measured with the first j parts at the widest class and the rest at that one,
 * all other layers at the widest: the difference of neighbours is what part j + 1
 * loses there. Small errors of different neurons are nearly independent, and KL
 * grows with their squares, so losses are taken to add up, over parts and layers.
 * The plan of least loss within the bytes is then a knapsack (exp/search.h); what
 * it really loses is measured again, and stands beside the sum in the record. */
#include "experiments/ratio_impl.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PLANS = 20000, TRIES = 16 };

/* All ways to cut `grid` parts into n pieces, in order; counts alone where out is
 * NULL. */
static uint32_t cuts(uint32_t grid, uint32_t n, uint8_t *out)
{
    uint8_t piece[M2C_LAYOUT_CLASSES + 1] = {(uint8_t)grid};
    uint32_t count = 0;
    for (;;) {
        if (out)
            memcpy(out + (size_t)count * n, piece, n);
        if (++count > MOST_PLANS || n == 1)
            return count;
        /* the next: one part goes from the last piece that can give to the one
         * after it, which takes all that lies behind */
        uint32_t k = n - 1;
        uint8_t behind = piece[n - 1];
        while (k > 0 && piece[--k] == 0)
            ;
        if (piece[k] == 0)
            return count;
        piece[n - 1] = 0;
        piece[k]--;
        piece[k + 1] = (uint8_t)(behind + 1);
    }
}

static void set_shares(const struct ratio *p, struct m2c_ratio *ratio, const uint8_t *part,
                       uint32_t grid)
{
    *ratio = (struct m2c_ratio){.n = p->classes};
    for (uint32_t c = 0; c < p->classes; c++)
        ratio->share[c] = (double)part[c] / grid;
}

/* loss[(layer · classes + c - 1) · grid + j]: of part j at class c; c = classes:
 * left out. neurons[layer]: active a token. */
static int measure(struct ratio *p, uint32_t grid, double *loss, double *neurons,
                   struct m2c_err *err)
{
    struct m2c_ratio *plan = calloc(p->layers, sizeof *plan);
    struct m2c_progress *bar = NULL;
    double base, bytes;
    if (!plan)
        return m2c_fail(err, -ENOMEM, "ratio: out of memory");
    for (uint32_t l = 0; l < p->layers; l++)
        plan[l] = (struct m2c_ratio){.n = p->classes, .share = {1}};
    int r = ratio_kl(p, plan, &base, &bytes, err);
    for (uint32_t l = 0; l < p->layers; l++)
        neurons[l] = (double)p->count[(size_t)l * p->classes] / (double)p->n_calib;
    uint64_t total = (uint64_t)p->layers * p->classes * grid, done = 0;
    if (r == 0)
        r = m2c_progress_open(&bar, p->run->log, "layers by class and rank", total, "runs");
    for (uint32_t i = 0; i < p->layers * p->classes && r == 0; i++) {
        uint32_t l = i / p->classes, c = 1 + i % p->classes;
        double *row = loss + (size_t)i * grid, after = base;
        for (uint32_t j = grid; j-- > 0 && r == 0;) {
            uint8_t part[M2C_LAYOUT_CLASSES + 1] = {(uint8_t)j};
            double kl;
            part[c] = (uint8_t)(grid - j);
            set_shares(p, &plan[l], part, grid);
            r = ratio_kl(p, plan, &kl, &bytes, err);
            row[j] = kl - after;
            after = kl;
            m2c_progress_set(bar, ++done);
        }
        plan[l] = (struct m2c_ratio){.n = p->classes, .share = {1}};
    }
    m2c_progress_close(bar);
    free(plan);
    return r;
}

/* Sums of a layer's parts under each plan. */
static void add_up(const struct ratio *p, uint32_t grid, const double *loss,
                   double neurons, const struct ratio_least *l, double *out_loss,
                   double *out_bytes)
{
    uint32_t pieces = p->classes + 1;
    for (uint32_t k = 0; k < l->n_plans; k++) {
        const uint8_t *part = l->part + (size_t)k * pieces;
        uint32_t j = 0;
        out_loss[k] = out_bytes[k] = 0;
        for (uint32_t c = 0; c < pieces; c++) {
            if (c < p->classes)
                out_bytes[k] += neurons * part[c] / grid * ratio_class_bytes(p, c);
            for (uint32_t i = 0; i < part[c]; i++, j++)
                out_loss[k] += c ? loss[(size_t)(c - 1) * grid + j] : 0;
        }
    }
}

int ratio_least_open(struct ratio *p, struct ratio_least *l, struct m2c_err *err)
{
    uint32_t grid = (uint32_t)p->run->cfg->ratio.grid, pieces = p->classes + 1;
    size_t each = (size_t)p->classes * grid;
    *l = (struct ratio_least){.n_plans = cuts(grid, pieces, NULL)};
    if (l->n_plans > MOST_PLANS)
        return m2c_fail(err, -E2BIG, "[ratio] grid = %u: more than %d plans for %u classes",
                        grid, MOST_PLANS, p->classes);
    double *loss = calloc(p->layers * each, sizeof *loss);
    double *neurons = calloc(p->layers, sizeof *neurons);
    l->part = calloc((size_t)l->n_plans * pieces, 1);
    l->loss = calloc((size_t)p->layers * l->n_plans, sizeof *l->loss);
    l->bytes = calloc((size_t)p->layers * l->n_plans, sizeof *l->bytes);
    int r = loss && neurons && l->part && l->loss && l->bytes
                ? measure(p, grid, loss, neurons, err)
                : m2c_fail(err, -ENOMEM, "ratio: out of memory");
    if (r == 0)
        r = m2c_run_samples(p->run, "least_loss_by_part", loss, p->layers * each, err);
    if (r == 0)
        r = m2c_run_samples(p->run, "active_by_layer", neurons, p->layers, err);
    if (r == 0)
        cuts(grid, pieces, l->part);
    for (uint32_t k = 0; k < p->layers && r == 0; k++)
        add_up(p, grid, loss + k * each, neurons[k], l, l->loss + (size_t)k * l->n_plans,
               l->bytes + (size_t)k * l->n_plans);
    free(loss);
    free(neurons);
    return r;
}

void ratio_least_close(struct ratio_least *l)
{
    free(l->part);
    free(l->loss);
    free(l->bytes);
    *l = (struct ratio_least){0};
}

/* The plan for `aim` bytes, and what it really costs. */
static int try_budget(struct ratio *p, const struct ratio_least *l, double aim,
                      uint32_t *choice, struct m2c_ratio *plan, double *kl, double *bytes,
                      struct m2c_err *err)
{
    uint32_t grid = (uint32_t)p->run->cfg->ratio.grid;
    int r = m2c_search_least(p->layers, l->n_plans, l->loss, l->bytes, aim, choice, err);
    for (uint32_t k = 0; k < p->layers && r == 0; k++)
        set_shares(p, &plan[k], l->part + (size_t)choice[k] * (p->classes + 1), grid);
    return r < 0 ? r : ratio_kl(p, plan, kl, bytes, err);
}

int ratio_least_row(struct ratio *p, const struct ratio_least *l, const char *name,
                    double budget, struct m2c_err *err)
{
    struct m2c_ratio *plan = calloc(p->layers, sizeof *plan);
    uint32_t *choice = calloc(p->layers, sizeof *choice);
    double kl = NAN, bytes = INFINITY, aim = budget, sum = 0;
    int r = plan && choice ? 0 : m2c_fail(err, -ENOMEM, "ratio: out of memory");
    /* what is left out changes who is active behind it: the bytes are checked, and
     * plans are few, so the next one may lie well below the aim */
    for (int i = 0; i < TRIES && r == 0 && bytes > budget; i++) {
        r = try_budget(p, l, aim, choice, plan, &kl, &bytes, err);
        aim *= M2C_MIN(1.0, budget / bytes) * (1 - 1.0 / 512);
    }
    if (r == 0 && bytes > budget)
        r = m2c_fail(err, -ENOSPC, "%s: %.0f bytes a token for a budget of %.0f", name, bytes,
                     budget);
    for (uint32_t k = 0; k < p->layers && r == 0; k++)
        sum += l->loss[(size_t)k * l->n_plans + choice[k]];
    if (r == 0) {
        m2c_log(p->run->log, M2C_LOG_INFO,
                "%s: %.0f of %.0f bytes a token, KL %.3g where the sum of parts is %.3g",
                name, bytes, budget, kl, sum);
        r = m2c_figure_put(p->run->figures, "plan_kl_sum", name, sum, M2C_ESTIMATED,
                           "sum of the losses of layers and ranks alone", err);
    }
    free(choice);
    if (r == 0)
        return ratio_row_add(p, name, plan, kl, err);
    free(plan);
    return r;
}
