/* SPDX-License-Identifier: MIT */
/* m2c export: a trace as other simulators read it. */
#include "store/trace.h"
#include "tools/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { CSV, ORACLE_GENERAL };

/* Written aside, then renamed, so that half a trace is never taken for one. */
static int export(const struct m2c_trace *t, int format, bool sized, const char *path,
                  struct m2c_err *err)
{
    char part[4096];
    if (snprintf(part, sizeof part, "%s.part", path) >= (int)sizeof part)
        return m2c_fail(err, -ENAMETOOLONG, "%s: the name is too long", path);
    FILE *f = fopen(part, "wb");
    if (!f)
        return m2c_fail(err, -errno, "%s: %s", path, strerror(errno));
    int r = format == CSV ? m2c_trace_csv(t, sized, f, path, err)
                          : m2c_trace_oracle(t, sized, f, path, err);
    if (fclose(f) && r == 0)
        r = m2c_fail(err, -errno, "%s: %s", path, strerror(errno));
    if (r == 0 && rename(part, path))
        r = m2c_fail(err, -errno, "%s: %s", path, strerror(errno));
    if (r < 0)
        remove(part);
    return r;
}

int m2c_cmd_export(int argc, char **argv)
{
    static const char *const formats[] = {"csv", "oracleGeneral", NULL};
    static const char *const sizes[] = {"equal", "bytes", NULL};
    const char *out = NULL, *path;
    int format = -1, size = 0, code;
    const struct m2c_flag flags[] = {
        {.name = "--format",
         .kind = M2C_FLAG_ENUM,
         .dest = &format,
         .choices = formats,
         .help = "of libCacheSim (needed)"},
        {.name = "--output",
         .letter = 'o',
         .kind = M2C_FLAG_STR,
         .dest = &out,
         .arg = "F",
         .help = "the file to write (needed)"},
        {.name = "--size",
         .kind = M2C_FLAG_ENUM,
         .dest = &size,
         .choices = sizes,
         .help = "of a block: 1 (default), or the bytes of the class that is wanted"},
    };
    const struct m2c_cli cli = {
        .name = "m2c export",
        .args = "T.trace.h5",
        .brief = "Writes a trace for other simulators, next accesses filled in",
        .notes = "A block is layer * neurons a layer + neuron; the time is the token.",
        .flags = flags,
        .n_flags = M2C_COUNTOF(flags),
        .min_args = 1,
        .max_args = 1};
    if (!m2c_cli_parse(&cli, argc, argv, &path, NULL, &code))
        return code;
    if (!out || format < 0)
        return m2c_cli_usage(&cli, "--format and -o F are needed");
    struct m2c_trace *t = NULL;
    struct m2c_err err = {0};
    int r = m2c_trace_read(&t, path, &err);
    if (r == 0)
        r = export(t, format, size == 1, out, &err);
    m2c_trace_free(t);
    return r < 0 ? m2c_cli_fail(&err) : M2C_EXIT_OK;
}
