/* SPDX-License-Identifier: MIT */
/* The kernels on AVX-512; this file alone is compiled for it. */
#include "dev/cpu/simd_avx512.h"

#include "dev/cpu/has_f16c.h"
#include "dev/cpu/kern_body.h"

static bool usable(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           has_f16c();
}

const struct m2c_cpu_isa m2c_cpu_isa_avx512 = {
    .name = "avx512",
    .needs = "AVX-512 F, BW, VL and DQ",
    .usable = usable,
    .dot = kern_dot,
    .dot_rows = kern_dot_rows,
    .axpy = kern_axpy,
    .exp_sum = kern_exp_sum,
};
