/* SPDX-License-Identifier: MIT */
/* What tools print and how they end: errors, JSON, signals, exit codes. */
#include "tools/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int m2c_cli_fail(const struct m2c_err *err)
{
    fprintf(stderr, "error: %s\n", err->msg[0] ? err->msg : strerror(-err->code));
    return err->code == -EINTR ? M2C_EXIT_INTERRUPT : M2C_EXIT_FAILED;
}

int m2c_cli_fail_config(const struct m2c_err *err)
{
    int code = m2c_cli_fail(err);
    return code == M2C_EXIT_FAILED ? M2C_EXIT_USAGE : code;
}

struct m2c_log *m2c_cli_log(void)
{
    struct m2c_log *log = NULL;
    return m2c_log_open(&log, stderr, M2C_LOG_INFO) ? NULL : log;
}

/* The one mutable object of the tools: a handler has no other way to speak. */
static volatile bool stop_flag;

static void on_signal(int sig)
{
    (void)sig;
    stop_flag = true;
}

const volatile bool *m2c_cli_stop(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_signal;
    sa.sa_flags = SA_RESTART | (int)SA_RESETHAND;
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    return &stop_flag;
}

int m2c_cli_json(json_t *object)
{
    int rc = object ? json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17))
                    : -1;
    json_decref(object);
    if (rc) {
        fputs("error: the result could not be written as JSON\n", stderr);
        return M2C_EXIT_FAILED;
    }
    putchar('\n');
    return M2C_EXIT_OK;
}

int m2c_cli_finish(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "error: cannot write to standard output: %s\n", strerror(errno));
    return code == M2C_EXIT_OK ? M2C_EXIT_FAILED : code;
}

/* What a run of minutes ends in must not fail for a misspelt folder. */
int m2c_cli_writable(const char *path, struct m2c_err *err)
{
    struct stat st;
    const char *slash = strrchr(path, '/');
    size_t n = slash ? M2C_MAX((size_t)(slash - path), (size_t)1) : 1;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return m2c_fail(err, -EISDIR, "%s: exists and is not a file", path);
    char *folder = slash ? strndup(path, n) : strdup(".");
    if (!folder)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    int e = stat(folder, &st) ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    if (!e && access(folder, W_OK | X_OK))
        e = errno;
    free(folder);
    return e ? m2c_fail(err, -e, "%s: cannot be written: %s", path, strerror(e)) : 0;
}

/* A swapped pair of arguments must not cost the model that was to be read. */
int m2c_cli_overwrites(const char *path, bool overwrite, struct m2c_err *err)
{
    static const char magic[8] = {'m', '2', 'c', 's', 't', 'o', 'r', 'e'};
    char head[sizeof magic];
    struct stat st;
    int r = m2c_cli_writable(path, err);
    if (r < 0)
        return r;
    if (!overwrite || stat(path, &st) || !S_ISREG(st.st_mode))
        return 0; /* free, or for the store's writer to refuse */
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(head, 1, sizeof head, f) : 0;
    bool ours = f && (n == 0 || (n == sizeof magic && memcmp(head, magic, n) == 0));
    if (f)
        fclose(f);
    return ours ? 0
                : m2c_fail(err, -EEXIST,
                           "%s: exists and is no store, --overwrite leaves it alone", path);
}
