/* SPDX-License-Identifier: MIT */
/* A libnvidia-ml that plays a known power curve. For tests alone: nothing finds
 * it that does not name its file.
 *
 * The curve is a square wave: `high` watts for `duty` of every `wave` ms, `low`
 * for the rest, and `ripple` more for every other 3.5 s; its integral is closed, so what
 * a meter says is compared with the truth. The sensor renews its reading every `t` ms and
 * shows, by `w` and `tau`: the power at that moment (0, 0), the mean over the last w ms
 * (a quarter of the time where w = t / 4), or the power through a filter of time constant
 * tau.
 *
 * Configured by STUB_NVML, "key=value,..." in whole numbers, read by nvmlInit. */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stub_nvml.h"

enum { OK = 0, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, LOST = 15 };

static struct {
    /* the card */
    long cards, cc, limit, counter, instant, init;
    /* the curve, W and ms */
    long low, high, wave, duty, ripple;
    /* the sensor, ms */
    long t, w, tau;
    /* the counter: mJ at the start; bits after which it goes round */
    long base, bits;
    /* faults, ms after the start; 0: never */
    long stuck, lost, zero, error, back;
} c;

static const struct {
    const char *key;
    long *value, def;
} keys[] = {{"cards", &c.cards, 1},
            {"cc", &c.cc, 75},
            {"limit", &c.limit, 300},
            {"counter", &c.counter, 1},
            {"instant", &c.instant, 0},
            {"init", &c.init, 0},
            {"low", &c.low, 50},
            {"high", &c.high, 250},
            {"wave", &c.wave, 10000},
            {"duty", &c.duty, 40},
            {"t", &c.t, 20},
            {"w", &c.w, 0},
            {"tau", &c.tau, 0},
            {"ripple", &c.ripple, 0},
            {"base", &c.base, 1000},
            {"bits", &c.bits, 64},
            {"stuck", &c.stuck, 0},
            {"lost", &c.lost, 0},
            {"zero", &c.zero, 0},
            {"error", &c.error, 0},
            {"back", &c.back, 0}};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int manual, opened;
static double manual_s, start_s, filter_w, filter_at;

static double machine_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static double now_s(void)
{
    return (manual ? manual_s : machine_s()) - start_s;
}

/* ---- the curve ---- */

/* Seconds until s that a square wave was up, in waves of `wave` that begin up. */
static double up_s(double s, double wave, double up)
{
    double whole = floor(s / wave), rest = s - whole * wave;
    return whole * up + (rest < up ? rest : up);
}

static double energy(double s) /* from 0 to s; before 0 the power was low */
{
    double wave = (double)c.wave * 1e-3, up = wave * (double)c.duty / 100;
    double joules = s * (double)c.low;
    if (s > 0)
        joules += (double)(c.high - c.low) * up_s(s, wave, up) +
                  (double)c.ripple * up_s(s, 7, 3.5);
    return joules;
}

static double power(double s)
{
    double wave = (double)c.wave * 1e-3;
    long watts = c.low;
    if (s >= 0 && fmod(s, wave) < wave * (double)c.duty / 100)
        watts = c.high;
    if (s >= 0 && fmod(s, 7) < 3.5)
        watts += c.ripple;
    return (double)watts;
}

/* The filter's output; time only goes on. */
static double filtered(double s)
{
    double tau = (double)c.tau * 1e-3;
    while (filter_at < s) { /* 1 ms steps: the wave's edges lie on whole ms */
        double step = fmin(1e-3, s - filter_at);
        filter_w += (power(filter_at + step / 2) - filter_w) * -expm1(-step / tau);
        filter_at += step;
    }
    return filter_w;
}

static double reading(double s)
{
    double t = (double)c.t * 1e-3, w = (double)c.w * 1e-3;
    if (c.stuck && s > (double)c.stuck * 1e-3)
        s = (double)c.stuck * 1e-3;
    s = floor(s / t + 1e-6) * t;
    return c.tau ? filtered(s) : c.w ? (energy(s) - energy(s - w)) / w : power(s);
}

static int after(long ms)
{
    return ms && now_s() * 1e3 > (double)ms;
}

/* ---- what tests call ---- */

void stub_nvml_set_time(uint64_t ns)
{
    pthread_mutex_lock(&lock);
    manual = 1;
    manual_s = (double)ns * 1e-9;
    pthread_mutex_unlock(&lock);
}

double stub_nvml_joules(double from_s, double to_s)
{
    return energy(to_s) - energy(from_s);
}

double stub_nvml_now_s(void)
{
    pthread_mutex_lock(&lock);
    double s = now_s();
    pthread_mutex_unlock(&lock);
    return s;
}

/* ---- what NVML has ---- */

int nvmlInit_v2(void)
{
    const char *text = getenv("STUB_NVML");
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        *keys[i].value = keys[i].def;
    for (; text && *text; text += strcspn(text, ","), text += *text == ',') {
        size_t n = strcspn(text, "=");
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            if (strlen(keys[i].key) == n && strncmp(text, keys[i].key, n) == 0)
                *keys[i].value = strtol(text + n + 1, NULL, 10);
        }
    }
    if (opened++ == 0) { /* others who open it later see the same curve go on */
        start_s = 0;
        start_s = now_s();
        filter_w = (double)c.low;
        filter_at = 0;
    }
    pthread_mutex_unlock(&lock);
    return (int)c.init;
}

int nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    return nvmlInit_v2();
}

int nvmlShutdown(void)
{
    pthread_mutex_lock(&lock);
    opened--;
    pthread_mutex_unlock(&lock);
    return OK;
}

const char *nvmlErrorString(int code)
{
    return code == OK              ? "Success"
           : code == NOT_SUPPORTED ? "Not Supported"
           : code == NO_PERMISSION ? "Insufficient Permissions"
           : code == NOT_FOUND     ? "Not Found"
           : code == 9             ? "Driver Not Loaded"
           : code == LOST          ? "GPU is lost"
                                   : "Unknown Error";
}

int nvmlDeviceGetCount_v2(unsigned *n)
{
    *n = (unsigned)c.cards;
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **out)
{
    *out = &c;
    return i < (unsigned)c.cards ? OK : NOT_FOUND;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **out)
{
    *out = &c;
    return strcmp(uuid, "GPU-5709") == 0 ? OK : NOT_FOUND;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *address, void **out)
{
    *out = &c;
    return strcmp(address, "0000:65:00.0") == 0 ? OK : NOT_FOUND;
}

int nvmlDeviceGetName(void *dev, char *out, unsigned size)
{
    (void)dev;
    snprintf(out, size, "Stub %ld", c.cc);
    return OK;
}

int nvmlDeviceGetUUID(void *dev, char *out, unsigned size)
{
    (void)dev;
    snprintf(out, size, "GPU-5709");
    return OK;
}

int nvmlDeviceGetIndex(void *dev, unsigned *out)
{
    (void)dev;
    *out = 0;
    return OK;
}

int nvmlDeviceGetCudaComputeCapability(void *dev, int *major, int *minor)
{
    (void)dev;
    *major = (int)(c.cc / 10);
    *minor = (int)(c.cc % 10);
    return OK;
}

int nvmlDeviceGetArchitecture(void *dev, unsigned *out)
{
    (void)dev;
    *out = c.cc >= 90 ? 9 : c.cc >= 80 ? 7 : c.cc >= 75 ? 6 : c.cc >= 70 ? 5 : 3;
    return OK;
}

int nvmlDeviceGetEnforcedPowerLimit(void *dev, unsigned *mw)
{
    (void)dev;
    *mw = (unsigned)c.limit * 1000;
    return c.limit ? OK : NOT_SUPPORTED;
}

static int fault(void)
{
    return after(c.lost) ? LOST : after(c.error) ? 999 : OK;
}

int nvmlDeviceGetPowerUsage(void *dev, unsigned *mw)
{
    (void)dev;
    pthread_mutex_lock(&lock);
    *mw = after(c.zero) ? 0 : (unsigned)(reading(now_s()) * 1e3);
    int r = fault();
    pthread_mutex_unlock(&lock);
    return r;
}

int nvmlDeviceGetTotalEnergyConsumption(void *dev, unsigned long long *mj)
{
    (void)dev;
    if (!c.counter)
        return NOT_SUPPORTED;
    pthread_mutex_lock(&lock);
    double s = now_s(), t = (double)c.t * 1e-3;
    if (c.stuck && s > (double)c.stuck * 1e-3)
        s = (double)c.stuck * 1e-3;
    unsigned long long v =
        (unsigned long long)((double)c.base + 1e3 * energy(floor(s / t + 1e-6) * t));
    if (c.bits < 64)
        v &= (1ull << c.bits) - 1;
    if (after(c.back))
        v /= 2;
    *mj = after(c.zero) ? 0 : v;
    int r = fault();
    pthread_mutex_unlock(&lock);
    return r;
}

struct field {
    uint32_t id, scope;
    int64_t at_us, latency_us;
    int type, result;
    union {
        double d;
        unsigned u;
        unsigned long long ull;
    } value;
};

int nvmlDeviceGetFieldValues(void *dev, int n, struct field *out)
{
    for (int i = 0; i < n; i++) {
        out[i].type = 1;
        out[i].result = NOT_SUPPORTED;
        if (out[i].id == 83 && c.counter) { /* TOTAL_ENERGY_CONSUMPTION */
            out[i].type = 3;
            out[i].result = nvmlDeviceGetTotalEnergyConsumption(dev, &out[i].value.ull);
        } else if ((out[i].id == 185 || out[i].id == 186) && c.instant) {
            out[i].result = nvmlDeviceGetPowerUsage(dev, &out[i].value.u);
        }
    }
    return OK;
}

/* ---- what CodeCarbon asks for beside energy ---- */

int nvmlDeviceGetMemoryInfo(void *dev, unsigned long long *total_free_used)
{
    (void)dev;
    total_free_used[0] = total_free_used[1] = 1ull << 30;
    total_free_used[2] = 0;
    return OK;
}

int nvmlDeviceGetTemperature(void *dev, int sensor, unsigned *out)
{
    (void)dev;
    (void)sensor;
    *out = 40;
    return OK;
}

int nvmlDeviceGetUtilizationRates(void *dev, unsigned *gpu_memory)
{
    (void)dev;
    gpu_memory[0] = gpu_memory[1] = 0;
    return OK;
}

int nvmlDeviceGetComputeMode(void *dev, int *out)
{
    (void)dev;
    *out = 0;
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *dev, unsigned *n, void *out)
{
    (void)dev;
    (void)out;
    *n = 0;
    return OK;
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *dev, unsigned *n, void *out)
{
    return nvmlDeviceGetComputeRunningProcesses_v3(dev, n, out);
}
