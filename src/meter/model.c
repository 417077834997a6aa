/* SPDX-License-Identifier: MIT */
/* An estimate from stated constants:
 *     cpu  = cpu_busy_w * seconds of busy cores + cpu_idle_w * seconds
 *     dram = dram_w_per_gib * GiB * seconds + dram_j_per_gb * 1e-9 * bytes moved
 *     ssd  = ssd_w * seconds + ssd_j_per_gb * 1e-9 * bytes read
 *     gpu  = gpu_w * seconds, only where gpu_w is given: what a GPU takes depends
 *            on more than its time */
#include "meter/meter_impl.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

struct model {
    struct m2c_load first;
    bool started;
};

static int open_model(struct m2c_meter *m, struct m2c_err *err)
{
    const struct m2c_meter_cfg *c = &m->cfg;
    (void)err;
    int n =
        snprintf(m->source, sizeof m->source,
                 "model: %g W a busy core, %g W idle package, %g W/GiB + %g J/GB DRAM, "
                 "%g W + %g J/GB SSD",
                 c->cpu_busy_w, c->cpu_idle_w, c->dram_w_per_gib, c->dram_j_per_gb,
                 c->ssd_w, c->ssd_j_per_gb);
    if (c->gpu_w > 0)
        snprintf(m->source + n, sizeof m->source - (size_t)n, ", %g W GPU", c->gpu_w);
    return 0;
}

/* False for what is no amount of energy. */
static bool put(struct m2c_reading *out, enum m2c_component c, double joules)
{
    if (!(joules >= 0 && joules < 1e12))
        return false;
    out->uj[c] = (uint64_t)llround(joules * 1e6);
    out->how[c] = M2C_ESTIMATED;
    return true;
}

static int read_model(struct m2c_meter *m, const struct m2c_load *load,
                      struct m2c_reading *out, struct m2c_err *err)
{
    struct model *s = m->priv;
    const struct m2c_meter_cfg *c = &m->cfg;
    if (!s->started) {
        s->first = *load;
        s->started = true;
    }
    double wall = load->wall_s - s->first.wall_s, cpu = load->cpu_s - s->first.cpu_s;
    double moved = (load->dram_bytes - s->first.dram_bytes) * 1e-9;
    double gb = (load->ssd_bytes - s->first.ssd_bytes) * 1e-9;
    bool ok = put(out, M2C_CPU, c->cpu_busy_w * cpu + c->cpu_idle_w * wall) &&
              moved >= 0 &&
              put(out, M2C_DRAM,
                  c->dram_w_per_gib * load->dram_gib * wall + c->dram_j_per_gb * moved) &&
              put(out, M2C_SSD, c->ssd_w * wall + c->ssd_j_per_gb * gb) &&
              (!(c->gpu_w > 0) || put(out, M2C_GPU, c->gpu_w * wall));
    return ok ? 0
              : m2c_fail(err, -EIO,
                         "model: no energy follows from %g s, %g s of cores, %g GiB, %g "
                         "bytes since the first reading",
                         wall, cpu, load->dram_gib, gb * 1e9);
}

const struct m2c_meter_ops m2c_meter_model = {
    .p = {.name = "model",
          .desc = "an estimate from stated watts",
          .priv_size = sizeof(struct model)},
    .how = M2C_ESTIMATED,
    .needs_load = true,
    .open = open_model,
    .read = read_model,
};
