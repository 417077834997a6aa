/* SPDX-License-Identifier: MIT */
/* Meters: RAPL over a fake powercap tree (wrap-around, what counts and what
 * does not, no permission, vanishing counters), the model, carbon against hand
 * computed figures. */
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
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "meter/carbon.h"
#include "meter/meter_impl.h"

static char root[64];

/* ---- a powercap tree as Linux has it: all zones flat in one folder ---- */

static void put(const char *zone, const char *file, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, zone);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/%s/%s", root, zone, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void zone(const char *zone, const char *name, const char *uj, const char *range)
{
    char line[128];
    snprintf(line, sizeof line, "%s\n", name);
    put(zone, "name", line);
    put(zone, "max_energy_range_uj", range);
    put(zone, "energy_uj", uj);
}

static void drop(const char *zone, const char *file)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s/%s", root, zone, file);
    assert_int_equal(unlink(path), 0);
}

static int clear_tree(void **state)
{
    char command[96];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'/*", root);
    return system(command);
}

#define RANGE "262143328850\n"

static int plain_tree(void **state)
{
    (void)state;
    mkdir(root, 0755);
    put("intel-rapl", "enabled", "1\n"); /* the control type: not a zone */
    zone("intel-rapl:0", "package-0", "1000\n", RANGE);
    zone("intel-rapl:0:0", "core", "77\n", RANGE);
    zone("intel-rapl:0:1", "dram", "500\n", "65532610987\n");
    zone("intel-rapl:1", "package-1", "2000\n", RANGE);
    zone("intel-rapl:2", "psys", "99\n", RANGE);
    zone("intel-rapl-mmio:0", "package-0", "1\n", RANGE);
    return 0;
}

static uint64_t own_ns;
static uint64_t clock_now(void *ctx)
{
    (void)ctx;
    return own_ns;
}
static const struct m2c_meter_clock own_clock = {.now = clock_now};

static struct m2c_meter *open_rapl_at(const struct m2c_meter_clock *clock)
{
    struct m2c_meter_cfg cfg = {.powercap = root, .clock = clock};
    struct m2c_meter *m = NULL;
    struct m2c_err err = {0};
    if (m2c_meter_open(&m, "rapl", &cfg, &err) < 0)
        fail_msg("%s", err.msg);
    return m;
}

static struct m2c_meter *open_rapl(void)
{
    return open_rapl_at(NULL);
}

static struct m2c_reading read_meter(struct m2c_meter *m)
{
    struct m2c_reading r;
    struct m2c_err err = {0};
    if (m2c_meter_read(m, NULL, &r, &err) < 0)
        fail_msg("%s", err.msg);
    return r;
}

static void open_fails(int code, const char *what)
{
    struct m2c_meter_cfg cfg = {.powercap = root};
    struct m2c_meter *m = NULL;
    struct m2c_err err = {0};
    int r = m2c_meter_open(&m, "rapl", &cfg, &err);
    m2c_meter_close(m);
    assert_int_equal(r, code);
    if (!strstr(err.msg, what))
        fail_msg("'%s' in '%s'", what, err.msg);
}

static void read_fails(struct m2c_meter *m, const char *what)
{
    struct m2c_reading r;
    struct m2c_err err = {0};
    assert_int_equal(m2c_meter_read(m, NULL, &r, &err), -EIO);
    if (!strstr(err.msg, what))
        fail_msg("'%s' in '%s'", what, err.msg);
}

/* ---- RAPL ---- */

static void rapl_counts(void **state)
{
    (void)state;
    struct m2c_meter *m = open_rapl();
    struct m2c_reading r = read_meter(m);
    assert_string_equal(m2c_meter_name(m), "rapl");
    assert_int_equal(m2c_meter_how(m), M2C_MEASURED);
    assert_true(r.uj[M2C_CPU] == 0 && r.uj[M2C_DRAM] == 0);
    put("intel-rapl:0", "energy_uj", "1300\n");
    put("intel-rapl:0:0", "energy_uj", "5000\n");
    put("intel-rapl:0:1", "energy_uj", "540\n");
    put("intel-rapl:1", "energy_uj", "2005\n");
    put("intel-rapl:2", "energy_uj", "7000\n");
    put("intel-rapl-mmio:0", "energy_uj", "9000\n");
    uint64_t before = m2c_now_ns();
    r = read_meter(m);
    assert_in_range(r.at_ns, before, m2c_now_ns());
    assert_int_equal(r.uj[M2C_CPU], 305);
    assert_int_equal(r.uj[M2C_DRAM], 40);
    assert_int_equal(r.how[M2C_CPU], M2C_MEASURED);
    assert_int_equal(r.how[M2C_DRAM], M2C_MEASURED);
    assert_int_equal(r.how[M2C_SSD], M2C_UNAVAILABLE);
    assert_int_equal(r.how[M2C_GPU], M2C_UNAVAILABLE);
    m2c_meter_close(m);
}

static void rapl_wraps(void **state)
{
    (void)state;
    static const char *const steps[] = {
        "262143328000\n", "150\n", "262143328849\n", "0\n", "262143328850\n", "1\n"};
    uint64_t expect = 0, last = 1000;
    struct m2c_meter *m = open_rapl_at(&own_clock);
    for (size_t i = 0; i < M2C_COUNTOF(steps); i++) {
        uint64_t now = strtoull(steps[i], NULL, 10);
        expect += now >= last ? now - last : UINT64_C(262143328850) - last + now;
        last = now;
        put("intel-rapl:0", "energy_uj", steps[i]);
        own_ns += UINT64_C(260000000000); /* at 1 kW a round takes 262 s */
        struct m2c_reading r = read_meter(m);
        assert_int_equal(r.uj[M2C_CPU], expect);
        assert_int_equal(r.uj[M2C_DRAM], 0);
    }
    assert_true(expect > 2 * UINT64_C(262143328850)); /* more than one range in all */
    m2c_meter_close(m);
}

/* A counter that is set anew, or a jump that no socket can make. */
static void rapl_goes_back(void **state)
{
    (void)state;
    struct m2c_meter *m = open_rapl_at(&own_clock);
    struct m2c_energy e;
    put("intel-rapl:0", "energy_uj", "900001000\n");
    own_ns += UINT64_C(9000000000);
    struct m2c_reading a = read_meter(m);
    put("intel-rapl:0", "energy_uj", "500\n");
    own_ns += UINT64_C(9000000000);
    struct m2c_reading b = read_meter(m);
    m2c_meter_between(m, &a, &b, &e);
    assert_int_equal(e.how[M2C_CPU], M2C_UNAVAILABLE);
    assert_non_null(
        strstr(e.why, "energy_uj went back or jumped, from 900001000 to 500"));
    put("intel-rapl:0", "energy_uj", "90000500\n");
    own_ns += UINT64_C(9000000000);
    a = read_meter(m);
    m2c_meter_between(m, &b, &a, &e); /* what follows is known, but for DRAM: */
    assert_true(fabs(e.joules[M2C_CPU] - 90) < 1e-9);
    assert_true(fabs(e.err_j[M2C_CPU] - 90 * 2e-3 / 9) < 1e-9);
    assert_int_equal(e.how[M2C_DRAM], M2C_UNAVAILABLE);
    assert_non_null(strstr(e.why, "stood still"));
    put("intel-rapl:0", "energy_uj", "80090000500\n"); /* 80 kJ in a second */
    own_ns += UINT64_C(1000000000);
    b = read_meter(m);
    m2c_meter_between(m, &a, &b, &e);
    assert_non_null(strstr(e.why, "jumped"));
    m2c_meter_close(m);
}

static void rapl_no_dram(void **state)
{
    (void)state;
    zone("intel-rapl:0:1", "uncore", "1\n", RANGE);
    struct m2c_meter *m = open_rapl();
    struct m2c_reading r = read_meter(m);
    assert_int_equal(r.how[M2C_DRAM], M2C_UNAVAILABLE);
    assert_int_equal(r.how[M2C_CPU], M2C_MEASURED);
    m2c_meter_close(m);
}

static void rapl_absent(void **state)
{
    clear_tree(state);
    open_fails(-ENODEV, "lists no package or DRAM domain");
    zone("intel-rapl:2", "psys", "99\n", RANGE);
    open_fails(-ENODEV, "lists no package or DRAM domain");
    rmdir(root);
    clear_tree(state);
    char keep[sizeof root];
    memcpy(keep, root, sizeof root);
    strcat(root, "-not-there");
    open_fails(-ENODEV, "No such file");
    memcpy(root, keep, sizeof root);
    mkdir(root, 0755);
}

/* root may read everything, so it becomes somebody else for a moment. */
static void rapl_denied(void **state)
{
    char path[256];
    (void)state;
    snprintf(path, sizeof path, "%s/intel-rapl:1/energy_uj", root);
    assert_int_equal(chmod(path, 0), 0);
    bool is_root = geteuid() == 0;
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    struct m2c_meter_cfg cfg = {.powercap = root};
    struct m2c_meter *m = NULL;
    struct m2c_err err = {0};
    int r = m2c_meter_open(&m, "rapl", &cfg, &err);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(r, -EACCES);
    assert_null(m);
    assert_non_null(strstr(err.msg, path));
    assert_non_null(strstr(err.msg, "chmod a+r"));
    assert_non_null(strstr(err.msg, "/etc/tmpfiles.d"));
}

static void rapl_broken(void **state)
{
    (void)state;
    struct m2c_meter *m = open_rapl();
    static const char *const bad[] = {"",    "\n",    "-5\n",
                                      "x\n", "12x\n", "99999999999999999999999\n"};
    for (size_t i = 0; i < M2C_COUNTOF(bad); i++) {
        put("intel-rapl:1", "energy_uj", bad[i]);
        read_fails(m, "intel-rapl:1/energy_uj");
    }
    put("intel-rapl:1", "energy_uj", "262143328851\n");
    read_fails(m, "above its range");
    put("intel-rapl:1", "energy_uj", "2010\n"); /* and it goes on */
    assert_int_equal(read_meter(m).uj[M2C_CPU], 10);
    drop("intel-rapl:1", "energy_uj");
    read_fails(m, "No such file");
    m2c_meter_close(m);
    open_fails(-EIO, "intel-rapl:1/energy_uj: No such file");
    put("intel-rapl:1", "energy_uj", "1\n");
    put("intel-rapl:1", "max_energy_range_uj", "0\n");
    open_fails(-EIO, "max_energy_range_uj is 0");
    put("intel-rapl:1", "max_energy_range_uj", "abc\n");
    open_fails(-EIO, "not a whole number");
    drop("intel-rapl:1", "name");
    open_fails(-EIO, "intel-rapl:1/name");
}

static void rapl_many(void **state)
{
    (void)state;
    for (int i = 0; i < 70; i++) {
        char name[64];
        snprintf(name, sizeof name, "intel-rapl:%d", i + 10);
        zone(name, "package-9", "1\n", RANGE);
    }
    open_fails(-E2BIG, "more than 64 domains");
}

/* ---- differences ---- */

static void expect_energy(const struct m2c_energy *e, enum m2c_component c,
                          enum m2c_how how, double joules)
{
    assert_int_equal(e->how[c], how);
    assert_true(how == M2C_UNAVAILABLE ? isnan(e->joules[c])
                                       : fabs(e->joules[c] - joules) < 1e-12);
}

static void between(void **state)
{
    (void)state;
    struct m2c_meter *m = open_rapl();
    struct m2c_energy e;
    struct m2c_reading a = {.at_ns = 1000000000, .uj = {5000, 70}}, b = a;
    a.how[M2C_CPU] = a.how[M2C_DRAM] = b.how[M2C_CPU] = M2C_MEASURED;
    b.how[M2C_DRAM] = M2C_UNAVAILABLE; /* known once only */
    b.uj[M2C_CPU] = 2005000;
    assert_int_equal(m2c_meter_tick_ns(m), 1000000);
    assert_int_equal(m2c_meter_window_ns(m), 50 * 1000000);

    b.at_ns = a.at_ns + 50000000;
    m2c_meter_between(m, &a, &b, &e);
    assert_null(e.why);
    assert_true(fabs(e.seconds - 0.05) < 1e-12);
    expect_energy(&e, M2C_CPU, M2C_MEASURED, 2.0);
    expect_energy(&e, M2C_DRAM, M2C_UNAVAILABLE, 0);
    expect_energy(&e, M2C_GPU, M2C_UNAVAILABLE, 0);

    b.at_ns--; /* a nanosecond too short */
    m2c_meter_between(m, &a, &b, &e);
    assert_string_equal(e.why, "the window is too short for its tick");
    expect_energy(&e, M2C_CPU, M2C_UNAVAILABLE, 0);

    b.at_ns += 1000000000;
    m2c_meter_lose(m, "count was lost at %d", 7);
    b.gaps++;
    m2c_meter_between(m, &a, &b, &e);
    assert_string_equal(e.why, "count was lost at 7");
    expect_energy(&e, M2C_CPU, M2C_UNAVAILABLE, 0);

    m2c_meter_between(m, &b, &a, &e); /* the wrong way round */
    assert_string_equal(e.why, "the clock went back");
    expect_energy(&e, M2C_CPU, M2C_UNAVAILABLE, 0);
    m2c_meter_close(m);
}

static void nap_ms(long ms)
{
    struct timespec t = {0, ms * 1000000};
    nanosleep(&t, NULL);
}

/* A range of 80 J lasts 80 ms at the most power a socket takes. */
static void gaps(void **state)
{
    (void)state;
    zone("intel-rapl:1", "package-1", "1\n", "80000000\n");
    struct m2c_meter *m = open_rapl();
    assert_int_equal(m->max_gap_ns, 80000000);
    struct m2c_reading a = read_meter(m);
    nap_ms(100);
    struct m2c_reading b = read_meter(m);
    assert_int_equal(b.gaps, a.gaps + 1);
    put("intel-rapl:1", "energy_uj", "900\n");
    for (int i = 0; i < 10; i++) { /* kept up with */
        nap_ms(10);
        m2c_meter_keep(m);
    }
    struct m2c_reading c = read_meter(m);
    struct m2c_energy e;
    m2c_meter_between(m, &b, &c, &e);
    if (c.gaps == b.gaps) /* a machine under load may sleep longer than told */
        expect_energy(&e, M2C_CPU, M2C_MEASURED, 899e-6);
    else
        expect_energy(&e, M2C_CPU, M2C_UNAVAILABLE, 0);
    m2c_meter_close(m);
}

/* ---- the others ---- */

static void model(void **state)
{
    (void)state;
    struct m2c_meter_cfg cfg = {.cpu_busy_w = 10,
                                .cpu_idle_w = 3,
                                .dram_w_per_gib = 0.5,
                                .ssd_w = 2,
                                .ssd_j_per_gb = 4};
    struct m2c_meter *m = NULL;
    struct m2c_load load = {.wall_s = 100, .cpu_s = 50, .dram_gib = 8, .ssd_bytes = 1e9};
    struct m2c_reading a, b;
    struct m2c_energy e;
    assert_int_equal(m2c_meter_open(&m, "model", &cfg, NULL), 0);
    assert_int_equal(m2c_meter_read(m, NULL, &a, NULL), -EINVAL);
    assert_int_equal(m2c_meter_read(m, &load, &a, NULL), 0);
    load =
        (struct m2c_load){.wall_s = 104, .cpu_s = 56, .dram_gib = 8, .ssd_bytes = 3.5e9};
    nap_ms(1);
    assert_int_equal(m2c_meter_read(m, &load, &b, NULL), 0);
    m2c_meter_between(m, &a, &b, &e);
    expect_energy(&e, M2C_CPU, M2C_ESTIMATED, 10 * 6 + 3 * 4);
    expect_energy(&e, M2C_DRAM, M2C_ESTIMATED, 0.5 * 8 * 4);
    expect_energy(&e, M2C_SSD, M2C_ESTIMATED, 2 * 4 + 4 * 2.5);
    expect_energy(&e, M2C_GPU, M2C_UNAVAILABLE, 0);
    assert_string_equal(
        m2c_meter_source(m),
        "model: 10 W a busy core, 3 W idle package, 0.5 W/GiB + 0 J/GB DRAM, 2 W + "
        "4 J/GB SSD");
    load.wall_s = 1; /* before the first reading */
    assert_int_equal(m2c_meter_read(m, &load, &b, NULL), -EIO);
    load.wall_s = NAN;
    assert_int_equal(m2c_meter_read(m, &load, &b, NULL), -EIO);
    m2c_meter_close(m);
    cfg.dram_j_per_gb = 2;
    cfg.gpu_w = 25;
    load = (struct m2c_load){.wall_s = 1, .dram_gib = 8, .dram_bytes = 1e9};
    assert_int_equal(m2c_meter_open(&m, "model", &cfg, NULL), 0);
    assert_int_equal(m2c_meter_read(m, &load, &a, NULL), 0);
    load = (struct m2c_load){.wall_s = 3, .dram_gib = 8, .dram_bytes = 7e9};
    assert_int_equal(m2c_meter_read(m, &load, &b, NULL), 0);
    m2c_meter_between(m, &a, &b, &e);
    expect_energy(&e, M2C_DRAM, M2C_ESTIMATED, 0.5 * 8 * 2 + 2 * 6);
    expect_energy(&e, M2C_GPU, M2C_ESTIMATED, 25 * 2);
    assert_non_null(strstr(m2c_meter_source(m), ", 25 W GPU"));
    load.dram_bytes = 0; /* a count that goes back */
    assert_int_equal(m2c_meter_read(m, &load, &b, NULL), -EIO);
    m2c_meter_close(m);
    cfg.ssd_w = -1;
    assert_int_equal(m2c_meter_open(&m, "model", &cfg, NULL), -EINVAL);
    cfg.ssd_w = NAN;
    assert_int_equal(m2c_meter_open(&m, "model", &cfg, NULL), -EINVAL);
}

static void null(void **state)
{
    (void)state;
    struct m2c_meter_cfg cfg = {.fail_nth = 3};
    struct m2c_meter *m = NULL;
    struct m2c_reading a, b;
    struct m2c_energy e;
    assert_int_equal(m2c_meter_open(&m, "null", &cfg, NULL), 0);
    assert_int_equal(m2c_meter_read(m, NULL, &a, NULL), 0);
    assert_int_equal(m2c_meter_read(m, NULL, &b, NULL), 0);
    m2c_meter_between(m, &a, &b, &e);
    for (int c = 0; c < M2C_N_COMPONENTS; c++)
        expect_energy(&e, (enum m2c_component)c, M2C_UNAVAILABLE, 0);
    read_fails(m, "reading 3 fails");
    m2c_meter_close(m);
    m2c_meter_close(NULL);
}

static void tables(void **state)
{
    (void)state;
    const struct m2c_meter_ops *none[] = {NULL}, *two[] = {&m2c_meter_rapl, NULL, NULL};
    struct m2c_meter_ops bad = m2c_meter_null;
    struct m2c_meter_cfg cfg = {0};
    struct m2c_meter *m = NULL;
    struct m2c_err err = {0};
    assert_int_equal(m2c_meter_check(none, &err), 0);
    two[1] = &bad;
    assert_int_equal(m2c_meter_check(two, &err), 0);
    bad.read = NULL;
    assert_int_equal(m2c_meter_check(two, &err), -EINVAL);
    assert_string_equal(err.msg, "meter 'null' lacks a mandatory hook");
    assert_int_equal(m2c_meter_open(&m, "rappl", &cfg, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "did you mean 'rapl'?"));
    assert_string_equal(m2c_component_name(M2C_GPU), "gpu");
    assert_string_equal(m2c_component_name(M2C_N_COMPONENTS), "?");
    assert_string_equal(m2c_how_name(M2C_MEASURED), "measured");
    assert_string_equal(m2c_how_name((enum m2c_how)0), "unavailable");
}

/* ---- carbon ---- */

static double hour_g(double watts)
{
    struct m2c_carbon_cfg cfg = {.g_per_kwh = M2C_PAPER_G_PER_KWH};
    struct m2c_carbon c;
    assert_int_equal(m2c_carbon(&cfg, watts * 3600, 3600, &c, NULL), 0);
    assert_true(c.embodied_g == 0);
    return c.operational_g;
}

static void carbon(void **state)
{
    (void)state;
    /* by hand: 6.5 W, 2 W and 350 W for an hour at 820 g/kWh */
    assert_true(fabs(hour_g(6.5) - 5.33) < 1e-9);
    assert_true(fabs(hour_g(2) - 1.64) < 1e-9);
    assert_true(fabs(hour_g(350) - 287) < 1e-9);
    assert_true(fabs(m2c_carbon_paper_j(64, 10) - 85) < 1e-9); /* (6.5 + 2) W, 10 s */

    /* 150 kg over 4 years at half use: 1 day is 150000 / (4 * 365.25 / 2) g */
    struct m2c_carbon_cfg cfg = {
        .g_per_kwh = 100, .embodied_kg = 150, .life_years = 4, .utilisation = 0.5};
    struct m2c_carbon c;
    assert_int_equal(m2c_carbon(&cfg, 7.2e6, 86400, &c, NULL), 0);
    assert_true(fabs(c.operational_g - 200) < 1e-9);
    assert_true(fabs(c.embodied_g - 150000 / 730.5) < 1e-9);

    assert_int_equal(m2c_carbon(&cfg, -1, 1, &c, NULL), -EINVAL);
    assert_int_equal(m2c_carbon(&cfg, NAN, 1, &c, NULL), -EINVAL);
    assert_int_equal(m2c_carbon(&cfg, 1, -1, &c, NULL), -EINVAL);
    cfg.utilisation = 1.5;
    assert_int_equal(m2c_carbon(&cfg, 1, 1, &c, NULL), -EINVAL);
    cfg.utilisation = 0.5;
    cfg.life_years = 0;
    assert_int_equal(m2c_carbon(&cfg, 1, 1, &c, NULL), -EINVAL);
}

static void regions(void **state)
{
    const struct m2c_region *r = NULL;
    struct m2c_err err = {0};
    (void)state;
    assert_int_equal(m2c_region_find("FR", &r, &err), 0);
    assert_string_equal(r->name, "France");
    assert_true(r->g_per_kwh == 56 && r->year == 2023);
    assert_int_equal(m2c_region_find("xx", &r, &err), -EINVAL);
    assert_non_null(strstr(err.msg, " us "));
    for (size_t i = 0; i < m2c_regions_n; i++) {
        assert_int_equal(m2c_region_find(m2c_regions[i].code, &r, NULL), 0);
        assert_ptr_equal(r, &m2c_regions[i]);
        assert_true(r->g_per_kwh > 20 && r->g_per_kwh < 1000);
    }
}

int main(void)
{
    const char *tmp = "/tmp/m2c-meter-XXXXXX"; /* readable for whoever root becomes */
    strcpy(root, tmp);
    if (!mkdtemp(root) || chmod(root, 0755) < 0)
        return 1;
#define RAPL(fn) cmocka_unit_test_setup_teardown(fn, plain_tree, clear_tree)
    const struct CMUnitTest tests[] = {
        RAPL(rapl_counts),
        RAPL(rapl_wraps),
        RAPL(rapl_no_dram),
        RAPL(rapl_goes_back),
        RAPL(rapl_absent),
        RAPL(rapl_denied),
        RAPL(rapl_broken),
        RAPL(rapl_many),
        RAPL(between),
        RAPL(gaps),
        cmocka_unit_test(model),
        cmocka_unit_test(null),
        cmocka_unit_test(tables),
        cmocka_unit_test(carbon), cmocka_unit_test(regions),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(root);
    return r;
}
