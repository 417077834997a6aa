/* SPDX-License-Identifier: MIT */
/* The sum of a layer's segments, from left to right, added to y. */
#include "arch.h"

enum { AHEAD = 8 };

extern "C" __global__ void __launch_bounds__(M2C_K_SUM_BLOCK) m2c_ffn_sum(const m2c_k_ffn_sum a)
{
    for (m2c_u32 row = blockIdx.y; row < a.rows && a.segments; row += gridDim.y) {
        for (m2c_u32 j = blockIdx.x * M2C_K_SUM_BLOCK + threadIdx.x; j < a.dim;
             j += gridDim.x * M2C_K_SUM_BLOCK) {
            const float *acc = (const float *)a.acc + (m2c_u64)row * a.segments * a.dim + j;
            float *y = (float *)a.y + (m2c_u64)row * a.dim + j;
            float sum = ld<float>(acc);
            for (m2c_u32 s = 1; s < a.segments; s += AHEAD) {
                float v[AHEAD];
#pragma unroll
                for (int k = 0; k < AHEAD; k++)
                    v[k] = s + k < a.segments ? ld<float>(acc + (m2c_u64)(s + k) * a.dim) : 0.0f;
#pragma unroll
                for (int k = 0; k < AHEAD; k++)
                    if (s + k < a.segments)
                        sum += v[k];
            }
            st(y, ld_word<float>(y) + sum);
        }
    }
}
