/* SPDX-License-Identifier: MIT */
/* What a meter implements. Inside the module. */
#ifndef M2C_METER_METER_IMPL_H
#define M2C_METER_METER_IMPL_H

#include "meter/meter.h"

struct m2c_meter_ops {
    struct m2c_plugin p;
    bool measures;
    double window_s;
    /* All mandatory but close. open fills m->source. */
    int (*open)(struct m2c_meter *m, struct m2c_err *err);
    void (*close)(struct m2c_meter *m);
    int (*read)(struct m2c_meter *m, const struct m2c_load *load, struct m2c_reading *out,
                struct m2c_err *err);
};

struct m2c_meter {
    const struct m2c_meter_ops *ops;
    struct m2c_meter_cfg cfg;
    char source[256];
    void *priv;
};

extern const struct m2c_meter_ops m2c_meter_rapl, m2c_meter_model;

#endif
