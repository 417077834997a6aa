/* SPDX-License-Identifier: MIT */
/* Entries of a list, and where a neuron's vectors lie. */
#ifndef M2C_KERNELS_CUDA_FFN_H
#define M2C_KERNELS_CUDA_FFN_H

#include "arch.h"

/* Entry i; lists are aligned to words. */
M2C_INLINE m2c_k_ref load_ref(m2c_u64 list, m2c_u32 i)
{
    const m2c_u8 *p = (const m2c_u8 *)list + (m2c_u64)i * sizeof(m2c_k_ref);
    const m2c_u32 how = ld<m2c_u32>(p + 8);
    m2c_k_ref ref = {ld<m2c_u32>(p),         ld<m2c_u32>(p + 4), (m2c_u8)how,
                     (m2c_u8)(how >> 8), 0,                  0};
    return ref;
}

struct place {
    m2c_u64 codes, scales;
};

M2C_INLINE place place_of(const m2c_k_unit &u, const m2c_k_ref &ref, int vector)
{
    const m2c_k_class &c = u.cls[ref.cls];
    const m2c_u64 slot = c.base + ref.slot * c.stride;
    place p = {slot + c.code_off[vector], slot + c.scale_off[vector]};
    return p;
}

#endif
