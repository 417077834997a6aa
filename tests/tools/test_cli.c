/* SPDX-License-Identifier: MIT */
/* Flags, messages and exit codes of the tools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli.h"

enum { MAX_ARGV = 200 };
static const char *const layouts[] = {"planes", "copies", NULL};

struct values {
    bool force;
    const char *file;
    int64_t n;
    double x;
    uint64_t bytes;
    int layout;
    struct m2c_cli_list set;
};

struct result {
    struct values v;
    const char *args[2];
    unsigned n_args;
    bool go;
    int code;
    char out[4096], err[4096];
};

/* Points fd at a temporary file; returns the old one. */
static int capture(int fd, FILE **file)
{
    int old = dup(fd);
    *file = tmpfile();
    assert_non_null(*file);
    assert_true(old >= 0 && dup2(fileno(*file), fd) == fd);
    return old;
}

static void release(int fd, int old, FILE *file, char *text, size_t size)
{
    assert_true(dup2(old, fd) == fd);
    close(old);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

/* Parses words, separated by single spaces. */
static void parse(struct result *r, const char *words)
{
    char text[2048], *argv[MAX_ARGV];
    int argc = 0;
    memset(r, 0, sizeof *r);
    r->v.layout = 1;
    const struct m2c_flag flags[] = {
        {"--force", 'f', M2C_FLAG_ON, &r->v.force, .help = "overwrite"},
        {"--file", 'o', M2C_FLAG_STR, &r->v.file, .arg = "FILE", .help = "where to"},
        {"--count", 'n', M2C_FLAG_INT, &r->v.n, "N", .min = 1, .max = 100,
         .help = "how many"},
        {"--shift", 0, M2C_FLAG_FLOAT, &r->v.x, "X", .min = -1, .max = INFINITY,
         .help = "x"},
        {"--budget", 0, M2C_FLAG_BYTES, &r->v.bytes, "BYTES", .help = "how much"},
        {"--layout", 0, M2C_FLAG_ENUM, &r->v.layout, .choices = layouts, .help = "which"},
        {"--set", 0, M2C_FLAG_LIST, &r->v.set, "KEY=VALUE", .help = "again and again"},
    };
    const struct m2c_cli cli = {"m2c probe",
                                "SRC [DST]",
                                "Probes a thing",
                                "A note.",
                                flags,
                                M2C_COUNTOF(flags),
                                1,
                                2};
    snprintf(text, sizeof text, "probe %s", words);
    for (char *w = strtok(text, " "); w && argc < MAX_ARGV; w = strtok(NULL, " "))
        argv[argc++] = w;
    FILE *out, *err;
    fflush(stdout);
    int old_out = capture(STDOUT_FILENO, &out), old_err = capture(STDERR_FILENO, &err);
    r->go = m2c_cli_parse(&cli, argc, argv, r->args, &r->n_args, &r->code);
    fflush(stdout);
    release(STDOUT_FILENO, old_out, out, r->out, sizeof r->out);
    release(STDERR_FILENO, old_err, err, r->err, sizeof r->err);
    /* What points into argv must be read before argv is gone. */
    static char kept[2][64], file[64];
    for (unsigned i = 0; i < r->n_args; i++) {
        snprintf(kept[i], sizeof kept[i], "%s", r->args[i]);
        r->args[i] = kept[i];
    }
    if (r->v.file) {
        snprintf(file, sizeof file, "%s", r->v.file);
        r->v.file = file;
    }
}

static void accepts(void **state)
{
    (void)state;
    struct result r;
    parse(&r,
          "a.bin --force --file=x=y -n 7 --shift -0.5 --budget 64M --layout planes b.h5");
    assert_true(r.go);
    assert_true(r.v.force);
    assert_string_equal(r.v.file, "x=y");
    assert_int_equal(r.v.n, 7);
    assert_true(r.v.x == -0.5);
    assert_int_equal(r.v.bytes, 64 << 20);
    assert_int_equal(r.v.layout, 0);
    assert_int_equal(r.n_args, 2);
    assert_string_equal(r.args[0], "a.bin");
    assert_string_equal(r.args[1], "b.h5");
    assert_string_equal(r.err, "");

    parse(&r, "-f -- --force");
    assert_true(r.go && r.n_args == 1);
    assert_string_equal(r.args[0], "--force");
    parse(&r, "- --set a=1 --set b=2 --file -x");
    assert_true(r.go && r.v.set.n == 2);
    assert_string_equal(r.args[0], "-");
    assert_string_equal(r.v.file, "-x");
    assert_int_equal(r.v.layout, 1); /* defaults stay */
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *words, *message;
    } cases[] = {
        {"a --layuot copies", "unknown flag '--layuot', did you mean '--layout'?"},
        {"a --hlep", "unknown flag '--hlep', did you mean '--help'?"},
        {"a --zzzzzzzz=3", "unknown flag '--zzzzzzzz';"},
        {"a -x", "unknown flag '-x'"},
        {"a -n", "--count needs a value"},
        {"a --file --force", "--file needs a value"},
        {"a --force=1", "--force '1': the flag takes no value"},
        {"a -n 0", "--count '0': must be from 1 to 100"},
        {"a -n 1.5", "--count '1.5': not a whole number"},
        {"a -n 99999999999999999999", "--count '99999999999999999999': must be"},
        {"a --shift nan", "--shift 'nan': not a number"},
        {"a --shift -2", "--shift '-2': must be at least -1"},
        {"a --budget 64Q", "--budget '64Q': not a size"},
        {"a --layout copys", "expected one of planes, copies; did you mean 'copies'?"},
        {"a b c", "unexpected argument 'c'"},
        {"--force", "missing argument, expected SRC [DST]"},
    };
    for (size_t i = 0; i < M2C_COUNTOF(cases); i++) {
        struct result r;
        parse(&r, cases[i].words);
        if (!strstr(r.err, cases[i].message))
            fail_msg("'%s' said: %s", cases[i].words, r.err);
        assert_false(r.go);
        assert_int_equal(r.code, M2C_EXIT_USAGE);
        assert_string_equal(r.out, "");
        /* One line that says where help is. */
        assert_ptr_equal(strchr(r.err, '\n'), r.err + strlen(r.err) - 1);
        assert_non_null(strstr(r.err, "see 'm2c probe --help'"));
    }
}

static void lists_end(void **state)
{
    (void)state;
    char words[2048] = "a";
    for (int i = 0; i < M2C_CLI_LIST + 1; i++)
        strcat(words, " --set=k");
    struct result r;
    parse(&r, words);
    assert_false(r.go);
    assert_non_null(strstr(r.err, "given more than 128 times"));
}

static void helps(void **state)
{
    (void)state;
    struct result r;
    parse(&r, "--help");
    assert_false(r.go);
    assert_int_equal(r.code, M2C_EXIT_OK);
    assert_string_equal(r.err, "");
    assert_non_null(
        strstr(r.out, "usage: m2c probe [flags] SRC [DST]\nProbes a thing.\n"));
    assert_non_null(strstr(r.out, "  -o, --file FILE             where to\n"));
    assert_non_null(strstr(r.out, "  --layout planes|copies      which\n"));
    assert_non_null(strstr(r.out, "\nA note.\n"));
}

static void codes(void **state)
{
    (void)state;
    FILE *err;
    char text[512];
    struct m2c_err failed = {-EIO, "disk"}, stopped = {-EINTR, "stopped"};
    int old = capture(STDERR_FILENO, &err);
    int a = m2c_cli_fail(&failed), b = m2c_cli_fail(&stopped);
    int c = m2c_cli_fail_config(&failed), d = m2c_cli_fail_config(&stopped);
    release(STDERR_FILENO, old, err, text, sizeof text);
    assert_int_equal(a, M2C_EXIT_FAILED);
    assert_int_equal(b, M2C_EXIT_INTERRUPT);
    assert_int_equal(c, M2C_EXIT_USAGE);
    assert_int_equal(d, M2C_EXIT_INTERRUPT);
    assert_memory_equal(text, "error: disk\nerror: stopped\n", 27);
}

static void stops(void **state)
{
    (void)state;
    const volatile bool *stop = m2c_cli_stop();
    assert_false(*stop);
    assert_int_equal(raise(SIGTERM), 0);
    assert_true(*stop);
    struct sigaction now;
    assert_int_equal(sigaction(SIGTERM, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_DFL); /* the second one kills */
}

static void json(void **state)
{
    (void)state;
    FILE *out;
    char text[512];
    fflush(stdout);
    int old = capture(STDOUT_FILENO, &out);
    int rc = m2c_cli_json(json_pack("{s:f, s:i}", "x", 0.1, "a", 3));
    fflush(stdout);
    release(STDOUT_FILENO, old, out, text, sizeof text);
    assert_int_equal(rc, M2C_EXIT_OK);
    assert_string_equal(text, "{\n  \"x\": 0.10000000000000001,\n  \"a\": 3\n}\n");
}

static void writable(void **state)
{
    (void)state;
    char folder[] = "/tmp/m2c-cli-XXXXXX", path[64];
    struct m2c_err err = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/new.h5", folder);
    assert_int_equal(m2c_cli_writable(path, &err), 0);
    assert_int_equal(m2c_cli_writable("new.h5", &err), 0);
    assert_int_equal(m2c_cli_writable(folder, &err), -EISDIR);
    assert_int_equal(m2c_cli_writable("/", &err), -EISDIR);
    snprintf(path, sizeof path, "%s/no/new.h5", folder);
    assert_int_equal(m2c_cli_writable(path, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "no/new.h5: cannot be written: No such file"));
    FILE *f;
    snprintf(path, sizeof path, "%s/file", folder);
    assert_non_null(f = fopen(path, "w"));
    assert_int_equal(fclose(f), 0);
    assert_int_equal(m2c_cli_writable(path, &err), 0);
    snprintf(path, sizeof path, "%s/file/new.h5", folder);
    assert_int_equal(m2c_cli_writable(path, &err), -ENOTDIR);
    snprintf(path, sizeof path, "%s/file", folder);
    assert_int_equal(unlink(path), 0);
    if (geteuid() != 0) { /* whom modes do not stop */
        assert_int_equal(chmod(folder, 0500), 0);
        snprintf(path, sizeof path, "%s/new.h5", folder);
        assert_int_equal(m2c_cli_writable(path, &err), -EACCES);
    }
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts), cmocka_unit_test(refuses), cmocka_unit_test(lists_end),
        cmocka_unit_test(helps),   cmocka_unit_test(codes),   cmocka_unit_test(stops),
        cmocka_unit_test(json),    cmocka_unit_test(writable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
