/* SPDX-License-Identifier: MIT */
/* Energy meters: cumulative microjoules by component.
 *
 * A meter reads what the machine reports, or estimates from stated constants
 * and says so. What it does not know is unavailable, never zero. Callers
 * subtract two readings, by m2c_meter_between, which refuses windows that the
 * source cannot resolve, has lost count in or stood still in, and says how far
 * the rest may be off. A meter is used by one thread at a time; one that samples
 * has a thread of its own. Each source is one file and one line of the registry. */
#ifndef M2C_METER_METER_H
#define M2C_METER_METER_H

#include "base/how.h"
#include "base/plugin.h"
#include "sim/machine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* M2C_WALL is the whole machine at its plug: the others are parts of it. */
enum m2c_component {
    M2C_CPU,
    M2C_DRAM,
    M2C_SSD,
    M2C_GPU,
    M2C_WALL,
    M2C_N_COMPONENTS
};
/* "cpu", "dram", "ssd", "gpu", "wall" */
const char *m2c_component_name(enum m2c_component c);

/* A clock in place of CLOCK_MONOTONIC, and of the wall's where `wall` is given.
 * With one no meter starts a thread: m2c_meter_keep takes the samples. */
struct m2c_meter_clock {
    uint64_t (*now)(void *ctx);  /* ns */
    uint64_t (*wall)(void *ctx); /* ns since 1970, UTC; or NULL */
    void *ctx;
};

struct m2c_meter_cfg {
    const char *powercap; /* of rapl; "" or NULL: /sys/class/powercap */
    const char *hwmon;    /* of hwmon; "" or NULL: /sys/class/hwmon */
    const char *nvml;     /* of nvml: the library; "" or NULL: libnvidia-ml.so.1 */
    const char *gpu;      /* which, where there are several: its number among those that
                             the meter sees, a PCI address, nvml: a UUID too; "" or NULL */
    bool gpu_sampled;     /* nvml: sample power though the card counts energy */
    double period_ms;     /* between samples of power; 0: as the sensor needs */
    const char *wall_csv; /* of wall: the file that a wall meter's logger writes */
    double wall_wait_s;   /* for rows that are not written yet, at most */
    /* of the model meter, all >= 0 */
    double cpu_busy_w; /* a busy core */
    double cpu_idle_w; /* the package */
    double dram_w_per_gib, dram_j_per_gb, ssd_w, ssd_j_per_gb;
    double gpu_w; /* 0: a GPU is not estimated */
    struct m2c_machine *machine; /* of the sim meter, borrowed; NULL: all is real */
    /* of the null meter: the Nth reading fails; 0: none */
    unsigned fail_nth;
    const struct m2c_meter_clock *clock; /* borrowed; NULL: the machine's */
};

/* What the model meter estimates from: the caller's own cumulative counts. */
struct m2c_load {
    double wall_s, cpu_s; /* cpu_s: seconds of busy cores */
    double dram_gib;      /* of the whole machine or of the budget: the caller says */
    double dram_bytes;    /* moved into and out of it so far, as far as it is known */
    double ssd_bytes;     /* read so far */
};

struct m2c_reading {
    uint64_t at_ns;                     /* CLOCK_MONOTONIC, or the machine's time */
    uint64_t wall_ns;                   /* since 1970, UTC */
    uint64_t uj[M2C_N_COMPONENTS];      /* since open, wrap-around undone; 0 if unknown */
    enum m2c_how how[M2C_N_COMPONENTS]; /* what uj is */
    uint32_t gaps;                      /* how often count was lost until now */
    /* Of sensors: how far uj may be off, without and at its ends; how often the
     * reading was seen to change. */
    uint64_t err_uj, edge_uj, changes;
};

struct m2c_meter;

const struct m2c_plugin *const *m2c_meter_list(void); /* NULL-terminated */

/* -ENOENT for an unknown meter, -ENODEV where the machine has no such source,
 * -EACCES where it is not allowed to be read (detail says how to allow it),
 * -EINVAL for constants below zero. */
M2C_MUST_USE int m2c_meter_open(struct m2c_meter **out, const char *name,
                                const struct m2c_meter_cfg *cfg, struct m2c_err *err);
void m2c_meter_close(struct m2c_meter *m); /* accepts NULL */
const char *m2c_meter_name(const struct m2c_meter *m);
/* What its figures are; UNAVAILABLE for the null meter. */
enum m2c_how m2c_meter_how(const struct m2c_meter *m);
/* Where the joules come from, with constants; borrowed. */
const char *m2c_meter_source(const struct m2c_meter *m);

/* How often the source renews its counters; 0: at every reading. */
uint64_t m2c_meter_tick_ns(const struct m2c_meter *m);
/* The shortest window that m2c_meter_between accepts: both ends are off by up
 * to a tick, so M2C_METER_TICKS of them keep the error within 4 %. */
enum { M2C_METER_TICKS = 50 };
uint64_t m2c_meter_window_ns(const struct m2c_meter *m);

/* `load` may be NULL for meters that do not estimate. -EIO when a source has
 * vanished or makes no sense. */
M2C_MUST_USE int m2c_meter_read(struct m2c_meter *m, const struct m2c_load *load,
                                struct m2c_reading *out, struct m2c_err *err);
/* For long windows, as often as convenient: reads counters that might otherwise
 * wrap round unseen, which is due every few seconds to minutes; with a clock of
 * the caller's, takes a sample of power; else does nothing. What fails here will
 * show in the next reading. */
void m2c_meter_keep(struct m2c_meter *m);

struct m2c_energy {
    double seconds;
    double joules[M2C_N_COMPONENTS]; /* NaN if unavailable */
    double err_j[M2C_N_COMPONENTS];  /* that joules may be off, each way; NaN: not known */
    enum m2c_how how[M2C_N_COMPONENTS];
    const char *why; /* why what the meter knows is not available; or NULL. Borrowed */
};
/* From reading `a` to the later `b` of the same meter. */
void m2c_meter_between(struct m2c_meter *m, const struct m2c_reading *a,
                       const struct m2c_reading *b, struct m2c_energy *out);

#ifdef __cplusplus
}
#endif
#endif
