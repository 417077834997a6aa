/* SPDX-License-Identifier: MIT */
/* The splits of a query's attention (see attention.cu), joined in the order of
 * the keys. A block takes one head of one row. */
#include "arch.h"

extern "C" __global__ void __launch_bounds__(M2C_K_ATT_BLOCK)
    m2c_attention_join(const m2c_k_attention a)
{
    const m2c_u64 all = (m2c_u64)a.rows * a.heads;
    for (m2c_u64 i = blockIdx.x; i < all; i += gridDim.x) {
        const m2c_u32 row = (m2c_u32)(i / a.heads), step = a.head_dim + 2;
        const m2c_u32 splits = m2c_k_attention_splits(a.pos, row + 1);
        const float *part = (const float *)a.part + i * a.splits * step;
        float top = M2C_MINUS_INFINITY, sum = 0;
        for (m2c_u32 s = 0; s < splits; s++)
            top = fmaxf(top, ld<float>(part + (m2c_u64)s * step + a.head_dim));
        for (m2c_u32 s = 0; s < splits; s++) {
            const float *p = part + (m2c_u64)s * step + a.head_dim;
            sum = fmaf(ld<float>(p + 1), expf(ld<float>(p) - top), sum);
        }
        for (m2c_u32 j = threadIdx.x; j < a.head_dim; j += M2C_K_ATT_BLOCK) {
            float o = 0;
            for (m2c_u32 s = 0; s < splits; s++) {
                const float *p = part + (m2c_u64)s * step;
                o = fmaf(ld<float>(p + j), expf(ld<float>(p + a.head_dim) - top), o);
            }
            st((float *)a.out + i * a.head_dim + j, o / sum);
        }
    }
}
