/* SPDX-License-Identifier: MIT */
/* EMBED: rows of a table, in any element type. */
#include "weights.h"

extern "C" __global__ void __launch_bounds__(M2C_K_BLOCK) M2C_ENTRY(embed)(const m2c_k_embed a)
{
    for (m2c_u32 r = blockIdx.y; r < a.rows; r += gridDim.y) {
        const m2c_u64 id = ld<m2c_u32>((const m2c_u32 *)a.ids + r);
        const m2c_u8 *codes = (const m2c_u8 *)(a.codes + id * a.code_step);
        const m2c_u8 *scales = (const m2c_u8 *)(a.scales + id * a.scale_step);
        for (m2c_u32 c = (blockIdx.x * M2C_K_BLOCK + threadIdx.x) * 8; c < a.cols;
             c += gridDim.x * M2C_K_BLOCK * 8) {
            m2c_u32 w[8];
            float v[8];
            load_octet<M2C_TYPE>(codes, c, a.cols, aligned(a.codes, a.code_step), w);
            octet_values<M2C_TYPE>(w, v);
            const float s = weights<M2C_TYPE>::grouped ? scale_at(scales, c, true) : 1.0f;
#pragma unroll
            for (int k = 0; k < 8; k++) /* the first product is exact */
                if (c + k < a.cols)
                    st((float *)a.out + (m2c_u64)r * a.cols + c + k, v[k] * s * a.scale);
        }
    }
}
