/* SPDX-License-Identifier: MIT */
/* What every command-line tool shares: flags from a table, usage and help,
 * exit codes, the interrupt flag, JSON on stdout.
 *
 * A tool declares one `struct m2c_cli` and calls m2c_cli_parse first. Results
 * go to stdout and everything else to stderr; the exit codes below are a
 * contract (docs/ARCHITECTURE.md). */
#ifndef M2C_TOOLS_CLI_H
#define M2C_TOOLS_CLI_H

#include "base/base.h"
#include "base/log.h"

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

enum m2c_exit {
    M2C_EXIT_OK = 0,
    M2C_EXIT_FAILED = 1,
    M2C_EXIT_USAGE = 2,    /* bad flag, argument or config */
    M2C_EXIT_PARTIAL = 3,  /* some points of a sweep failed */
    M2C_EXIT_SELFTEST = 4, /* the device computes wrong numbers */
    M2C_EXIT_INTERRUPT = 130
};

enum m2c_flag_kind {
    M2C_FLAG_ON,    /* no value; bool: true when given */
    M2C_FLAG_STR,   /* const char *, into argv */
    M2C_FLAG_INT,   /* int64_t in min..max */
    M2C_FLAG_FLOAT, /* double in min..max */
    M2C_FLAG_BYTES, /* uint64_t: 4096, 64M, 24G */
    M2C_FLAG_ENUM,  /* int: index in `choices` */
    M2C_FLAG_LIST   /* struct m2c_cli_list: the flag may be given again */
};

enum { M2C_CLI_LIST = 128, M2C_CLI_FLAGS = 64 };

struct m2c_cli_list {
    unsigned n;
    const char *v[M2C_CLI_LIST]; /* into argv, in the order given */
};

/* One flag. `dest` holds the default before parsing and is written when the
 * flag is given. A flag is written "--name VALUE", "--name=VALUE" or, with a
 * letter, "-n VALUE". */
struct m2c_flag {
    const char *name; /* "--layout" */
    char letter;      /* 'o' for -o; 0: none */
    enum m2c_flag_kind kind;
    void *dest;
    const char *arg;            /* the value in the help: "FILE"; NULL for ON, ENUM */
    const char *const *choices; /* ENUM: NULL-terminated */
    double min, max;            /* INT, FLOAT; both 0: any; an INFINITY: no bound */
    const char *help;           /* one line, with the default where it matters */
};

/* What a tool takes. The table has at most M2C_CLI_FLAGS rows; "--help" and
 * "-h" belong to every tool and are not in it. */
struct m2c_cli {
    const char *name;  /* "m2c import" */
    const char *args;  /* "SRC DST.h5"; "" for none */
    const char *brief; /* one line, without a full stop */
    const char *notes; /* more text for --help, or NULL; ends without a newline */
    const struct m2c_flag *flags;
    size_t n_flags;
    unsigned min_args, max_args; /* positional arguments */
};

/* Reads argv[1..]. Positional arguments go to args[max_args] (n_args may be
 * NULL); "--" ends the flags, and an argument such as "-0.5" that no letter
 * claims is a value only where a flag expects one. True: go on. False: done,
 * with *exit_code OK after --help or USAGE after a message on stderr. */
bool m2c_cli_parse(const struct m2c_cli *cli, int argc, char **argv, const char **args,
                   unsigned *n_args, int *exit_code);

/* "error: <text>; see 'm2c import --help'" on stderr; returns M2C_EXIT_USAGE. */
int m2c_cli_usage(const struct m2c_cli *cli, const char *fmt, ...) M2C_PRINTF(2, 3);

/* Prints the error, once and here only, and returns the exit code that goes
 * with it: INTERRUPT for -EINTR, else FAILED. */
int m2c_cli_fail(const struct m2c_err *err);
/* The same for a fault in the config: USAGE, unless it was interrupted. */
int m2c_cli_fail_config(const struct m2c_err *err);

/* A log on stderr at INFO. Never fails: NULL, which is silence, when there is
 * no memory. */
struct m2c_log *m2c_cli_log(void);

/* Installs handlers for SIGINT and SIGTERM that set the flag returned here;
 * the second signal kills. */
const volatile bool *m2c_cli_stop(void);

/* Prints one object, real numbers with 17 digits, and drops the reference.
 * NULL is "no memory". Returns an exit code. */
int m2c_cli_json(json_t *object);

/* Whether a file can be put at `path`: no folder is there (-EISDIR), and the one
 * that it would lie in can be written to. Asked before the work, not after. */
M2C_MUST_USE int m2c_cli_writable(const char *path, struct m2c_err *err);

/* Whether a store may be written to `path`, which must be writable: with
 * `overwrite`, stores and empty files are replaced and nothing else (-EEXIST). */
M2C_MUST_USE int m2c_cli_overwrites(const char *path, bool overwrite, struct m2c_err *err);

/* The last call of main: `code`, or FAILED with a message when stdout could
 * not be written. */
int m2c_cli_finish(int code);

#ifdef __cplusplus
}
#endif
#endif
