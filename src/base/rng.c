/* SPDX-License-Identifier: MIT */
/* Philox4x32-10; see rng.h for the source. */
#include "base/rng.h"

#include <math.h>

void m2c_philox4x32_10(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void m2c_rng_init(struct m2c_rng *r, uint64_t seed, uint64_t stream)
{
    *r = (struct m2c_rng){.seed = seed, .stream = stream, .used = 4};
}

uint32_t m2c_rng_u32(struct m2c_rng *r)
{
    if (r->used == 4) {
        const uint32_t ctr[4] = {(uint32_t)r->block, (uint32_t)(r->block >> 32),
                                 (uint32_t)r->stream, (uint32_t)(r->stream >> 32)};
        const uint32_t key[2] = {(uint32_t)r->seed, (uint32_t)(r->seed >> 32)};
        m2c_philox4x32_10(ctr, key, r->out);
        r->block++;
        r->used = 0;
    }
    return r->out[r->used++];
}

uint64_t m2c_rng_u64(struct m2c_rng *r)
{
    uint64_t lo = m2c_rng_u32(r);
    return lo | (uint64_t)m2c_rng_u32(r) << 32;
}

uint32_t m2c_rng_below(struct m2c_rng *r, uint32_t n)
{
    /* Lemire's multiply-and-reject. */
    uint64_t m = (uint64_t)m2c_rng_u32(r) * n;
    if ((uint32_t)m < n) {
        uint32_t floor = (uint32_t)(-n) % n;
        while ((uint32_t)m < floor)
            m = (uint64_t)m2c_rng_u32(r) * n;
    }
    return (uint32_t)(m >> 32);
}

double m2c_rng_double(struct m2c_rng *r)
{
    return (double)(m2c_rng_u64(r) >> 11) * 0x1p-53;
}

float m2c_rng_normal(struct m2c_rng *r)
{
    /* Box-Muller; 1 - u keeps the logarithm's argument above zero. */
    double u = 1.0 - m2c_rng_double(r), v = m2c_rng_double(r);
    return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}
