/* SPDX-License-Identifier: MIT */
/* What the NVML meter says of some seconds, on the machine's own clock, as JSON;
 * beside it what the stub's curve really held.
 *
 *     meter_dump STUB SECONDS counter|sampled */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "meter/meter.h"

static struct m2c_reading read_ok(struct m2c_meter *m)
{
    struct m2c_reading r;
    struct m2c_err err = {0};
    if (m2c_meter_read(m, NULL, &r, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return r;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    void *lib = dlopen(argv[1], RTLD_NOW);
    void *at = lib ? dlsym(lib, "stub_nvml_now_s") : NULL;
    void *truth = lib ? dlsym(lib, "stub_nvml_joules") : NULL;
    if (!at || !truth)
        return 1;
    double (*now_s)(void);
    double (*joules)(double from_s, double to_s);
    memcpy(&now_s, &at, sizeof at);
    memcpy(&joules, &truth, sizeof truth);

    struct m2c_meter_cfg cfg = {.nvml = argv[1],
                                .gpu_sampled = strcmp(argv[3], "sampled") == 0};
    struct m2c_meter *m = NULL;
    struct m2c_err err = {0};
    if (m2c_meter_open(&m, "nvml", &cfg, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    long ms = strtol(argv[2], NULL, 10) * 1000;
    struct timespec nap = {ms / 1000, ms % 1000 * 1000000};
    struct m2c_reading a = read_ok(m);
    double from = now_s();
    nanosleep(&nap, NULL);
    struct m2c_reading b = read_ok(m);
    double to = now_s();
    struct m2c_energy e;
    m2c_meter_between(m, &a, &b, &e);
    if (e.how[M2C_GPU] == M2C_MEASURED)
        printf("{\"joules\": %.6f, \"err\": %.6f, \"truth\": %.6f}\n", e.joules[M2C_GPU],
               e.err_j[M2C_GPU], joules(from, to));
    else
        printf("{\"joules\": null, \"why\": \"%s\"}\n", e.why ? e.why : "");
    m2c_meter_close(m);
    dlclose(lib);
    return 0;
}
