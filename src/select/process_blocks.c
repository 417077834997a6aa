/* SPDX-License-Identifier: MIT */
/* A recorded layer cut into blocks of co-active neurons, and the index in which a
 * block's past is looked up: which tokens had this pattern before so many active. */
#include "select/process_impl.h"
#include "store/trace.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Activity of a layer, a bit a token, while blocks are made. */
struct activity {
    uint32_t n, words;
    uint64_t tokens;
    uint64_t *bits;  /* [n][words] */
    uint32_t *count; /* [n] */
    uint8_t *rank;   /* [n][tokens] */
};

/* Ranks of a list, 1 for the lowest score to 255 for the highest. */
static void rank_list(const struct m2c_trace *t, uint64_t list, struct activity *a,
                      uint64_t token)
{
    uint64_t from = t->begin[list], n = t->begin[list + 1] - from, below[257] = {0};
    for (uint64_t i = 0; i < n; i++)
        below[t->score[from + i] + 1]++;
    for (int s = 1; s < 257; s++)
        below[s] += below[s - 1];
    for (uint64_t i = n; i-- > 0;) { /* of equal scores the lower id ranks higher */
        uint32_t id = t->id[from + i];
        uint64_t rank = below[t->score[from + i]]++;
        a->bits[(size_t)id * a->words + token / 64] |= UINT64_C(1) << token % 64;
        a->count[id]++;
        a->rank[id * t->tokens + token] = (uint8_t)(1 + rank * 254 / (n > 1 ? n - 1 : 1));
    }
}

static void activity_close(struct activity *a)
{
    free(a->bits);
    free(a->count);
    free(a->rank);
}

static int activity_open(struct activity *a, const struct m2c_trace *t, uint32_t layer)
{
    a->n = t->neurons;
    a->tokens = t->tokens;
    a->words = (uint32_t)((t->tokens + 63) / 64);
    a->bits = calloc((size_t)a->n * a->words, sizeof *a->bits);
    a->count = calloc(a->n, sizeof *a->count);
    a->rank = calloc((size_t)a->n * t->tokens, 1);
    if (!a->bits || !a->count || !a->rank)
        return -ENOMEM;
    for (uint64_t token = 0; token < t->tokens; token++)
        rank_list(t, token * t->layers + layer, a, token);
    return 0;
}

/* Correlation of two neurons' activity; 0 where one is constant. */
static double correlation(const struct activity *a, uint32_t i, uint32_t k)
{
    const uint64_t *x = a->bits + (size_t)i * a->words,
                   *y = a->bits + (size_t)k * a->words;
    uint64_t both = 0;
    for (uint32_t w = 0; w < a->words; w++)
        both += (unsigned)__builtin_popcountll(x[w] & y[w]);
    double n = (double)a->tokens, p = a->count[i] / n, q = a->count[k] / n;
    double var = p * (1 - p) * q * (1 - q);
    return var > 0 ? ((double)both / n - p * q) / sqrt(var) : 0;
}

/* One block from those that are left, the most active first; returns how many then
 * are. `left` keeps its order; fit: scratch. */
static uint32_t gather(const struct activity *a, uint32_t *left, uint32_t n, double *fit,
                       struct m2c_co_block *b)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < n; i++)
        fit[i] = 0;
    for (b->n = 0; b->n < M2C_BLOCK_NEURONS && n;) {
        uint32_t id = b->neuron[b->n++] = left[at];
        memmove(left + at, left + at + 1, (n - at - 1) * sizeof *left);
        memmove(fit + at, fit + at + 1, (n - at - 1) * sizeof *fit);
        n--;
        at = 0;
        for (uint32_t i = 0; i < n; i++) {
            fit[i] += correlation(a, id, left[i]);
            at = fit[i] > fit[at] ? i : at;
        }
    }
    return n;
}

/* By count and pattern, then by time. */
static uint64_t key_of(const struct m2c_co_block *b, uint32_t token)
{
    unsigned count = (unsigned)__builtin_popcount(b->pattern[token + 1]);
    return (uint64_t)(count << 8 | b->pattern[token]) << 32 | token;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int list_keys(struct m2c_co_block *b, const uint64_t *keys, uint32_t n)
{
    for (uint32_t t = 0; t < n; t++)
        b->n_keys += t == 0 || keys[t] >> 32 != keys[t - 1] >> 32;
    b->key = malloc(b->n_keys * sizeof *b->key);
    b->start = malloc((b->n_keys + 1) * sizeof *b->start);
    if (!b->key || !b->start)
        return -ENOMEM;
    for (uint32_t t = 0, k = 0; t < n; t++) {
        b->order[t] = (uint32_t)keys[t];
        if (t && keys[t] >> 32 == keys[t - 1] >> 32)
            continue;
        b->key[k] = (uint16_t)(keys[t] >> 32);
        b->start[k++] = t;
    }
    b->start[b->n_keys] = n;
    return 0;
}

static int index_block(struct m2c_co_block *b, const struct activity *a)
{
    uint32_t tokens = (uint32_t)a->tokens;
    uint64_t *keys = malloc(tokens * sizeof *keys);
    b->rank = malloc((size_t)tokens * b->n);
    b->pattern = calloc(tokens, 1);
    b->order = malloc(tokens * sizeof *b->order);
    int rc = keys && b->rank && b->pattern && b->order ? 0 : -ENOMEM;
    for (uint32_t t = 0; rc == 0 && t < tokens; t++) {
        for (uint32_t i = 0; i < b->n; i++) {
            uint8_t rank = a->rank[(size_t)b->neuron[i] * tokens + t];
            b->rank[(size_t)t * b->n + i] = rank;
            b->pattern[t] = (uint8_t)(b->pattern[t] | (rank > 0) << i);
        }
    }
    for (uint32_t t = 0; rc == 0 && t + 1 < tokens; t++)
        keys[t] = key_of(b, t);
    if (rc == 0)
        qsort(keys, tokens - 1, sizeof *keys, by_number);
    if (rc == 0)
        rc = list_keys(b, keys, tokens - 1);
    free(keys);
    return rc;
}

/* Most active first, then by id. */
static int sort_neurons(const struct activity *a, uint32_t *out)
{
    uint64_t *keys = malloc(a->n * sizeof *keys);
    if (!keys)
        return -ENOMEM;
    for (uint32_t i = 0; i < a->n; i++)
        keys[i] = (uint64_t)(UINT32_MAX - a->count[i]) << 32 | i;
    qsort(keys, a->n, sizeof *keys, by_number);
    for (uint32_t i = 0; i < a->n; i++)
        out[i] = (uint32_t)keys[i];
    free(keys);
    return 0;
}

static int make_blocks(struct m2c_co_layer *l, const struct activity *a, uint32_t *left,
                       double *fit)
{
    uint32_t n = a->n;
    int rc = sort_neurons(a, left);
    for (uint32_t b = 0; rc == 0 && b < l->n_blocks; b++) {
        n = gather(a, left, n, fit, &l->block[b]);
        rc = index_block(&l->block[b], a);
    }
    return rc;
}

int m2c_co_open(struct m2c_co_layer *l, const struct m2c_trace *t, uint32_t layer)
{
    struct activity a = {0};
    uint32_t *left = malloc(t->neurons * sizeof *left);
    double *fit = malloc(t->neurons * sizeof *fit);
    l->n_blocks = (t->neurons + M2C_BLOCK_NEURONS - 1) / M2C_BLOCK_NEURONS;
    l->block = calloc(l->n_blocks, sizeof *l->block);
    int rc = left && fit && l->block ? activity_open(&a, t, layer) : -ENOMEM;
    if (rc == 0)
        rc = make_blocks(l, &a, left, fit);
    activity_close(&a);
    free(left);
    free(fit);
    if (rc < 0)
        m2c_co_close(l);
    return rc;
}

void m2c_co_close(struct m2c_co_layer *l)
{
    for (uint32_t b = 0; l->block && b < l->n_blocks; b++) {
        free(l->block[b].rank);
        free(l->block[b].pattern);
        free(l->block[b].order);
        free(l->block[b].key);
        free(l->block[b].start);
    }
    free(l->block);
    *l = (struct m2c_co_layer){0};
}

/* The first place in the order whose key is not below. */
static uint32_t place(const struct m2c_co_block *b, unsigned key)
{
    uint32_t lo = 0, hi = b->n_keys;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (b->key[mid] < key)
            lo = mid + 1;
        else
            hi = mid;
    }
    return b->start[lo];
}

uint32_t m2c_co_range(const struct m2c_co_block *b, uint32_t count, int pattern,
                      uint32_t *first)
{
    unsigned from = count << 8 | (unsigned)M2C_MAX(pattern, 0);
    *first = place(b, from);
    return place(b, pattern < 0 ? (count + 1) << 8 : from + 1) - *first;
}
