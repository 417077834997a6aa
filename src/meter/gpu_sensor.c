/* SPDX-License-Identifier: MIT */
/* NVIDIA's sensors by generation.
 *
 * [Y] Z. Yang, K. Adamek, W. Armour, "Accurate and Convenient Energy Measurements
 *     for GPUs: A Detailed Study of NVIDIA GPU's Built-In Power Sensor", SC 2024
 *     (arXiv 2312.02741, "Part-time Power Measurements"): more than 70 cards against
 *     an external meter. A reading is the mean over a window of W that ends with it,
 *     renewed every T: A100 and H100 W = 25 ms of T = 100 ms (a quarter of the time
 *     is seen), GH200 20 of 100 ms. Energy taken from readings alone was 39 % low on
 *     average, 69 % at most, before it was corrected.
 * [B] M. Burtscher, I. Zecena, Z. Zong, "Measuring GPU Power with the K20 Built-in
 *     Sensor", GPGPU-7, 2014: the reading follows like the charge of a capacitor,
 *     with a time constant of 0.84 s.
 * [N] NVML API reference, nvmlDeviceGetPowerUsage: the mean of 1 s on Ampere but
 *     GA100, and newer; NVML_FI_DEV_POWER_INSTANT is without it.
 *
 * Where none of them has a figure the wider one of its neighbours is taken, so
 * that a band errs by being too wide. */
#include "meter/gpu_sensor.h"

#include <string.h>

#define MS UINT64_C(1000000)

struct row {
    int from, to;     /* compute capability, 10 * major + minor */
    const char *name; /* part of the card's name, or NULL */
    unsigned t_ms, w_ms, rc_ms;
    bool averaged; /* by the driver, over 1 s, unless the instant is asked for */
};

static const struct row rows[] = {
    {90, 90, "GH200", 100, 20, 0, true}, /* [Y] */
    {90, 90, NULL, 100, 25, 0, true},    /* H100 [Y], [N] */
    {80, 80, NULL, 100, 25, 0, false},   /* A100 [Y], GA100 of [N] */
    {81, 89, NULL, 100, 100, 0, true},   /* consumer Ampere, Ada: [N] */
    {75, 75, NULL, 100, 100, 0, false},  /* Turing */
    {60, 74, NULL, 100, 50, 0, false},   /* Pascal, Volta: no figure checked; half */
    {0, 59, NULL, 100, 100, 840, false}, /* Kepler [B]; Maxwell (M40) as Kepler */
    {0, 9999, NULL, 100, 20, 0, true},   /* newer than the studies: as the worst */
};

void m2c_gpu_sensor(int major, int minor, const char *name, bool instant,
                    struct m2c_sensor *out)
{
    const int cc = 10 * major + minor;
    const struct row *r = rows;
    while (cc < r->from || cc > r->to || (r->name && !strstr(name, r->name)))
        r++;
    unsigned window = r->averaged && !instant ? 1000 : r->w_ms;
    *out = (struct m2c_sensor){.period_ns = r->t_ms * MS,
                               .lag_ns = (window / 2 + r->rc_ms) * MS,
                               .seen = M2C_MIN(1.0, (double)r->w_ms / r->t_ms),
                               .gain = M2C_SENSOR_GAIN};
}
