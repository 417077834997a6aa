/* SPDX-License-Identifier: MIT */
/* Registry of meters. */
#include "meter/meter_impl.h"

#include <errno.h>
#include <stdlib.h>

/* In probing order. */
static const struct m2c_meter_ops *const registry[] = {
    &m2c_meter_rapl,
    &m2c_meter_model,
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

int m2c_meter_open(struct m2c_meter **out, const char *name,
                   const struct m2c_meter_cfg *cfg, struct m2c_err *err)
{
    const struct m2c_meter_ops *ops = m2c_plugin_find(
        (const void *const *)(const void *)registry, "meter", name, err);
    if (!ops)
        return -ENOENT;
    struct m2c_meter *m = calloc(1, sizeof *m);
    if (!m || !(m->priv = calloc(1, ops->p.priv_size ? ops->p.priv_size : 1))) {
        free(m);
        return m2c_fail(err, -ENOMEM, "meter %s: out of memory", name);
    }
    m->ops = ops;
    m->cfg = *cfg;
    int r = ops->open(m, err);
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

const char *m2c_meter_name(const struct m2c_meter *m) { return m->ops->p.name; }
bool m2c_meter_measures(const struct m2c_meter *m) { return m->ops->measures; }
const char *m2c_meter_source(const struct m2c_meter *m) { return m->source; }
double m2c_meter_window_s(const struct m2c_meter *m) { return m->ops->window_s; }

int m2c_meter_read(struct m2c_meter *m, const struct m2c_load *load,
                   struct m2c_reading *out, struct m2c_err *err)
{
    *out = (struct m2c_reading){0};
    return m->ops->read(m, load, out, err);
}

double m2c_carbon_g(double joules, double g_per_kwh) { return joules / 3.6e6 * g_per_kwh; }
