/* SPDX-License-Identifier: MIT */
/* Energy figures. */
#include "exp/energy.h"

#include "base/clock.h"
#include "meter/meter.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct m2c_window {
    struct m2c_meter *meter; /* NULL: none was asked for */
    uint64_t start_ns;
    struct m2c_reading first;
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

static int open_meter(struct m2c_window *w, const struct m2c_settings *cfg,
                      struct m2c_err *err)
{
    struct m2c_meter_cfg mc = {.cpu_busy_w = cfg->meter.cpu_busy_w,
                               .cpu_idle_w = cfg->meter.cpu_idle_w,
                               .dram_w_per_gib = cfg->carbon.dram_w_per_gib,
                               .ssd_w = cfg->carbon.ssd_w,
                               .ssd_j_per_gb = cfg->carbon.ssd_j_per_gb};
    const char *want = cfg->meter.sources;
    if (strcmp(want, "none") == 0)
        return 0;
    if (strcmp(want, "auto") != 0)
        return m2c_meter_open(&w->meter, want, &mc, err);
    struct m2c_err none = {0};
    if (m2c_meter_open(&w->meter, "rapl", &mc, &none) == 0)
        return 0;
    return m2c_meter_open(&w->meter, "model", &mc, err);
}

int m2c_window_open(struct m2c_window **out, struct m2c_run *run, struct m2c_engine *e,
                    struct m2c_err *err)
{
    struct m2c_window *w = calloc(1, sizeof *w);
    if (!w)
        return m2c_fail(err, -ENOMEM, "meters: out of memory");
    int r = open_meter(w, run->cfg, err);
    if (r == 0 && w->meter) {
        struct m2c_load load = load_now(e);
        r = m2c_meter_read(w->meter, &load, &w->first, err);
    }
    w->start_ns = m2c_now_ns();
    if (r < 0) {
        m2c_window_close(w);
        return r;
    }
    *out = w;
    return 0;
}

int m2c_window_put(struct m2c_window *w, struct m2c_run *run, struct m2c_engine *e,
                   uint32_t n_tokens, struct m2c_err *err)
{
    double seconds = (double)(m2c_now_ns() - w->start_ns) * 1e-9, total = 0;
    struct m2c_reading now = {0};
    const char *source = "no meter";
    char text[320];
    enum m2c_how how = M2C_UNAVAILABLE;
    int r = 0;
    if (w->meter) {
        struct m2c_load load = load_now(e);
        r = m2c_meter_read(w->meter, &load, &now, err);
        how = m2c_meter_measures(w->meter) ? M2C_MEASURED : M2C_ESTIMATED;
        source = m2c_meter_source(w->meter);
        if (seconds < m2c_meter_window_s(w->meter)) {
            how = M2C_UNAVAILABLE;
            snprintf(text, sizeof text, "%s: window of %.3g s is shorter than %.3g s", source,
                     seconds, m2c_meter_window_s(w->meter));
            source = text;
        }
    }
    bool any = false;
    for (int c = 0; c < M2C_N_COMPONENTS && r == 0; c++) {
        const char *name = m2c_component_name((enum m2c_component)c);
        bool known = now.known[c] && how != M2C_UNAVAILABLE;
        double j = (now.joules[c] - w->first.joules[c]) / n_tokens;
        r = m2c_figure_put(run->figures, "energy", name, known ? j : NAN,
                           known ? how : M2C_UNAVAILABLE, source, err);
        total += known ? j : 0;
        any |= known;
    }
    if (r == 0)
        r = m2c_figure_put(run->figures, "energy_total", NULL, any ? total : NAN,
                           any ? how : M2C_UNAVAILABLE, source, err);
    char carbon[64];
    snprintf(carbon, sizeof carbon, "%g gCO2/kWh", run->cfg->carbon.g_per_kwh);
    if (r == 0)
        r = m2c_figure_put(run->figures, "carbon", NULL,
                           any ? m2c_carbon_g(total, run->cfg->carbon.g_per_kwh) : NAN,
                           any ? M2C_ESTIMATED : M2C_UNAVAILABLE, carbon, err);
    return r;
}

void m2c_window_close(struct m2c_window *w)
{
    if (!w)
        return;
    m2c_meter_close(w->meter);
    free(w);
}
