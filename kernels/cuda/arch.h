/* SPDX-License-Identifier: MIT */
/* The one place where kernels meet the machine: memory accesses, conversions,
 * shuffles, and what depends on the architecture. Inline PTX is here only, and
 * each function has its twin for the emulation in tests/cuda/emu_arch.h.
 *
 * All accesses to device memory go through ld, ld_stream, ld_word and st, so that the
 * emulation sees them. */
#ifndef M2C_KERNELS_CUDA_ARCH_H
#define M2C_KERNELS_CUDA_ARCH_H

#include "args.h"
#include "launch.h"

#ifdef M2C_CUDA_EMU
#include "emu_arch.h"
#else

#define M2C_INLINE static __forceinline__ __device__

/* Memory that no thread of the launch writes. */
template <class T> M2C_INLINE T ld(const void *p)
{
    return __ldg((const T *)p);
}

/* Memory that this launch may write. */
template <class T> M2C_INLINE T ld_word(const void *p)
{
    return *(const T *)p;
}

/* 16 bytes that are read once and should push nothing out of the L1. */
M2C_INLINE uint4 ld_stream(const void *p)
{
#if __CUDA_ARCH__ >= 700
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
#else
    return __ldg((const uint4 *)p);
#endif
}

template <class T> M2C_INLINE void st(void *p, T v)
{
    *(T *)p = v;
}

/* Begins to bring the line of p into the L2. */
M2C_INLINE void prefetch(const void *p)
{
    asm volatile("prefetch.global.L2 [%0];" : : "l"(p));
}

/* Two f16 in a word; low half first. */
M2C_INLINE float f16_lo(m2c_u32 w)
{
    float f;
    asm("{ .reg .b16 lo, hi; mov.b32 {lo, hi}, %1; cvt.f32.f16 %0, lo; }" : "=f"(f) : "r"(w));
    return f;
}

M2C_INLINE float f16_hi(m2c_u32 w)
{
    float f;
    asm("{ .reg .b16 lo, hi; mov.b32 {lo, hi}, %1; cvt.f32.f16 %0, hi; }" : "=f"(f) : "r"(w));
    return f;
}

/* To nearest even. */
M2C_INLINE m2c_u16 to_f16(float f)
{
    m2c_u16 h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
    return h;
}

M2C_INLINE float as_float(m2c_u32 bits)
{
    return __uint_as_float(bits);
}

M2C_INLINE m2c_u32 as_bits(float f)
{
    return __float_as_uint(f);
}

/* Bytes of a (0..3) and b (4..7), as the nibbles of `which` name them. */
M2C_INLINE m2c_u32 permute(m2c_u32 a, m2c_u32 b, m2c_u32 which)
{
    return __byte_perm(a, b, which);
}

/* All lanes of a warp take part. */
template <class T> M2C_INLINE T shuffle_xor(T v, int mask)
{
    return __shfl_xor_sync(0xffffffffu, v, mask);
}

template <class T> M2C_INLINE T shuffle(T v, int lane)
{
    return __shfl_sync(0xffffffffu, v, lane);
}

M2C_INLINE m2c_u32 vote(bool b)
{
    return __ballot_sync(0xffffffffu, b);
}

#endif

#define M2C_MINUS_INFINITY as_float(0xff800000u)

M2C_INLINE m2c_u32 lane_id()
{
    return threadIdx.x % M2C_K_WARP;
}

M2C_INLINE m2c_u32 warp_id()
{
    return threadIdx.x / M2C_K_WARP;
}

/* The sum over a warp, in every lane: each addition has the same two operands
 * on both sides, so all lanes have the same bits. */
M2C_INLINE float warp_sum(float v)
{
#pragma unroll
    for (int mask = M2C_K_WARP / 2; mask; mask /= 2)
        v += shuffle_xor(v, mask);
    return v;
}

M2C_INLINE float warp_max(float v)
{
#pragma unroll
    for (int mask = M2C_K_WARP / 2; mask; mask /= 2)
        v = fmaxf(v, shuffle_xor(v, mask));
    return v;
}

#endif
