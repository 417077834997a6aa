/* SPDX-License-Identifier: MIT */
/* Statistics of sets, each by its definition and by brute force. */
#ifndef M2C_TESTS_POLICY_SETS_H
#define M2C_TESTS_POLICY_SETS_H

#include <stdint.h>

/* Of one layer: class + 1 of each neuron at each token, 0: inactive. */
struct sets {
    uint32_t tokens, n;
    uint8_t *cls; /* [tokens][n] */
};

double sets_density(const struct sets *s);
double sets_overlap(const struct sets *s,
                    uint32_t lag); /* of a set, what the one before had */
double sets_spread(const struct sets *s);
double
sets_concentration(const struct sets *s); /* neurons that make 80 % of activations */
double sets_class_change(const struct sets *s);
double sets_chance(const struct sets *s); /* overlap that the frequencies alone make */

#endif
