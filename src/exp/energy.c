/* SPDX-License-Identifier: MIT */
/* The window: which meters it has, and what each component took in it. */
#include "exp/energy_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- the load that the model meter estimates from ---- */

/* Host memory that this run holds: the paper's Eq. 1 takes the memory in use. */
static double used_bytes(struct m2c_engine *e)
{
    const struct m2c_dev *dev = m2c_engine_dev(e);
    uint64_t n = m2c_dev_peak(dev, M2C_PLACE_PINNED) + m2c_dev_peak(dev, M2C_PLACE_HOST);
    if (m2c_dev_info(dev)->processor)
        n += m2c_dev_peak(dev, M2C_PLACE_DEVICE);
    return (double)n;
}

/* Counters are reset while the meters run; sums only grow. */
static double grow(struct m2c_sum *s, uint64_t count)
{
    if (count < s->last)
        s->before += s->last;
    s->last = count;
    return (double)(s->before + count);
}

static struct m2c_load load_now(struct m2c_window *w)
{
    struct timespec cpu;
    struct m2c_tier_counters c;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    m2c_tier_counters(m2c_engine_tier(w->engine), &c);
    double ram = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE);
    if (w->run->cfg->carbon.model == M2C_CARBON_PAPER)
        ram = used_bytes(w->engine);
    return (struct m2c_load){.wall_s = (double)m2c_now_ns() * 1e-9,
                             .cpu_s = (double)cpu.tv_sec + (double)cpu.tv_nsec * 1e-9,
                             .dram_gib = ram / 1073741824.0,
                             .dram_bytes = grow(&w->dram, c.ssd_moved + c.hbm_moved),
                             .ssd_bytes = grow(&w->ssd, c.ssd_moved)};
}

/* ---- meters ---- */

static struct m2c_meter_cfg meter_cfg(const struct m2c_settings *cfg)
{
    struct m2c_meter_cfg mc = {.powercap = cfg->meter.powercap,
                               .hwmon = cfg->meter.hwmon,
                               .nvml = cfg->meter.nvml,
                               .gpu = cfg->meter.gpu,
                               .gpu_sampled = cfg->meter.gpu_sampled,
                               .period_ms = cfg->meter.period_ms,
                               .wall_csv = cfg->meter.wall_csv,
                               .wall_wait_s = cfg->meter.wall_wait_s,
                               .cpu_busy_w = cfg->meter.cpu_busy_w,
                               .cpu_idle_w = cfg->meter.cpu_idle_w,
                               .dram_w_per_gib = cfg->carbon.dram_w_per_gib,
                               .dram_j_per_gb = cfg->carbon.dram_j_per_gb,
                               .ssd_w = cfg->carbon.ssd_w,
                               .ssd_j_per_gb = cfg->carbon.ssd_j_per_gb,
                               .gpu_w = cfg->carbon.gpu_w};
    if (cfg->carbon.model == M2C_CARBON_PAPER) {
        mc.dram_w_per_gib = M2C_PAPER_DRAM_W_PER_GB;
        mc.ssd_w = M2C_PAPER_SSD_W;
        mc.dram_j_per_gb = mc.ssd_j_per_gb = 0;
    }
    return mc;
}

/* On a run that the processor computes, a GPU is no part of it, and a thread that
 * samples one would only disturb. */
static bool concerned(const struct m2c_window *w, const char *name)
{
    return !m2c_window_on_processor(w) ||
           (strcmp(name, "nvml") != 0 && strcmp(name, "hwmon") != 0);
}

/* `auto`: whatever can be opened; measured before estimated, as the list has
 * it, so that each component comes from the best source that knows it. A file
 * that is named must be there. */
static int open_meters(struct m2c_window *w, struct m2c_err *err)
{
    const struct m2c_settings *cfg = w->run->cfg;
    struct m2c_meter_cfg mc = meter_cfg(cfg);
    const char *want = cfg->meter.sources;
    struct m2c_machine *machine = m2c_dev_machine(m2c_engine_dev(w->engine));
    mc.machine = machine;
    if (machine && strcmp(want, "auto") == 0)
        want = "sim"; /* what this machine draws is not what that one would */
    if (machine && strcmp(want, "sim") != 0 && strcmp(want, "none") != 0)
        return m2c_fail(err, -EINVAL,
                        "meter.sources = %s is about this machine, and the device is "
                        "simulated: auto, sim or none",
                        want);
    if (machine && cfg->meter.idle_s > 0)
        return m2c_fail(err, -EINVAL,
                        "meter.idle_s: a simulated machine does not idle in real time; its "
                        "profile has its idle power");
    if (strcmp(want, "none") == 0)
        return 0;
    if (strcmp(want, "auto") != 0) {
        int r = m2c_meter_open(&w->meter[0], want, &mc, err);
        w->n = r == 0;
        return r;
    }
    for (const struct m2c_plugin *const *p = m2c_meter_list(); *p; p++) {
        struct m2c_err why = {0};
        if (w->n == M2C_MAX_METERS)
            break;
        if (!concerned(w, (*p)->name))
            continue;
        int r = m2c_meter_open(&w->meter[w->n], (*p)->name, &mc, &why);
        if (r == 0)
            w->n++;
        else if (r == -ENODEV)
            continue; /* this machine has no such thing */
        else if (strcmp((*p)->name, "wall") == 0)
            return m2c_fail(err, r, "%s", why.msg);
        else if (!w->denied[0])
            snprintf(w->denied, sizeof w->denied, "; %.240s", why.msg);
    }
    return 0;
}

static int read_all(struct m2c_window *w, struct m2c_reading *out, struct m2c_err *err)
{
    struct m2c_load load = load_now(w);
    int r = 0;
    for (size_t i = 0; i < w->n && r == 0; i++)
        r = m2c_meter_read(w->meter[i], &load, &out[i], err);
    return r;
}

/* One component, from the first meter that knows it. If that one has no answer
 * the next is not asked: points of a sweep would be compared across sources. */
static void take(struct m2c_spent *p, const struct m2c_meter *m,
                 const struct m2c_energy *e, const char *fault, const char *denied, int c)
{
    const char *why = fault[0] ? fault : e->why ? e->why : "";
    p->settled = true;
    p->joules = fault[0] ? NAN : e->joules[c];
    p->err_j = fault[0] ? NAN : e->err_j[c];
    p->how = fault[0] ? M2C_UNAVAILABLE : e->how[c];
    p->seconds = e->seconds;
    if (p->how != M2C_UNAVAILABLE) /* of another component, then */
        why = "";
    char band[64] = "";
    if (p->how != M2C_UNAVAILABLE && p->err_j > 0)
        snprintf(band, sizeof band, "; within %.2g %%", 100 * p->err_j / p->joules);
    snprintf(p->source, sizeof p->source, "%s%s%s%.300s%s", m2c_meter_source(m), band,
             why[0] ? ": " : "", why, denied);
}

/* Eq. 1 has its own constants for DRAM and SSD, whatever could be measured. */
static bool may_tell(const struct m2c_window *w, const struct m2c_meter *m, int c)
{
    return w->run->cfg->carbon.model != M2C_CARBON_PAPER ||
           (c != M2C_DRAM && c != M2C_SSD) || strcmp(m2c_meter_name(m), "model") == 0;
}

void m2c_window_collect(struct m2c_window *w, const struct m2c_reading *first,
                        struct m2c_spent parts[M2C_N_COMPONENTS])
{
    struct m2c_reading last[M2C_MAX_METERS];
    struct m2c_err fault[M2C_MAX_METERS] = {0};
    struct m2c_load load = load_now(w);
    int r[M2C_MAX_METERS];
    for (int c = 0; c < M2C_N_COMPONENTS; c++)
        parts[c] = (struct m2c_spent){.joules = NAN, .err_j = NAN, .source = "no meter"};
    /* all readings first: a wall meter's log may have to be waited for */
    for (size_t i = 0; i < w->n; i++)
        r[i] = m2c_meter_read(w->meter[i], &load, &last[i], &fault[i]);
    for (size_t i = 0; i < w->n; i++) {
        struct m2c_energy energy = {0};
        if (r[i] == 0)
            m2c_meter_between(w->meter[i], &first[i], &last[i], &energy);
        for (int c = 0; c < M2C_N_COMPONENTS; c++) {
            if (!parts[c].settled && first[i].how[c] != M2C_UNAVAILABLE &&
                may_tell(w, w->meter[i], c))
                take(&parts[c], w->meter[i], &energy, fault[i].msg, w->denied, c);
        }
    }
}

/* ---- the window ---- */

static int see_idle(struct m2c_window *w, struct m2c_err *err)
{
    struct m2c_reading first[M2C_MAX_METERS];
    const struct timespec nap = {0, 20000000};
    int r = read_all(w, first, err);
    uint64_t until = m2c_now_ns() + (uint64_t)(w->run->cfg->meter.idle_s * 1e9);
    while (r == 0 && m2c_now_ns() < until) {
        if (w->run->stop && *w->run->stop)
            return m2c_fail(err, -EINTR, "stopped");
        nanosleep(&nap, NULL);
        m2c_window_keep(w);
    }
    if (r == 0)
        m2c_window_collect(w, first, w->idle);
    return r;
}

int m2c_window_open(struct m2c_window **out, struct m2c_run *run, struct m2c_engine *e,
                    struct m2c_err *err)
{
    struct m2c_window *w = calloc(1, sizeof *w);
    if (!w)
        return m2c_fail(err, -ENOMEM, "meters: out of memory");
    w->run = run;
    w->engine = e;
    int r = open_meters(w, err);
    if (r == 0 && run->cfg->meter.idle_s > 0)
        r = see_idle(w, err);
    if (r < 0) {
        m2c_window_close(w);
        return r;
    }
    *out = w;
    return 0;
}

double m2c_window_unix_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

int m2c_window_start(struct m2c_window *w, struct m2c_err *err)
{
    w->started = true;
    w->start_unix_s = m2c_window_unix_s();
    return read_all(w, w->first, err);
}

bool m2c_window_started(const struct m2c_window *w)
{
    return w->started;
}

bool m2c_window_on_processor(const struct m2c_window *w)
{
    return m2c_dev_info(m2c_engine_dev(w->engine))->processor;
}

void m2c_window_keep(struct m2c_window *w)
{
    for (size_t i = 0; i < w->n; i++)
        m2c_meter_keep(w->meter[i]);
}

void m2c_window_close(struct m2c_window *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++)
        m2c_meter_close(w->meter[i]);
    free(w);
}
