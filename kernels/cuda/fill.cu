/* SPDX-License-Identifier: MIT */
/* FILL: a value into every element. */
#include "arch.h"

extern "C" __global__ void __launch_bounds__(M2C_K_BLOCK) m2c_fill(const m2c_k_fill a)
{
    for (m2c_u64 i = (m2c_u64)blockIdx.x * M2C_K_BLOCK + threadIdx.x; i < a.n;
         i += (m2c_u64)gridDim.x * M2C_K_BLOCK)
        st((float *)a.dst + i, a.value);
}
