/* SPDX-License-Identifier: MIT */
/* Figures that every experiment with an engine reports. */
#include "exp/exp.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A word about the whole record, once, however many experiments of the point say it. */
static int add_label(struct m2c_run *run, const char *label, struct m2c_err *err)
{
    for (size_t i = 0; i < json_array_size(run->labels); i++)
        if (strcmp(json_string_value(json_array_get(run->labels, i)), label) == 0)
            return 0;
    return json_array_append_new(run->labels, json_string(label)) < 0
               ? m2c_fail(err, -ENOMEM, "record: out of memory")
               : 0;
}

/* The class that fitted, which no key says. */
static int label_class(struct m2c_run *run, const struct m2c_ratio *ratio,
                       struct m2c_err *err)
{
    char label[32];
    uint32_t c = 0;
    while (ratio->share[c] <= 0)
        c++;
    snprintf(label, sizeof label, "fits: %s", m2c_store_layout(run->store)->cls[c].name);
    return add_label(run, label, err);
}

int m2c_run_engine(struct m2c_run *run, struct m2c_engine **out, struct m2c_err *err)
{
    struct m2c_engine_cfg cfg;
    int r = m2c_settings_engine(run->cfg, run->store, run->rank, run->mechanism_seed,
                                &cfg, err);
    cfg.class_seed = run->workload_seed;  /* the same classes at every point */
    cfg.source.seed = run->workload_seed; /* and the same sets */
    if (run->timeline && r == 0) {
        char title[96];
        snprintf(title, sizeof title, "point %u, repetition %lld", run->index,
                 (long long)run->rep);
        m2c_timeline_begin(run->timeline, title);
        cfg.tier.io.timeline = run->timeline;
    }
    if (r == 0 && strcmp(run->cfg->baseline.system, "fit-resident") == 0)
        r = label_class(run, &cfg.tier.ratio, err);
    if (r == 0)
        r = m2c_engine_open(out, run->store, &cfg, err);
    free(cfg.layer_ratio);
    if (r < 0)
        return r;
    run->simulated = m2c_dev_info(m2c_engine_dev(*out))->simulated;
    if (run->simulated)
        r = add_label(run, "simulated", err);
    if (r < 0) {
        m2c_engine_close(*out);
        *out = NULL;
    }
    return r;
}

enum m2c_how m2c_run_how(const struct m2c_run *run)
{
    return run->simulated ? M2C_SIMULATED : M2C_MEASURED;
}

const char *m2c_run_clock(const struct m2c_run *run)
{
    return run->simulated ? "virtual clock" : "host clock";
}

int m2c_run_dense(struct m2c_run *run, struct m2c_engine **out, struct m2c_err *err)
{
    struct m2c_engine_cfg cfg;
    m2c_engine_dense_cfg(run->store, &cfg);
    const struct m2c_dev_cfg dev = {.backend = run->cfg->device.backend,
                                    .threads = (unsigned)run->cfg->device.threads,
                                    .isa = run->cfg->device.isa};
    m2c_dev_reference_cfg(&dev, &cfg.dev);
    cfg.ctx = (uint32_t)run->cfg->decode.ctx;
    return m2c_engine_open(out, run->store, &cfg, err);
}

int m2c_run_text(struct m2c_run *run, struct m2c_text *out, struct m2c_err *err)
{
    const struct m2c_settings *c = run->cfg;
    if (!c->text.file[0])
        return m2c_fail(err, -EINVAL, "[text] file: no text is named to score");
    if (!run->tok)
        return m2c_fail(err, -EINVAL, "%s holds no tokenizer",
                        m2c_store_path(run->store));
    return m2c_text_load(c->text.file, c->text.split, (uint64_t)c->text.tokens, run->tok,
                         out, err);
}

int m2c_run_samples(struct m2c_run *run, const char *name, const double *values, size_t n,
                    struct m2c_err *err)
{
    json_t *a = json_array();
    bool ok = a != NULL;
    for (size_t i = 0; i < n && ok; i++)
        ok = json_array_append_new(a, json_real(values[i])) == 0;
    if (!ok || json_object_set_new(run->samples, name, a) < 0)
        return m2c_fail(err, -ENOMEM, "record: out of memory");
    return 0;
}

/* Several figures of one source, stopping at the first failure. */
struct put {
    json_t *figures;
    enum m2c_how how;
    const char *source;
    struct m2c_err *err;
    int r;
};

static void put(struct put *p, const char *name, const char *suffix, double value)
{
    if (p->r == 0)
        p->r =
            m2c_figure_put(p->figures, name, suffix, value,
                           isfinite(value) ? p->how : M2C_UNAVAILABLE, p->source, p->err);
}

static double per(double sum, double n)
{
    return n > 0 ? sum / n : NAN;
}

/* Packed bytes of the neurons computed, from their counts by class. */
static double ffn_bytes(const struct m2c_store *s, const uint64_t *active)
{
    const struct m2c_layout *layout = m2c_store_layout(s);
    double sum = 0;
    for (uint32_t c = 0; c < layout->n_classes; c++) {
        for (uint32_t p = 0; p < layout->n_parts; p++)
            if (layout->cls[c].parts >> p & 1)
                sum += (double)active[c] * m2c_store_record(s, p)->bytes;
    }
    return sum;
}

int m2c_run_put_tiers(struct m2c_run *run, struct m2c_engine *e, struct m2c_err *err)
{
    struct put p = {run->figures, m2c_run_how(run), "tier counters", err, 0};
    const struct m2c_layout *layout = m2c_store_layout(run->store);
    const struct m2c_engine_stats *s = m2c_engine_stats(e);
    struct m2c_tier_counters c;
    m2c_tier_counters(m2c_engine_tier(e), &c);
    double tokens = (double)s->tokens, acc = 0, hits = 0;
    for (uint32_t k = 0; k < layout->n_classes; k++) {
        acc += (double)c.accesses[k];
        hits += (double)c.hits[k];
        if (c.accesses[k])
            put(&p, "hit_ratio_hbm", layout->cls[k].name,
                (double)c.hits[k] / (double)c.accesses[k]);
    }
    put(&p, "hit_ratio_hbm", NULL, per(hits, acc));
    put(&p, "hit_ratio_dram", NULL, per((double)c.layer_hits, (double)c.layer_accesses));
    put(&p, "hbm_bytes_wanted", NULL, per((double)c.hbm_wanted, tokens));
    put(&p, "hbm_bytes_moved", NULL, per((double)c.hbm_moved, tokens));
    put(&p, "ssd_bytes_wanted", NULL, per((double)c.ssd_wanted, tokens));
    put(&p, "ssd_bytes_moved", NULL, per((double)c.ssd_moved, tokens));
    put(&p, "ssd_requests", NULL, per((double)c.ssd_requests, tokens));
    put(&p, "evictions", NULL, per((double)c.evictions, tokens));
    put(&p, "reclassed", NULL, per((double)c.reclassed, tokens));
    put(&p, "widened", NULL, per((double)c.widened, tokens));
    put(&p, "wider", NULL, per((double)c.wider, acc));
    put(&p, "waves", NULL, per((double)c.waves, tokens));
    struct m2c_dev_counters on_device;
    m2c_engine_device_counts(e, &on_device);
    put(&p, "launches", NULL, per((double)on_device.launches, tokens));
    put(&p, "copy_batches", NULL, per((double)on_device.copy_batches, tokens));
    put(&p, "ffn_bytes_read", NULL, per(ffn_bytes(run->store, s->active), tokens));
    put(&p, "ssd_registered", NULL, (double)c.ssd_registered);
    p.source = "allocator";
    const struct m2c_dev *dev = m2c_engine_dev(e);
    put(&p, "device_bytes_peak", NULL, (double)m2c_dev_peak(dev, M2C_PLACE_DEVICE));
    put(&p, "pinned_bytes_peak", NULL, (double)m2c_dev_peak(dev, M2C_PLACE_PINNED));
    if (m2c_engine_informed(e))
        put(&p, "shadow_bytes", NULL, (double)m2c_engine_planned(e)->shadow_bytes);
    return p.r;
}

int m2c_run_put_times(struct m2c_run *run, struct m2c_engine *e, struct m2c_err *err)
{
    static const char *const names[M2C_N_PHASES] = {
        [M2C_PHASE_ATTENTION] = "time_attention",
        [M2C_PHASE_SELECT] = "time_select",
        [M2C_PHASE_A] = "time_phase_a",
        [M2C_PHASE_B] = "time_phase_b",
        [M2C_PHASE_COPY_WAIT] = "time_copy_wait"};
    struct put p = {run->figures, m2c_run_how(run), "events on the compute queue", err,
                    0};
    const struct m2c_engine_stats *s = m2c_engine_stats(e);
    struct m2c_tier_counters c;
    m2c_tier_counters(m2c_engine_tier(e), &c);
    double scale = 1e-9 / (double)s->tokens;
    for (int i = 0; i < M2C_N_PHASES; i++)
        put(&p, names[i], NULL, (double)s->phase_ns[i] * scale);
    p.source = m2c_run_clock(run);
    struct m2c_dev_counters on_device;
    m2c_engine_device_counts(e, &on_device);
    put(&p, "time_enqueue", NULL, (double)on_device.host_ns * scale);
    put(&p, "time_ssd_wait", NULL, (double)c.ssd_wait_ns * scale);
    put(&p, "time_tier_host", NULL, (double)s->tier_host_ns * scale);
    put(&p, "time_select_host", NULL, (double)s->select_host_ns * scale);
    put(&p, "time_shadow", NULL, (double)s->shadow_ns * scale);
    return p.r;
}

static void put_layers(struct put *p, const char *name, const uint64_t *num,
                       const uint64_t *den, double fixed_den, uint32_t layers)
{
    double sum = 0, all = 0;
    for (uint32_t l = 0; l < layers; l++) {
        char layer[16];
        double d = den ? (double)den[l] : fixed_den;
        snprintf(layer, sizeof layer, "%u", l);
        put(p, name, layer, per((double)num[l], d));
        sum += (double)num[l];
        all += d;
    }
    put(p, name, NULL, per(sum, all));
}

int m2c_run_put_selection(struct m2c_run *run, struct m2c_engine *e, struct m2c_err *err)
{
    struct put p = {run->figures, m2c_run_how(run), "selection", err, 0};
    const struct m2c_layout *layout = m2c_store_layout(run->store);
    const struct m2c_model_cfg *m = m2c_store_cfg(run->store);
    const struct m2c_engine_stats *s = m2c_engine_stats(e);
    double active = 0, bits = 0, neurons = (double)m->hidden * m->layers;
    for (uint32_t c = 0; c < layout->n_classes; c++) {
        active += (double)s->active[c];
        bits += (double)s->active[c] * layout->cls[c].bits;
    }
    put(&p, "active_fraction", NULL, per(active, neurons * (double)s->tokens));
    put(&p, "mean_bits", NULL, per(bits, active));
    put_layers(&p, "overlap", s->layer_same, s->layer_prev, 0, m->layers);
    put_layers(&p, "class_kept", s->layer_kept, s->layer_same, 0, m->layers);
    if (s->judged) {
        double judged = (double)s->judged;
        p.source = "shadow";
        put(&p, "selector_recall", NULL, s->recall / judged);
        put(&p, "selector_recall_true_k", NULL, s->recall_true_k / judged);
        put(&p, "selector_mass", NULL, s->mass / judged);
        put_layers(&p, "active_true", s->layer_true, NULL,
                   (double)s->layer_judged * m->hidden, m->layers);
    }
    if (p.r == 0 && m2c_engine_informed(e))
        p.r = add_label(run, "informed", err);
    if (p.r == 0 && m2c_engine_made_up(e))
        p.r = add_label(run, "given-sets", err);
    if (p.r == 0 && m->synthetic[0])
        p.r = add_label(run, "random-weights", err);
    if (p.r == 0 && run->cfg->precision.reuse == M2C_REUSE_AT_LEAST)
        p.r = add_label(run, "at-least", err);
    return p.r;
}
