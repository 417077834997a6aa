/* SPDX-License-Identifier: MIT */
/* The kernels of kern_impl.h, written once on the vectors of simd_*.h. Each
 * instruction set's .c file includes its simd header, then this one.
 *
 * Order of sums: a dot product has one vector of partial sums, fed a group of
 * M2C_GROUP elements at a time in the type's order, and reduced at the end; a
 * grouped type's codes are summed over the group first and then scaled. An
 * axpy is one chain of additions an element; a grouped type's codes meet
 * scale·h, rounded. Both follow from the operands alone: blocks, tiles and
 * prefetches below change no bit. */
#ifndef M2C_DEV_CPU_KERN_BODY_H
#define M2C_DEV_CPU_KERN_BODY_H

#include "dev/cpu/axpy_body.h"
#include "dev/cpu/dot_body.h"

static float kern_exp_sum(float *s, size_t n, float top)
{
    vf sum = vf_set(0), t = vf_set(-top);
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES) {
        vf e = vf_exp(vf_add(vf_load(s + i), t));
        vf_store(s + i, e);
        sum = vf_add(sum, e);
    }
    float total = vf_sum(sum);
    if (i < n) {
        float rest[VF_LANES] = {0};
        memcpy(rest, s + i, (n - i) * sizeof(*s));
        vf_store(rest, vf_exp(vf_add(vf_load(rest), t)));
        memcpy(s + i, rest, (n - i) * sizeof(*s));
        for (size_t k = 0; i + k < n; k++)
            total += rest[k];
    }
    return total;
}

#endif
