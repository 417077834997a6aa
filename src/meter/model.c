/* SPDX-License-Identifier: MIT */
/* An estimate from stated constants: watts of busy cores and of the idle
 * package, watts a GiB of DRAM, watts of the SSD and joules a gigabyte read.
 * The defaults for DRAM and SSD are the paper's (26 W for 256 GB, 2 W). */
#include "meter/meter_impl.h"

#include <stdio.h>

struct model {
    struct m2c_load first;
    bool started;
};

static int open_model(struct m2c_meter *m, struct m2c_err *err)
{
    const struct m2c_meter_cfg *c = &m->cfg;
    (void)err;
    snprintf(m->source, sizeof m->source,
             "model: %g W a busy core, %g W idle package, %g W/GiB DRAM, %g W + %g J/GB SSD",
             c->cpu_busy_w, c->cpu_idle_w, c->dram_w_per_gib, c->ssd_w, c->ssd_j_per_gb);
    return 0;
}

static int read_model(struct m2c_meter *m, const struct m2c_load *load,
                      struct m2c_reading *out, struct m2c_err *err)
{
    struct model *s = m->priv;
    const struct m2c_meter_cfg *c = &m->cfg;
    (void)err;
    if (!s->started) {
        s->first = *load;
        s->started = true;
    }
    double wall = load->wall_s - s->first.wall_s, cpu = load->cpu_s - s->first.cpu_s;
    out->joules[M2C_CPU] = c->cpu_busy_w * cpu + c->cpu_idle_w * wall;
    out->joules[M2C_DRAM] = c->dram_w_per_gib * load->dram_gib * wall;
    out->joules[M2C_SSD] =
        c->ssd_w * wall + c->ssd_j_per_gb * (load->ssd_bytes - s->first.ssd_bytes) * 1e-9;
    out->known[M2C_CPU] = out->known[M2C_DRAM] = out->known[M2C_SSD] = true;
    return 0;
}

const struct m2c_meter_ops m2c_meter_model = {
    .p = {.name = "model",
          .desc = "an estimate from stated watts",
          .priv_size = sizeof(struct model)},
    .open = open_model,
    .read = read_model,
};
