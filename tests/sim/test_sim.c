/* SPDX-License-Identifier: MIT */
/* The simulated machine: profiles and what is wrong with them, flows that share
 * DRAM, the SSD at depth 1 and 16. Times are computed by hand from
 * tests/sim/machine.ini, to the nanosecond. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/io.h"
#include "sim/machine.h"

static char profile[512], changed[512];

static struct m2c_machine *open_machine(void)
{
    struct m2c_err err = {0};
    struct m2c_machine *m = NULL;
    if (m2c_machine_open(&m, profile, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    return m;
}

/* ---- profiles ---- */

/* The profile with the line that begins with `line` replaced by `by`. */
static void change(const char *line, const char *by)
{
    char text[256];
    FILE *in = fopen(profile, "r"), *out = fopen(changed, "w");
    bool found = false;
    assert_non_null(in);
    assert_non_null(out);
    while (fgets(text, sizeof text, in)) {
        bool this = strncmp(text, line, strlen(line)) == 0;
        found |= this;
        if (!this)
            fputs(text, out);
        else if (by)
            fprintf(out, "%s\n", by);
    }
    fclose(in);
    fclose(out);
    assert_true(found);
}

static void refused(const char *line, const char *by, const char *says)
{
    struct m2c_err err = {0};
    struct m2c_profile_file *f = NULL;
    change(line, by);
    assert_int_equal(m2c_profile_load(&f, changed, NULL, &err), -EINVAL);
    if (!strstr(err.msg, says) || !strstr(err.msg, changed))
        fail_msg("'%s' does not say '%s'", err.msg, says);
}

static void test_bad_profiles(void **state)
{
    (void)state;
    refused("gb_s = 100", NULL, "[gpu] gb_s is missing");
    refused("gb_s = 100", "gb_s = missing", "[gpu] gb_s is missing");
    refused("name = test disk", NULL, "[ssd] name is missing");
    refused("gb_s = 100", "gb_s = 0", ":8");
    refused("gb_s = 100", "gb_s = nan", ":8");
    refused("gb_s = 100", "gb_s = -3", ":8");
    refused("gen = 2", "gen = 9", ":27");
    refused("engines = 2", "engine = 2", "engines");
    refused("kind = card", "kind = abacus", "card");
    refused("reserve = 1M", "reserve = 5M", "leaves no memory");
    refused("gpu_busy_w", "gpu_busy_w = 5", "below gpu_idle_w");
    refused("name = test machine", "name = x\n[sweep]\ngpu.gb_s = 1 | 2", "no [sweep]");
    struct m2c_err err = {0};
    struct m2c_profile_file *f = NULL;
    assert_int_equal(m2c_profile_load(&f, "/nowhere.ini", NULL, &err), -ENOENT);
}

static void write_file(const char *text)
{
    FILE *f = fopen(changed, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_other_ssd(void **state)
{
    struct m2c_err err = {0};
    struct m2c_profile_file *f = NULL;
    (void)state;
    write_file("[ssd]\nname = x\ngb_s = 7\niops = 1e6\nlatency_us = 1\ndepth = 4\nidle_w = 0\n"
               "busy_w = 1\n");
    if (m2c_profile_load(&f, profile, changed, &err) < 0)
        fail_msg("%s", err.msg);
    const struct m2c_profile *p = m2c_profile_of(f);
    assert_true(p->ssd.gb_s == 7 && p->ssd.depth == 4 && p->gpu.gb_s == 100);
    assert_string_equal(p->ssd.name, "x");
    m2c_profile_close(f);
    write_file("[ssd]\nname = x\n");
    assert_int_equal(m2c_profile_load(&f, profile, changed, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "[ssd] gb_s is missing"));
    write_file("[ssd]\nname = x\ngb_s = 7\niops = 1e6\nlatency_us = 1\ndepth = 4\nidle_w = 0\n"
               "busy_w = 1\n[gpu]\ngb_s = 4\n");
    assert_int_equal(m2c_profile_load(&f, profile, changed, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "[gpu] gb_s"));
}

/* The profiles that m2c ships are whole. */
static void test_shipped(void **state)
{
    static const char *const names[] = {"m40",  "rtx3090",   "rtx4090",
                                        "h100", "rx7900xtx", "arc_a770",
                                        "epyc_2core"};
    (void)state;
    for (size_t i = 0; i < M2C_COUNTOF(names); i++) {
        char path[600];
        struct m2c_err err = {0};
        struct m2c_profile_file *f = NULL;
        snprintf(path, sizeof path, "%s/configs/devices/%s.ini", getenv("M2C_SOURCE"), names[i]);
        if (m2c_profile_load(&f, path, NULL, &err) < 0)
            fail_msg("%s", err.msg);
        m2c_profile_close(f);
    }
}

/* ---- time ---- */

static void at_time(void *ctx, uint64_t now) { *(uint64_t *)ctx = now; }

static void run_all(struct m2c_machine *m)
{
    while (m2c_vclock_step(m2c_machine_clock(m)))
        ;
}

static void test_host(void **state)
{
    struct m2c_machine *m = open_machine();
    (void)state;
    for (int i = 0; i < 7; i++) /* halves of a nanosecond add up */
        m2c_machine_work(m, M2C_HOST_SCORE, 1);
    assert_int_equal(m2c_machine_now(m), 3);
    m2c_machine_work(m, M2C_HOST_WANT, 5);
    m2c_machine_work(m, M2C_HOST_MOVE, 2);
    assert_int_equal(m2c_machine_now(m), 253);
    assert_int_equal(m2c_machine_use(m)->host_ns, 253);
    m2c_machine_close(m);
}

static void test_flows(void **state)
{
    struct m2c_machine *m = open_machine();
    uint64_t a = 0, b = 0, c = 0;
    struct m2c_flow x = {.left = 8000, .rate = 8, .weight = 1, .done = at_time, .ctx = &a};
    struct m2c_flow y = {.left = 10000, .rate = 8, .weight = 1, .done = at_time, .ctx = &b};
    struct m2c_flow z = {.left = 6000, .rate = 6, .weight = 2, .done = at_time, .ctx = &c};
    (void)state;
    assert_int_equal(m2c_flow_start(m, &x), 0);
    m2c_machine_spend(m, 500); /* x has 4000 left; from now on 5 bytes a ns each */
    assert_int_equal(m2c_flow_start(m, &y), 0);
    run_all(m);
    assert_int_equal(a, 500 + 800);
    /* y moved 4000 of 10000 beside x, the rest at 8 a ns */
    assert_int_equal(b, 1300 + 750);
    /* 12 DRAM bytes a ns asked for, 10 there: 5 a ns arrive */
    assert_int_equal(m2c_flow_start(m, &z), 0);
    run_all(m);
    assert_int_equal(c, b + 1200);
    assert_true(m2c_machine_use(m)->dram_bytes > 29999 && m2c_machine_use(m)->dram_bytes < 30001);
    m2c_machine_close(m);
}

/* ---- the SSD ---- */

enum { BLOCK = 4096, READS = 16 };

static uint64_t read_all(struct m2c_machine *m, unsigned depth, uint32_t bytes, unsigned n)
{
    struct m2c_io_cfg cfg = {.direct = true, .queue_depth = depth, .chunk = bytes, .machine = m};
    struct m2c_err err = {0};
    struct m2c_io *io = NULL;
    struct m2c_io_range range[READS], *done[READS];
    void *buf;
    if (m2c_io_open(&io, "sim", "no such file", &cfg, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(m2c_pages_alloc(bytes, &buf), 0);
    for (unsigned i = 0; i < n; i++) {
        range[i] = (struct m2c_io_range){
            .off = (uint64_t)i << 30, .bytes = bytes - 1, .buf = buf, .room = bytes};
        assert_int_equal(m2c_io_start_range(io, &range[i], &err), 0);
    }
    assert_int_equal(m2c_io_reap_ranges(io, done, n, n, M2C_IO_FOREVER, &err), (int)n);
    for (unsigned i = 0; i < n; i++)
        assert_true(done[i] == &range[i] && range[i].res == 0);
    struct m2c_io_counters count;
    m2c_io_counters(io, &count);
    assert_int_equal(count.requests, n);
    assert_int_equal(count.bytes_wanted, (uint64_t)n * (bytes - 1));
    assert_int_equal(count.bytes_moved, (uint64_t)n * bytes); /* whole blocks */
    m2c_io_close(io);
    m2c_pages_free(buf, bytes);
    return m2c_machine_now(m);
}

static void test_ssd(void **state)
{
    (void)state;
    struct m2c_machine *m = open_machine();
    /* a small read: 1 us to submit, 50 us, and 1/iops = 10 us */
    assert_int_equal(read_all(m, 1, BLOCK, 1), 61000);
    m2c_machine_close(m);
    m = open_machine();
    assert_int_equal(read_all(m, 1, BLOCK, READS), READS * 61000);
    /* idle for the 1 us in which the next is submitted */
    assert_int_equal(m2c_machine_use(m)->ssd_ns, READS * 60000);
    m2c_machine_close(m);
    /* Eight at once, by the device's depth: the first are there after 61, 71 .. 131
     * us, one every 10 us; the ninth was admitted at 61, so nothing stands still. */
    m = open_machine();
    assert_int_equal(read_all(m, 16, BLOCK, READS), 61000 + 15 * 10000);
    m2c_machine_close(m);
    /* A large read is by bandwidth: 2^20 bytes at 2 a ns. */
    m = open_machine();
    assert_int_equal(read_all(m, 4, 1 << 20, 1), 51000 + 524288);
    m2c_machine_close(m);
    m = open_machine();
    assert_int_equal(read_all(m, 4, 1 << 20, 4), 51000 + 4 * 524288);
    m2c_machine_close(m);
}

static void io_refused(const char *engine, bool direct, struct m2c_machine *m, const char *says)
{
    struct m2c_io_cfg cfg = {.direct = direct, .queue_depth = 1, .chunk = BLOCK, .machine = m};
    struct m2c_err err = {0};
    struct m2c_io *io = NULL;
    assert_int_equal(m2c_io_open(&io, engine, profile, &cfg, &err), -EINVAL);
    if (!strstr(err.msg, says))
        fail_msg("'%s' does not say '%s'", err.msg, says);
}

static void test_times_do_not_mix(void **state)
{
    struct m2c_machine *m = open_machine();
    (void)state;
    io_refused("sim", true, NULL, "device.backend = sim");
    io_refused("pread", false, m, "ssd.engine = sim");
    io_refused("sim", false, m, "page cache");
    m2c_machine_close(m);
}

int main(void)
{
    snprintf(profile, sizeof profile, "%s/tests/sim/machine.ini", getenv("M2C_SOURCE"));
    snprintf(changed, sizeof changed, "%s/test-sim-%ld.ini", getenv("M2C_BUILD"),
             (long)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_profiles), cmocka_unit_test(test_other_ssd),
        cmocka_unit_test(test_shipped),      cmocka_unit_test(test_host),
        cmocka_unit_test(test_flows),        cmocka_unit_test(test_ssd),
        cmocka_unit_test(test_times_do_not_mix),
    };
    int r = cmocka_run_group_tests_name("sim", tests, NULL, NULL);
    unlink(changed);
    return r;
}
