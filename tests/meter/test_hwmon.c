/* SPDX-License-Identifier: MIT */
/* hwmon over a fake tree: AMD's sampled power, Intel's counter, which card, what
 * is no card, vanishing files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "meter/meter_impl.h"

#define MS UINT64_C(1000000)
#define S UINT64_C(1000000000)

static char root[64];
static uint64_t now;

static uint64_t clock_now(void *ctx)
{
    (void)ctx;
    return now;
}
static const struct m2c_meter_clock own_clock = {.now = clock_now};

static void put(const char *folder, const char *file, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, folder);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/%s/%s", root, folder, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void put_number(const char *folder, const char *file, double value)
{
    char text[64];
    snprintf(text, sizeof text, "%.0f\n", value);
    put(folder, file, text);
}

static void drop(const char *folder, const char *file)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s/%s", root, folder, file);
    assert_int_equal(unlink(path), 0);
}

static void device(const char *folder, const char *driver, const char *address)
{
    char path[256], target[256];
    put(folder, "name", driver);
    snprintf(path, sizeof path, "%s/%s/device", root, folder);
    snprintf(target, sizeof target, "../../../%s", address);
    unlink(path);
    assert_int_equal(symlink(target, path), 0);
}

static int clear_tree(void **state)
{
    char command[96];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'/*", root);
    return system(command);
}

static int plain_tree(void **state)
{
    (void)state;
    device("hwmon0", "nvme\n", "0000:01:00.0");
    put("hwmon1", "name", "coretemp\n");
    device("hwmon2", "amdgpu\n", "0000:03:00.0");
    put("hwmon2", "power1_average", "50000000\n");
    put("hwmon2", "power1_cap", "300000000\n");
    device("hwmon10", "amdgpu\n", "0000:0b:00.0"); /* a processor's graphics */
    put("hwmon10", "in1_label", "vddnb\n");
    put("hwmon10", "power1_input", "15000000\n");
    return 0;
}

static int try_open(struct m2c_meter **m, const char *gpu, struct m2c_err *err)
{
    struct m2c_meter_cfg cfg = {.hwmon = root, .gpu = gpu, .clock = &own_clock};
    *m = NULL;
    return m2c_meter_open(m, "hwmon", &cfg, err);
}

static struct m2c_meter *open_ok(const char *gpu)
{
    struct m2c_meter *m;
    struct m2c_err err = {0};
    if (try_open(&m, gpu, &err) < 0)
        fail_msg("%s", err.msg);
    return m;
}

static struct m2c_reading read_ok(struct m2c_meter *m)
{
    struct m2c_reading r;
    struct m2c_err err = {0};
    if (m2c_meter_read(m, NULL, &r, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(r.how[M2C_GPU], M2C_MEASURED);
    assert_int_equal(r.how[M2C_CPU], M2C_UNAVAILABLE);
    return r;
}

static void read_fails(struct m2c_meter *m, const char *what)
{
    struct m2c_reading r;
    struct m2c_err err = {0};
    assert_int_equal(m2c_meter_read(m, NULL, &r, &err), -EIO);
    if (!strstr(err.msg, what))
        fail_msg("'%s' in '%s'", what, err.msg);
}

static void open_fails(const char *gpu, int code, const char *what)
{
    struct m2c_meter *m;
    struct m2c_err err = {0};
    int r = try_open(&m, gpu, &err);
    m2c_meter_close(m);
    if (r != code || !strstr(err.msg, what))
        fail_msg("%d, '%s' in '%s'", r, what, err.msg);
}

/* A ramp from 50 to 250 W in 20 s. */
static void power_is_added_up(void **state)
{
    (void)state;
    struct m2c_meter *m = open_ok(NULL);
    struct m2c_energy e;
    assert_non_null(strstr(m2c_meter_source(m), "amdgpu 0000:03:00.0: power, added up"));
    struct m2c_reading a = read_ok(m), b;
    for (int i = 1; i <= 400; i++) {
        now += 50 * MS;
        put_number("hwmon2", "power1_average", (50 + i * 0.5) * 1e6);
        m2c_meter_keep(m);
    }
    b = read_ok(m);
    m2c_meter_between(m, &a, &b, &e);
    assert_int_equal(e.how[M2C_GPU], M2C_MEASURED);
    assert_true(fabs(e.joules[M2C_GPU] - 3000) <= 0.01 * 3000);
    /* 5 %, and 0.6 s of 200 W at either end */
    assert_true(fabs(e.err_j[M2C_GPU] - (150 + 2 * 0.6 * 200)) < 1);
    /* whole watts may stand still */
    a = b;
    for (int i = 0; i < 200; i++) {
        now += 50 * MS;
        m2c_meter_keep(m);
    }
    b = read_ok(m);
    m2c_meter_between(m, &a, &b, &e);
    assert_true(fabs(e.joules[M2C_GPU] - 2500) < 1e-6);
    m2c_meter_close(m);
}

static void intel_counts(void **state)
{
    (void)state;
    clear_tree(state);
    device("hwmon3", "xe\n", "0000:04:00.0");
    put("hwmon3", "energy1_input", "262144000000\n");
    struct m2c_meter *m = open_ok("0000:04:00.0");
    struct m2c_energy e;
    assert_non_null(strstr(m2c_meter_source(m), "xe 0000:04:00.0: energy counter"));
    assert_true(m->max_gap_ns == 131072 * MS);
    struct m2c_reading a = read_ok(m);
    now += 20 * S;
    put("hwmon3", "energy1_input", "262146500000\n");
    struct m2c_reading b = read_ok(m);
    m2c_meter_between(m, &a, &b, &e);
    assert_true(fabs(e.joules[M2C_GPU] - 2.5) < 1e-9);
    assert_true(fabs(e.err_j[M2C_GPU] - 2.5 * 0.2 / 20) < 1e-9);
    now += 20 * S;
    put("hwmon3", "energy1_input", "5\n");
    a = read_ok(m);
    m2c_meter_between(m, &b, &a, &e);
    assert_int_equal(e.how[M2C_GPU], M2C_UNAVAILABLE);
    assert_non_null(strstr(e.why, "went back or jumped, from 262146500000 to 5"));
    now += 200 * S; /* nobody looked */
    put("hwmon3", "energy1_input", "9000000005\n");
    b = read_ok(m);
    m2c_meter_between(m, &a, &b, &e);
    assert_non_null(strstr(e.why, "wrapped"));
    now += 20 * S;
    a = read_ok(m);
    m2c_meter_between(m, &b, &a, &e);
    assert_non_null(strstr(e.why, "stood still"));
    m2c_meter_close(m);
}

static void which(void **state)
{
    (void)state;
    device("hwmon11", "amdgpu\n", "0000:83:00.0");
    put("hwmon11", "power1_input", "70000000\n");
    open_fails(NULL, -EINVAL, "there are 2 GPUs, and which one");
    open_fails("2", -EINVAL, "no GPU '2' among 2");
    open_fails("0000:0b:00.0", -EINVAL, "no GPU"); /* the processor's */
    struct m2c_meter *m = open_ok("1");
    assert_non_null(strstr(m2c_meter_source(m), "0000:83:00.0"));
    assert_non_null(strstr(m2c_meter_source(m), "power1_input"));
    m2c_meter_close(m);
    m = open_ok("0000:03:00.0");
    m2c_meter_close(m);
    clear_tree(state);
    open_fails(NULL, -ENODEV, "lists no GPU");
    rmdir(root);
    open_fails(NULL, -ENODEV, "No such file");
    mkdir(root, 0755);
}

static void faults(void **state)
{
    (void)state;
    struct m2c_meter *m = open_ok(NULL);
    (void)read_ok(m);
    put("hwmon2", "power1_average", "0\n");
    read_fails(m, "reports 0 W");
    put("hwmon2", "power1_average", "x\n");
    read_fails(m, "not a whole number");
    put("hwmon2", "power1_average", "61000000\n");
    now += 100 * MS;
    (void)read_ok(m); /* it was for a moment */
    drop("hwmon2", "power1_average");
    read_fails(m, "power1_average: No such file");
    put("hwmon2", "power1_average", "61000000\n");
    read_fails(m, "No such file"); /* what is gone is gone */
    m2c_meter_close(m);
    put("hwmon2", "power1_average", "0\n");
    open_fails(NULL, -EIO, "reports 0 W");
}

int main(void)
{
    strcpy(root, "/tmp/m2c-hwmon-XXXXXX");
    if (!mkdtemp(root))
        return 1;
#define TREE(fn) cmocka_unit_test_setup_teardown(fn, plain_tree, clear_tree)
    const struct CMUnitTest tests[] = {TREE(power_is_added_up), TREE(intel_counts),
                                       TREE(which), TREE(faults)};
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(root);
    return r;
}
