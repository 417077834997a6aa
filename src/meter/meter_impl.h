/* SPDX-License-Identifier: MIT */
/* What a meter implements. Inside the module. */
#ifndef M2C_METER_METER_IMPL_H
#define M2C_METER_METER_IMPL_H

#include "meter/meter.h"
#include "meter/power.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_meter_ops {
    struct m2c_plugin p;
    enum m2c_how how; /* of every component that it knows */
    bool needs_load;
    bool virtual_time; /* of cfg.machine */
    uint64_t tick_ns;
    /* Mandatory but close. open fills m->source and, where counters wrap,
     * m->max_gap_ns. */
    int (*open)(struct m2c_meter *m, struct m2c_err *err);
    void (*close)(struct m2c_meter *m);
    /* Fills uj and how of what it knows; the rest is zeroed before. */
    int (*read)(struct m2c_meter *m, const struct m2c_load *load, struct m2c_reading *out,
                struct m2c_err *err);
    /* Optional: energy of a window that is known only when it is over; the readings
     * then tell times alone. < 0: it is not known, detail says why. */
    int (*span)(struct m2c_meter *m, const struct m2c_reading *a,
                const struct m2c_reading *b, struct m2c_energy *out, struct m2c_err *err);
};

struct m2c_meter {
    const struct m2c_meter_ops *ops;
    struct m2c_meter_cfg cfg;
    char source[256];
    char lost[192];      /* how count was lost last */
    char why[256];       /* of the last m2c_meter_between */
    uint64_t tick_ns;    /* the ops table's, unless open knows better */
    uint64_t max_gap_ns; /* between readings, so that no wrap is missed; 0: any */
    uint64_t last_ns;    /* of the last reading */
    uint32_t gaps;
    struct m2c_power *sampler; /* opened and closed by the source; NULL: it has a counter */
    uint64_t sampler_gaps;     /* of the sampler, until now */
    void *priv;
};

uint64_t m2c_meter_now(const struct m2c_meter *m);
/* Count is lost, for this reason: windows that span this moment have no energy. */
void m2c_meter_lose(struct m2c_meter *m, const char *fmt, ...) M2C_PRINTF(2, 3);
/* Fills uj and how of the GPU, and the bands: from the sampler where there is one,
 * else by `counter`. -EIO. */
M2C_MUST_USE int m2c_meter_read_gpu(struct m2c_meter *m,
                                    int (*counter)(struct m2c_meter *m,
                                                   struct m2c_reading *out,
                                                   struct m2c_err *err),
                                    struct m2c_reading *out, struct m2c_err *err);

/* The start-up check of meters, NULL-terminated. */
M2C_MUST_USE int m2c_meter_check(const struct m2c_meter_ops *const *meters,
                                 struct m2c_err *err);

extern const struct m2c_meter_ops m2c_meter_rapl, m2c_meter_nvml, m2c_meter_hwmon,
    m2c_meter_wall, m2c_meter_sim, m2c_meter_model, m2c_meter_null;

#ifdef __cplusplus
}
#endif
#endif
