/* SPDX-License-Identifier: MIT */
/* Whether this processor converts half precision (F16C), by CPUID: clang up to
 * 14 does not know the feature's name in __builtin_cpu_supports. The system
 * saves the registers wherever AVX is supported, which the caller asks. */
#ifndef M2C_DEV_CPU_HAS_F16C_H
#define M2C_DEV_CPU_HAS_F16C_H

#include <cpuid.h>
#include <stdbool.h>

static inline bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

#endif
