/* SPDX-License-Identifier: MIT */
/* Choice of an instruction set. The questions to the CPU are asked here, in
 * code that any CPU can run. */
#include "dev/cpu/kern_impl.h"

#include <errno.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static bool has_all(void)
{
    return true;
}

#if defined(__x86_64__)
/* The builtins also ask whether the system keeps the registers. F16C has no
 * name in them with older compilers. */
static bool has_avx2(void)
{
    unsigned a, b, c, d;
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq");
}
#endif

/* Best first. */
static const struct {
    const struct m2c_cpu_isa *isa;
    bool (*usable)(void);
    const char *needs;
} isas[] = {
#if defined(__x86_64__)
    {&m2c_cpu_isa_avx512, has_avx512, "AVX-512 F, BW, VL and DQ"},
    {&m2c_cpu_isa_avx2, has_avx2, "AVX2, FMA and F16C"},
#endif
    {&m2c_cpu_isa_c, has_all, "nothing"},
};

/* What other builds have, so that a config made there gets a clear answer. */
static const char *const names[] = {"auto", "avx512", "avx2", "c", NULL};

const struct m2c_cpu_isa *m2c_cpu_isa_find(const char *name, struct m2c_err *err)
{
    for (size_t i = 0; i < M2C_COUNTOF(isas); i++) {
        bool wanted = strcmp(name, isas[i].isa->name) == 0;
        if ((wanted || strcmp(name, "auto") == 0) && isas[i].usable())
            return isas[i].isa;
        if (wanted) {
            m2c_fail(err, -ENODEV, "this CPU cannot run the %s kernels, which need %s", name,
                     isas[i].needs);
            return NULL;
        }
    }
    for (size_t i = 0; names[i]; i++) {
        if (strcmp(name, names[i]) == 0) {
            m2c_fail(err, -ENODEV, "this build has no %s kernels", name);
            return NULL;
        }
    }
    const char *near = m2c_nearest(name, names);
    m2c_fail(err, -ENOENT, "unknown isa '%s' (auto, avx512, avx2, c)%s%s%s", name,
             near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
}

const char *m2c_cpu_isa_name(const struct m2c_cpu_isa *isa)
{
    return isa->name;
}

const char *m2c_cpu_isa_list(unsigned i)
{
    return i + 1 < M2C_COUNTOF(names) ? names[i + 1] : NULL;
}

enum { SEG_MIN = 64, SEG_MOST = 32 };

uint32_t m2c_cpu_seg_neurons(const struct m2c_cpu_isa *isa, uint32_t n_neurons)
{
    (void)isa;
    uint32_t least = n_neurons / SEG_MOST + (n_neurons % SEG_MOST != 0);
    return (uint32_t)m2c_align_up(M2C_MAX(least, 1u), SEG_MIN);
}

uint32_t m2c_cpu_seg_min(const struct m2c_cpu_isa *isa)
{
    (void)isa;
    return SEG_MIN;
}
