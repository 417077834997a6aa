/* SPDX-License-Identifier: MIT */
/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel
 * Random Numbers: As Easy as 1, 2, 3", SC 2011). A stream is named by
 * (seed, stream); the same name gives the same numbers on every machine. */
#ifndef M2C_BASE_RNG_H
#define M2C_BASE_RNG_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_rng {
    uint64_t seed, stream, block;
    uint32_t out[4];
    unsigned used; /* words of `out` already given */
};

void m2c_rng_init(struct m2c_rng *r, uint64_t seed, uint64_t stream);
uint32_t m2c_rng_u32(struct m2c_rng *r);
uint64_t m2c_rng_u64(struct m2c_rng *r);
uint32_t m2c_rng_below(struct m2c_rng *r, uint32_t n); /* [0, n), unbiased; n > 0 */
double m2c_rng_double(struct m2c_rng *r);              /* [0, 1), 53 bits */
float m2c_rng_normal(struct m2c_rng *r);               /* mean 0, variance 1 */

/* The bare block function, for tests against the published vectors. */
void m2c_philox4x32_10(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4]);

#ifdef __cplusplus
}
#endif
#endif
