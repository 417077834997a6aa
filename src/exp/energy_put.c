/* SPDX-License-Identifier: MIT */
/* Energy and carbon figures of a window. */
#include "exp/energy_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct put {
    struct m2c_window *w;
    const struct m2c_spent *parts;
    uint32_t n_tokens;
    struct m2c_err *err;
};

static const char *component(int c)
{
    return m2c_component_name((enum m2c_component)c);
}

static bool known(const struct put *p, int c)
{
    return p->parts[c].how != M2C_UNAVAILABLE && p->n_tokens > 0;
}

/* The wall's is only spoken of where somebody measures there. */
static bool spoken_of(const struct put *p, int c)
{
    return c != M2C_WALL || p->parts[c].settled;
}

static int put_one(const struct put *p, const char *name, int c, double value,
                   enum m2c_how how, const char *source)
{
    return m2c_figure_put(p->w->run->figures, name, c < 0 ? NULL : component(c), value,
                          isnan(value) ? M2C_UNAVAILABLE : how, source, p->err);
}

static int put_component(const struct put *p, int c)
{
    const struct m2c_spent *part = &p->parts[c];
    double n = p->n_tokens;
    int r = put_one(p, "energy", c, known(p, c) ? part->joules / n : NAN, part->how,
                    part->source);
    if (r == 0)
        r = put_one(p, "energy_err", c,
                    known(p, c) && part->how != M2C_SIMULATED ? part->err_j / n : NAN,
                    M2C_ESTIMATED, part->source);
    return r;
}

/* Idle power and what is above it: figures of their own, so that nothing is
 * subtracted from the energy itself. */
static int put_idle(const struct put *p, int c)
{
    const struct m2c_spent *idle = &p->w->idle[c], *part = &p->parts[c];
    bool has = idle->how != M2C_UNAVAILABLE && idle->seconds > 0;
    double watts = has ? idle->joules / idle->seconds : NAN;
    int r = put_one(p, "idle_power", c, watts, idle->how, idle->source);
    if (r < 0)
        return r;
    double above =
        known(p, c) ? (part->joules - watts * part->seconds) / p->n_tokens : NAN;
    return put_one(p, "energy_active", c, above, M2C_MIN(idle->how, part->how),
                   has ? part->source : idle->source);
}

/* ---- sums ---- */

struct total {
    double joules, seconds; /* NaN: nothing is known */
    enum m2c_how how;       /* as its weakest part */
    char names[64];
};

static void add(const struct put *p, int c, struct total *t)
{
    const struct m2c_spent *part = &p->parts[c];
    size_t len = strlen(t->names);
    t->joules = isnan(t->joules) ? part->joules : t->joules + part->joules;
    t->seconds = M2C_MAX(t->seconds, part->seconds);
    t->how = M2C_MIN(t->how, part->how);
    snprintf(t->names + len, sizeof t->names - len, "%s%s", len ? " + " : "",
             component(c));
}

/* What counts for carbon. Eq. 1 of the paper is of what computes, DRAM and SSD; the
 * host is not in it. Without what computes there is no sum: it would be a figure
 * of the small change. */
static bool sum_carbon(const struct put *p, struct total *t)
{
    int computes = m2c_window_on_processor(p->w) ? M2C_CPU : M2C_GPU;
    bool paper = p->w->run->cfg->carbon.model == M2C_CARBON_PAPER;
    for (int c = 0; c < M2C_WALL; c++) {
        bool counts = !paper || c == computes || c == M2C_DRAM || c == M2C_SSD;
        if (counts && known(p, c))
            add(p, c, t);
    }
    return known(p, computes);
}

static void describe(const struct m2c_carbon_cfg *cfg, const struct m2c_region *region,
                     const char *names, char out[320])
{
    char grid[128] = "", embodied[128] = "0";
    if (region)
        snprintf(grid, sizeof grid, " (%s %d, %s)", region->name, region->year,
                 M2C_REGION_SOURCE);
    if (cfg->embodied_kg > 0)
        snprintf(embodied, sizeof embodied, "%g kg over %g years at %g", cfg->embodied_kg,
                 cfg->life_years, cfg->utilisation);
    snprintf(out, 320, "%s at %g gCO2/kWh%s, embodied %s", names, cfg->g_per_kwh, grid,
             embodied);
}

static int put_carbon(const struct put *p)
{
    const struct m2c_settings *s = p->w->run->cfg;
    struct m2c_carbon_cfg cfg = {.g_per_kwh = s->carbon.g_per_kwh,
                                 .embodied_kg = s->carbon.embodied_kg,
                                 .life_years = s->carbon.life_years,
                                 .utilisation = s->carbon.utilisation};
    struct total t = {.joules = NAN, .how = M2C_MEASURED};
    const struct m2c_region *region = NULL;
    struct m2c_carbon g;
    char source[320];
    if (s->carbon.region[0]) {
        int r = m2c_region_find(s->carbon.region, &region, p->err);
        if (r < 0)
            return r;
        cfg.g_per_kwh = region->g_per_kwh;
    }
    if (!sum_carbon(p, &t)) {
        int r = put_one(p, "carbon", -1, NAN, M2C_UNAVAILABLE,
                        "the energy of what computes is not known");
        return r < 0 ? r
                     : put_one(p, "carbon_embodied", -1, NAN, M2C_UNAVAILABLE,
                               "the energy of what computes is not known");
    }
    int r = m2c_carbon(&cfg, t.joules, t.seconds, &g, p->err);
    if (r < 0)
        return r;
    describe(&cfg, region, t.names, source);
    enum m2c_how how = p->w->run->simulated ? M2C_SIMULATED : M2C_ESTIMATED;
    r = put_one(p, "carbon", -1, (g.operational_g + g.embodied_g) / p->n_tokens, how,
                source);
    if (r == 0)
        r = put_one(p, "carbon_embodied", -1, g.embodied_g / p->n_tokens, how, source);
    return r;
}

int m2c_window_put(struct m2c_window *w, uint32_t n_tokens, struct m2c_err *err)
{
    struct m2c_spent parts[M2C_N_COMPONENTS];
    struct put p = {.w = w, .parts = parts, .n_tokens = n_tokens, .err = err};
    struct total t = {.joules = NAN, .how = M2C_MEASURED};
    const double window[] = {w->start_unix_s, m2c_window_unix_s()};
    m2c_window_collect(w, w->first, parts);
    int r = 0;
    if (!w->run->simulated) /* so that a log can be merged later (analysis/wall.py) */
        r = m2c_run_samples(w->run, "window_unix_s", window, 2, err);
    for (int c = 0; c < M2C_N_COMPONENTS && r == 0; c++) {
        if (!spoken_of(&p, c))
            continue;
        r = put_component(&p, c);
        if (r == 0 && w->run->cfg->meter.idle_s > 0)
            r = put_idle(&p, c);
        if (c != M2C_WALL && known(&p, c))
            add(&p, c, &t);
    }
    if (r == 0)
        r = put_one(&p, "energy_total", -1, t.joules / n_tokens, t.how,
                    t.names[0] ? t.names : "no meter");
    return r == 0 ? put_carbon(&p) : r;
}
