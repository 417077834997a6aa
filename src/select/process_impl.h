/* SPDX-License-Identifier: MIT */
/* The two kinds of processes, and the numbers both draw. */
#ifndef M2C_SELECT_PROCESS_IMPL_H
#define M2C_SELECT_PROCESS_IMPL_H

#include "select/process.h"

/* A hash of an address: all bits depend on all of it. Philox would be exact and ten
 * times slower, and 400,000 numbers are drawn a token. */
static inline uint64_t m2c_draw(uint64_t key, uint64_t a, uint64_t b)
{
    uint64_t x =
        key + a * UINT64_C(0x9e3779b97f4a7c15) + b * UINT64_C(0xd1b54a32d192ed03);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 29) * UINT64_C(0xa0761d6478bd642f);
    return x ^ x >> 32;
}

/* [0, n), for n up to 2^32. */
static inline uint32_t m2c_draw_below(uint64_t bits, uint32_t n)
{
    return (uint32_t)((bits >> 32) * n >> 32);
}

/* A permutation of 0 .. n-1. */
void m2c_draw_order(uint64_t key, uint32_t *order, uint32_t n);

/* ---- by numbers: what is settled once ---- */

enum { M2C_SCALES = 13 };

struct m2c_fit {
    struct m2c_process_numbers num;
    float *threshold;          /* [n], most active neuron first */
    double common;             /* share of the variance that all neurons have in common */
    double weight[M2C_SCALES]; /* of the rest: of numbers that last 2^s tokens; sum 1 */
    double common_weight[M2C_SCALES];
    double preference; /* share of a rank key's variance that stays */
};
/* frequencies: [n_freq], falling, in place of density and concentration: then num is
 * measured, not asked for, and goes to the nearest that can be; or NULL. */
M2C_MUST_USE int m2c_fit_open(struct m2c_fit *f, const struct m2c_process_cfg *cfg,
                              const struct m2c_process_numbers *num,
                              const double *frequencies, uint32_t n_freq,
                              struct m2c_err *err);
void m2c_fit_close(struct m2c_fit *f);

/* The numbers of a recorded layer, and its frequencies, [neurons], falling, which the
 * caller frees. -ENOMEM. */
M2C_MUST_USE int m2c_measure(const struct m2c_trace *t, uint32_t layer,
                             struct m2c_process_numbers *num, double **frequencies);
/* The layer of a recording that a layer is made like: at the same depth. */
static inline uint32_t m2c_source_layer(uint32_t layer, uint32_t layers, uint32_t of)
{
    return (uint32_t)((2 * (uint64_t)layer + 1) * of / (2 * (uint64_t)layers));
}

/* ---- the kinds ---- */

struct m2c_numbers;
M2C_MUST_USE int m2c_numbers_open(struct m2c_numbers **out,
                                  const struct m2c_process_cfg *cfg, struct m2c_err *err);
void m2c_numbers_close(struct m2c_numbers *p);
void m2c_numbers_scores(struct m2c_numbers *p, uint64_t token, uint32_t layer,
                        float *scores);
const struct m2c_fit *m2c_numbers_fit(const struct m2c_numbers *p, uint32_t layer);

struct m2c_scaled;
M2C_MUST_USE int m2c_scaled_open(struct m2c_scaled **out,
                                 const struct m2c_process_cfg *cfg, struct m2c_err *err);
void m2c_scaled_close(struct m2c_scaled *p);
void m2c_scaled_scores(struct m2c_scaled *p, uint64_t token, uint32_t layer,
                       float *scores);

/* ---- a trace's blocks ---- */

enum { M2C_BLOCK_NEURONS = 8 };

/* Neurons of a source layer that tend to be active together, and all that they did. */
struct m2c_co_block {
    uint32_t neuron[M2C_BLOCK_NEURONS], n;
    uint8_t *rank;    /* [tokens][n]: 0 inactive, else 1 to 255 by rank in its list */
    uint8_t *pattern; /* [tokens]: bit i: neuron i is active */
    /* [tokens - 1]: tokens by how many are active in the next one, then by their own
     * pattern, then by time; where each (count << 8 | pattern) begins. */
    uint32_t *order, *start; /* start: [n_keys + 1] */
    uint16_t *key;           /* [n_keys], rising */
    uint32_t n_keys;
};
struct m2c_co_layer {
    uint32_t n_blocks;
    struct m2c_co_block *block;
};
/* Most active neurons first, each block completed by those whose activity correlates
 * most with it. -ENOMEM. */
M2C_MUST_USE int m2c_co_open(struct m2c_co_layer *l, const struct m2c_trace *t,
                             uint32_t layer);
void m2c_co_close(struct m2c_co_layer *l);
/* Places in the order of the tokens after which `count` are active; with `pattern` >= 0
 * of those that have this pattern. Returns how many, from *first. */
uint32_t m2c_co_range(const struct m2c_co_block *b, uint32_t count, int pattern,
                      uint32_t *first);

#endif
