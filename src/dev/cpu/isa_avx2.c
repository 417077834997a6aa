/* SPDX-License-Identifier: MIT */
/* The kernels on AVX2, FMA and F16C; this file alone is compiled for them. */
#include "dev/cpu/simd_avx2.h"

#include "dev/cpu/kern_body.h"

const struct m2c_cpu_isa m2c_cpu_isa_avx2 = {
    .name = "avx2",
    .gemm_rows = UINT32_MAX,
    .dot = kern_dot,
    .dot_rows = kern_dot_rows,
    .axpy = kern_axpy,
    .exp_sum = kern_exp_sum,
    .read = sweep,
};
