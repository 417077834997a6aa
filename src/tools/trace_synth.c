/* SPDX-License-Identifier: MIT */
/* A trace from a selector alone. */
#include "tools/trace_synth.h"

#include "ops/preset.h"
#include "select/selector.h"
#include "store/store.h"
#include "store/trace.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What a trace says about neurons. */
struct shape {
    uint32_t layers, neurons;
    struct m2c_layout layout;
    uint32_t part_bytes[M2C_LAYOUT_PARTS];
    struct m2c_hash128 model, order; /* zero without a store */
};

static int shape_of_store(const char *path, struct shape *out, struct m2c_err *err)
{
    struct m2c_store *s = NULL;
    int rc = m2c_store_open(&s, path, err);
    if (rc < 0)
        return rc;
    out->layers = m2c_store_cfg(s)->layers;
    out->neurons = m2c_store_cfg(s)->hidden;
    out->layout = *m2c_store_layout(s);
    out->model = m2c_store_model_hash(s);
    out->order = m2c_store_order_hash(s);
    for (uint32_t p = 0; p < out->layout.n_parts; p++)
        out->part_bytes[p] = m2c_store_record(s, p)->bytes;
    m2c_store_close(s);
    return 0;
}

static int shape_of_preset(const char *name, struct shape *out, struct m2c_err *err)
{
    const struct m2c_preset *p = m2c_preset_find(name, err);
    int rc = p ? m2c_layout_find("copies", &out->layout, err) : -EINVAL;
    for (uint32_t i = 0; rc == 0 && i < out->layout.n_parts; i++) {
        struct m2c_geom g;
        m2c_record_geom(out->layout.part[i].type, p->cfg.dim, p->cfg.has_gate, &g);
        out->part_bytes[i] = g.bytes;
    }
    if (rc == 0) {
        out->layers = p->cfg.layers;
        out->neurons = p->cfg.hidden;
    }
    return rc;
}

static int find_shape(const struct m2c_trace_synth *a, struct shape *out,
                      struct m2c_err *err)
{
    int rc = a->model ? shape_of_store(a->model, out, err)
                      : shape_of_preset(a->preset, out, err);
    if (rc == 0 && (a->layers || a->neurons)) /* no longer that model's sets */
        out->model = out->order = (struct m2c_hash128){0, 0};
    out->layers = a->layers ? (uint32_t)a->layers : out->layers;
    out->neurons = a->neurons ? (uint32_t)a->neurons : out->neurons;
    return rc;
}

static int settle(struct m2c_optset *set, const struct m2c_session_flags *f,
                  const char *const *defaults, size_t n_defaults,
                  struct m2c_settings *out, struct m2c_err *err)
{
    int rc = f->config ? m2c_optset_load(set, f->config, err) : 0;
    for (size_t i = 0; i < n_defaults && rc == 0 && !f->config; i++)
        rc = m2c_optset_assign(set, defaults[i], "default", err);
    for (unsigned i = 0; i < f->set.n && rc == 0; i++)
        rc = m2c_optset_assign(set, f->set.v[i], "--set", err);
    return rc == 0 ? m2c_optset_apply(set, out, err) : rc;
}

static int draw(struct m2c_selector *s, struct m2c_trace *t, uint64_t tokens,
                struct m2c_progress *bar, struct m2c_err *err)
{
    struct m2c_want *wants = malloc(t->neurons * sizeof *wants);
    const volatile bool *stop = m2c_cli_stop();
    int rc = wants ? 0 : m2c_fail(err, -ENOMEM, "trace: out of memory");
    for (uint64_t token = 0; rc == 0 && token < tokens; token++) {
        for (uint32_t l = 0; rc == 0 && l < t->layers; l++) {
            uint32_t n = 0;
            rc = m2c_selector_pick(s, l, NULL, wants, &n, err);
            if (rc == 0 && m2c_trace_add(t, l, wants, n) < 0)
                rc = m2c_fail(err, -EFBIG, "trace: no room for token %llu",
                              (unsigned long long)token);
        }
        m2c_progress_set(bar, token + 1);
        if (rc == 0 && *stop)
            rc = m2c_fail(err, -EINTR, "interrupted");
    }
    free(wants);
    return rc;
}

static int open_selector(struct m2c_selector **s, const struct m2c_settings *cfg,
                         const struct shape *shape, struct m2c_err *err)
{
    const struct m2c_select_cfg sel = {
        .kind = cfg->selector.kind,
        .active = cfg->precision.active,
        .ratio = cfg->precision.ratio,
        .layers = shape->layers,
        .n = shape->neurons,
        .source = {.trace = cfg->selector.trace,
                   .fit = (enum m2c_process_fit)cfg->selector.fit,
                   .seed = (uint64_t)cfg->experiment.seed,
                   .layout = &shape->layout,
                   .num = {.density = cfg->selector.density,
                           .concentration = cfg->selector.concentration,
                           .overlap = cfg->selector.overlap,
                           .spread = cfg->selector.spread,
                           .class_change = cfg->selector.class_change}}};
    if (sel.ratio.n > shape->layout.n_classes)
        return m2c_fail(err, -EINVAL,
                        "precision.ratio names %u classes, the layout has %u",
                        sel.ratio.n, shape->layout.n_classes);
    int rc = m2c_selector_open(s, &sel, err);
    if (rc == 0 && !m2c_selector_made_up(*s))
        rc = m2c_fail(err, -EINVAL,
                      "selector.kind = %s needs a model that runs: leave out "
                      "--synthetic",
                      sel.kind);
    return rc;
}

static int record(const struct m2c_trace_synth *a, const struct shape *shape,
                  struct m2c_selector *s, const char *kind, struct m2c_log *log,
                  struct m2c_err *err)
{
    struct m2c_trace *t = NULL;
    struct m2c_progress *bar = NULL;
    int rc = m2c_cli_writable(a->out, err);
    if (rc < 0)
        return rc;
    rc = m2c_trace_new(&t, shape->layers, shape->neurons, &shape->layout,
                       shape->part_bytes);
    if (rc < 0)
        return m2c_fail(err, rc, "trace: out of memory");
    t->model = shape->model;
    t->order = shape->order;
    snprintf(t->text, sizeof t->text, "none: sets that were drawn");
    snprintf(t->selector, sizeof t->selector, "%s", kind);
    rc = m2c_progress_open(&bar, log, "drawing", (uint64_t)a->tokens, "tokens");
    if (rc == 0)
        rc = draw(s, t, (uint64_t)a->tokens, bar, err);
    m2c_progress_close(bar);
    if (rc == 0)
        rc = m2c_trace_write(t, a->out, err);
    if (rc == 0)
        m2c_log(
            log, M2C_LOG_INFO,
            "%s: %llu tokens, %u layers of %u neurons, %llu accesses (%.1f %% of all)",
            a->out, (unsigned long long)t->tokens, t->layers, t->neurons,
            (unsigned long long)t->n,
            100 * (double)t->n / ((double)t->tokens * t->layers * t->neurons));
    m2c_trace_free(t);
    return rc;
}

int m2c_trace_synthetic(const struct m2c_trace_synth *a,
                        const struct m2c_session_flags *f, const char *const *defaults,
                        size_t n_defaults, struct m2c_log *log)
{
    struct m2c_optset *set = NULL;
    struct m2c_settings cfg = {0};
    struct m2c_selector *s = NULL;
    struct m2c_err err = {0};
    struct shape shape = {0};
    bool config = true;
    int rc = m2c_optset_open(&set, m2c_settings_table, m2c_settings_rows);
    if (rc < 0)
        rc = m2c_fail(&err, rc, "out of memory");
    if (rc == 0)
        rc = settle(set, f, defaults, n_defaults, &cfg, &err);
    if (rc == 0) {
        rc = find_shape(a, &shape, &err);
        config = !a->model;
    }
    if (rc == 0) {
        config = true;
        rc = open_selector(&s, &cfg, &shape, &err);
    }
    if (rc == 0) {
        config = false;
        rc = record(a, &shape, s, cfg.selector.kind, log, &err);
    }
    m2c_selector_close(s);
    m2c_optset_close(set);
    return rc == 0                   ? M2C_EXIT_OK
           : config && rc != -ENOMEM ? m2c_cli_fail_config(&err)
                                     : m2c_cli_fail(&err);
}
