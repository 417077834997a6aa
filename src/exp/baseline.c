/* SPDX-License-Identifier: MIT */
/* [baseline] system: what m2c is compared with, in the same engine. Each is a
 * set of ordinary keys, here in one table, so that the recorded config says what
 * ran. Only the class of fit-resident needs the store.
 *
 * Where a system is set for the whole config, keys that someone else set to other
 * values contradict it and are refused. Where it comes from an axis of a sweep,
 * the other keys and axes are those of its neighbours: it sets what it needs, and
 * points that then mean the same are one. */
#include "exp/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Values that depend on what is there. */
static const char widest[] =
    "(widest)";                    /* the ratio that gives all to the widest class */
static const char one[] = "(one)"; /* its own if it gives all to one class, else that */
static const char chosen[] =
    "(chosen)"; /* its own if it is of one class and was set for the
                   whole config, as the system was; else that */

static const struct row {
    const char *system, *section, *key, *value;
} rows[] = {
    {"dense-resident", "selector", "kind", "all"},
    {"dense-resident", "precision", "active", "1"},
    {"dense-resident", "precision", "ratio", chosen},
    {"dense-resident", "precision", "layers", ""},
    {"dense-resident", "precision", "assign", "rank"},
    {"dense-resident", "precision", "reuse", "exact"},
    {"dense-resident", "precision", "hysteresis", "0"},
    {"dense-resident", "hbm", "bytes", "100%"},
    {"dense-resident", "hbm", "policy", "lru"},
    {"dense-resident", "dram", "bytes", "100%"},
    {"dense-resident", "dram", "fixed_layers", "auto"},
    {"dense-resident", "decode", "prefill_class", "auto"},

    /* The widest class of which all fits what m2cache is given: nothing moves. */
    {"fit-resident", "selector", "kind", "all"},
    {"fit-resident", "precision", "active", "1"},
    {"fit-resident", "precision", "ratio", widest},
    {"fit-resident", "precision", "layers", ""},
    {"fit-resident", "precision", "assign", "rank"},
    {"fit-resident", "precision", "reuse", "exact"},
    {"fit-resident", "precision", "hysteresis", "0"},
    {"fit-resident", "hbm", "policy", "lru"},
    {"fit-resident", "dram", "fixed_layers", "auto"},
    {"fit-resident", "decode", "prefill_class", "auto"},

    /* As ZeRO-Inference (Aminabadi et al., arXiv 2207.00032, §5): every layer comes
     * anew for every token, read ahead, and nothing is kept. */
    {"dense-stream", "selector", "kind", "all"},
    {"dense-stream", "precision", "active", "1"},
    {"dense-stream", "precision", "ratio", one},
    {"dense-stream", "precision", "layers", ""},
    {"dense-stream", "precision", "assign", "rank"},
    {"dense-stream", "precision", "reuse", "exact"},
    {"dense-stream", "precision", "hysteresis", "0"},
    {"dense-stream", "hbm", "policy", "none"},
    {"dense-stream", "dram", "fixed_layers", "0"},
    {"dense-stream", "decode", "prefill_class", "auto"},

    /* Active neurons at mixed precision, each fetched anew for every token. */
    {"mp-only", "hbm", "policy", "none"},

    /* m2cache at one precision. */
    {"cache-only", "precision", "ratio", one},
    {"cache-only", "precision", "layers", ""},
    {"cache-only", "precision", "assign", "rank"},
    {"cache-only", "precision", "reuse", "exact"},
    {"cache-only", "precision", "hysteresis", "0"},
    {"cache-only", "decode", "prefill_class", "auto"},

    /* As PowerInfer (Song et al., arXiv 2312.12456): the hot neurons stay, the
     * others pass through; one precision. */
    {"hot-static", "precision", "ratio", one},
    {"hot-static", "precision", "layers", ""},
    {"hot-static", "precision", "assign", "rank"},
    {"hot-static", "precision", "reuse", "exact"},
    {"hot-static", "precision", "hysteresis", "0"},
    {"hot-static", "hbm", "policy", "static"},
    {"hot-static", "decode", "prefill_class", "auto"},

    /* As LLM in a flash (Alizadeh et al., arXiv 2312.11514, §3.1). */
    {"window", "precision", "ratio", one},
    {"window", "precision", "layers", ""},
    {"window", "precision", "assign", "rank"},
    {"window", "precision", "reuse", "exact"},
    {"window", "precision", "hysteresis", "0"},
    {"window", "hbm", "policy", "window"},
    {"window", "decode", "prefill_class", "auto"},
};

static bool on_axis(const struct m2c_optset *set, const char *section, const char *key)
{
    for (size_t a = 0; a < m2c_optset_axes(set); a++) {
        const struct m2c_opt *row = m2c_optset_axis(set, a);
        if (strcmp(row->section, section) == 0 && strcmp(row->key, key) == 0)
            return true;
    }
    return false;
}

static size_t index_of(const struct m2c_optset *set, const char *section, const char *key)
{
    size_t i = 0;
    while (strcmp(m2c_optset_row(set, i)->section, section) != 0 ||
           strcmp(m2c_optset_row(set, i)->key, key) != 0)
        i++; /* the table has it: a test looks every row up */
    return i;
}

/* Somebody said so, for the whole config. */
static bool was_set(const struct m2c_optset *set, const char *section, const char *key)
{
    return !on_axis(set, section, key) &&
           strcmp(m2c_optset_origin(set, index_of(set, section, key)), "default") != 0;
}

/* The ratio that gives all to one class, of as many as `text` names; its own where
 * it does and `keep`. */
static int one_class(const char *text, bool keep, char out[64], struct m2c_err *err)
{
    struct m2c_ratio ratio;
    int r = m2c_parse_ratio(text, &ratio, err);
    uint32_t n_used = 0, which = 0;
    for (uint32_t c = 0; r == 0 && c < ratio.n; c++) {
        n_used += ratio.share[c] > 0;
        which = ratio.share[c] > 0 ? c : which;
    }
    if (n_used != 1 || !keep)
        which = 0;
    size_t at = 0;
    for (uint32_t c = 0; r == 0 && c < ratio.n && at + 3 < 64; c++) {
        out[at++] = c == which ? '1' : '0';
        out[at++] = ':';
    }
    out[at ? at - 1 : 0] = 0;
    return r;
}

/* Sets one key, unless somebody wants it otherwise. */
static int set_key(struct m2c_optset *set, const struct row *row, bool whole,
                   struct m2c_err *err)
{
    size_t i = index_of(set, row->section, row->key);
    bool said = whole && was_set(set, row->section, row->key);
    char ratio[64], *before = NULL, *origin = NULL;
    const char *value = row->value;
    int r = 0;
    if (value == widest || value == one || value == chosen) {
        bool keep = value == one || (value == chosen && said);
        r = one_class(m2c_optset_text(set, i), keep, ratio, err);
        value = ratio;
    }
    if (r == 0 && said) {
        before = strdup(m2c_optset_text(set, i));
        origin = strdup(m2c_optset_origin(set, i));
        if (!before || !origin)
            r = m2c_fail(err, -ENOMEM, "settings: out of memory");
    }
    if (r == 0)
        r = m2c_optset_set(set, row->section, row->key, value, "baseline.system", err);
    if (r == 0 && said && strcmp(before, m2c_optset_text(set, i)) != 0)
        r = m2c_fail(
            err, -EINVAL,
            "%s: [%s] %s = %s contradicts [baseline] system = %s, which sets it to "
            "'%s'",
            origin, row->section, row->key, before, row->system, m2c_optset_text(set, i));
    free(before);
    free(origin);
    return r;
}

int m2c_settings_normalise(struct m2c_optset *set, struct m2c_err *err)
{
    const char *system = m2c_optset_get(set, "baseline", "system");
    bool whole = !on_axis(set, "baseline", "system");
    int r = 0;
    for (size_t i = 0; i < M2C_COUNTOF(rows) && r == 0; i++)
        if (strcmp(rows[i].system, system) == 0)
            r = set_key(set, &rows[i], whole, err);
    return r;
}

/* Does everything at class c stay where it is put? Units hold what is computed
 * from; DRAM holds it as well, or it would be read for every token. */
static bool fits(const struct m2c_store *store, const struct m2c_engine_cfg *cfg,
                 uint32_t c, struct m2c_tier_plan *plan)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(store);
    struct m2c_tier_cfg tier = cfg->tier;
    tier.ratio = (struct m2c_ratio){.n = m2c_store_layout(store)->n_classes};
    tier.ratio.share[c] = 1;
    return m2c_tier_plan(store, &tier, plan, NULL) == 0 && plan->blocks == m->layers &&
           (tier.hbm_bytes == 0 || plan->slots[c] == m->hidden);
}

int m2c_settings_fit(const struct m2c_store *store, struct m2c_engine_cfg *cfg,
                     struct m2c_err *err)
{
    const struct m2c_layout *layout = m2c_store_layout(store);
    struct m2c_tier_plan plan = {0};
    for (uint32_t c = 0; c < layout->n_classes; c++) {
        if (!fits(store, cfg, c, &plan))
            continue;
        cfg->tier.ratio = (struct m2c_ratio){.n = layout->n_classes};
        cfg->tier.ratio.share[c] = 1;
        return 0;
    }
    const struct m2c_model_cfg *m = m2c_store_cfg(store);
    uint32_t last = layout->n_classes - 1;
    struct m2c_slot slot;
    m2c_class_slot(layout, last, m->dim, m->has_gate, &slot);
    uint64_t units = (uint64_t)slot.bytes * m->hidden * m->layers + plan.spare_bytes;
    return m2c_fail(err, -ENOSPC,
                    "[baseline] system = fit-resident: hbm.bytes = %" PRIu64
                    " and dram.bytes = %" PRIu64
                    " hold all neurons at no class; %s needs %" PRIu64 " and %" PRIu64,
                    cfg->tier.hbm_bytes, cfg->tier.dram_bytes, layout->cls[last].name,
                    cfg->tier.hbm_bytes ? units : 0, plan.block_bytes * m->layers);
}
