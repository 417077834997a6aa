/* SPDX-License-Identifier: MIT */
/* Registry of selectors and what all of them share. */
#include "select/selector.h"
#include "select/topk.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct m2c_select_ops *const registry[] = {
    &m2c_select_oracle, &m2c_select_prev, &m2c_select_static,    &m2c_select_all,
    &m2c_select_rrr,    &m2c_select_mlp,  &m2c_select_gate,      &m2c_select_synthetic,
    &m2c_select_trace,  NULL,
};

const struct m2c_plugin *const *m2c_selector_list(void)
{
    return (const struct m2c_plugin *const *)(const void *)registry;
}

static int check_cfg(const struct m2c_select_ops *ops, const struct m2c_select_cfg *cfg,
                     struct m2c_err *err)
{
    const char *kind = ops->p.name;
    if (ops->needs_rank && !cfg->rank)
        return m2c_fail(err, -EINVAL,
                        "selector %s needs a rank file (model.rank, or --rank); "
                        "`m2c rank` makes one",
                        kind);
    if (isnan(cfg->active) && (ops->by_rank || !(cfg->positive_only || ops->own_sets)))
        return m2c_fail(err, -EINVAL,
                        "precision.active = auto: selector %s%s; give a fraction", kind,
                        ops->by_rank ? " ranks neurons but sets no threshold"
                                     : " on a model without ReLU has no inactive neurons");
    if (!isnan(cfg->active) && m2c_active_count(cfg->active, cfg->n) == 0)
        return m2c_fail(err, -EINVAL,
                        "precision.active = %g selects none of %u neurons; the least "
                        "is %g",
                        cfg->active, cfg->n, 0.5 / cfg->n);
    if (cfg->ratio.n == 0 || cfg->ratio.n > M2C_MAX_CLASSES)
        return m2c_fail(err, -EINVAL, "precision.ratio names %u classes", cfg->ratio.n);
    return 0;
}

int m2c_selector_open(struct m2c_selector **out, const struct m2c_select_cfg *cfg,
                      struct m2c_err *err)
{
    const struct m2c_select_ops *ops = m2c_plugin_find(
        (const void *const *)(const void *)registry, "selector", cfg->kind, err);
    if (!ops)
        return -ENOENT;
    int r = check_cfg(ops, cfg, err);
    if (r < 0)
        return r;
    struct m2c_selector *s = calloc(1, sizeof *s);
    if (!s)
        return m2c_fail(err, -ENOMEM, "selector %s: out of memory", cfg->kind);
    s->ops = ops;
    s->cfg = *cfg;
    /* A score below 0 is a guess: where k is given, k neurons are taken. */
    if (ops->predicted && !isnan(cfg->active))
        s->cfg.positive_only = false;
    if (ops->own_sets)
        s->cfg.positive_only = true;
    bool ok = (s->priv = calloc(1, ops->p.priv_size ? ops->p.priv_size : 1)) != NULL;
    ok = ok && (s->cls = calloc(cfg->n, 1)) != NULL;
    for (int i = 0; i < 2 && ok; i++) {
        s->key[i] = calloc(cfg->n, sizeof *s->key[i]);
        s->id[i] = calloc(cfg->n, sizeof *s->id[i]);
        ok = s->key[i] && s->id[i];
    }
    r = ok ? 0 : m2c_fail(err, -ENOMEM, "selector %s: out of memory", cfg->kind);
    if (r == 0)
        r = m2c_classes_open(s, err);
    if (r == 0 && ops->init)
        r = ops->init(s, err);
    if (r < 0) {
        m2c_selector_close(s);
        return r;
    }
    *out = s;
    return 0;
}

void m2c_selector_close(struct m2c_selector *s)
{
    if (!s)
        return;
    if (s->priv && s->ops->fini)
        s->ops->fini(s);
    for (int i = 0; i < 2; i++) {
        free(s->key[i]);
        free(s->id[i]);
    }
    m2c_classes_close(s);
    free(s->cls);
    free(s->priv);
    free(s);
}

bool m2c_selector_informed(const struct m2c_selector *s) { return s->ops->informed; }
bool m2c_selector_kind_made_up(const char *kind)
{
    for (size_t i = 0; registry[i]; i++) {
        if (strcmp(registry[i]->p.name, kind) == 0)
            return registry[i]->own_sets;
    }
    return false;
}

bool m2c_selector_made_up(const struct m2c_selector *s) { return s->ops->own_sets; }
bool m2c_selector_memoryless(const struct m2c_selector *s)
{
    return !s->ops->learn && !s->ops->restart && !s->ops->own_sets && !s->last;
}

bool m2c_selector_predicted(const struct m2c_selector *s) { return s->ops->predicted; }

const struct m2c_select_cfg *m2c_selector_cfg(const struct m2c_selector *s)
{
    return &s->cfg;
}

uint32_t m2c_plan_count(const struct m2c_select_cfg *cfg)
{
    return isnan(cfg->active) ? cfg->n : m2c_active_count(cfg->active, cfg->n);
}

void m2c_selector_restart(struct m2c_selector *s)
{
    if (s->ops->restart)
        s->ops->restart(s);
    m2c_classes_forget(s);
}

int m2c_selector_pick(struct m2c_selector *s, uint32_t layer, const float *truth,
                      struct m2c_want *wants, uint32_t *n, struct m2c_err *err)
{
    if (s->ops->informed && !truth)
        return m2c_fail(err, -EINVAL, "selector %s needs the true activations",
                        s->ops->p.name);
    if (s->ops->predicted)
        return m2c_fail(err, -EINVAL, "selector %s has no scores of its own",
                        s->ops->p.name);
    const float *scores = NULL;
    int r = s->ops->pick ? s->ops->pick(s, layer, wants, n, err)
                         : s->ops->score(s, layer, truth, &scores, err);
    if (r == 0 && !s->ops->pick)
        r = m2c_selector_choose(s, layer, scores, wants, n, err);
    if (r < 0)
        return m2c_fail_in(err, r, "layer %u", layer);
    if (truth && s->ops->learn)
        s->ops->learn(s, layer, truth);
    return 0;
}

int m2c_selector_choose(struct m2c_selector *s, uint32_t layer, const float *scores,
                        struct m2c_want *wants, uint32_t *n, struct m2c_err *err)
{
    int r = m2c_topk(s, layer, scores, wants, n, err);
    if (r == 0)
        m2c_classes_remember(s, layer, wants, *n);
    return r;
}

int m2c_selector_ideal(struct m2c_selector *s, uint32_t layer, const float *truth,
                       struct m2c_want *wants, uint32_t *n, struct m2c_err *err)
{
    return m2c_topk(s, layer, truth, wants, n, err);
}
