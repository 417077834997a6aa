/* SPDX-License-Identifier: MIT */
/* Normal probabilities, for fitting processes; inside the module. */
#ifndef M2C_SELECT_GAUSS_IMPL_H
#define M2C_SELECT_GAUSS_IMPL_H

#include "base/base.h"

double m2c_gauss_below(double x); /* P(X < x) */
double m2c_gauss_point(double p); /* the x of that p in (0, 1), to 1e-12 */
/* P(X > h, Y > k) of two with correlation rho in [0, 1); h, k may be infinite. */
double m2c_gauss_both(double h, double k, double rho);

/* The x in [lo, hi] where the rising f passes `value`; the nearer end where it
 * does not. */
double m2c_solve(double (*f)(void *ctx, double x), void *ctx, double value, double lo,
                 double hi);

#endif
