/* SPDX-License-Identifier: MIT */
/* The kernels on AVX-512; this file alone is compiled for it. */
#include "dev/cpu/simd_avx512.h"

#include "dev/cpu/kern_body.h"

const struct m2c_cpu_isa m2c_cpu_isa_avx512 = {
    .name = "avx512",
    .gemm_rows = UINT32_MAX,
    .dot = kern_dot,
    .dot_rows = kern_dot_rows,
    .axpy = kern_axpy,
    .exp_sum = kern_exp_sum,
    .read = sweep,
};
