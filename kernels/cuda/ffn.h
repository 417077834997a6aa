/* SPDX-License-Identifier: MIT */
/* Entries of a list, and where a neuron's vectors lie. */
#ifndef M2C_KERNELS_CUDA_FFN_H
#define M2C_KERNELS_CUDA_FFN_H

#include "weights.h"

/* Entry i; lists are aligned to words. */
M2C_INLINE m2c_k_ref load_ref(m2c_u64 list, m2c_u32 i)
{
    const m2c_u8 *p = (const m2c_u8 *)list + (m2c_u64)i * sizeof(m2c_k_ref);
    const m2c_u32 how = ld<m2c_u32>(p + 8);
    m2c_k_ref ref = {ld<m2c_u32>(p),         ld<m2c_u32>(p + 4), (m2c_u8)how,
                     (m2c_u8)(how >> 8), 0,                  0};
    return ref;
}

M2C_INLINE const m2c_u8 *plane_of(const m2c_k_plane &p, const m2c_k_ref &ref, int vector)
{
    return (const m2c_u8 *)(p.base + ref.slot * p.stride + p.off[vector]);
}

/* Planes that the class does not have are 0. */
M2C_INLINE vec place_of(const m2c_k_unit &u, const m2c_k_ref &ref, int vector)
{
    const m2c_k_class &c = u.cls[ref.cls];
    const m2c_u64 slot = c.base + ref.slot * c.stride;
    vec p = {(const m2c_u8 *)(slot + c.code_off[vector]),
             (const m2c_u8 *)(slot + c.scale_off[vector]), 0, 0};
    if (c.type == M2C_K_P16 || c.type == M2C_K_P8)
        p.d4 = plane_of(c.plane[0], ref, vector);
    if (c.type == M2C_K_P16)
        p.d8 = plane_of(c.plane[1], ref, vector);
    return p;
}

/* Whether the vector's codes begin on a multiple of 16, in all planes, and its
 * scales on one of 2. */
M2C_INLINE bool is_aligned_vec(const vec &v)
{
    return aligned((m2c_u64)v.codes | (m2c_u64)v.d4, (m2c_u64)v.d8) &&
           ((m2c_u64)v.scales & 1) == 0;
}

#endif
