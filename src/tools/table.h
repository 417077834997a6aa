/* SPDX-License-Identifier: MIT */
/* The table at the end of a sweep. */
#ifndef M2C_TOOLS_TABLE_H
#define M2C_TOOLS_TABLE_H

#include "base/base.h"

#include <stdio.h>

/* One line a point of the results folder `dir`: its axes and the figures that
 * matter most, means over repetitions; failed points with their error. */
M2C_MUST_USE int m2c_table_print(const char *dir, FILE *f, struct m2c_err *err);

#endif
