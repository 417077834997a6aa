/* SPDX-License-Identifier: MIT */
#include "policy/sets.h"

#include <math.h>
#include <stdlib.h>

static uint8_t at(const struct sets *s, uint32_t t, uint32_t i)
{
    return s->cls[(size_t)t * s->n + i];
}

static uint32_t count(const struct sets *s, uint32_t t)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < s->n; i++)
        k += at(s, t, i) > 0;
    return k;
}

double sets_density(const struct sets *s)
{
    double sum = 0;
    for (uint32_t t = 0; t < s->tokens; t++)
        sum += count(s, t);
    return sum / s->tokens / s->n;
}

double sets_overlap(const struct sets *s, uint32_t lag)
{
    double both = 0, all = 0;
    for (uint32_t t = lag; t < s->tokens; t++) {
        for (uint32_t i = 0; i < s->n; i++) {
            all += at(s, t, i) > 0;
            both += at(s, t, i) > 0 && at(s, t - lag, i) > 0;
        }
    }
    return both / all;
}

double sets_spread(const struct sets *s)
{
    double sum = 0, square = 0;
    for (uint32_t t = 0; t < s->tokens; t++) {
        sum += count(s, t);
        square += (double)count(s, t) * count(s, t);
    }
    double mean = sum / s->tokens;
    return sqrt(square / s->tokens - mean * mean) / mean;
}

static int falling(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x < *y) - (*x > *y);
}

static double *frequencies(const struct sets *s, double *sum)
{
    double *f = calloc(s->n, sizeof *f);
    *sum = 0;
    for (uint32_t t = 0; f && t < s->tokens; t++)
        for (uint32_t i = 0; i < s->n; i++)
            f[i] += at(s, t, i) > 0;
    for (uint32_t i = 0; f && i < s->n; i++)
        *sum += f[i];
    return f;
}

double sets_concentration(const struct sets *s)
{
    double all, sum = 0;
    double *f = frequencies(s, &all);
    uint32_t i = 0;
    qsort(f, s->n, sizeof *f, falling);
    while (sum < 0.8 * all)
        sum += f[i++];
    free(f);
    return (double)i / s->n;
}

double sets_chance(const struct sets *s)
{
    double all, square = 0;
    double *f = frequencies(s, &all);
    for (uint32_t i = 0; i < s->n; i++)
        square += f[i] * f[i];
    free(f);
    return square / s->tokens / all;
}

double sets_class_change(const struct sets *s)
{
    double changed = 0, kept = 0;
    for (uint32_t t = 1; t < s->tokens; t++) {
        for (uint32_t i = 0; i < s->n; i++) {
            if (!at(s, t, i) || !at(s, t - 1, i))
                continue;
            kept++;
            changed += at(s, t, i) != at(s, t - 1, i);
        }
    }
    return changed / kept;
}
