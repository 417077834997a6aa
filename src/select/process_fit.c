/* SPDX-License-Identifier: MIT */
/* From the stated numbers to the parameters of a Gaussian copula.
 *
 * Neuron i is active at token t where g_i(t) > h_i, g_i standard normal:
 *     g_i(t) = sqrt(c) z(t) + sqrt(1 - c) e_i(t).
 * Thresholds h_i = -(mu + sigma q_i), q_i the normal quantiles of the ranks, give
 * density and concentration; z, which all neurons of a layer share, gives the spread
 * of the count; the correlation of g_i between adjacent tokens gives the overlap. e_i
 * is a sum of white noise and of numbers that last 2, 4, ... 4096 tokens, with weights
 * that fall like 2^(-0.8 s), which makes the overlap beyond chance fall like a power of
 * the lag, as it does in relu2M's traces; only where that leaves too little overlap,
 * slower scales get more.
 *
 * All that a number can do follows from those before it, so each is checked in the
 * order density, concentration, spread, overlap, class_change. */
#include "select/gauss_impl.h"
#include "select/process_impl.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define FALL 0.8         /* of weights, an octave */
#define SLOWER 20.0      /* by how much they may fall less, so that they rise */
#define COMMON_WHITE 0.5 /* share of z that lasts one token */
enum { BINS = 256 };     /* quantiles for fitting */

/* What a fit looks at: frequencies of the bins by their quantiles. */
struct bins {
    double q[BINS], p[BINS], h[BINS];
    double mu, sigma, density;
    bool measured;                      /* numbers go to the nearest that can be */
    double common, common_rho;          /* share of z, what it adds to the correlation */
    uint64_t n;                         /* neurons */
    double points[M2C_MAX_CLASSES + 1]; /* edges of classes */
    const struct m2c_ratio *ratio;
};

static double mean_of(struct bins *b)
{
    double sum = 0;
    for (int i = 0; i < BINS; i++)
        sum += b->p[i] = m2c_gauss_below(b->mu + b->sigma * b->q[i]);
    return sum / BINS;
}

static double density_at(void *ctx, double mu)
{
    struct bins *b = ctx;
    b->mu = mu;
    return mean_of(b);
}

/* Minus the share of neurons that make 80 % of the activations: rises with sigma. */
static double concentration_at(void *ctx, double sigma)
{
    struct bins *b = ctx;
    b->sigma = sigma;
    b->mu = m2c_solve(density_at, b, b->density, -40 * (1 + sigma), 40 * (1 + sigma));
    double all = mean_of(b) * BINS, sum = 0;
    int i = BINS; /* q rises */
    while (i > 0 && sum + b->p[i - 1] < 0.8 * all)
        sum += b->p[--i];
    return -((BINS - i) + (0.8 * all - sum) / b->p[i > 0 ? i - 1 : 0]) / BINS;
}

static int fit_frequencies(struct bins *b, const struct m2c_process_numbers *num,
                           struct m2c_err *err)
{
    double lo = 0.8 * num->density, hi = 0.8;
    if (!(num->density > 0 && num->density < 1))
        return m2c_fail(err, -EINVAL,
                        "selector.density is %g, possible: above 0, below 1",
                        num->density);
    if (!(num->concentration > lo && num->concentration < hi))
        return m2c_fail(
            err, -EINVAL,
            "selector.concentration is %g, possible with density %g: above %g "
            "(some neurons always, the others never), below %g (all alike)",
            num->concentration, num->density, lo, hi);
    b->density = num->density;
    for (int i = 0; i < BINS; i++)
        b->q[i] = m2c_gauss_point((i + 0.5) / BINS);
    double sigma = m2c_solve(concentration_at, b, -num->concentration, 0, 30);
    concentration_at(b, sigma);
    for (int i = 0; i < BINS; i++)
        b->h[i] = -(b->mu + b->sigma * b->q[i]);
    return 0;
}

/* The frequencies of a recording, one a bin. A neuron that was never, or always, active
 * may be, once in ten times as many tokens. */
static void take_frequencies(struct bins *b, const double *freq, uint32_t n)
{
    b->measured = true;
    for (int i = 0; i < BINS; i++) {
        double f = freq[(uint64_t)(BINS - 1 - i) * n / BINS]; /* bins rise */
        b->p[i] = fmin(fmax(f, 1e-5), 1 - 1e-5);
        b->h[i] = -m2c_gauss_point(b->p[i]);
    }
}

/* Deviation of the count over its mean when c is common. */
static double spread_at(void *ctx, double c)
{
    const struct bins *b = ctx;
    enum { STEPS = 64 };
    double sum = 0, square = 0, own = 0;
    for (int k = 0; k < STEPS; k++) {
        double z = m2c_gauss_point((k + 0.5) / STEPS), m = 0, v = 0;
        for (int i = 0; i < BINS; i++) {
            double p = m2c_gauss_below((sqrt(c) * z - b->h[i]) / sqrt(1 - c));
            m += p;
            v += p * (1 - p);
        }
        sum += m / BINS;
        square += m / BINS * (m / BINS);
        own += v / BINS;
    }
    double mean = sum / STEPS;
    double var = square / STEPS - mean * mean + own / STEPS / (double)b->n;
    return sqrt(fmax(var, 0)) / mean;
}

static int fit_spread(struct bins *b, struct m2c_process_numbers *num,
                      struct m2c_err *err)
{
    double lo = spread_at(b, 0), hi = spread_at(b, 0.9);
    if (isnan(num->spread))
        num->spread = fmin(fmax(0.2, lo), hi);
    if (b->measured)
        num->spread = fmin(fmax(num->spread, lo), hi);
    if (!(num->spread >= lo * (1 - 1e-9) && num->spread <= hi))
        return m2c_fail(
            err, -EINVAL,
            "selector.spread is %g, possible with density %g, concentration %g "
            "and %llu neurons: %g (independent) to %g",
            num->spread, num->density, num->concentration, (unsigned long long)b->n,
            ceil(lo * 1e6) / 1e6, floor(hi * 1e6) / 1e6);
    b->common =
        num->spread <= lo * (1 + 1e-9) ? 0 : m2c_solve(spread_at, b, num->spread, 0, 0.9);
    return 0;
}

/* Weights of the scales above white noise, falling by 2^-fall; returns their
 * correlation at lag 1. */
static double slow_weights(double fall, double weight[M2C_SCALES])
{
    double sum = 0, rho = 0;
    weight[0] = 0;
    for (int s = 1; s < M2C_SCALES; s++)
        sum += weight[s] = exp2(-fall * (s - 1));
    for (int s = 1; s < M2C_SCALES; s++) {
        weight[s] /= sum;
        rho += weight[s] * (1 - exp2(-s));
    }
    return rho;
}

/* 0: white noise alone, 1: none of it, beyond: slower and slower. */
static void set_weights(double x, double weight[M2C_SCALES])
{
    (void)slow_weights(FALL - SLOWER * fmax(0, x - 1), weight);
    for (int s = 1; s < M2C_SCALES && x < 1; s++)
        weight[s] *= x;
    weight[0] = fmax(0, 1 - x);
}

/* Overlap of adjacent tokens with these weights. From one token to the next the scales
 * 0 to j are drawn anew with probability 2^-(j+1), and those above stay, so that the
 * pair is a mixture of normal ones: their mean correlation would not do. */
static double overlap_at(void *ctx, double x)
{
    struct bins *b = ctx;
    double weight[M2C_SCALES], both = 0, one = 0, stays = 1;
    set_weights(x, weight);
    for (int j = 0; j < M2C_SCALES; j++) {
        double chance = exp2(j + 1 < M2C_SCALES ? -j - 1 : -j);
        stays = fmax(0, stays - weight[j]);
        double rho = fmin(b->common_rho + (1 - b->common) * stays, 1 - 1e-9);
        for (int i = 0; i < BINS; i++)
            both += chance * m2c_gauss_both(b->h[i], b->h[i], rho);
    }
    for (int i = 0; i < BINS; i++)
        one += b->p[i];
    return both / one;
}

static int fit_overlap(struct m2c_fit *f, struct bins *b, struct m2c_err *err)
{
    struct m2c_process_numbers *num = &f->num;
    b->common_rho = b->common * (1 - COMMON_WHITE) * slow_weights(FALL, f->common_weight);
    for (int s = 1; s < M2C_SCALES; s++)
        f->common_weight[s] *= 1 - COMMON_WHITE;
    f->common_weight[0] = COMMON_WHITE;
    double lo = overlap_at(b, 0), hi = overlap_at(b, 2);
    if (isnan(num->overlap))
        num->overlap = fmin(fmax(0.8, lo), hi);
    if (b->measured)
        num->overlap = fmin(fmax(num->overlap, lo), hi);
    if (!(num->overlap >= lo - 1e-9 && num->overlap <= hi))
        return m2c_fail(
            err, -EINVAL,
            "selector.overlap is %g, possible with density %g, concentration %g "
            "and spread %g: %g (what frequencies alone make) to %g",
            num->overlap, num->density, num->concentration, num->spread,
            ceil(lo * 1e6) / 1e6, floor(hi * 1e6) / 1e6);
    set_weights(m2c_solve(overlap_at, b, num->overlap, 0, 2), f->weight);
    return 0;
}

/* The share of kept neurons that keep their class when keys correlate by rho. */
static double same_class_at(void *ctx, double rho)
{
    const struct bins *b = ctx;
    double same = 0;
    for (unsigned c = 0; c < b->ratio->n; c++) {
        double lo = b->points[c], hi = b->points[c + 1];
        same += m2c_gauss_both(lo, lo, rho) - 2 * m2c_gauss_both(lo, hi, rho) +
                m2c_gauss_both(hi, hi, rho);
    }
    return same;
}

static int fit_classes(struct m2c_fit *f, struct bins *b, const struct m2c_ratio *ratio,
                       struct m2c_err *err)
{
    double sum = 0, squares = 0, all = 0;
    for (unsigned c = 0; c < ratio->n; c++) /* below 1 where some are left out */
        all += ratio->share[c];
    b->ratio = ratio;
    for (unsigned c = 0; c < ratio->n; c++) {
        b->points[c] = sum <= 0 ? -INFINITY : sum >= 1 ? INFINITY : m2c_gauss_point(sum);
        sum += ratio->share[c] / all;
        squares += ratio->share[c] / all * (ratio->share[c] / all);
    }
    b->points[ratio->n] = INFINITY;
    double most = fmax(0, 1 - squares);
    if (isnan(f->num.class_change))
        f->num.class_change = 0.95 * most;
    if (b->measured)
        f->num.class_change = fmin(f->num.class_change, most);
    if (!(f->num.class_change >= 0 && f->num.class_change <= most + 1e-9))
        return m2c_fail(
            err, -EINVAL,
            "selector.class_change is %g, possible with this precision.ratio: 0 "
            "to %g",
            f->num.class_change, floor(most * 1e6) / 1e6);
    f->preference =
        f->num.class_change <= 0
            ? 1
            : m2c_solve(same_class_at, b, 1 - f->num.class_change, 0, 1 - 1e-9);
    return 0;
}

/* Thresholds of n neurons, most active first. */
static void set_thresholds(struct m2c_fit *f, const struct bins *b, uint32_t n,
                           const double *freq, uint32_t n_freq)
{
    for (uint32_t i = 0; i < n; i++) {
        double h;
        if (freq)
            h = -m2c_gauss_point(
                fmin(fmax(freq[(uint64_t)i * n_freq / n], 1e-5), 1 - 1e-5));
        else
            h = -(b->mu + b->sigma * m2c_gauss_point((n - i - 0.5) / n));
        f->threshold[i] = (float)h;
    }
}

static void set_defaults(struct m2c_process_numbers *num)
{
    num->density = isnan(num->density) ? 0.3 : num->density;
    if (isnan(num->concentration)) /* between the ends, where 0.43 is not possible */
        num->concentration = 0.8 * num->density < 0.43 ? 0.43 : 0.4 * (1 + num->density);
}

int m2c_fit_open(struct m2c_fit *f, const struct m2c_process_cfg *cfg,
                 const struct m2c_process_numbers *num, const double *frequencies,
                 uint32_t n_freq, struct m2c_err *err)
{
    int rc = 0;
    *f = (struct m2c_fit){.num = *num};
    struct bins *b = calloc(1, sizeof *b);
    f->threshold = calloc(cfg->n, sizeof *f->threshold);
    if (!b || !f->threshold) {
        rc = m2c_fail(err, -ENOMEM, "process: out of memory");
    } else if (frequencies) {
        take_frequencies(b, frequencies, n_freq);
    } else {
        set_defaults(&f->num);
        rc = fit_frequencies(b, &f->num, err);
    }
    if (rc == 0) {
        b->n = cfg->n;
        rc = fit_spread(b, &f->num, err);
    }
    if (rc == 0)
        rc = fit_overlap(f, b, err);
    if (rc == 0)
        rc = fit_classes(f, b, &cfg->ratio, err);
    if (rc == 0) {
        f->common = b->common;
        set_thresholds(f, b, cfg->n, frequencies, n_freq);
    }
    free(b);
    if (rc < 0)
        m2c_fit_close(f);
    return rc;
}

void m2c_fit_close(struct m2c_fit *f)
{
    free(f->threshold);
    f->threshold = NULL;
}
