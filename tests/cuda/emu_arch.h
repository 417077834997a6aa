/* SPDX-License-Identifier: MIT */
/* The twin of kernels/cuda/arch.h: the same functions without PTX. */
#ifndef M2C_TESTS_CUDA_EMU_ARCH_H
#define M2C_TESTS_CUDA_EMU_ARCH_H

#include "cuda_emu.h"

#define M2C_INLINE static inline

template <class T> M2C_INLINE T ld(const void *p)
{
    return m2c_emu_load<T>(p);
}

template <class T> M2C_INLINE T ld_word(const void *p)
{
    return m2c_emu_load<T>(p);
}

M2C_INLINE uint4 ld_stream(const void *p)
{
    return m2c_emu_load<uint4>(p);
}

template <class T> M2C_INLINE void st(void *p, T v)
{
    m2c_emu_store(p, v);
}

M2C_INLINE void prefetch(const void *)
{
}

M2C_INLINE float as_float(m2c_u32 bits)
{
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

M2C_INLINE m2c_u32 as_bits(float f)
{
    m2c_u32 bits;
    memcpy(&bits, &f, sizeof(f));
    return bits;
}

M2C_INLINE float f16_lo(m2c_u32 w)
{
    const m2c_u32 sign = (w & 0x8000u) << 16, exponent = w >> 10 & 31, fraction = w & 1023;
    if (exponent == 31)
        return as_float(sign | 0x7f800000u | fraction << 13);
    if (exponent)
        return as_float(sign | (exponent + 112) << 23 | fraction << 13);
    const float f = ldexpf((float)fraction, -24);
    return sign ? -f : f;
}

M2C_INLINE float f16_hi(m2c_u32 w)
{
    return f16_lo(w >> 16);
}

M2C_INLINE m2c_u16 to_f16(float f)
{
    const m2c_u32 sign = as_bits(f) >> 16 & 0x8000u;
    const float v = fabsf(f);
    if (v != v)
        return 0x7fff;
    if (v >= 65520.0f) /* the half-way point to 2^16 rounds up */
        return (m2c_u16)(sign | 0x7c00u);
    int e; /* v = m · 2^e, m below 1 */
    frexpf(v, &e);
    e = e < -13 ? -13 : e;
    /* In units of the last place; 2048 carries into the exponent by itself. */
    const m2c_u32 units = (m2c_u32)nearbyintf(ldexpf(v, 11 - e));
    return (m2c_u16)(sign | (units + (units ? (m2c_u32)(e + 13) << 10 : 0)));
}

M2C_INLINE m2c_u32 permute(m2c_u32 a, m2c_u32 b, m2c_u32 which)
{
    const m2c_u64 bytes = (m2c_u64)b << 32 | a;
    m2c_u32 v = 0;
    for (int k = 0; k < 4; k++)
        v |= (m2c_u32)(bytes >> 8 * (which >> 4 * k & 7) & 255) << 8 * k;
    return v;
}

template <class T> M2C_INLINE T of_lane(const unsigned char *all, unsigned lane)
{
    T v;
    memcpy(&v, all + 16 * (lane % M2C_K_WARP), sizeof(T));
    return v;
}

template <class T> M2C_INLINE T shuffle_xor(T v, int mask)
{
    const unsigned me = threadIdx.x % M2C_K_WARP;
    return of_lane<T>(m2c_emu_share("shuffle_xor", &v, sizeof(v)), me ^ (unsigned)mask);
}

template <class T> M2C_INLINE T shuffle(T v, int lane)
{
    return of_lane<T>(m2c_emu_share("shuffle", &v, sizeof(v)), (unsigned)lane);
}

M2C_INLINE m2c_u32 vote(bool b)
{
    const unsigned char mine = b, *all = m2c_emu_share("vote", &mine, 1);
    m2c_u32 votes = 0;
    for (unsigned lane = 0; lane < M2C_K_WARP; lane++)
        votes |= (m2c_u32)all[16 * lane] << lane;
    return votes;
}

#endif
