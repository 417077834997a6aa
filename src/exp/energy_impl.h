/* SPDX-License-Identifier: MIT */
/* Inside of the energy of a window: what energy.c collects and energy_put.c puts
 * into the record. */
#ifndef M2C_EXP_ENERGY_IMPL_H
#define M2C_EXP_ENERGY_IMPL_H

#include "exp/energy.h"
#include "meter/carbon.h"
#include "meter/meter.h"

enum { M2C_MAX_METERS = 8 };

struct m2c_sum {
    uint64_t before, last; /* of a counter until it was reset, and since */
};

/* What a component took. */
struct m2c_spent {
    double joules, err_j; /* NaN: unavailable; err_j: each way, NaN: not known */
    double seconds;
    enum m2c_how how;
    bool settled;
    char source[704];
};

struct m2c_window {
    struct m2c_run *run;
    struct m2c_engine *engine;
    struct m2c_meter
        *meter[M2C_MAX_METERS]; /* in order of preference; none: all unknown */
    struct m2c_reading first[M2C_MAX_METERS];
    size_t n;
    bool started;
    double start_unix_s; /* of the window */
    struct m2c_sum dram, ssd;
    struct m2c_spent idle[M2C_N_COMPONENTS]; /* where meter.idle_s is given */
    char denied[256]; /* why a better source is not used, where that can be changed */
};

/* From `first` until now. */
void m2c_window_collect(struct m2c_window *w, const struct m2c_reading *first,
                        struct m2c_spent parts[M2C_N_COMPONENTS]);
/* The wall's clock, in seconds since 1970. */
double m2c_window_unix_s(void);
bool m2c_window_on_processor(const struct m2c_window *w);

#endif
