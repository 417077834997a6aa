/* SPDX-License-Identifier: MIT */
/* The file that a wall meter's logger writes: a line of names, then one row a
 * reading, separated by ',' or ';' or tab.
 *
 *     time, watts
 *     2026-01-31T23:59:59.5Z, 213.4
 *
 * Of the columns two are read, by their names in any case: "time", "timestamp" or
 * "unix_s" (seconds since 1970, or ISO 8601 with its zone) or "unix_ms"; and
 * "watts", "power", "power_w" or "w", else the cumulative "joules", "j", "wh" or
 * "kwh". Rows are in the order of time. Empty lines and ones that begin with '#'
 * do not count, nor does a last line without its end, which is being written. */
#ifndef M2C_METER_WALL_CSV_H
#define M2C_METER_WALL_CSV_H

#include "base/base.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_wall_sum {
    double joules, err_j; /* err_j: of the window's ends; the meter's own is not known */
    double longest_s;     /* between rows */
    uint64_t rows;        /* within the window */
};

/* Energy from one time to another, in ns since 1970, by trapezoids. -ENODATA when
 * the rows end before the window does (or are none); -ERANGE when they begin too
 * late, are too few or too far apart for the window; -EINVAL with file and line
 * for what is no such file; what opening it gives. An empty window (from = to = 0)
 * checks the file alone. */
M2C_MUST_USE int m2c_wall_csv(const char *path, uint64_t from_ns, uint64_t to_ns,
                              struct m2c_wall_sum *out, struct m2c_err *err);
/* The same of an open stream; `name` goes into messages. */
M2C_MUST_USE int m2c_wall_csv_read(FILE *f, const char *name, uint64_t from_ns,
                                   uint64_t to_ns, struct m2c_wall_sum *out,
                                   struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
