/* SPDX-License-Identifier: MIT */
/* Flags from a table: parsing and help. */
#include "tools/cli.h"

#include "base/opt.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int m2c_cli_usage(const struct m2c_cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("error: ", stderr);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "; see '%s --help'\n", cli->name);
    va_end(ap);
    return M2C_EXIT_USAGE;
}

/* "--layout planes|copies", "-o, --out FILE" */
static void flag_label(const struct m2c_flag *f, char *out, size_t size)
{
    size_t used = 0;
    if (f->letter)
        used = (size_t)snprintf(out, size, "-%c, ", f->letter);
    used += (size_t)snprintf(out + used, size - used, "%s", f->name);
    if (f->kind == M2C_FLAG_ENUM) {
        for (size_t i = 0; f->choices[i] && used < size; i++)
            used += (size_t)snprintf(out + used, size - used, "%c%s", i ? '|' : ' ',
                                     f->choices[i]);
    } else if (f->arg && used < size) {
        snprintf(out + used, size - used, " %s", f->arg);
    }
}

static void help(const struct m2c_cli *cli)
{
    enum { WIDTH = 26 };
    char label[160];
    printf("usage: %s%s%s%s\n%s.\n", cli->name, cli->n_flags ? " [flags]" : "",
           cli->args[0] ? " " : "", cli->args, cli->brief);
    if (cli->n_flags)
        printf("\n");
    for (size_t i = 0; i < cli->n_flags; i++) {
        flag_label(&cli->flags[i], label, sizeof label);
        if (strlen(label) > WIDTH) /* the help goes on a line of its own */
            printf("  %s\n  %-*s  %s\n", label, WIDTH, "", cli->flags[i].help);
        else
            printf("  %-*s  %s\n", WIDTH, label, cli->flags[i].help);
    }
    if (cli->notes)
        printf("\n%s\n", cli->notes);
}

/* "--name" or "--name=value" or "-n"; NULL when the table has none. */
static const struct m2c_flag *find(const struct m2c_cli *cli, const char *arg,
                                   const char **value)
{
    const char *eq = arg[1] == '-' ? strchr(arg, '=') : NULL;
    size_t n = eq ? (size_t)(eq - arg) : strlen(arg);
    *value = eq ? eq + 1 : NULL;
    for (size_t i = 0; i < cli->n_flags; i++) {
        const struct m2c_flag *f = &cli->flags[i];
        if (arg[1] == '-' ? strlen(f->name) == n && strncmp(f->name, arg, n) == 0
                          : n == 2 && f->letter && f->letter == arg[1])
            return f;
    }
    return NULL;
}

static int unknown(const struct m2c_cli *cli, const char *arg)
{
    const char *names[M2C_CLI_FLAGS + 2];
    char word[64];
    size_t n = 0;
    for (size_t i = 0; i < cli->n_flags && n < M2C_CLI_FLAGS; i++)
        names[n++] = cli->flags[i].name;
    names[n++] = "--help";
    names[n] = NULL;
    snprintf(word, sizeof word, "%.*s", (int)M2C_MIN(strcspn(arg, "="), 63), arg);
    const char *near = m2c_nearest(word, names);
    return m2c_cli_usage(cli, "unknown flag '%s'%s%s%s", word,
                         near ? ", did you mean '" : "", near ? near : "",
                         near ? "'?" : "");
}

static int read_enum(const struct m2c_flag *f, const char *value, struct m2c_err *err)
{
    char list[256] = "";
    for (int i = 0; f->choices[i]; i++) {
        size_t used = strlen(list);
        if (strcmp(f->choices[i], value) == 0) {
            *(int *)f->dest = i;
            return 0;
        }
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", f->choices[i]);
    }
    const char *near = m2c_nearest(value, f->choices);
    return m2c_fail(err, -EINVAL, "expected one of %s%s%s%s", list,
                    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* A bound of the table; infinities mean "no bound". */
static int64_t to_int(double x)
{
    if (x >= 0x1p63)
        return INT64_MAX;
    return x < -0x1p63 ? INT64_MIN : (int64_t)x;
}

static int read_value(const struct m2c_flag *f, const char *value, struct m2c_err *err)
{
    bool ranged = f->min != 0 || f->max != 0;
    switch (f->kind) {
    case M2C_FLAG_ON:
        return m2c_fail(err, -EINVAL, "the flag takes no value");
    case M2C_FLAG_STR:
        *(const char **)f->dest = value;
        return 0;
    case M2C_FLAG_INT:
        return m2c_parse_int(value, ranged ? to_int(f->min) : INT64_MIN,
                             ranged ? to_int(f->max) : INT64_MAX, f->dest, err);
    case M2C_FLAG_FLOAT:
        return m2c_parse_float(value, ranged ? f->min : -INFINITY,
                               ranged ? f->max : INFINITY, f->dest, err);
    case M2C_FLAG_BYTES:
        return m2c_parse_bytes(value, f->dest, err);
    case M2C_FLAG_ENUM:
        return read_enum(f, value, err);
    case M2C_FLAG_LIST: {
        struct m2c_cli_list *list = f->dest;
        if (list->n == M2C_CLI_LIST)
            return m2c_fail(err, -EINVAL, "given more than %d times", M2C_CLI_LIST);
        list->v[list->n++] = value;
        return 0;
    }
    }
    return m2c_fail(err, -EINVAL, "flag kind %d has no reader", (int)f->kind);
}

/* Reads the flag at argv[*i], moving *i onto its value; an exit code. */
static int take_flag(const struct m2c_cli *cli, int argc, char **argv, int *i)
{
    const char *value, *next = *i + 1 < argc ? argv[*i + 1] : NULL, *unused;
    const struct m2c_flag *f = find(cli, argv[*i], &value);
    if (!f)
        return unknown(cli, argv[*i]);
    if (f->kind == M2C_FLAG_ON && !value) {
        *(bool *)f->dest = true;
        return M2C_EXIT_OK;
    }
    if (!value) {
        /* A known flag here means that the value was forgotten. */
        if (!next || (next[0] == '-' && next[1] == '-' && find(cli, next, &unused)))
            return m2c_cli_usage(cli, "%s needs a value", f->name);
        value = next;
        ++*i;
    }
    struct m2c_err err = {0};
    if (read_value(f, value, &err))
        return m2c_cli_usage(cli, "%s '%s': %s", f->name, value, err.msg);
    return M2C_EXIT_OK;
}

bool m2c_cli_parse(const struct m2c_cli *cli, int argc, char **argv, const char **args,
                   unsigned *n_args, int *exit_code)
{
    unsigned n = 0;
    bool flags_end = false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (flags_end || arg[0] != '-' || arg[1] == '\0') {
            if (n == cli->max_args) {
                *exit_code = m2c_cli_usage(cli, "unexpected argument '%s'", arg);
                return false;
            }
            args[n++] = arg;
        } else if (strcmp(arg, "--") == 0) {
            flags_end = true;
        } else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            help(cli);
            *exit_code = M2C_EXIT_OK;
            return false;
        } else {
            *exit_code = take_flag(cli, argc, argv, &i);
            if (*exit_code != M2C_EXIT_OK)
                return false;
        }
    }
    if (n < cli->min_args) {
        *exit_code = m2c_cli_usage(cli, "missing argument, expected %s", cli->args);
        return false;
    }
    if (n_args)
        *n_args = n;
    return true;
}
