/* SPDX-License-Identifier: MIT */
/* What a meter implements. Inside the module. */
#ifndef M2C_METER_METER_IMPL_H
#define M2C_METER_METER_IMPL_H

#include "meter/meter.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_meter_ops {
    struct m2c_plugin p;
    enum m2c_how how; /* of every component that it knows */
    bool needs_load;
    uint64_t tick_ns;
    /* Mandatory but close. open fills m->source and, where counters wrap,
     * m->max_gap_ns. */
    int (*open)(struct m2c_meter *m, struct m2c_err *err);
    void (*close)(struct m2c_meter *m);
    /* Fills uj and how of what it knows; the rest is zeroed before. */
    int (*read)(struct m2c_meter *m, const struct m2c_load *load, struct m2c_reading *out,
                struct m2c_err *err);
};

struct m2c_meter {
    const struct m2c_meter_ops *ops;
    struct m2c_meter_cfg cfg;
    char source[256];
    uint64_t max_gap_ns; /* between readings, so that no wrap is missed; 0: any */
    uint64_t last_ns;    /* of the last reading */
    uint32_t gaps;
    void *priv;
};

/* The start-up check of meters, NULL-terminated. */
M2C_MUST_USE int m2c_meter_check(const struct m2c_meter_ops *const *meters,
                                 struct m2c_err *err);

extern const struct m2c_meter_ops m2c_meter_rapl, m2c_meter_model, m2c_meter_null;

#ifdef __cplusplus
}
#endif
#endif
