/* SPDX-License-Identifier: MIT */
/* The names of everything that a record may say, with their units: one table.
 * A figure says how it was come by; what could not be had is `unavailable`
 * with a null value, never a zero. */
#ifndef M2C_EXP_FIGURE_H
#define M2C_EXP_FIGURE_H

#include "base/base.h"
#include "base/how.h"

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_figure {
    const char *name, *unit, *help;
    bool per; /* the name continues with ".<class>", ".<layer>" or ".<task>" */
};
extern const struct m2c_figure m2c_figures[];
extern const size_t m2c_figures_n;

/* Adds figures.<name> = {value, unit, how, source} to `figures`. `suffix` is
 * appended after a dot, or NULL. A NaN value is only right with UNAVAILABLE.
 * -EINVAL for a name that the table lacks. */
M2C_MUST_USE int m2c_figure_put(json_t *figures, const char *name, const char *suffix,
                                double value, enum m2c_how how, const char *source,
                                struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
