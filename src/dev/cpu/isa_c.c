/* SPDX-License-Identifier: MIT */
/* The kernels in plain C, for any CPU. */
#include "dev/cpu/simd_c.h"

#include "dev/cpu/kern_body.h"

const struct m2c_cpu_isa m2c_cpu_isa_c = {
    .name = "c",
    .gemm_rows = 16,
    .dot = kern_dot,
    .dot_rows = kern_dot_rows,
    .axpy = kern_axpy,
    .exp_sum = kern_exp_sum,
    .read = sweep,
};
