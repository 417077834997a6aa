/* SPDX-License-Identifier: MIT */
/* KV_APPEND: f32 into a cache of f32 or f16. */
#include "weights.h"

extern "C" __global__ void __launch_bounds__(M2C_K_BLOCK)
    M2C_ENTRY(kv_append)(const m2c_k_kv_append a)
{
    for (m2c_u64 i = (m2c_u64)blockIdx.x * M2C_K_BLOCK + threadIdx.x; i < a.n;
         i += (m2c_u64)gridDim.x * M2C_K_BLOCK) {
        const float v = ld<float>((const float *)a.x + i);
        if ((int)M2C_TYPE == (int)M2C_K_F32)
            st((float *)a.cache + a.at + i, v);
        else
            st((m2c_u16 *)a.cache + a.at + i, to_f16(v));
    }
}
