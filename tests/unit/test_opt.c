/* SPDX-License-Identifier: MIT */
/* Option sets: what files and assignments mean, how faults are worded, and
 * write -> load giving the same set. */
#define _GNU_SOURCE /* open_memstream, fmemopen */
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

#include "base/opt.h"
#include "base/rng.h"

struct settings {
    const char *path, *policy, *split;
    struct m2c_size hbm, dram;
    uint64_t chunk;
    int64_t repeat, index;
    double temperature, period;
    bool direct;
    int engine;
    struct m2c_ratio ratio;
};

static const char *const policies[] = {"atu", "lru", "random", NULL};
static const char *const engines[] = {"libaio", "pread", "mmap", NULL};
static const char *const auto_word[] = {"auto", NULL};

#define AT(field) offsetof(struct settings, field)
static const struct m2c_opt table[] = {
    {"experiment", "repeat", M2C_OPT_INT, AT(repeat), "3", .min = 1, .max = 1000,
     .help = "runs of each point", .readers = "all"},
    {"model", "path", M2C_OPT_STR, AT(path), "", .help = "the store", .readers = "all"},
    {"hbm", "bytes", M2C_OPT_SIZE, AT(hbm), "30%", .help = "size of the units",
     .readers = "decode,ppl"},
    {"hbm", "policy", M2C_OPT_NAME, AT(policy), "atu", .choices = policies,
     .help = "who is evicted", .readers = "decode,ppl"},
    {"dram", "bytes", M2C_OPT_SIZE, AT(dram), "16G", .min = 1 << 20, .max = INFINITY,
     .help = "size of the pool", .readers = "decode,ppl"},
    {"ssd", "engine", M2C_OPT_ENUM, AT(engine), "libaio", .choices = engines,
     .help = "how files are read", .readers = "decode"},
    {"ssd", "direct", M2C_OPT_BOOL, AT(direct), "yes", .help = "past the page cache",
     .readers = "decode"},
    {"ssd", "chunk", M2C_OPT_BYTES, AT(chunk), "1024K", .min = 4096, .max = 1 << 30,
     .help = "bytes of a read", .readers = "decode"},
    {"precision", "ratio", M2C_OPT_RATIO, AT(ratio), "25:25:50",
     .help = "shares of the classes", .readers = "all"},
    {"decode", "temperature", M2C_OPT_FLOAT, AT(temperature), "0.70", .min = 0,
     .max = INFINITY, .help = "of sampling", .readers = "decode"},
    {"device", "index", M2C_OPT_INT, AT(index), "auto", .choices = auto_word,
     .word_value = -1, .help = "which card", .readers = "all"},
    {"meter", "period_ms", M2C_OPT_FLOAT, AT(period), "auto", .min = 1, .max = 1e4,
     .unit = "ms", .choices = auto_word, .word_value = NAN, .help = "between samples",
     .readers = "all"},
    {"text", "split", M2C_OPT_STR, AT(split), "<|endoftext|>", .help = "between pieces",
     .readers = "ppl"},
};

static struct m2c_optset *open_set(void)
{
    struct m2c_optset *s;
    struct m2c_err err = {0};
    if (m2c_opt_check(table, M2C_COUNTOF(table), &err))
        fail_msg("%s", err.msg);
    assert_int_equal(m2c_optset_open(&s, table, M2C_COUNTOF(table)), 0);
    return s;
}

static int read_text(struct m2c_optset *s, const char *text, struct m2c_err *err)
{
    FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "rb");
    assert_non_null(f);
    int rc = m2c_optset_read(s, f, "x.ini", err);
    fclose(f);
    return rc;
}

/* Everything a set holds, as one text. */
static char *dump(const struct m2c_optset *s)
{
    char *text;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    for (size_t i = 0; i < m2c_optset_count(s); i++)
        fprintf(f, "%s.%s=<%s>\n", m2c_optset_row(s, i)->section,
                m2c_optset_row(s, i)->key, m2c_optset_text(s, i));
    for (size_t a = 0; a < m2c_optset_axes(s); a++) {
        fprintf(f, "sweep %s.%s:", m2c_optset_axis(s, a)->section,
                m2c_optset_axis(s, a)->key);
        for (size_t i = 0; i < m2c_optset_axis_len(s, a); i++)
            fprintf(f, " <%s>", m2c_optset_axis_value(s, a, i));
        fprintf(f, "\n");
    }
    fclose(f);
    return text;
}

static void defaults(void **state)
{
    (void)state;
    struct m2c_optset *s = open_set();
    struct settings v;
    assert_int_equal(m2c_optset_apply(s, &v, NULL), 0);
    assert_int_equal(v.repeat, 3);
    assert_string_equal(v.path, "");
    assert_string_equal(v.policy, "atu");
    assert_true(v.hbm.is_percent && v.hbm.percent == 30);
    assert_false(v.dram.is_percent);
    assert_true(v.dram.bytes == UINT64_C(16) << 30);
    assert_int_equal(v.engine, 0);
    assert_true(v.direct);
    assert_int_equal(v.chunk, 1 << 20);
    assert_int_equal(v.ratio.n, 3);
    assert_true(v.ratio.share[0] == 0.25 && v.ratio.share[2] == 0.5);
    assert_true(v.temperature == 0.7 && isnan(v.period));
    assert_int_equal(v.index, -1);
    assert_string_equal(m2c_optset_get(s, "ssd", "direct"), "on");
    assert_string_equal(m2c_optset_get(s, "ssd", "chunk"), "1M");
    assert_string_equal(m2c_optset_get(s, "decode", "temperature"), "0.7");
    assert_null(m2c_optset_get(s, "ssd", "bytes"));
    assert_null(m2c_optset_get(s, "sdd", "chunk"));
    for (size_t i = 0; i < m2c_optset_count(s); i++) {
        assert_true(m2c_optset_is_default(s, i));
        assert_string_equal(m2c_optset_origin(s, i), "default");
    }
    m2c_optset_close(s);
    m2c_optset_close(NULL);
}

static void load(void **state)
{
    (void)state;
    struct m2c_optset *s = open_set();
    struct m2c_err err = {0};
    if (read_text(s,
                  "[hbm]\nbytes = 67108864 ; as bytes\npolicy = lru\n"
                  "[sweep]\nhbm.bytes = 2% | 5.0% | 64M | 65536K0\n",
                  &err) != -EINVAL)
        fail_msg("no error");
    assert_string_equal(m2c_optset_get(s, "hbm", "policy"), "atu"); /* as it was */
    if (read_text(s,
                  "[hbm]\nbytes = 67108864 ; as bytes\npolicy = lru\n[model]\n"
                  "path = /a b/c.h5\n[sweep]\nprecision.ratio = 100:0:0 | 25.0:025:50\n"
                  "policy = lru|random\nhbm.bytes = 2 % | 5.0% | 64M\n"
                  "text.split = a\\|b | c\n[meter]\nperiod_ms = 1e1\n",
                  &err))
        fail_msg("%s", err.msg);
    char *text = dump(s);
    assert_string_equal(
        text, "experiment.repeat=<3>\nmodel.path=</a b/c.h5>\nhbm.bytes=<64M>\n"
              "hbm.policy=<lru>\ndram.bytes=<16G>\nssd.engine=<libaio>\nssd.direct=<on>\n"
              "ssd.chunk=<1M>\nprecision.ratio=<25:25:50>\ndecode.temperature=<0.7>\n"
              "device.index=<auto>\nmeter.period_ms=<10>\ntext.split=<<|endoftext|>>\n"
              "sweep precision.ratio: <100:0:0> <25:25:50>\n"
              "sweep hbm.policy: <lru> <random>\nsweep hbm.bytes: <2%> <5%> <64M>\n"
              "sweep text.split: <a|b> <c>\n");
    free(text);
    assert_string_equal(m2c_optset_origin(s, 2), "x.ini:2");
    assert_false(m2c_optset_is_default(s, 2));
    m2c_optset_close(s);
}

static void expect_load_error(const char *text, const char *message)
{
    struct m2c_optset *s = open_set();
    struct m2c_err err = {0};
    char *before = dump(s), *after;
    int rc = read_text(s, text, &err);
    assert_string_equal(err.msg, message);
    assert_int_equal(rc, -EINVAL);
    after = dump(s);
    assert_string_equal(before, after);
    free(before);
    free(after);
    m2c_optset_close(s);
}

static void load_errors(void **state)
{
    (void)state;
    expect_load_error("[hbm]\n\npolcy = lru\n",
                      "x.ini:3: [hbm] polcy: unknown key, did you mean 'policy'?");
    expect_load_error(
        "[hbm]\nengine = pread\n",
        "x.ini:2: [hbm] engine: unknown key, did you mean 'engine' of [ssd]?");
    expect_load_error("[hbm]\nzzzzzz = 1\n",
                      "x.ini:2: [hbm] zzzzzz: unknown key (have: bytes, policy)");
    expect_load_error("[hbmm]\n",
                      "x.ini:1: [hbmm]: unknown section, did you mean 'hbm'?");
    expect_load_error("[swep]\n",
                      "x.ini:1: [swep]: unknown section, did you mean 'sweep'?");
    expect_load_error(
        "[zzzzzzzz]\n",
        "x.ini:1: [zzzzzzzz]: unknown section (have: experiment, model, hbm, "
        "dram, ssd, precision, decode, device, meter, text, sweep)");
    expect_load_error("[hbm]\nbytes = 1M\n[ssd]\n[hbm]\nbytes = 1M\n",
                      "x.ini:5: [hbm] bytes: given twice, first in line 2");
    expect_load_error(
        "[hbm]\nbytes = 12Q\n",
        "x.ini:2: [hbm] bytes = 12Q: not a size (bytes with K, M, G or T, or a "
        "percentage such as 30%)");
    expect_load_error("[hbm]\npolicy = rand\n",
                      "x.ini:2: [hbm] policy = rand: not one of "
                      "atu, lru, random; did you mean 'random'?");
    expect_load_error("[hbm]\npolicy =\n", "x.ini:2: [hbm] policy = : no value");
    expect_load_error(
        "[hbm]\nbytes = 1M | 2M\n",
        "x.ini:2: [hbm] bytes = 1M | 2M: several values belong in [sweep], as "
        "hbm.bytes = a | b (--set 'sweep.hbm.bytes=a|b')");
    expect_load_error("[sweep]\nbytes = 1M | 2M\n",
                      "x.ini:2: [sweep] bytes: several sections have this key: write "
                      "hbm.bytes or dram.bytes");
    expect_load_error("[sweep]\nhbm.bits = 1M\n",
                      "x.ini:2: [sweep] hbm.bits: unknown key, did you mean 'bytes'?");
    expect_load_error("[sweep]\nhbn.bytes = 1M\n",
                      "x.ini:2: [sweep] hbn.bytes: unknown section, did you mean 'hbm'?");
    expect_load_error("[sweep]\npolcy = lru\n",
                      "x.ini:2: [sweep] polcy: unknown key, did you mean 'hbm.policy'?");
    expect_load_error("[sweep]\nqqqqqqqqqqq = lru\n",
                      "x.ini:2: [sweep] qqqqqqqqqqq: unknown key (expected section.key)");
    expect_load_error("[sweep]\npolicy = lru | | atu\n",
                      "x.ini:2: [sweep] policy = lru | | "
                      "atu: value 2 of the axis is empty");
    expect_load_error("[sweep]\npolicy = lru |\n",
                      "x.ini:2: [sweep] policy = lru |: value 2 of the axis is empty");
    expect_load_error("[sweep]\npolicy =\n",
                      "x.ini:2: [sweep] policy = : value 1 of the axis is empty");
    expect_load_error(
        "[sweep]\nhbm.bytes = 1M | 2M | 1024K\n",
        "x.ini:2: [sweep] hbm.bytes = 1M | 2M | 1024K: value 3, '1024K', is "
        "the same as value 1");
    expect_load_error("[sweep]\nrepeat = 1 | 0\n",
                      "x.ini:2: [sweep] repeat = 1 | 0: value 2, "
                      "'0': must be from 1 to 1000");
    expect_load_error("[sweep]\npolicy = lru\nhbm.policy = atu\n",
                      "x.ini:3: [sweep] hbm.policy: given twice, first in line 2");
    expect_load_error("[hbm]\nbytes = 1M\nnonsense\n",
                      "x.ini:3: expected '[section]', 'key = value' or a comment");
}

static void expect_assign_error(const char *text, const char *message)
{
    struct m2c_optset *s = open_set();
    struct m2c_err err = {0};
    char *before = dump(s), *after;
    int rc = m2c_optset_assign(s, text, "--set", &err);
    assert_string_equal(err.msg, message);
    assert_int_equal(rc, -EINVAL);
    after = dump(s);
    assert_string_equal(before, after);
    free(before);
    free(after);
    m2c_optset_close(s);
}

static void assign(void **state)
{
    (void)state;
    struct m2c_optset *s = open_set();
    assert_int_equal(m2c_optset_assign(s, "hbm.bytes = 1.5g", "--set", NULL), 0);
    assert_string_equal(m2c_optset_get(s, "hbm", "bytes"), "1536M");
    assert_string_equal(m2c_optset_origin(s, 2), "--set");
    assert_int_equal(m2c_optset_assign(s, "model.path=a=b|c", "--set", NULL), 0);
    assert_string_equal(m2c_optset_get(s, "model", "path"), "a=b|c");
    assert_int_equal(m2c_optset_assign(s, "sweep.hbm.bytes=1M|2M", "--set", NULL), 0);
    assert_int_equal(m2c_optset_assign(s, "sweep.policy=lru", "--set", NULL), 0);
    assert_int_equal(m2c_optset_assign(s, "sweep.hbm.bytes=3M", "--set", NULL), 0);
    assert_int_equal(m2c_optset_axes(s), 2); /* replaced in its place */
    assert_string_equal(m2c_optset_axis(s, 0)->key, "bytes");
    assert_string_equal(m2c_optset_axis_value(s, 0, 0), "3M");
    assert_int_equal(m2c_optset_set(s, "hbm", "bytes", "4M", "point", NULL), 0);
    assert_int_equal(m2c_optset_axes(s), 2);
    assert_int_equal(m2c_optset_assign(s, "hbm.bytes=5M", "--set", NULL), 0);
    assert_int_equal(m2c_optset_axes(s), 1);
    assert_string_equal(m2c_optset_axis(s, 0)->key, "policy");
    m2c_optset_close(s);

    expect_assign_error("hbm.bytes=12Q",
                        "--set hbm.bytes=12Q: not a size (bytes with K, M, G "
                        "or T, or a percentage such as 30%)");
    expect_assign_error("hbm.polcy=lru",
                        "--set hbm.polcy=lru: unknown key, did you mean 'policy'?");
    expect_assign_error("hbm.bytes", "--set hbm.bytes: expected SECTION.KEY=VALUE");
    expect_assign_error("policy=lru", "--set policy=lru: expected SECTION.KEY=VALUE");
    expect_assign_error(
        "sweep.hbm.bytes=1M|x|2M",
        "--set sweep.hbm.bytes=1M|x|2M: value 2, 'x': not a size (bytes with "
        "K, M, G or T, or a percentage such as 30%)");
    expect_assign_error("hbm.policy=lru|atu",
                        "--set hbm.policy=lru|atu: several values belong in [sweep], as "
                        "hbm.policy = a | b (--set 'sweep.hbm.policy=a|b')");
    expect_assign_error("model.path=a\nb",
                        "--set model.path=a\nb: control characters are not allowed");
    expect_assign_error("ssd.direct=maybe", "--set ssd.direct=maybe: must be on or off");
    expect_assign_error("device.index=aut",
                        "--set device.index=aut: not a whole number, or one of: auto");
    expect_assign_error(
        "meter.period_ms=0.5",
        "--set meter.period_ms=0.5: must be from 1 to 10000, or one of: auto");
    expect_assign_error("decode.temperature=-1",
                        "--set decode.temperature=-1: must be at least 0");
    expect_assign_error("dram.bytes=4K", "--set dram.bytes=4K: must be at least 1M");
    expect_assign_error("ssd.chunk=2G", "--set ssd.chunk=2G: must be from 4K to 1G");
    struct m2c_err err = {0};
    s = open_set();
    assert_int_equal(m2c_optset_set(s, "hbm", "bytes", "x", "rank file", &err), -EINVAL);
    assert_ptr_equal(strstr(err.msg, "rank file hbm.bytes=x: not a size"), err.msg);
    m2c_optset_close(s);
}

/* Text and the canonical spelling it must get; NULL: refused. */
static void expect_spelling(const char *key, const char *text, const char *canon)
{
    struct m2c_optset *s = open_set();
    char section[32];
    size_t dot = strcspn(key, ".");
    memcpy(section, key, dot);
    section[dot] = 0;
    struct m2c_err err = {0};
    int rc = m2c_optset_set(s, section, key + dot + 1, text, "test", &err);
    if (!canon && rc == 0)
        fail_msg("%s accepted '%s' as '%s'", key, text,
                 m2c_optset_get(s, section, key + dot + 1));
    if (canon) {
        if (rc)
            fail_msg("%s", err.msg);
        assert_string_equal(m2c_optset_get(s, section, key + dot + 1), canon);
    }
    m2c_optset_close(s);
}

static void spellings(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"hbm.bytes", "0", "0"},
        {"hbm.bytes", "1", "1"},
        {"hbm.bytes", "1023", "1023"},
        {"hbm.bytes", "1024", "1K"},
        {"hbm.bytes", "2048K", "2M"},
        {"hbm.bytes", "4096g", "4T"},
        {"hbm.bytes", "0.5K", "512"},
        {"hbm.bytes", "0.1G", "107374182"},
        {"hbm.bytes", "8388607T", "8388607T"},
        {"hbm.bytes", "8388608T", NULL},
        {"hbm.bytes", "9223372036854775807", "9223372036854775807"},
        {"hbm.bytes", "9223372036854775808", NULL},
        {"hbm.bytes", "99999999999999999999999", NULL},
        {"hbm.bytes", "1.5", NULL},
        {"hbm.bytes", "-1", NULL},
        {"hbm.bytes", "+1", NULL},
        {"hbm.bytes", "K", NULL},
        {"hbm.bytes", "1e3", NULL},
        {"hbm.bytes", "0x10", NULL},
        {"hbm.bytes", "1KB", NULL},
        {"hbm.bytes", "1 K", NULL},
        {"hbm.bytes", "inf%", NULL},
        {"hbm.bytes", "nan%", NULL},
        {"hbm.bytes", "-1%", NULL},
        {"hbm.bytes", "1000.5%", NULL},
        {"hbm.bytes", "%", NULL},
        {"hbm.bytes", "30.0%", "30%"},
        {"hbm.bytes", "2.50 %", "2.5%"},
        {"hbm.bytes", "1e2%", "100%"},
        {"hbm.bytes", "0%", "0%"},
        {"ssd.direct", "true", "on"},
        {"ssd.direct", "0", "off"},
        {"ssd.direct", "ON", NULL},
        {"experiment.repeat", "+007", "7"},
        {"experiment.repeat", "7.0", NULL},
        {"experiment.repeat", "7 ", NULL},
        {"experiment.repeat", "99999999999999999999", NULL},
        {"device.index", "-0", "0"},
        {"device.index", "-9223372036854775808", "-9223372036854775808"},
        {"device.index", "auto", "auto"},
        {"decode.temperature", "1e0", "1"},
        {"decode.temperature", "-0.0", "0"},
        {"decode.temperature", ".5", "0.5"},
        {"decode.temperature", "100000", "100000"},
        {"decode.temperature", "0.1000000000000000055", "0.1"},
        {"decode.temperature", "1e300", "1e+300"},
        {"decode.temperature", "nan", NULL},
        {"decode.temperature", "inf", NULL},
        {"decode.temperature", "1e999", NULL},
        {"decode.temperature", "0x1p3", NULL},
        {"decode.temperature", "1.", "1"},
        {"decode.temperature", ".", NULL},
        {"decode.temperature", "1e", NULL},
        {"decode.temperature", "", NULL},
        {"precision.ratio", "1", "1"},
        {"precision.ratio", "0.50:00.5", "0.5:0.5"},
        {"precision.ratio", "1:1:1:1:1:1:1:1", "1:1:1:1:1:1:1:1"},
        {"precision.ratio", "1:1:1:1:1:1:1:1:1", NULL},
        {"precision.ratio", "1::1", NULL},
        {"precision.ratio", "1:1:", NULL},
        {"precision.ratio", ":1", NULL},
        {"precision.ratio", "0:0", NULL},
        {"precision.ratio", "1:-1:1", NULL},
        {"precision.ratio", "1e308:1e308", NULL},
        {"precision.ratio", "25/75", NULL},
        {"model.path", "", ""},
        {"model.path", "a\\", NULL},
        {"model.path", "\xc3", NULL},
    };
    for (size_t i = 0; i < M2C_COUNTOF(rows); i++)
        expect_spelling(rows[i][0], rows[i][1], rows[i][2]);
}

static void parsers(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    uint64_t bytes;
    int64_t i;
    double x;
    struct m2c_ratio r;
    assert_int_equal(m2c_parse_bytes("3K", &bytes, NULL), 0);
    assert_int_equal(bytes, 3072);
    assert_int_equal(m2c_parse_bytes("3%", &bytes, &err), -EINVAL);
    assert_string_equal(err.msg, "not a size (bytes with K, M, G or T)");
    assert_int_equal(m2c_parse_int("5", INT64_MIN, 4, &i, &err), -EINVAL);
    assert_string_equal(err.msg, "must be at most 4");
    assert_int_equal(
        m2c_parse_int("99999999999999999999", INT64_MIN, INT64_MAX, &i, &err), -EINVAL);
    assert_string_equal(err.msg, "number too large");
    assert_int_equal(m2c_parse_float("0.5", 0, 1, &x, &err), 0);
    assert_true(x == 0.5);
    assert_int_equal(m2c_parse_float("1.5", 0, 1, &x, &err), -EINVAL);
    assert_string_equal(err.msg, "must be from 0 to 1");
    assert_int_equal(m2c_parse_ratio("1:3", &r, &err), 0);
    assert_int_equal(r.n, 2);
    assert_true(r.share[0] == 0.25 && r.share[1] == 0.75);
}

/* Any finite double survives its spelling. */
static void floats_round_trip(void **state)
{
    (void)state;
    struct m2c_optset *s = open_set();
    struct m2c_rng rng;
    m2c_rng_init(&rng, 2, 0);
    for (int i = 0; i < 20000; i++) {
        union {
            uint64_t u;
            double x;
        } v = {.u = m2c_rng_u64(&rng) >> 1}; /* positive */
        char text[40];
        if (!isfinite(v.x))
            continue;
        snprintf(text, sizeof text, "%.17g", v.x);
        assert_int_equal(m2c_optset_set(s, "decode", "temperature", text, "t", NULL), 0);
        const char *canon = m2c_optset_get(s, "decode", "temperature");
        assert_true(strtod(canon, NULL) == v.x);
    }
    m2c_optset_close(s);
}

static void expect_round_trip(struct m2c_optset *s)
{
    char *file, *before = dump(s), *after;
    size_t n;
    FILE *f = open_memstream(&file, &n);
    assert_int_equal(m2c_optset_write(s, f, true), 0);
    fclose(f);
    struct m2c_optset *back = open_set();
    struct m2c_err err = {0};
    if (read_text(back, file, &err))
        fail_msg("%s\n%s", err.msg, file);
    after = dump(back);
    assert_string_equal(before, after);
    m2c_optset_close(back);
    free(file);
    free(before);
    free(after);
}

static void write_then_load(void **state)
{
    (void)state;
    struct m2c_optset *s = open_set();
    expect_round_trip(s);
    struct m2c_rng rng;
    m2c_rng_init(&rng, 3, 0);
    for (int i = 0; i < 500; i++) {
        char text[700] = "";
        for (uint32_t k = m2c_rng_below(&rng, i % 5 ? 12 : 600); k > 0; k--)
            strncat(text, &" ;#\\|ab=\t"[m2c_rng_below(&rng, 9)], 1);
        (void)!m2c_optset_set(s, "model", "path", text, "t", NULL);
        (void)!m2c_optset_set(s, "text", "split", text, "t", NULL);
        char axis[800] = "sweep.model.path=x|";
        strcat(axis, text);
        (void)!m2c_optset_assign(s, axis, "t", NULL);
        expect_round_trip(s);
    }
    assert_int_equal(m2c_optset_axes(s), 1);
    char *file;
    size_t n;
    FILE *f = open_memstream(&file, &n);
    assert_int_equal(m2c_optset_write(s, f, false), 0);
    fclose(f);
    assert_null(strstr(file, "[sweep]"));
    free(file);
    m2c_optset_close(s);
}

static void clones_are_apart(void **state)
{
    (void)state;
    struct m2c_optset *s = open_set(), *c;
    assert_int_equal(m2c_optset_assign(s, "sweep.hbm.bytes=1M|2M", "t", NULL), 0);
    assert_int_equal(m2c_optset_assign(s, "model.path=a", "t", NULL), 0);
    assert_int_equal(m2c_optset_clone(s, &c), 0);
    char *a = dump(s), *b = dump(c);
    assert_string_equal(a, b);
    free(b);
    assert_int_equal(m2c_optset_assign(c, "model.path=b", "t", NULL), 0);
    assert_int_equal(m2c_optset_assign(c, "sweep.hbm.bytes=3M", "t", NULL), 0);
    b = dump(s);
    assert_string_equal(a, b);
    free(a);
    free(b);
    m2c_optset_close(s);
    assert_string_equal(m2c_optset_get(c, "model", "path"), "b");
    m2c_optset_close(c);
}

static void full_disk(void **state)
{
    (void)state;
    FILE *f = fopen("/dev/full", "w");
    if (!f)
        skip();
    struct m2c_optset *s = open_set();
    assert_int_equal(m2c_optset_write(s, f, true), -ENOSPC);
    m2c_optset_close(s);
    fclose(f);
}

static void help(void **state)
{
    (void)state;
    char *text;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    assert_int_equal(m2c_opt_help(table, M2C_COUNTOF(table), f), 0);
    fclose(f);
    assert_non_null(strstr(text,
                           "[hbm]\n  bytes = bytes or percentage\n      size of the "
                           "units\n      default: 30%; read by: decode,ppl\n"
                           "  policy = atu, lru, random\n"));
    assert_non_null(strstr(text, "  repeat = whole number, 1 to 1000\n"));
    assert_non_null(
        strstr(text, "  period_ms = number [ms], 1 to 10000, or one of: auto\n"));
    assert_non_null(strstr(text, "  bytes = bytes or percentage, at least 1M\n"));
    assert_non_null(strstr(text, "      default: (empty); read by: all\n"));
    for (size_t i = 0; i < M2C_COUNTOF(table); i++)
        assert_non_null(strstr(text, table[i].help));
    free(text);
}

static void bad_tables(void **state)
{
    (void)state;
    struct m2c_opt good = {"a",      "b",         M2C_OPT_INT,     0, "1", .min = 0,
                           .max = 9, .help = "h", .readers = "all"};
    struct m2c_optset *s;
    struct m2c_err err = {0};
    struct m2c_opt t[2] = {good, good};
    assert_int_equal(m2c_opt_check(t, 1, &err), 0);
    assert_int_equal(m2c_opt_check(t, 2, &err), -EINVAL);
    assert_string_equal(err.msg, "option a.b: twice in the table");
    t[0].def = "10";
    assert_int_equal(m2c_opt_check(t, 1, &err), -EINVAL);
    assert_string_equal(err.msg, "option a.b: default '10': must be from 0 to 9");
    assert_int_equal(m2c_optset_open(&s, t, 1), -EINVAL);
    t[0] = good;
    t[0].choices = auto_word;
    t[0].word_value = NAN;
    assert_int_equal(m2c_opt_check(t, 1, &err), -EINVAL);
    t[0] = good;
    t[0].key = "b.c";
    assert_int_equal(m2c_opt_check(t, 1, &err), -EINVAL);
    t[0] = good;
    t[0].section = "sweep";
    assert_int_equal(m2c_opt_check(t, 1, &err), -EINVAL);
    t[0] = good;
    t[0].type = M2C_OPT_ENUM;
    assert_int_equal(m2c_opt_check(t, 1, &err), -EINVAL);
    assert_string_equal(err.msg, "option a.b: no choices");
    assert_int_equal(m2c_optset_open(&s, t, 0), 0); /* an empty table is one */
    m2c_optset_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(load),
        cmocka_unit_test(load_errors),
        cmocka_unit_test(assign),
        cmocka_unit_test(spellings),
        cmocka_unit_test(parsers),
        cmocka_unit_test(floats_round_trip),
        cmocka_unit_test(write_then_load),
        cmocka_unit_test(clones_are_apart),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(help),
        cmocka_unit_test(bad_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
