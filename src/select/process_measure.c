/* SPDX-License-Identifier: MIT */
/* What a recorded layer's sets are like: the numbers of a process, and how often each
 * neuron is active. */
#include "select/process_impl.h"
#include "store/trace.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static int falling(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x < *y) - (*x > *y);
}

/* Sums over tokens. */
struct sums {
    double count, square; /* active neurons, and their square */
    double later, kept,
        changed; /* of all tokens but the first; kept: were active before */
};

static void measure_token(const struct m2c_trace *t, uint64_t token, uint32_t layer,
                          uint8_t *before, struct sums *s, double *freq)
{
    uint64_t list = token * t->layers + layer, from = t->begin[list],
             to = t->begin[list + 1];
    s->count += (double)(to - from);
    s->square += (double)(to - from) * (double)(to - from);
    s->later += token ? (double)(to - from) : 0;
    for (uint64_t i = from; i < to; i++) {
        uint8_t was = before[t->id[i]];
        freq[t->id[i]]++;
        s->kept += was != 0;
        s->changed += was != 0 && was != t->of_class[i] + 1;
    }
    if (token)
        for (uint64_t i = t->begin[list - t->layers]; i < t->begin[list - t->layers + 1];
             i++)
            before[t->id[i]] = 0;
    for (uint64_t i = from; i < to; i++)
        before[t->id[i]] = (uint8_t)(t->of_class[i] + 1);
}

int m2c_measure(const struct m2c_trace *t, uint32_t layer,
                struct m2c_process_numbers *num, double **frequencies)
{
    struct sums s = {0};
    uint8_t *before = calloc(t->neurons, 1);
    double *freq = calloc(t->neurons, sizeof *freq), n = (double)t->tokens, sum = 0;
    if (!before || !freq) {
        free(before);
        free(freq);
        return -ENOMEM;
    }
    for (uint64_t token = 0; token < t->tokens; token++)
        measure_token(t, token, layer, before, &s, freq);
    free(before);
    qsort(freq, t->neurons, sizeof *freq, falling);
    uint32_t most = 0;
    while (most < t->neurons && sum < 0.8 * s.count)
        sum += freq[most++];
    for (uint32_t i = 0; i < t->neurons; i++)
        freq[i] /= n;
    double mean = s.count / n;
    *num = (struct m2c_process_numbers){
        .density = mean / t->neurons,
        .concentration = (double)most / t->neurons,
        .overlap = s.later > 0 ? s.kept / s.later : 0,
        .spread = mean > 0 ? sqrt(fmax(0, s.square / n - mean * mean)) / mean : 0,
        .class_change = s.kept > 0 ? s.changed / s.kept : 0};
    *frequencies = freq;
    return 0;
}
