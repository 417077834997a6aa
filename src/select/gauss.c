/* SPDX-License-Identifier: MIT */
/* Normal probabilities by libm and quadrature. */
#include "select/gauss_impl.h"

#include <math.h>

#define HALF_SQRT 0.70710678118654752440
#define TWO_PI 6.28318530717958647693

double m2c_gauss_below(double x)
{
    return 0.5 * erfc(-x * HALF_SQRT);
}

double m2c_solve(double (*f)(void *ctx, double x), void *ctx, double value, double lo,
                 double hi)
{
    for (int i = 0; i < 44; i++) {
        double mid = 0.5 * (lo + hi);
        if (f(ctx, mid) < value)
            lo = mid;
        else
            hi = mid;
    }
    return 0.5 * (lo + hi);
}

static double below(void *ctx, double x)
{
    (void)ctx;
    return m2c_gauss_below(x);
}

double m2c_gauss_point(double p)
{
    /* Above a half a double has no digits left for small tails: mirror. */
    return p > 0.5 ? -m2c_solve(below, NULL, 1 - p, -38, 0)
                   : m2c_solve(below, NULL, p, -38, 0);
}

/* Plackett's identity: the derivative by rho is the density at (h, k); with rho =
 * sin(t) the integrand is bounded. Gauss-Legendre, 8 points on each piece. */
double m2c_gauss_both(double h, double k, double rho)
{
    static const double at[] = {0.1834346424956498, 0.5255324099163290,
                                0.7966664774136267, 0.9602898564975363};
    static const double weight[] = {0.3626837833783620, 0.3137066458778873,
                                    0.2223810344533745, 0.1012285362903763};
    int pieces = rho < 0.5 ? 1 : 4;
    double ph = m2c_gauss_below(-h), pk = m2c_gauss_below(-k), sum = 0;
    if (isinf(h) || isinf(k))
        return h > 0 && isinf(h) ? 0 : k > 0 && isinf(k) ? 0 : fmin(ph, pk);
    double half = asin(rho) / (2 * pieces);
    for (int i = 0; i < 8 * pieces; i++) {
        double side = i % 8 < 4 ? 1 : -1;
        double s = sin(half * (2 * (i / 8) + 1 + side * at[i % 4]));
        double cos2 = (1 - s) * (1 + s);
        sum += weight[i % 4] * exp(-(h * h + k * k - 2 * h * k * s) / (2 * cos2));
    }
    return ph * pk + half * sum / TWO_PI;
}
