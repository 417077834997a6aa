/* SPDX-License-Identifier: MIT */
/* The energy of a simulated machine: power states of its profile.
 *
 * The card draws its idle power always; what computing adds, while its kernels run;
 * what copying adds, while an engine copies. Both at once add both: the board's
 * limit is not modelled. One thread of the host is busy while it works, and idle while
 * it waits, as m2c's is, which spins for microseconds only. */
#include "meter/meter_impl.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

static int open_sim(struct m2c_meter *m, struct m2c_err *err)
{
    if (!m->cfg.machine)
        return m2c_fail(err, -ENODEV, "sim: there is no simulated machine");
    const struct m2c_profile *p = m2c_machine_profile(m->cfg.machine);
    snprintf(m->source, sizeof m->source,
             "simulated: GPU %g W idle, %g busy, %g copying; CPU %g + %g W; %g W/GiB DRAM; SSD "
             "%g W, %g busy",
             p->power.gpu_idle, p->power.gpu_busy, p->power.gpu_copy, p->power.cpu_idle,
             p->power.cpu_busy, p->power.dram_w_per_gib, p->ssd.idle_w, p->ssd.busy_w);
    return 0;
}

static void put(struct m2c_reading *out, enum m2c_component c, double joules)
{
    out->uj[c] = (uint64_t)llround(joules * 1e6);
    out->how[c] = M2C_SIMULATED;
}

static int read_sim(struct m2c_meter *m, const struct m2c_load *load,
                    struct m2c_reading *out, struct m2c_err *err)
{
    const struct m2c_profile *p = m2c_machine_profile(m->cfg.machine);
    const struct m2c_machine_use *use = m2c_machine_use(m->cfg.machine);
    double s = (double)m2c_machine_now(m->cfg.machine) * 1e-9;
    double compute = (double)use->compute_ns * 1e-9, copy = (double)use->copy_ns * 1e-9;
    double gib = (double)p->host.memory / 1073741824.0;
    (void)load;
    (void)err;
    put(out, M2C_CPU, p->power.cpu_idle * s + p->power.cpu_busy * (double)use->host_ns * 1e-9);
    put(out, M2C_DRAM, p->power.dram_w_per_gib * gib * s);
    put(out, M2C_SSD,
        p->ssd.idle_w * s + (p->ssd.busy_w - p->ssd.idle_w) * (double)use->ssd_ns * 1e-9);
    if (p->gpu.kind == M2C_PROFILE_CARD)
        put(out, M2C_GPU,
            p->power.gpu_idle * s + (p->power.gpu_busy - p->power.gpu_idle) * compute +
                (p->power.gpu_copy - p->power.gpu_idle) * copy);
    return 0;
}

const struct m2c_meter_ops m2c_meter_sim = {
    .p = {.name = "sim", .desc = "the power states of a simulated machine"},
    .how = M2C_SIMULATED,
    .virtual_time = true,
    .open = open_sim,
    .read = read_sim,
};
