/* SPDX-License-Identifier: MIT */
/* From the chosen neurons, best first, to their classes.
 *
 * Shares are of what was chosen. What they lack of 1 is left out: the weakest
 * of the chosen are then not computed after all. By rank the strongest get the
 * widest class (M2Cache §5.2); the two other ways are controls, which keep the
 * shares and lose the order. */
#include "select/topk.h"

#include "base/hash.h"
#include "store/rank.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Shares are sums of decimal fractions: what is below this is rounding. */
#define SLACK 1e-9

static double left_out(const struct m2c_ratio *ratio)
{
    double rest = 1;
    for (unsigned c = 0; c < ratio->n; c++)
        rest -= ratio->share[c];
    return rest > SLACK ? rest : 0;
}

void m2c_class_counts(const struct m2c_ratio *ratio, uint32_t k,
                      uint32_t counts[M2C_MAX_CLASSES])
{
    /* what is left out is one class more, the last */
    double share[M2C_MAX_CLASSES + 1], rest[M2C_MAX_CLASSES + 1];
    uint32_t count[M2C_MAX_CLASSES + 1], given = 0;
    memcpy(share, ratio->share, ratio->n * sizeof *share);
    share[ratio->n] = left_out(ratio);
    for (unsigned c = 0; c <= ratio->n; c++) {
        double want = share[c] * k;
        /* 0.25 · 100 must be 25 even when the share is 0.25 - 1 ulp */
        count[c] = (uint32_t)floor(want + SLACK);
        rest[c] = share[c] > 0 ? want - count[c] : -1;
        given += count[c];
    }
    while (given < k) {
        unsigned best = 0;
        for (unsigned c = 1; c <= ratio->n; c++) {
            if (rest[c] > rest[best] + SLACK)
                best = c;
        }
        count[best]++;
        rest[best] -= 1;
        given++;
    }
    memcpy(counts, count, ratio->n * sizeof *counts);
}

void m2c_class_splits(const struct m2c_ratio *ratio, uint32_t k, uint32_t *splits)
{
    for (uint32_t m = 0; m <= k; m++) {
        uint32_t counts[M2C_MAX_CLASSES], end = 0;
        m2c_class_counts(ratio, m, counts);
        for (unsigned c = 0; c < ratio->n; c++)
            splits[(size_t)m * ratio->n + c] = end += counts[c];
    }
}

bool m2c_plan_is_table(const struct m2c_select_cfg *cfg)
{
    return !cfg->by_layer && cfg->assign == M2C_ASSIGN_RANK && cfg->hysteresis == 0 &&
           left_out(&cfg->ratio) == 0;
}

/* ---- what the plan keeps ---- */

static int check_ratio(const struct m2c_ratio *ratio, unsigned n, struct m2c_err *err)
{
    double sum = 0;
    for (unsigned c = 0; c < ratio->n; c++) {
        sum += ratio->share[c];
        if (!(ratio->share[c] >= 0))
            return m2c_fail(err, -EINVAL, "precision: a share below 0");
    }
    if (ratio->n != n || !(sum <= 1 + SLACK))
        return m2c_fail(err, -EINVAL, "precision: %u shares that sum to %g, for %u classes",
                        ratio->n, sum, n);
    return 0;
}

/* The class of each neuron of a layer for good: cut where the neurons before,
 * hottest first, make up the share of all activations, so that an average token
 * meets the classes in these shares. */
static void fix_layer(const struct m2c_rank_layer *rank, uint32_t n,
                      const struct m2c_ratio *ratio, uint8_t *cls)
{
    double all = 0, before = 0;
    uint8_t tail = M2C_LEFT_OUT; /* of what the ranking's text never used */
    for (uint32_t i = 0; i < n; i++)
        all += rank->freq[i];
    for (unsigned c = 0; c < ratio->n && left_out(ratio) == 0; c++)
        tail = ratio->share[c] > 0 ? (uint8_t)c : tail;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = rank->order[i];
        double mine = all > 0 ? rank->freq[id] / all : 1.0 / n;
        double middle = before + mine / 2, end = 0;
        unsigned c = 0;
        while (c < ratio->n && middle >= (end += ratio->share[c]))
            c++;
        cls[id] = c < ratio->n ? (uint8_t)c : tail;
        before += mine;
    }
}

static int fill(struct m2c_selector *s, const struct m2c_ratio *by_layer,
                struct m2c_err *err)
{
    for (uint32_t l = 0; l < s->cfg.layers; l++) {
        s->ratio[l] = by_layer ? by_layer[l] : s->cfg.ratio;
        int r = check_ratio(&s->ratio[l], s->cfg.ratio.n, err);
        if (r < 0)
            return r;
        if (s->fixed)
            fix_layer(&s->cfg.rank->layer[l], s->cfg.n, &s->ratio[l],
                      s->fixed + (size_t)l * s->cfg.n);
    }
    s->cfg.by_layer = by_layer ? s->ratio : NULL;
    return 0;
}

int m2c_classes_open(struct m2c_selector *s, struct m2c_err *err)
{
    const struct m2c_select_cfg *cfg = &s->cfg;
    const struct m2c_rank *rank = cfg->rank;
    bool fixed = cfg->assign == M2C_ASSIGN_STATIC;
    if (cfg->hysteresis > 0 && cfg->assign != M2C_ASSIGN_RANK)
        return m2c_fail(err, -EINVAL, "precision.hysteresis is for precision.assign = rank");
    if (fixed && (!rank || rank->layers != cfg->layers || rank->n != cfg->n))
        return m2c_fail(err, -EINVAL,
                        "precision.assign = static needs a rank file of this model "
                        "(model.rank, or --rank); `m2c rank` makes one");
    s->ratio = calloc(cfg->layers, sizeof *s->ratio);
    s->fixed = fixed ? calloc((size_t)cfg->layers * cfg->n, 1) : NULL;
    s->last = cfg->hysteresis > 0 ? calloc((size_t)cfg->layers * cfg->n, 1) : NULL;
    if (!s->ratio || (fixed && !s->fixed) || (cfg->hysteresis > 0 && !s->last))
        return m2c_fail(err, -ENOMEM, "selector %s: out of memory", cfg->kind);
    return fill(s, cfg->by_layer, err);
}

int m2c_selector_shares(struct m2c_selector *s, const struct m2c_ratio *by_layer,
                        struct m2c_err *err)
{
    return fill(s, by_layer, err);
}

void m2c_classes_close(struct m2c_selector *s)
{
    free(s->ratio);
    free(s->fixed);
    free(s->last);
}

/* ---- a token's classes ---- */

/* Chance that is drawn anew for each token and yet known from the token alone:
 * of the seed, the neuron and its score. */
static void shuffle_keys(const struct m2c_selector *s, uint32_t layer, const float *scores,
                         const uint32_t *ids, uint32_t k, uint32_t *keys)
{
    for (uint32_t i = 0; i < k; i++) {
        uint64_t of[3] = {s->cfg.seed, (uint64_t)layer << 32 | ids[i], 0};
        memcpy(&of[2], &scores[ids[i]], sizeof *scores);
        keys[i] = (uint32_t)m2c_hash64(of, sizeof of);
    }
}

void m2c_classes_remember(struct m2c_selector *s, uint32_t layer,
                          const struct m2c_want *wants, uint32_t n)
{
    uint8_t *last = s->last ? s->last + (size_t)layer * s->cfg.n : NULL;
    for (uint32_t i = 0; i < n && last; i++)
        last[wants[i].id] = (uint8_t)(wants[i].cls + 1);
}

void m2c_classes_forget(struct m2c_selector *s)
{
    if (s->last)
        memset(s->last, 0, (size_t)s->cfg.layers * s->cfg.n);
}

/* Ranks just beyond the border of the last class leave the class as it was: it is
 * at that class that the neuron may still be held. */
static void keep(struct m2c_selector *s, uint32_t layer, const uint32_t *ids, uint32_t k,
                 const uint32_t *counts)
{
    const uint8_t *last = s->last + (size_t)layer * s->cfg.n;
    uint32_t begin[M2C_MAX_CLASSES], at = 0;
    uint32_t margin = m2c_active_count(s->cfg.hysteresis, k);
    for (unsigned c = 0; c < s->cfg.ratio.n; c++) {
        begin[c] = at;
        at += counts[c];
    }
    for (uint32_t i = 0; i < k; i++) {
        unsigned c = last[ids[i]] - 1u;
        if (last[ids[i]] && s->ratio[layer].share[c] > 0 && i + margin >= begin[c] &&
            i < begin[c] + counts[c] + margin)
            s->cls[ids[i]] = (uint8_t)c;
    }
}

void m2c_classes_assign(struct m2c_selector *s, uint32_t layer, const float *scores,
                        const uint32_t *ids, uint32_t k)
{
    uint32_t counts[M2C_MAX_CLASSES], at = 0;
    memset(s->cls, M2C_LEFT_OUT, s->cfg.n);
    if (s->fixed) {
        const uint8_t *cls = s->fixed + (size_t)layer * s->cfg.n;
        for (uint32_t i = 0; i < k; i++)
            s->cls[ids[i]] = cls[ids[i]];
        return;
    }
    if (s->cfg.assign == M2C_ASSIGN_RANDOM) {
        memmove(s->id[0], ids, k * sizeof *ids);
        shuffle_keys(s, layer, scores, s->id[0], k, s->key[0]);
        ids = s->id[m2c_radix_sort(s, k)];
    }
    m2c_class_counts(&s->ratio[layer], k, counts);
    for (unsigned c = 0; c < s->cfg.ratio.n; c++) {
        for (uint32_t i = 0; i < counts[c]; i++)
            s->cls[ids[at++]] = (uint8_t)c;
    }
    if (s->last)
        keep(s, layer, ids, k, counts);
}
