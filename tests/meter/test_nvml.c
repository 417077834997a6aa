/* SPDX-License-Identifier: MIT */
/* NVML by a stub that plays a known power curve: counter and sampling against
 * the curve's integral, bands by generation, faults. Time is the test's own, but
 * for the sampling thread's test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "meter/gpu_sensor.h"
#include "meter/meter_impl.h"

#define MS UINT64_C(1000000)
#define S UINT64_C(1000000000)

static const char *stub; /* its file */
static void (*set_time)(uint64_t ns);
static double (*truth)(double from_s, double to_s);
static uint64_t now;

static uint64_t clock_now(void *ctx)
{
    (void)ctx;
    return now;
}
static const struct m2c_meter_clock own_clock = {.now = clock_now};

static void go_to(uint64_t ns)
{
    now = ns;
    set_time(ns);
}

/* Time goes on in steps of 10 ms, in which the program would compute. */
static void pass(struct m2c_meter *m, uint64_t ns)
{
    uint64_t until = now + ns;
    while (now < until) {
        go_to(M2C_MIN(now + 10 * MS, until));
        m2c_meter_keep(m);
    }
}

static struct m2c_meter *open_stub(const char *setup, bool sampled)
{
    struct m2c_meter_cfg cfg = {
        .nvml = stub, .gpu_sampled = sampled, .clock = &own_clock};
    struct m2c_meter *m = NULL;
    struct m2c_err err = {0};
    setenv("STUB_NVML", setup, 1);
    go_to(100 * S);
    if (m2c_meter_open(&m, "nvml", &cfg, &err) < 0)
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
    return r;
}

/* What a meter says of `span`, begun `lead` after it was opened. */
struct said {
    struct m2c_energy e;
    double truth;
    char source[256], why[256];
};

static struct said measure(const char *setup, bool sampled, uint64_t lead, uint64_t span)
{
    struct m2c_meter *m = open_stub(setup, sampled);
    struct said said = {0};
    pass(m, lead);
    struct m2c_reading a = read_ok(m);
    pass(m, span);
    struct m2c_reading b = read_ok(m);
    m2c_meter_between(m, &a, &b, &said.e);
    said.truth = truth((double)lead * 1e-9, (double)(lead + span) * 1e-9);
    strcpy(said.source, m2c_meter_source(m));
    snprintf(said.why, sizeof said.why, "%s", said.e.why ? said.e.why : "");
    said.e.why = NULL; /* the meter's */
    m2c_meter_close(m);
    return said;
}

static void expect_near(const struct said *s, double relative)
{
    double off = s->e.joules[M2C_GPU] - s->truth;
    if (s->e.how[M2C_GPU] != M2C_MEASURED || !(fabs(off) <= relative * s->truth))
        fail_msg("%s: %g J of %g: %s", s->source, s->e.joules[M2C_GPU], s->truth, s->why);
    if (!(fabs(off) <= s->e.err_j[M2C_GPU]))
        fail_msg("%s: %g J off, band %g", s->source, off, s->e.err_j[M2C_GPU]);
}

static void expect_none(const struct m2c_energy *e, const char *said, const char *why)
{
    assert_int_equal(e->how[M2C_GPU], M2C_UNAVAILABLE);
    assert_true(isnan(e->joules[M2C_GPU]) && isnan(e->err_j[M2C_GPU]));
    if (!strstr(said, why))
        fail_msg("'%s' in '%s'", why, said);
}

/* ---- the sum ---- */

static void counter(void **state)
{
    (void)state;
    struct said s = measure("cc=70", false, 1234 * MS, 61 * S);
    expect_near(&s, 0.01);
    assert_non_null(strstr(s.source, "Stub 70: energy counter"));
}

static void sampled(void **state)
{
    (void)state;
    struct said s = measure("cc=70,counter=0", false, 1234 * MS, 61 * S);
    expect_near(&s, 0.01);
    assert_non_null(strstr(s.source, "power every 50 ms, added up"));
    s = measure("cc=86,instant=1", true, 1234 * MS, 61 * S);
    expect_near(&s, 0.01);
    assert_non_null(strstr(s.source, "instant power every 50 ms"));
}

/* 2^32 mJ is 1.2 kWh; the base is so near that it goes round soon. */
static void counter_wraps(void **state)
{
    (void)state;
    struct said s = measure("bits=32,base=4294960000", false, 0, 60 * S);
    expect_near(&s, 0.01);
}

/* ---- sensors ---- */

static void averaging(void **state)
{
    (void)state;
    /* the driver's mean of 1 s, with a window that begins inside a step */
    struct said s = measure("cc=86,counter=0,t=100,w=1000", false, 8500 * MS, 62 * S);
    expect_near(&s, 0.02);
    s = measure("cc=86,counter=0,t=100,w=1000", false, 300 * MS, 10 * S);
    expect_near(&s, 0.1);
}

static void lagging(void **state)
{
    (void)state;
    struct said s = measure("cc=52,counter=0,t=100,tau=840", false, 500 * MS, 62 * S);
    expect_near(&s, 0.02);
    /* the window begins right after a step of which the sensor knows nothing yet */
    s = measure("cc=52,counter=0,t=100,tau=840,wave=40000", false, 100 * MS, 8 * S);
    expect_near(&s, 0.2);
    assert_true(fabs(s.e.joules[M2C_GPU] - s.truth) > 0.02 * s.truth); /* so it matters */
}

/* A load that keeps step with a sensor which sees a quarter of the time: the
 * readings say 50 W and a ripple, the truth is twice that. */
static void part_time(void **state)
{
    (void)state;
    static const char in_step[] =
        "cc=80,counter=0,t=100,w=25,wave=100,duty=25,ripple=10,limit=400";
    struct said s = measure("cc=80,counter=0,t=100,w=25,limit=400", false, 0, 60 * S);
    expect_near(&s, 0.01); /* slow loads are seen whole */
    s = measure("cc=80,counter=0,t=100,w=25,wave=70,duty=30,limit=400", false, 0, 60 * S);
    expect_near(&s, 0.1); /* others on average */
    s = measure(in_step, false, 0, 60 * S);
    assert_true(s.e.joules[M2C_GPU] < 0.6 * s.truth); /* the sensor is wrong */
    expect_near(&s, 0.6);                             /* and the band says so */
    /* a card that sees everything claims far less */
    struct said whole =
        measure("cc=75,counter=0,t=100,w=100,limit=400", false, 0, 60 * S);
    expect_near(&whole, 0.01);
    assert_true(whole.e.err_j[M2C_GPU] < 0.15 * whole.truth);
    assert_true(s.e.err_j[M2C_GPU] > 0.4 * s.truth);
}

static void generations(void **state)
{
    (void)state;
    struct m2c_sensor s;
    m2c_gpu_sensor(9, 0, "NVIDIA H100 80GB HBM3", true, &s);
    assert_true(s.seen == 0.25 && s.period_ns == 100 * MS && s.lag_ns == 12 * MS);
    m2c_gpu_sensor(9, 0, "NVIDIA GH200 480GB", true, &s);
    assert_true(s.seen == 0.2);
    m2c_gpu_sensor(8, 0, "NVIDIA A100-SXM4-40GB", false, &s);
    assert_true(s.seen == 0.25 && s.lag_ns == 12 * MS);
    m2c_gpu_sensor(8, 6, "NVIDIA GeForce RTX 3090", false, &s);
    assert_true(s.seen == 1 && s.lag_ns == 500 * MS);
    m2c_gpu_sensor(8, 6, "NVIDIA GeForce RTX 3090", true, &s);
    assert_true(s.seen == 1 && s.lag_ns == 50 * MS);
    m2c_gpu_sensor(5, 2, "Tesla M40", false, &s);
    assert_true(s.seen == 1 && s.lag_ns == 890 * MS);
    m2c_gpu_sensor(12, 0, "NVIDIA GeForce RTX 5090", true, &s);
    assert_true(s.seen == 0.2);
    m2c_gpu_sensor(999, 0, "?", false, &s);
    assert_true(s.seen == 0.2 && s.gain == 0.05);
}

/* ---- faults ---- */

static void too_short(void **state)
{
    (void)state;
    struct said s = measure("cc=70", false, S, 4900 * MS);
    expect_none(&s.e, s.why, "too short");
    s = measure("cc=70,counter=0", false, S, 4900 * MS);
    expect_none(&s.e, s.why, "too short");
}

static void stuck(void **state)
{
    (void)state;
    struct said s = measure("stuck=900", false, S, 20 * S);
    expect_none(&s.e, s.why, "stood still");
    s = measure("stuck=900,counter=0", false, S, 20 * S);
    expect_none(&s.e, s.why, "stood still throughout");
}

static void goes_back(void **state)
{
    (void)state;
    struct said s = measure("base=100000000,back=7000", false, S, 20 * S);
    expect_none(&s.e, s.why, "went back, from 100");
    s = measure("base=100000000,back=500", false, S, 20 * S); /* before the window */
    assert_true(s.why[0] == 0 && s.e.joules[M2C_GPU] > 0);
}

static void clock_jumps(void **state)
{
    (void)state;
    struct m2c_meter *m = open_stub("counter=0", false);
    struct m2c_energy e;
    pass(m, S);
    struct m2c_reading a = read_ok(m), b;
    pass(m, 6 * S);
    go_to(now + 30 * S); /* the machine slept */
    pass(m, 6 * S);
    b = read_ok(m);
    m2c_meter_between(m, &a, &b, &e);
    expect_none(&e, e.why, "clock jumped");
    a = b;
    pass(m, 6 * S); /* what follows is known again */
    b = read_ok(m);
    m2c_meter_between(m, &a, &b, &e);
    assert_int_equal(e.how[M2C_GPU], M2C_MEASURED);
    go_to(now - 2 * S);
    a = read_ok(m);
    m2c_meter_between(m, &b, &a, &e);
    expect_none(&e, e.why, "the clock went back");
    pass(m, 9 * S);
    a = read_ok(m);
    m2c_meter_between(m, &b, &a, &e);
    expect_none(&e, e.why, "clock jumped");
    m2c_meter_close(m);
}

static void read_fails(const char *setup, const char *what)
{
    struct m2c_meter *m = open_stub(setup, false);
    struct m2c_reading r;
    struct m2c_err err = {0};
    pass(m, S);
    (void)read_ok(m);
    pass(m, 6 * S);
    assert_int_equal(m2c_meter_read(m, NULL, &r, &err), -EIO);
    assert_int_equal(r.how[M2C_GPU], M2C_UNAVAILABLE);
    if (!strstr(err.msg, what))
        fail_msg("'%s' in '%s'", what, err.msg);
    m2c_meter_close(m);
}

static void vanishes(void **state)
{
    (void)state;
    read_fails("lost=3000", "Stub 75: energy: GPU is lost");
    read_fails("lost=3000,counter=0", "Stub 75: power: GPU is lost");
    read_fails("error=3000", "Unknown Error");
    read_fails("error=3000,counter=0", "Unknown Error");
    read_fails("zero=3000", "reports 0 J");
    read_fails("zero=3000,counter=0", "reports 0 W");
}

static void open_fails(const char *setup, const char *gpu, int code, const char *what)
{
    struct m2c_meter_cfg cfg = {.nvml = stub, .gpu = gpu, .clock = &own_clock};
    struct m2c_meter *m = NULL;
    struct m2c_err err = {0};
    setenv("STUB_NVML", setup, 1);
    go_to(100 * S);
    int r = m2c_meter_open(&m, "nvml", &cfg, &err);
    m2c_meter_close(m);
    if (r != code || !strstr(err.msg, what))
        fail_msg("%d, '%s' in '%s'", r, what, err.msg);
}

static void opening(void **state)
{
    (void)state;
    open_fails("init=9", NULL, -ENODEV, "Driver Not Loaded");
    open_fails("init=4", NULL, -EACCES, "Insufficient Permissions");
    open_fails("init=999", NULL, -EIO, "Unknown Error");
    open_fails("cards=0", NULL, -ENODEV, "no card");
    open_fails("cards=3", NULL, -EINVAL, "3 cards, and which one");
    open_fails("cards=3", "3", -EINVAL, "no card '3' among 3");
    open_fails("", "GPU-1", -EINVAL, "no card 'GPU-1'");
    open_fails("", "0000:01:00.0", -EINVAL, "no card '0000:01:00.0'");
    open_fails("counter=0,low=0,high=0", NULL, -EIO, "reports 0 W");

    struct m2c_meter_cfg cfg = {.nvml = stub, .clock = &own_clock};
    static const char *const good[] = {"1", "GPU-5709", "0000:65:00.0"};
    setenv("STUB_NVML", "cards=2", 1);
    for (size_t i = 0; i < M2C_COUNTOF(good); i++) {
        struct m2c_meter *m = NULL;
        cfg.gpu = good[i];
        assert_int_equal(m2c_meter_open(&m, "nvml", &cfg, NULL), 0);
        m2c_meter_close(m);
    }

    struct m2c_meter *m = NULL;
    struct m2c_err err = {0};
    cfg = (struct m2c_meter_cfg){.nvml = "/nowhere/libnvidia-ml.so.1"};
    assert_int_equal(m2c_meter_open(&m, "nvml", &cfg, &err), -ENODEV);
    assert_non_null(strstr(err.msg, "there is no NVIDIA driver"));
    cfg.nvml = "libm.so.6";
    assert_int_equal(m2c_meter_open(&m, "nvml", &cfg, &err), -ENODEV);
    assert_non_null(strstr(err.msg, "lacks nvmlInit_v2"));
    cfg.period_ms = -1;
    assert_int_equal(m2c_meter_open(&m, "nvml", &cfg, &err), -EINVAL);
}

/* A counter that says 0 is none: power is sampled instead. */
static void counter_of_zero(void **state)
{
    (void)state;
    struct m2c_meter *m = open_stub("base=0", false);
    assert_non_null(strstr(m2c_meter_source(m), "added up"));
    m2c_meter_close(m);
}

/* ---- the thread ---- */

struct source {
    pthread_mutex_t lock;
    uint64_t from_ns;
    unsigned asked;
    bool gone;
};

/* 100 W, and 200 W from 60 ms on. */
static int probe_step(void *ctx, double *watts, struct m2c_err *err)
{
    struct source *s = ctx;
    pthread_mutex_lock(&s->lock);
    bool gone = s->gone;
    s->asked++;
    pthread_mutex_unlock(&s->lock);
    *watts = m2c_now_ns() - s->from_ns < 60 * MS ? 100 : 200;
    return gone ? m2c_fail(err, -ENODEV, "gone") : 0;
}

static void nap(long ms)
{
    struct timespec t = {0, ms * 1000000};
    nanosleep(&t, NULL);
}

static void thread(void **state)
{
    (void)state;
    struct source src = {.lock = PTHREAD_MUTEX_INITIALIZER, .from_ns = m2c_now_ns()};
    struct m2c_power_cfg cfg = {
        .sensor = {.period_ns = 4 * MS, .seen = 1, .gain = 0.05, .limit_w = 300},
        .probe = probe_step,
        .ctx = &src};
    struct m2c_power *s = NULL;
    struct m2c_integral a, b;
    struct m2c_err err = {0};
    assert_int_equal(m2c_power_open(&s, &cfg, NULL), 0);
    assert_int_equal(m2c_power_period_ns(s), 2 * MS);
    assert_int_equal(m2c_power_read(s, &a, NULL), 0);
    nap(120);
    assert_int_equal(m2c_power_read(s, &b, NULL), 0);
    double t0 = (double)(a.last_ns - src.from_ns) * 1e-9,
           t1 = (double)(b.last_ns - src.from_ns) * 1e-9;
    double want = 100 * (t1 - t0) + 100 * (t1 - M2C_MAX(t0, 0.06));
    if (b.gaps == 0) { /* a machine under load may stop everybody for long */
        double off = fabs(b.joules - a.joules - want);
        assert_true(off <= b.err_j - a.err_j + 2 * m2c_integral_edge_j(&b));
        assert_true(b.n > 3);
    }
    pthread_mutex_lock(&src.lock);
    src.gone = true;
    pthread_mutex_unlock(&src.lock);
    nap(20);
    assert_int_equal(m2c_power_read(s, &a, &err), -ENODEV);
    assert_string_equal(err.msg, "gone");
    pthread_mutex_lock(&src.lock);
    unsigned asked = src.asked;
    pthread_mutex_unlock(&src.lock);
    assert_int_equal(m2c_power_read(s, &a, &err), -ENODEV);
    assert_int_equal(src.asked, asked); /* what is gone is left in peace */
    m2c_power_close(s);
    m2c_power_close(NULL);
}

/* The whole meter on the machine's own clock, against the stub's. */
static void live(void **state)
{
    (void)state;
    struct m2c_meter_cfg cfg = {.nvml = stub, .gpu_sampled = true, .period_ms = 1};
    struct m2c_meter *m = NULL;
    struct m2c_reading a, b;
    setenv("STUB_NVML", "cc=75,t=1,wave=40", 1);
    assert_int_equal(m2c_meter_open(&m, "nvml", &cfg, NULL), 0);
    a = read_ok(m);
    nap(150);
    b = read_ok(m);
    assert_true(b.changes > a.changes && b.uj[M2C_GPU] > a.uj[M2C_GPU]);
    m2c_meter_close(m);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    stub = argv[1];
    void *lib = dlopen(stub, RTLD_NOW);
    void *t = lib ? dlsym(lib, "stub_nvml_set_time") : NULL;
    void *j = lib ? dlsym(lib, "stub_nvml_joules") : NULL;
    if (!t || !j) {
        fprintf(stderr, "%s: %s\n", stub, dlerror());
        return 1;
    }
    memcpy(&set_time, &t, sizeof t);
    memcpy(&truth, &j, sizeof j);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live), /* first: afterwards the stub's time is the test's */
        cmocka_unit_test(thread),
        cmocka_unit_test(counter),
        cmocka_unit_test(sampled),
        cmocka_unit_test(counter_wraps),
        cmocka_unit_test(averaging),
        cmocka_unit_test(lagging),
        cmocka_unit_test(part_time),
        cmocka_unit_test(generations),
        cmocka_unit_test(too_short),
        cmocka_unit_test(stuck),
        cmocka_unit_test(goes_back),
        cmocka_unit_test(clock_jumps),
        cmocka_unit_test(vanishes),
        cmocka_unit_test(opening),
        cmocka_unit_test(counter_of_zero),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    dlclose(lib);
    return r;
}
