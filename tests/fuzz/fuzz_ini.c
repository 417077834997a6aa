/* SPDX-License-Identifier: MIT */
/* Config files and assignments: no bytes crash the reader, a refusal leaves
 * the set as it was and says where, and what was accepted writes and loads
 * back to the same set. */
#define _GNU_SOURCE /* fmemopen, open_memstream */
#include "fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/opt.h"

struct settings {
    const char *path, *policy;
    struct m2c_size hbm;
    uint64_t chunk;
    int64_t repeat, index;
    double temperature;
    bool direct;
    int engine;
    struct m2c_ratio ratio;
};

static const char *const policies[] = {"atu", "lru", "random", NULL};
static const char *const engines[] = {"libaio", "pread", NULL};
static const char *const auto_word[] = {"auto", NULL};

#define AT(field) offsetof(struct settings, field)
static const struct m2c_opt table[] = {
    {"run", "repeat", M2C_OPT_INT, AT(repeat), "3", .min = 1, .max = 1000, .help = "h",
     .readers = "all"},
    {"model", "path", M2C_OPT_STR, AT(path), "", .help = "h", .readers = "all"},
    {"hbm", "bytes", M2C_OPT_SIZE, AT(hbm), "30%", .help = "h", .readers = "all"},
    {"hbm", "policy", M2C_OPT_NAME, AT(policy), "atu", .choices = policies, .help = "h",
     .readers = "all"},
    {"ssd", "engine", M2C_OPT_ENUM, AT(engine), "libaio", .choices = engines, .help = "h",
     .readers = "all"},
    {"ssd", "direct", M2C_OPT_BOOL, AT(direct), "on", .help = "h", .readers = "all"},
    {"ssd", "chunk", M2C_OPT_BYTES, AT(chunk), "1M", .min = 512, .max = INFINITY,
     .help = "h", .readers = "all"},
    {"precision", "ratio", M2C_OPT_RATIO, AT(ratio), "25:25:50", .help = "h",
     .readers = "all"},
    {"decode", "temperature", M2C_OPT_FLOAT, AT(temperature), "1", .help = "h",
     .readers = "all"},
    {"device", "index", M2C_OPT_INT, AT(index), "auto", .choices = auto_word,
     .word_value = -1, .help = "h", .readers = "all"},
};

static const char *const seeds[] = {
    "; a comment\n[run]\nrepeat = 3\n\n[model]\npath = /data/a b.h5 ; where\n"
    "[hbm]\nbytes = 64M\npolicy = lru\n[ssd]\nengine = pread\ndirect = off\nchunk=4096\n"
    "[precision]\nratio = 25:25:50\n[decode]\ntemperature = 0.75\n[device]\nindex = "
    "auto\n",
    "[sweep]\nprecision.ratio = 100:0:0 | 25:25:50 | \\\n    0:0:100\nhbm.bytes = 2% | "
    "5% | "
    "64M\npolicy = lru|atu\nmodel.path = a\\|b | c \\; d \\\n  \\ # e\ntemperature = "
    "1e-3|-2\n",
    "\xef\xbb\xbf[hbm]\r\nbytes: 1.5G\r\n# no\r\n[model]\r\npath = "
    "\xc3\xa4\xe2\x82\xac\\\\ x\r\n",
    "hbm.bytes=12G\nsweep.hbm.bytes=1M|2M\nmodel.path=a=b|c \\; d\ndevice.index=-1\n"
    "precision.ratio=0.5:0.25:0.25\nsweep.policy=lru\nssd.direct=yes\nssd.chunk="
    "8388607T\n",
};

bool fuzz_seed(size_t i, const uint8_t **data, size_t *n)
{
    if (i >= M2C_COUNTOF(seeds))
        return false;
    *data = (const uint8_t *)seeds[i];
    *n = strlen(seeds[i]);
    return true;
}

static struct m2c_optset *open_set(void)
{
    struct m2c_optset *s;
    FUZZ_CHECK(m2c_optset_open(&s, table, M2C_COUNTOF(table)) == 0);
    return s;
}

static char *text_of(const struct m2c_optset *s)
{
    char *text;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    FUZZ_CHECK(f && m2c_optset_write(s, f, true) == 0);
    fclose(f);
    return text;
}

static int read_bytes(struct m2c_optset *s, const void *data, size_t n,
                      struct m2c_err *err)
{
    FILE *f = fmemopen((void *)(uintptr_t)data, n, "rb");
    FUZZ_CHECK(f != NULL);
    int rc = m2c_optset_read(s, f, "f.ini", err);
    fclose(f);
    return rc;
}

static void check_round_trip(const struct m2c_optset *s)
{
    struct m2c_optset *back = open_set();
    struct settings v;
    struct m2c_err err = {0};
    char *text = text_of(s);
    int rc = read_bytes(back, text, strlen(text), &err);
    if (rc)
        fprintf(stderr, "%s\n%s", err.msg, text);
    FUZZ_CHECK(rc == 0);
    char *again = text_of(back);
    FUZZ_CHECK(strcmp(text, again) == 0);
    for (size_t i = 0; i < m2c_optset_count(s); i++)
        FUZZ_CHECK(strcmp(m2c_optset_text(s, i), m2c_optset_text(back, i)) == 0);
    FUZZ_CHECK(m2c_optset_axes(s) == m2c_optset_axes(back));
    FUZZ_CHECK(m2c_optset_apply(back, &v, NULL) == 0);
    free(text);
    free(again);
    m2c_optset_close(back);
}

static void check_assign(struct m2c_optset *s, const char *text)
{
    struct m2c_err err = {0};
    char *before = text_of(s);
    if (m2c_optset_assign(s, text, "--set", &err)) {
        char *after = text_of(s);
        FUZZ_CHECK(err.code < 0 && strncmp(err.msg, "--set ", 6) == 0);
        FUZZ_CHECK(strcmp(before, after) == 0);
        free(after);
    }
    free(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct m2c_optset *s = open_set();
    struct m2c_err err = {0};
    char *before = text_of(s);
    if (read_bytes(s, data, n, &err)) {
        char *after = text_of(s);
        FUZZ_CHECK(err.code < 0 && strncmp(err.msg, "f.ini:", 6) == 0);
        FUZZ_CHECK(strcmp(before, after) == 0);
        free(after);
    }
    free(before);
    char *lines = calloc(n + 1, 1), *rest = NULL;
    FUZZ_CHECK(lines != NULL);
    if (n)
        memcpy(lines, data, n);
    char *line = strtok_r(lines, "\n", &rest);
    for (int k = 0; line && k < 20; k++, line = strtok_r(NULL, "\n", &rest))
        check_assign(s, line);
    free(lines);
    check_round_trip(s);
    m2c_optset_close(s);
    return 0;
}
