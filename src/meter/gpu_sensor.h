/* SPDX-License-Identifier: MIT */
/* What is published about the power sensors of NVIDIA's cards, as data. */
#ifndef M2C_METER_GPU_SENSOR_H
#define M2C_METER_GPU_SENSOR_H

#include "meter/power.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The relative error of a steady reading: 5 %, on all generations that were
 * compared with an external meter (Yang et al., SC 2024: not the 5 W that had
 * been documented). */
#define M2C_SENSOR_GAIN 0.05

/* By compute capability and name; `instant`: the reading is the one without the
 * driver's 1 s average. limit_w is left 0. */
void m2c_gpu_sensor(int major, int minor, const char *name, bool instant,
                    struct m2c_sensor *out);

#ifdef __cplusplus
}
#endif
#endif
