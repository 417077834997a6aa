/* SPDX-License-Identifier: MIT */
/* Counting over a block of M2C_K_CHOOSE_BLOCK threads, in their order. */
#ifndef M2C_KERNELS_CUDA_CHOOSE_H
#define M2C_KERNELS_CUDA_CHOOSE_H

#include "arch.h"

enum { CHOOSE_WARPS = M2C_K_CHOOSE_BLOCK / M2C_K_WARP };

/* How many threads before this one have `flag`, and how many in all. `warps`
 * has CHOOSE_WARPS elements, and is free again after the next barrier. */
M2C_INLINE m2c_u32 count_before(bool flag, m2c_u32 *warps, m2c_u32 *total)
{
    const m2c_u32 votes = vote(flag);
    m2c_u32 before = __popc(votes & ((1u << lane_id()) - 1)), all = 0;
    if (lane_id() == 0)
        warps[warp_id()] = __popc(votes);
    __syncthreads();
    for (m2c_u32 i = 0; i < CHOOSE_WARPS; i++) {
        before += i < warp_id() ? warps[i] : 0;
        all += warps[i];
    }
    *total = all;
    return before;
}

/* The sum of `v` over the threads before this one, and over all. Two barriers. */
M2C_INLINE m2c_u32 sum_before(m2c_u32 v, m2c_u32 *warps, m2c_u32 *total)
{
    m2c_u32 sum = v, before, all = 0;
#pragma unroll
    for (int step = 1; step < M2C_K_WARP; step *= 2) {
        const m2c_u32 other = shuffle(sum, ((int)lane_id() - step) & (M2C_K_WARP - 1));
        sum += (int)lane_id() >= step ? other : 0;
    }
    before = sum - v;
    if (lane_id() == M2C_K_WARP - 1)
        warps[warp_id()] = sum;
    __syncthreads();
    for (m2c_u32 i = 0; i < CHOOSE_WARPS; i++) {
        before += i < warp_id() ? warps[i] : 0;
        all += warps[i];
    }
    __syncthreads();
    *total = all;
    return before;
}

#endif
