/* SPDX-License-Identifier: MIT */
/* Energy from a sensor of power: samples taken by a thread, added up by the
 * trapezoid rule, with what the sensor cannot know kept beside the sum.
 *
 * A sensor may average over a window, follow late, or look for a part of the
 * time only; struct m2c_sensor says which. Inside the module. */
#ifndef M2C_METER_POWER_H
#define M2C_METER_POWER_H

#include "meter/meter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is known of a sensor. */
struct m2c_sensor {
    uint64_t period_ns; /* between renewals of its reading */
    uint64_t lag_ns;    /* how late it follows: half the window that it averages over,
                           or the time constant of its filter */
    double seen;        /* share of the time that enters a reading, (0, 1] */
    double gain;        /* relative error of a steady reading */
    double limit_w;     /* what the device is kept below; 0: not known */
    bool coarse;        /* in whole watts or so: that it stands still is no fault */
};

/* A sum of energy. Pure: no clock, no thread. */
struct m2c_integral {
    struct m2c_sensor sensor;
    uint64_t max_gap_ns; /* between samples; more is no trapezoid but a guess */
    uint64_t n, changes, gaps, last_ns;
    double last_w, min_w, max_w;
    double joules, err_j; /* err_j: how far `joules` may be off, edges left out */
};

void m2c_integral_init(struct m2c_integral *s, const struct m2c_sensor *sensor,
                       uint64_t max_gap_ns);
/* A time before the last sample's is a clock that jumped: a gap, as is one more
 * than max_gap_ns later. Nothing is added over a gap. */
void m2c_integral_add(struct m2c_integral *s, uint64_t at_ns, double watts);
/* How far the sum may be off at one moment, in joules: what has not reached the
 * reading yet, times how much the power has been seen to move. */
double m2c_integral_edge_j(const struct m2c_integral *s);

struct m2c_power_cfg {
    struct m2c_sensor sensor;
    uint64_t period_ns; /* of samples; 0: two a renewal */
    /* Watts now, > 0. -ENODEV: the device is gone, and no more is asked for;
     * other failures may pass. On the sampler's thread or the reader's, never
     * on both at a time. */
    int (*probe)(void *ctx, double *watts, struct m2c_err *err);
    void *ctx;
    const struct m2c_meter_clock *clock; /* given: no thread, the owner steps */
};

struct m2c_power;

/* Takes the first sample; its failure is the opening's. */
M2C_MUST_USE int m2c_power_open(struct m2c_power **out, const struct m2c_power_cfg *cfg,
                                struct m2c_err *err);
void m2c_power_close(struct m2c_power *s); /* accepts NULL; ends the thread */
uint64_t m2c_power_period_ns(const struct m2c_power *s);
/* Takes a sample now, for owners with a clock of their own. */
void m2c_power_step(struct m2c_power *s);
/* Takes a sample and gives the sums until now. What fails is a device that is
 * gone, or one that does not answer now. */
M2C_MUST_USE int m2c_power_read(struct m2c_power *s, struct m2c_integral *out,
                                struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
