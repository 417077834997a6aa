/* SPDX-License-Identifier: MIT */
/* Registry of meters, and what all of them share: readings with their time,
 * gaps, differences. */
#include "meter/meter_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Those that measure come first. */
static const struct m2c_meter_ops *const registry[] = {
    &m2c_meter_rapl, &m2c_meter_nvml,  &m2c_meter_hwmon,
    &m2c_meter_wall, &m2c_meter_sim,   &m2c_meter_model,
    &m2c_meter_null,
    NULL,
};

const struct m2c_plugin *const *m2c_meter_list(void)
{
    return (const struct m2c_plugin *const *)(const void *)registry;
}

const char *m2c_component_name(enum m2c_component c)
{
    static const char *const names[M2C_N_COMPONENTS] = {"cpu", "dram", "ssd", "gpu",
                                                        "wall"};
    return (unsigned)c < M2C_N_COMPONENTS ? names[c] : "?";
}

int m2c_meter_check(const struct m2c_meter_ops *const *meters, struct m2c_err *err)
{
    int r = m2c_plugin_check((const void *const *)(const void *)meters, "meter", err);
    for (; r == 0 && *meters; meters++) {
        if (!(*meters)->open || !(*meters)->read)
            r = m2c_fail(err, -EINVAL, "meter '%s' lacks a mandatory hook",
                         (*meters)->p.name);
    }
    return r;
}

static int check_cfg(const struct m2c_meter_cfg *c, struct m2c_err *err)
{
    const double values[] = {c->cpu_busy_w,    c->cpu_idle_w, c->dram_w_per_gib,
                             c->dram_j_per_gb, c->ssd_w,      c->ssd_j_per_gb,
                             c->gpu_w};
    for (size_t i = 0; i < M2C_COUNTOF(values); i++) {
        if (!(values[i] >= 0 && values[i] < 1e9))
            return m2c_fail(err, -EINVAL, "meter: a constant of %g W or J", values[i]);
    }
    if (!(c->period_ms >= 0 && c->period_ms <= 1e4) ||
        !(c->wall_wait_s >= 0 && c->wall_wait_s <= 3600))
        return m2c_fail(err, -EINVAL, "meter: a period of %g ms, a wait of %g s",
                        c->period_ms, c->wall_wait_s);
    return 0;
}

int m2c_meter_open(struct m2c_meter **out, const char *name,
                   const struct m2c_meter_cfg *cfg, struct m2c_err *err)
{
    int r = m2c_meter_check(registry, err);
    if (r < 0)
        return r;
    const struct m2c_meter_ops *ops =
        m2c_plugin_find((const void *const *)(const void *)registry, "meter", name, err);
    if (!ops)
        return -ENOENT;
    r = check_cfg(cfg, err);
    if (r < 0)
        return r;
    struct m2c_meter *m = calloc(1, sizeof *m);
    if (!m || !(m->priv = calloc(1, ops->p.priv_size ? ops->p.priv_size : 1))) {
        free(m);
        return m2c_fail(err, -ENOMEM, "meter %s: out of memory", name);
    }
    m->ops = ops;
    m->cfg = *cfg;
    m->tick_ns = ops->tick_ns;
    m->last_ns = m2c_meter_now(m);
    r = ops->open(m, err);
    if (r < 0) {
        m2c_meter_close(m);
        return r;
    }
    *out = m;
    return 0;
}

void m2c_meter_close(struct m2c_meter *m)
{
    if (!m)
        return;
    if (m->ops->close)
        m->ops->close(m);
    free(m->priv);
    free(m);
}

const char *m2c_meter_name(const struct m2c_meter *m)
{
    return m->ops->p.name;
}
enum m2c_how m2c_meter_how(const struct m2c_meter *m)
{
    return m->ops->how;
}
const char *m2c_meter_source(const struct m2c_meter *m)
{
    return m->source;
}
uint64_t m2c_meter_tick_ns(const struct m2c_meter *m)
{
    return m->tick_ns;
}

uint64_t m2c_meter_window_ns(const struct m2c_meter *m)
{
    return m->tick_ns * M2C_METER_TICKS;
}

uint64_t m2c_meter_now(const struct m2c_meter *m)
{
    if (m->ops->virtual_time && m->cfg.machine)
        return m2c_machine_now(m->cfg.machine);
    const struct m2c_meter_clock *c = m->cfg.clock;
    return c ? c->now(c->ctx) : m2c_now_ns();
}

static uint64_t wall_now(const struct m2c_meter *m)
{
    const struct m2c_meter_clock *c = m->cfg.clock;
    struct timespec ts;
    if (c && c->wall)
        return c->wall(c->ctx);
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void m2c_meter_lose(struct m2c_meter *m, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(m->lost, sizeof m->lost, fmt, ap);
    va_end(ap);
    m->gaps++;
}

static int read_sampler(struct m2c_meter *m, struct m2c_reading *out, struct m2c_err *err)
{
    struct m2c_integral sum;
    int r = m2c_power_read(m->sampler, &sum, err);
    if (sum.gaps != m->sampler_gaps)
        m2c_meter_lose(m, "its sensor was not read for too long, or the clock jumped");
    m->sampler_gaps = sum.gaps;
    if (r < 0)
        return r;
    out->uj[M2C_GPU] = (uint64_t)llround(sum.joules * 1e6);
    out->err_uj = (uint64_t)llround(sum.err_j * 1e6);
    out->edge_uj = (uint64_t)llround(m2c_integral_edge_j(&sum) * 1e6);
    out->changes = sum.sensor.coarse ? sum.n : sum.changes;
    return 0;
}

int m2c_meter_read_gpu(struct m2c_meter *m,
                       int (*counter)(struct m2c_meter *m, struct m2c_reading *out,
                                      struct m2c_err *err),
                       struct m2c_reading *out, struct m2c_err *err)
{
    int r = m->sampler ? read_sampler(m, out, err) : counter(m, out, err);
    if (r == 0)
        out->how[M2C_GPU] = M2C_MEASURED;
    return r < 0 ? -EIO : 0;
}

int m2c_meter_read(struct m2c_meter *m, const struct m2c_load *load,
                   struct m2c_reading *out, struct m2c_err *err)
{
    *out = (struct m2c_reading){0};
    if (m->ops->needs_load && !load)
        return m2c_fail(err, -EINVAL, "meter %s needs the load that it estimates from",
                        m->ops->p.name);
    int r = m->ops->read(m, load, out, err);
    /* after the reading: a read that was delayed may have missed a wrap */
    out->at_ns = m2c_meter_now(m);
    out->wall_ns = wall_now(m);
    if (m->max_gap_ns && out->at_ns > m->last_ns &&
        out->at_ns - m->last_ns > m->max_gap_ns)
        m2c_meter_lose(m, "it was not read for so long that a counter may have wrapped "
                          "round");
    out->gaps = m->gaps;
    if (r == 0)
        m->last_ns = out->at_ns;
    return r;
}

void m2c_meter_keep(struct m2c_meter *m)
{
    struct m2c_reading unused;
    if (m->sampler && m->cfg.clock)
        m2c_power_step(m->sampler);
    if (m->max_gap_ns == 0 || m2c_meter_now(m) - m->last_ns < m->max_gap_ns / 4)
        return;
    int r = m2c_meter_read(m, NULL, &unused, NULL);
    (void)r; /* a failure leaves last_ns, and with it the gap, as it was */
}

/* NULL, or why no difference of these readings is an energy. */
static const char *refusal(const struct m2c_meter *m, const struct m2c_reading *a,
                           const struct m2c_reading *b)
{
    if (b->at_ns < a->at_ns)
        return "the clock went back";
    if (b->at_ns - a->at_ns < m2c_meter_window_ns(m))
        return "the window is too short for its tick";
    if (a->gaps != b->gaps)
        return m->lost;
    return NULL;
}

static void difference(struct m2c_meter *m, const struct m2c_reading *a,
                       const struct m2c_reading *b, struct m2c_energy *out)
{
    double ends = out->seconds > 0 ? 2e-9 * (double)m->tick_ns / out->seconds : 0;
    for (int c = 0; c < M2C_N_COMPONENTS; c++) {
        if (a->how[c] == M2C_UNAVAILABLE || b->how[c] != a->how[c])
            continue;
        /* nothing that is switched on takes nothing */
        if (b->how[c] == M2C_MEASURED && b->uj[c] == a->uj[c])
            out->why = "its counter stood still throughout";
        else if (b->uj[c] < a->uj[c])
            out->why = "its counter went back";
        else {
            double joules = (double)(b->uj[c] - a->uj[c]) * 1e-6;
            out->how[c] = b->how[c];
            out->joules[c] = joules;
            out->err_j[c] = (double)(b->err_uj - a->err_uj + 2 * b->edge_uj) * 1e-6;
            if (b->edge_uj == 0)
                out->err_j[c] += joules * ends;
            if (b->how[c] != M2C_MEASURED)
                out->err_j[c] = NAN;
        }
    }
}

void m2c_meter_between(struct m2c_meter *m, const struct m2c_reading *a,
                       const struct m2c_reading *b, struct m2c_energy *out)
{
    uint64_t window_ns = b->at_ns > a->at_ns ? b->at_ns - a->at_ns : 0;
    *out = (struct m2c_energy){.seconds = (double)window_ns * 1e-9};
    for (int c = 0; c < M2C_N_COMPONENTS; c++) {
        out->how[c] = M2C_UNAVAILABLE;
        out->joules[c] = out->err_j[c] = NAN;
    }
    out->why = refusal(m, a, b);
    if (out->why)
        return;
    if (m->ops->span) {
        struct m2c_err err = {0};
        if (m->ops->span(m, a, b, out, &err) < 0) {
            snprintf(m->why, sizeof m->why, "%.250s", err.msg);
            out->why = m->why;
        }
        return;
    }
    if (b->changes == a->changes && b->edge_uj + b->err_uj > 0)
        out->why = "it stood still throughout, as a sensor does that is stuck";
    else
        difference(m, a, b, out);
}
