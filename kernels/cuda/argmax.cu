/* SPDX-License-Identifier: MIT */
/* ARGMAX: a block a row. */
#include "choose.h"

struct best {
    float x;
    m2c_u32 at; /* M2C_K_NO_ID: there is a NaN, or nothing was seen */
    m2c_u32 nan;
};

M2C_INLINE best better(const best &a, const best &b)
{
    best r = b.at == M2C_K_NO_ID || (a.at != M2C_K_NO_ID &&
                                     (a.x > b.x || (a.x == b.x && a.at < b.at)))
                 ? a
                 : b;
    r.nan = a.nan | b.nan;
    return r;
}

M2C_INLINE best warp_best(best b)
{
#pragma unroll
    for (int mask = M2C_K_WARP / 2; mask; mask /= 2) {
        best other;
        other.x = shuffle_xor(b.x, mask);
        other.at = shuffle_xor(b.at, mask);
        other.nan = shuffle_xor(b.nan, mask);
        b = better(b, other);
    }
    return b;
}

extern "C" __global__ void __launch_bounds__(M2C_K_CHOOSE_BLOCK)
    m2c_argmax(const m2c_k_argmax a)
{
    __shared__ best warps[CHOOSE_WARPS];
    for (m2c_u32 r = blockIdx.x; r < a.rows; r += gridDim.x) {
        const float *x = (const float *)a.x + (m2c_u64)r * a.n;
        best b = {0, M2C_K_NO_ID, 0};
#pragma unroll 4
        for (m2c_u32 i = threadIdx.x; i < a.n; i += M2C_K_CHOOSE_BLOCK) {
            const float v = ld<float>(x + i);
            b.nan |= v != v;
            if (b.at == M2C_K_NO_ID || v > b.x) {
                b.x = v;
                b.at = i;
            }
        }
        b = warp_best(b);
        __syncthreads(); /* the row before has been read */
        if (lane_id() == 0)
            warps[warp_id()] = b;
        __syncthreads();
        b = warp_best(warps[lane_id()]);
        if (threadIdx.x == 0)
            st((m2c_u32 *)a.out + r, b.nan ? M2C_K_NO_ID : b.at);
    }
}
