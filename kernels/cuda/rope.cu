/* SPDX-License-Identifier: MIT */
/* ROPE: a thread turns one pair. Angles are taken in double, since an f32
 * angle is off by 0.004 at position 100,000; sine and cosine by series of our
 * own, so that they have the same bits everywhere and need no local memory. */
#include "arch.h"

/* Taylor's series on |t| <= pi / 4, where the first term left out is below
 * 3e-14; t is brought there by multiples of pi / 2. */
M2C_INLINE void sine_cosine(double t, float *sine, float *cosine)
{
    const double n = rint(t * 0.63661977236758134308);
    t = fma(-n, 1.57079632679489655800, t);
    t = fma(-n, 6.12323399573676603587e-17, t);
    const double q = t * t;
    double s = 1.0 / 6227020800, c = -1.0 / 87178291200;
    s = fma(s, q, -1.0 / 39916800);
    s = fma(s, q, 1.0 / 362880);
    s = fma(s, q, -1.0 / 5040);
    s = fma(s, q, 1.0 / 120);
    s = fma(s, q, -1.0 / 6);
    s = fma(s * q, t, t);
    c = fma(c, q, 1.0 / 479001600);
    c = fma(c, q, -1.0 / 3628800);
    c = fma(c, q, 1.0 / 40320);
    c = fma(c, q, -1.0 / 720);
    c = fma(c, q, 1.0 / 24);
    c = fma(c, q, -0.5);
    c = fma(c, q, 1.0);
    const int quarter = (int)((long long)n & 3);
    const double a = quarter & 1 ? c : s, b = quarter & 1 ? s : c;
    *sine = (float)(quarter & 2 ? -a : a);
    *cosine = (float)(quarter == 1 || quarter == 2 ? -b : b);
}

extern "C" __global__ void __launch_bounds__(M2C_K_BLOCK) m2c_rope(const m2c_k_rope a)
{
    const m2c_u32 half = a.head_dim / 2, pairs = a.heads * half;
    for (m2c_u32 r = blockIdx.y; r < a.rows; r += gridDim.y) {
        for (m2c_u32 i = blockIdx.x * M2C_K_BLOCK + threadIdx.x; i < pairs;
             i += gridDim.x * M2C_K_BLOCK) {
            const m2c_u32 head = i / half, j = i % half;
            const bool split = a.style == M2C_K_ROPE_HALF;
            float s, c;
            sine_cosine((double)(a.pos + r) * (double)ld<float>((const float *)a.inv_freq + j),
                        &s, &c);
            float *p = (float *)a.x + ((m2c_u64)r * a.heads + head) * a.head_dim +
                       (split ? j : 2 * j);
            float *q = p + (split ? half : 1);
            const float u = ld_word<float>(p), v = ld_word<float>(q);
            st(p, u * c - v * s);
            st(q, u * s + v * c);
        }
    }
}
