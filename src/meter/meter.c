/* SPDX-License-Identifier: MIT */
/* Registry of meters, and what all of them share: readings with their time,
 * gaps, differences. */
#include "meter/meter_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Those that measure come first. */
static const struct m2c_meter_ops *const registry[] = {
    &m2c_meter_rapl,
    &m2c_meter_model,
    &m2c_meter_null,
    NULL,
};

const struct m2c_plugin *const *m2c_meter_list(void)
{
    return (const struct m2c_plugin *const *)(const void *)registry;
}

const char *m2c_component_name(enum m2c_component c)
{
    static const char *const names[M2C_N_COMPONENTS] = {"cpu", "dram", "ssd", "gpu"};
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
    const double values[] = {c->cpu_busy_w, c->cpu_idle_w, c->dram_w_per_gib, c->ssd_w,
                             c->ssd_j_per_gb};
    for (size_t i = 0; i < M2C_COUNTOF(values); i++) {
        if (!(values[i] >= 0 && values[i] < 1e9))
            return m2c_fail(err, -EINVAL, "meter: a constant of %g W or J", values[i]);
    }
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
    m->last_ns = m2c_now_ns();
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
    return m->ops->tick_ns;
}

uint64_t m2c_meter_window_ns(const struct m2c_meter *m)
{
    return m->ops->tick_ns * M2C_METER_TICKS;
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
    out->at_ns = m2c_now_ns();
    if (m->max_gap_ns && out->at_ns - m->last_ns > m->max_gap_ns)
        m->gaps++;
    out->gaps = m->gaps;
    if (r == 0)
        m->last_ns = out->at_ns;
    return r;
}

void m2c_meter_keep(struct m2c_meter *m)
{
    struct m2c_reading unused;
    if (m->max_gap_ns == 0 || m2c_now_ns() - m->last_ns < m->max_gap_ns / 4)
        return;
    int r = m2c_meter_read(m, NULL, &unused, NULL);
    (void)r; /* a failure leaves last_ns, and with it the gap, as it was */
}

void m2c_meter_between(const struct m2c_meter *m, const struct m2c_reading *a,
                       const struct m2c_reading *b, struct m2c_energy *out)
{
    uint64_t window_ns = b->at_ns > a->at_ns ? b->at_ns - a->at_ns : 0;
    *out = (struct m2c_energy){.seconds = (double)window_ns * 1e-9};
    if (window_ns < m2c_meter_window_ns(m))
        out->why = "the window is too short for its tick";
    else if (a->gaps != b->gaps)
        out->why = "it was not read for so long that a counter may have wrapped round";
    for (int c = 0; c < M2C_N_COMPONENTS; c++) {
        bool known = !out->why && a->how[c] != M2C_UNAVAILABLE &&
                     b->how[c] == a->how[c] && b->uj[c] >= a->uj[c];
        out->how[c] = known ? b->how[c] : M2C_UNAVAILABLE;
        out->joules[c] = known ? (double)(b->uj[c] - a->uj[c]) * 1e-6 : NAN;
    }
}
