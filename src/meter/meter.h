/* SPDX-License-Identifier: MIT */
/* Energy meters: cumulative joules by component.
 *
 * A meter reads what the machine reports, or estimates from stated constants
 * and says so. What it cannot know it does not report: a missing component is
 * absent, never zero. */
#ifndef M2C_METER_METER_H
#define M2C_METER_METER_H

#include "base/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

enum m2c_component { M2C_CPU, M2C_DRAM, M2C_SSD, M2C_GPU, M2C_N_COMPONENTS };
const char *m2c_component_name(enum m2c_component c); /* "cpu", "dram", … */

struct m2c_meter_cfg {
    const char *powercap; /* "" or NULL: /sys/class/powercap */
    /* of the model meter */
    double cpu_busy_w; /* a busy core */
    double cpu_idle_w; /* the package */
    double dram_w_per_gib, ssd_w, ssd_j_per_gb;
};

/* What the model meter estimates from: the caller's own cumulative counts. */
struct m2c_load {
    double wall_s, cpu_s; /* cpu_s: seconds of busy cores */
    double dram_gib;      /* of the whole machine or of the budget: the caller says */
    double ssd_bytes;     /* read so far */
};

struct m2c_reading {
    bool known[M2C_N_COMPONENTS];
    double joules[M2C_N_COMPONENTS]; /* since open, wrap-around undone */
};

struct m2c_meter;

const struct m2c_plugin *const *m2c_meter_list(void); /* NULL-terminated */

/* -ENODEV where the machine has no such source, -EACCES where it is not
 * allowed to be read (detail says how to allow it). */
M2C_MUST_USE int m2c_meter_open(struct m2c_meter **out, const char *name,
                                const struct m2c_meter_cfg *cfg, struct m2c_err *err);
void m2c_meter_close(struct m2c_meter *m); /* accepts NULL */
const char *m2c_meter_name(const struct m2c_meter *m);
bool m2c_meter_measures(const struct m2c_meter *m); /* false: estimates */
/* Where the joules come from, with constants; borrowed. */
const char *m2c_meter_source(const struct m2c_meter *m);
/* Shortest window that a source's own tick allows, in seconds. */
double m2c_meter_window_s(const struct m2c_meter *m);
/* -EIO when a source vanished. Read at least once a wrap (RAPL: minutes). */
M2C_MUST_USE int m2c_meter_read(struct m2c_meter *m, const struct m2c_load *load,
                                struct m2c_reading *out, struct m2c_err *err);

/* Operational carbon in gCO2: joules times the grid's intensity (M2Cache,
 * arXiv 2410.14740, Eq. 1, with embodied carbon taken as 0 as there). */
double m2c_carbon_g(double joules, double g_per_kwh);

#ifdef __cplusplus
}
#endif
#endif
