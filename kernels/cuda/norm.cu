/* SPDX-License-Identifier: MIT */
/* NORM: a block a row. */
#include "arch.h"

/* Sum over the block, in every thread; the warps' sums in their order. */
M2C_INLINE float block_sum(float v, float *warps)
{
    v = warp_sum(v);
    __syncthreads(); /* the sum before has been read */
    if (lane_id() == 0)
        warps[warp_id()] = v;
    __syncthreads();
    v = 0;
#pragma unroll
    for (int i = 0; i < M2C_K_WARPS; i++)
        v += warps[i];
    return v;
}

extern "C" __global__ void __launch_bounds__(M2C_K_BLOCK) m2c_norm(const m2c_k_norm a)
{
    __shared__ float warps[M2C_K_WARPS];
    for (m2c_u32 r = blockIdx.x; r < a.rows; r += gridDim.x) {
        const float *x = (const float *)a.x + (m2c_u64)r * a.n;
        float *y = (float *)a.y + (m2c_u64)r * a.n; /* may be x */
        float sum = 0;
#pragma unroll 4
        for (m2c_u32 i = threadIdx.x; i < a.n; i += M2C_K_BLOCK) {
            const float v = ld_word<float>(x + i);
            sum = fmaf(v, v, sum);
        }
        const float f = 1.0f / sqrtf(block_sum(sum, warps) / (float)a.n + a.eps);
#pragma unroll 4
        for (m2c_u32 i = threadIdx.x; i < a.n; i += M2C_K_BLOCK) {
            float v = ld_word<float>(x + i) * f * ld<float>((const float *)a.w + i);
            if (a.relu)
                v = v - a.shift < 0 ? 0.0f : v - a.shift;
            st(y + i, v);
        }
    }
}
