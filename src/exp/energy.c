/* SPDX-License-Identifier: MIT */
/* Energy figures. */
#include "exp/energy.h"

#include "base/clock.h"
#include "meter/carbon.h"
#include "meter/meter.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_METERS = 8 };

struct m2c_window {
    struct m2c_meter *meter[MAX_METERS]; /* in order of preference; none: all unknown */
    struct m2c_reading first[MAX_METERS];
    size_t n;
    char denied[256]; /* why a better source is not used, where that can be changed */
};

static struct m2c_load load_now(struct m2c_engine *e)
{
    struct timespec cpu;
    struct m2c_tier_counters c;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    m2c_tier_counters(m2c_engine_tier(e), &c);
    double ram = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE);
    return (struct m2c_load){.wall_s = (double)m2c_now_ns() * 1e-9,
                             .cpu_s = (double)cpu.tv_sec + (double)cpu.tv_nsec * 1e-9,
                             .dram_gib = ram / 1073741824.0,
                             .ssd_bytes = (double)c.ssd_moved};
}

/* `auto`: whatever can be opened; measured before estimated, as the list has
 * it, so that each component comes from the best source that knows it. */
static int open_meters(struct m2c_window *w, const struct m2c_settings *cfg,
                       struct m2c_err *err)
{
    struct m2c_meter_cfg mc = {.nvml = cfg->meter.nvml,
                               .gpu = cfg->meter.gpu,
                               .gpu_sampled = cfg->meter.gpu_sampled,
                               .period_ms = cfg->meter.period_ms,
                               .cpu_busy_w = cfg->meter.cpu_busy_w,
                               .cpu_idle_w = cfg->meter.cpu_idle_w,
                               .dram_w_per_gib = cfg->carbon.dram_w_per_gib,
                               .ssd_w = cfg->carbon.ssd_w,
                               .ssd_j_per_gb = cfg->carbon.ssd_j_per_gb};
    const char *want = cfg->meter.sources;
    if (strcmp(want, "none") == 0)
        return 0;
    if (strcmp(want, "auto") != 0) {
        int r = m2c_meter_open(&w->meter[0], want, &mc, err);
        w->n = r == 0;
        return r;
    }
    for (const struct m2c_plugin *const *p = m2c_meter_list(); *p; p++) {
        struct m2c_err why = {0};
        if (w->n == MAX_METERS)
            break;
        int r = m2c_meter_open(&w->meter[w->n], (*p)->name, &mc, &why);
        if (r == 0)
            w->n++;
        else if (r == -ENODEV)
            continue; /* this machine has no such thing */
        else if (!w->denied[0])
            snprintf(w->denied, sizeof w->denied, "; %.240s", why.msg);
    }
    return 0;
}

int m2c_window_open(struct m2c_window **out, struct m2c_run *run, struct m2c_engine *e,
                    struct m2c_err *err)
{
    struct m2c_window *w = calloc(1, sizeof *w);
    if (!w)
        return m2c_fail(err, -ENOMEM, "meters: out of memory");
    int r = open_meters(w, run->cfg, err);
    struct m2c_load load = load_now(e);
    for (size_t i = 0; i < w->n && r == 0; i++)
        r = m2c_meter_read(w->meter[i], &load, &w->first[i], err);
    if (r < 0) {
        m2c_window_close(w);
        return r;
    }
    *out = w;
    return 0;
}

void m2c_window_keep(struct m2c_window *w)
{
    for (size_t i = 0; i < w->n; i++)
        m2c_meter_keep(w->meter[i]);
}

/* One component, from the first meter that knows it. If that one has no answer
 * the next is not asked: points of a sweep would be compared across sources. */
struct part {
    double joules; /* NaN: unavailable */
    enum m2c_how how;
    bool settled;
    char source[640];
};

static void take(struct part *p, const struct m2c_meter *m, const struct m2c_energy *e,
                 const char *fault, const char *denied, int c)
{
    const char *why = fault[0] ? fault : e->why ? e->why : "";
    p->settled = true;
    p->joules = fault[0] ? NAN : e->joules[c];
    p->how = fault[0] ? M2C_UNAVAILABLE : e->how[c];
    if (p->how != M2C_UNAVAILABLE) /* of another component, then */
        why = "";
    snprintf(p->source, sizeof p->source, "%s%s%.300s%s", m2c_meter_source(m),
             why[0] ? ": " : "", why, denied);
}

static void collect(struct m2c_window *w, struct m2c_engine *e,
                    struct part parts[M2C_N_COMPONENTS], double *seconds)
{
    struct m2c_load load = load_now(e);
    for (int c = 0; c < M2C_N_COMPONENTS; c++)
        parts[c] = (struct part){.joules = NAN, .source = "no meter"};
    for (size_t i = 0; i < w->n; i++) {
        struct m2c_reading last;
        struct m2c_err fault = {0};
        struct m2c_energy energy = {0};
        if (m2c_meter_read(w->meter[i], &load, &last, &fault) == 0)
            m2c_meter_between(w->meter[i], &w->first[i], &last, &energy);
        *seconds = M2C_MAX(*seconds, energy.seconds);
        for (int c = 0; c < M2C_N_COMPONENTS; c++) {
            if (!parts[c].settled && w->first[i].how[c] != M2C_UNAVAILABLE)
                take(&parts[c], w->meter[i], &energy, fault.msg, w->denied, c);
        }
    }
}

static int put_carbon(struct m2c_run *run, double joules, double seconds,
                      uint32_t n_tokens, struct m2c_err *err)
{
    struct m2c_carbon_cfg cfg = {.g_per_kwh = run->cfg->carbon.g_per_kwh};
    struct m2c_carbon g = {0};
    char source[64];
    int r = 0;
    snprintf(source, sizeof source, "%g gCO2/kWh, embodied 0", cfg.g_per_kwh);
    if (!isnan(joules))
        r = m2c_carbon(&cfg, joules, seconds, &g, err);
    if (r < 0)
        return r;
    return m2c_figure_put(run->figures, "carbon", NULL,
                          isnan(joules) ? NAN
                                        : (g.operational_g + g.embodied_g) / n_tokens,
                          isnan(joules) ? M2C_UNAVAILABLE : M2C_ESTIMATED, source, err);
}

int m2c_window_put(struct m2c_window *w, struct m2c_run *run, struct m2c_engine *e,
                   uint32_t n_tokens, struct m2c_err *err)
{
    struct part parts[M2C_N_COMPONENTS];
    double seconds = 0, total = NAN;
    enum m2c_how how = M2C_MEASURED; /* of the total: as its weakest part */
    char names[64] = "";
    int r = 0;
    collect(w, e, parts, &seconds);
    for (int c = 0; c < M2C_N_COMPONENTS && r == 0; c++) {
        const char *name = m2c_component_name((enum m2c_component)c);
        bool known = parts[c].how != M2C_UNAVAILABLE && n_tokens > 0;
        r = m2c_figure_put(run->figures, "energy", name,
                           known ? parts[c].joules / n_tokens : NAN,
                           known ? parts[c].how : M2C_UNAVAILABLE, parts[c].source, err);
        if (!known)
            continue;
        total = isnan(total) ? parts[c].joules : total + parts[c].joules;
        how = M2C_MIN(how, parts[c].how);
        size_t len = strlen(names);
        snprintf(names + len, sizeof names - len, "%s%s", len ? " + " : "", name);
    }
    if (r == 0)
        r = m2c_figure_put(run->figures, "energy_total", NULL, total / n_tokens,
                           isnan(total) ? M2C_UNAVAILABLE : how,
                           names[0] ? names : "no meter", err);
    if (r == 0)
        r = put_carbon(run, total, seconds, n_tokens, err);
    return r;
}

void m2c_window_close(struct m2c_window *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++)
        m2c_meter_close(w->meter[i]);
    free(w);
}
