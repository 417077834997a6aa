/* SPDX-License-Identifier: MIT */
/* A wall meter's CSV: merging by time against hand-made integrals, each kind of
 * column, rows that are missing or late, bad files, a clock that was set. */
#define _GNU_SOURCE /* fmemopen, timegm */
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
#include <time.h>
#include <unistd.h>

#include "meter/meter_impl.h"
#include "meter/wall_csv.h"

#define S UINT64_C(1000000000)

static int read_text(const char *text, uint64_t from, uint64_t to,
                     struct m2c_wall_sum *sum, struct m2c_err *err)
{
    FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    assert_non_null(f);
    int r = m2c_wall_csv_read(f, "w.csv", from, to, sum, err);
    fclose(f);
    return r;
}

static void expect(const char *text, uint64_t from, uint64_t to, double joules,
                   double tol)
{
    struct m2c_wall_sum sum;
    struct m2c_err err = {0};
    if (read_text(text, from, to, &sum, &err) < 0)
        fail_msg("%s", err.msg);
    if (!(fabs(sum.joules - joules) <= tol))
        fail_msg("%.9g J, not %.9g", sum.joules, joules);
}

static void refuse(const char *text, int code, const char *what)
{
    struct m2c_wall_sum sum;
    struct m2c_err err = {0};
    int r = read_text(text, 100 * S, 120 * S, &sum, &err);
    if (r != code || !strstr(err.msg, what))
        fail_msg("%d, '%s' in '%s'", r, what, err.msg);
}

/* Rows a second from 90 to 130 s: 100 W until 110 s, then 300. */
static char *rows(const char *names, const char *format, bool cumulative, double scale)
{
    static char text[8192];
    int n = snprintf(text, sizeof text, "%s\n", names);
    for (int t = 90; t <= 130; t++) {
        double w = t <= 110 ? 100 : 300;
        double j = t <= 110 ? 100.0 * (t - 90) : 2000 + 300.0 * (t - 110);
        n += snprintf(text + n, sizeof text - (size_t)n, format, t,
                      (cumulative ? j : w) * scale);
    }
    return text;
}

static void columns(void **state)
{
    (void)state;
    /* the step is a ramp from 110 to 111 s: 100 J less */
    double watts = 100 * 10 + 300 * 10 - 100;
    expect(rows("time,watts", "%d,%.3f\n", false, 1), 100 * S, 120 * S, watts, 1e-6);
    expect(rows("# x\n\nnote; Power_W ;Unix_ms", ";%2$g; %1$d000\n", false, 1), 100 * S,
           120 * S, watts, 1e-6);
    expect(rows("unix_s\tw\tv", "%d.0\t%g\t230\r\n", false, 1), 100 * S, 120 * S, watts,
           1e-6);
    double joules = 100 * 10 + 300 * 10;
    expect(rows("timestamp,joules", "%d,%.3f\n", true, 1), 100 * S, 120 * S, joules,
           1e-6);
    expect(rows("timestamp,kWh", "%d,%.12f\n", true, 1 / 3.6e6), 100 * S, 120 * S, joules,
           1e-4);
    /* power is preferred */
    expect(rows("time,wh,watts", "%d,0,%g\n", false, 1), 100 * S, 120 * S, watts, 1e-6);
}

static void partial(void **state)
{
    (void)state;
    char *text = rows("time,watts", "%d,%g\n", false, 1);
    struct m2c_wall_sum sum;
    expect(text, 95 * S + S / 4, 108 * S + S / 2, 1325, 1e-6);
    /* half of the ramp from 100 to 200 W: 75 W of mean more over half a second */
    expect(text, 100 * S, 110 * S + S / 2, 1000 + 50 + 25, 1e-6);
    assert_int_equal(read_text(text, 100 * S, 120 * S, &sum, NULL), 0);
    assert_int_equal(sum.rows, 21);
    assert_true(sum.longest_s == 1);
    assert_true(sum.err_j == 400); /* a second of 200 W at either end */
}

static void iso_times(void **state)
{
    (void)state;
    static const char *const ways[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S.0+00:00",
                                       "\"%Y-%m-%dT%H:%M:%S.000Z\""};
    struct tm begin = {.tm_year = 124,
                       .tm_mon = 1,
                       .tm_mday = 28,
                       .tm_hour = 23,
                       .tm_min = 59,
                       .tm_sec = 50}; /* over the end of a leap February */
    char text[8192];
    for (size_t k = 0; k < M2C_COUNTOF(ways); k++) {
        int n = snprintf(text, sizeof text, "time,watts\n");
        for (int day = 0; day < 2; day++) {
            struct tm tm = begin;
            tm.tm_mday += day;
            time_t t0 = timegm(&tm);
            for (int i = 0; i <= 20; i++) {
                time_t t = t0 + i;
                struct tm at;
                assert_non_null(gmtime_r(&t, &at));
                n += (int)strftime(text + n, sizeof text - (size_t)n, ways[k], &at);
                n += snprintf(text + n, sizeof text - (size_t)n, ",%d\n", 50 + day);
            }
        }
        for (int day = 0; day < 2; day++) {
            struct tm tm = begin;
            tm.tm_mday += day;
            uint64_t from = (uint64_t)timegm(&tm) * S;
            expect(text, from, from + 20 * S, 20 * (50 + day), 1e-6);
        }
    }
    struct m2c_wall_sum sum;
    const char *zone =
        "time,watts\n1970-01-01T01:00:01+01:00,5\n1969-12-31T23:00:03-01:00,5\n";
    assert_int_equal(read_text(zone, 0, 0, &sum, NULL), -EINVAL); /* before 1970 */
    zone = "time,watts\n1970-01-01T02:00:01+02:00,5\n1970-01-01T00:00:03Z,5\n";
    assert_int_equal(read_text(zone, 0, 0, &sum, NULL), 0);
}

static void bad_files(void **state)
{
    (void)state;
    refuse("", -ENODATA, "no line of names");
    refuse("time,watts", -ENODATA, "no line of names"); /* its end is not there yet */
    refuse("time,volts\n", -EINVAL, "w.csv:1: no column of power or energy");
    refuse("when,watts\n", -EINVAL, "w.csv:1: no column of time");
    refuse("time,watts\n90,5\n91\n", -EINVAL,
           "w.csv:3: expected a number of at least 0, not ''");
    refuse("time,watts\n90,5\n\n91,-5\n", -EINVAL, "w.csv:4: expected a number");
    refuse("time,watts\n90,nan\n", -EINVAL, "not 'nan'");
    refuse("time,watts\n90,inf\n", -EINVAL, "not 'inf'");
    refuse("time,watts\n90,0x5\n", -EINVAL, "not '0x5'");
    refuse("time,watts\n90,5 W\n", -EINVAL, "not '5 W'");
    refuse("time,watts\n,5\n", -EINVAL,
           "expected seconds since 1970, or a time with its zone");
    refuse("time,watts\n2026-01-31T23:59:59,5\n", -EINVAL, "with its zone");
    refuse("time,watts\n2026-02-29T23:59:59Z,5\n", -EINVAL, "with its zone");
    refuse("time,watts\n-5,5\n", -EINVAL, "expected a time since 1970");
    refuse("unix_ms,watts\n2026-01-31T23:59:59Z,5\n", -EINVAL, "expected seconds");
    refuse("time,watts\n91,5\n90,5\n", -EINVAL, "not before the last row's");
    refuse("time,wh\n90,5\n91,4\n", -EINVAL, "expected energy that adds up");
    refuse("time,watts\n90,5\n", -ENODATA, "end 30 s before");
    refuse("time,watts\n", -ENODATA, "before the window does");
    refuse("time,watts\n101,5\n130,5\n", -ERANGE, "begin after the window does");
    refuse("time,watts\n90,5\n110,5\n130,5\n", -ERANGE,
           "1 rows in the window, fewer than 10");
    struct m2c_wall_sum sum;
    struct m2c_err err = {0};
    char text[512] = "time,watts\n0,5\n";
    for (int i = 0; i < 20; i++) {
        char row[32];
        snprintf(row, sizeof row, "%d,5\n", i < 10 ? 100 + i : 200 + i);
        strcat(text, row);
    }
    assert_int_equal(read_text(text, 1 * S, 218 * S, &sum, &err), -ERANGE);
    assert_non_null(strstr(err.msg, "rows 101 s apart in the window, more than 60"));
    FILE *f = fmemopen((void *)(uintptr_t) "time,watts\n1,\0002\n", 16, "r");
    assert_int_equal(m2c_wall_csv_read(f, "w.csv", 0, 0, &sum, &err), -EINVAL);
    fclose(f);
    assert_non_null(strstr(err.msg, "w.csv:2: a byte of 0"));
}

/* ---- the meter ---- */

static uint64_t mono_ns, wall_ns;
static uint64_t mono_now(void *ctx)
{
    (void)ctx;
    return mono_ns;
}
static uint64_t wall_now(void *ctx)
{
    (void)ctx;
    return wall_ns;
}
static const struct m2c_meter_clock own_clock = {.now = mono_now, .wall = wall_now};

static struct m2c_energy window(struct m2c_meter *m, uint64_t ns, uint64_t set_ns)
{
    struct m2c_reading a, b;
    struct m2c_energy e;
    assert_int_equal(m2c_meter_read(m, NULL, &a, NULL), 0);
    mono_ns += ns;
    wall_ns += ns + set_ns;
    assert_int_equal(m2c_meter_read(m, NULL, &b, NULL), 0);
    m2c_meter_between(m, &a, &b, &e);
    return e;
}

static void meter(void **state)
{
    (void)state;
    char path[] = "/tmp/m2c-wall-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    char *text = rows("time,watts", "%d,%g\n", false, 1);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    struct m2c_meter_cfg cfg = {.wall_csv = path, .clock = &own_clock};
    struct m2c_meter *m = NULL;
    struct m2c_err err = {0};
    mono_ns = 5 * S;
    wall_ns = 95 * S;
    assert_int_equal(m2c_meter_open(&m, "wall", &cfg, &err), 0);
    struct m2c_energy e = window(m, 12 * S, 0);
    assert_int_equal(e.how[M2C_WALL], M2C_MEASURED);
    assert_true(fabs(e.joules[M2C_WALL] - 1200) < 1e-6);
    assert_int_equal(e.how[M2C_CPU], M2C_UNAVAILABLE);
    e = window(m, 12 * S, 2 * S);
    assert_int_equal(e.how[M2C_WALL], M2C_UNAVAILABLE);
    assert_non_null(
        strstr(e.why, "the clock was set: it moved 14 s in a window of 12 s"));
    assert_true(isnan(e.joules[M2C_WALL]));
    e = window(m, 12 * S, 0); /* until 133 s */
    assert_non_null(strstr(e.why, "rows end 3 s before the window does"));
    unlink(path);
    e = window(m, 12 * S, 0);
    assert_non_null(strstr(e.why, "No such file"));
    m2c_meter_close(m);
    assert_int_equal(m2c_meter_open(&m, "wall", &cfg, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "No such file"));
    cfg.wall_csv = "";
    assert_int_equal(m2c_meter_open(&m, "wall", &cfg, &err), -ENODEV);
    cfg.wall_wait_s = -1;
    assert_int_equal(m2c_meter_open(&m, "wall", &cfg, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns),   cmocka_unit_test(partial),
        cmocka_unit_test(iso_times), cmocka_unit_test(bad_files),
        cmocka_unit_test(meter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
