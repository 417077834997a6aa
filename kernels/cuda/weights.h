/* SPDX-License-Identifier: MIT */
/* Weights in each element type: loads of a run of codes, whatever its
 * alignment, and their values.
 *
 * A *chunk* is 16 bytes of codes, what a lane loads at once when a warp reads
 * along a vector; an *octet* is eight elements, what a thread owns when threads
 * read across. Which elements a lane holds depends on the type alone, never on
 * alignment: a vector that is not aligned is read by bytes and gives the same
 * bits. Elements beyond the vector's end are zeros.
 *
 * A nested code has its planes apart: a chunk of it is 16 elements, in 32 bytes
 * (P16) or 16 (P8) of all planes, first plane first; an octet's are half as many. */
#ifndef M2C_KERNELS_CUDA_WEIGHTS_H
#define M2C_KERNELS_CUDA_WEIGHTS_H

#include "arch.h"

/* The type that M2C_T names, and an entry's name with it. */
enum {
    m2c_type_any,
    m2c_type_f32 = M2C_K_F32,
    m2c_type_f16 = M2C_K_F16,
    m2c_type_bf16 = M2C_K_BF16,
    m2c_type_i8 = M2C_K_I8,
    m2c_type_i4 = M2C_K_I4
};
#define M2C_PASTE2(a, b) a##b
#define M2C_PASTE(a, b) M2C_PASTE2(a, b)
#define M2C_TYPE M2C_PASTE(m2c_type_, M2C_T)
#define M2C_ENTRY(op) M2C_PASTE(m2c_##op##_, M2C_T)

template <int T> struct weights_of;
template <> struct weights_of<M2C_K_F32> { enum { bits = 32, grouped = 0, nested = 0 }; };
template <> struct weights_of<M2C_K_F16> { enum { bits = 16, grouped = 0, nested = 0 }; };
template <> struct weights_of<M2C_K_BF16> { enum { bits = 16, grouped = 0, nested = 0 }; };
template <> struct weights_of<M2C_K_I8> { enum { bits = 8, grouped = 1, nested = 0 }; };
template <> struct weights_of<M2C_K_I4> { enum { bits = 4, grouped = 1, nested = 0 }; };
template <> struct weights_of<M2C_K_P16> { enum { bits = 16, grouped = 1, nested = 1 }; };
template <> struct weights_of<M2C_K_P8> { enum { bits = 8, grouped = 1, nested = 1 }; };

/* words: of a chunk; bits: of an element in all planes. */
template <int T> struct weights : weights_of<T> {
    enum {
        words = T == M2C_K_P16 ? 8 : 4,
        chunk = words * 32 / weights_of<T>::bits,
        octet_bytes = weights_of<T>::bits
    };
};

/* Where a vector lies. scales: of grouped types; d4, d8: of nested ones, whose
 * first plane is `codes`. */
struct vec {
    const m2c_u8 *codes, *scales, *d4, *d8;
};

/* ---- values of a word of codes ---- */

/* Small integers become floats by writing them below the exponent of 2^k and
 * subtracting 2^k: exact, and cheaper than a conversion on every card. */
M2C_INLINE float low_bits(m2c_u32 bits, m2c_u32 exponent, float zero)
{
    return as_float(bits | exponent) - zero;
}

/* Bytes q8 + 136 of four elements, every second one of the eight in a word of each
 * of the first two planes; `odd`: those in the high nibbles. */
M2C_INLINE m2c_u32 join_nibbles(m2c_u32 q4, m2c_u32 d4, bool odd)
{
    const m2c_u32 high = q4 ^ 0x88888888u, low = d4 ^ 0x88888888u; /* nibbles + 8 */
    return odd ? (high & 0xf0f0f0f0u) | (low >> 4 & 0x0f0f0f0fu)
               : (high << 4 & 0xf0f0f0f0u) | (low & 0x0f0f0f0fu);
}

/* A quad of a nested code, in units of scale / 16 or scale / 4096; `all`: words of
 * the first plane in w, as many as of the second and half as many as of the third. */
template <int T> M2C_INLINE void nested_quad(const m2c_u32 *w, int all, int i, float c[4])
{
    const m2c_u32 q4 = w[i / 2], d4 = w[all + i / 2];
    const m2c_u32 d8 = T == M2C_K_P16 ? w[2 * all + i] ^ 0x80808080u : 0; /* + 128 */
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const m2c_u32 q8 = join_nibbles(q4, d4, k % 2);
        const int at = i % 2 * 2 + k / 2; /* the byte of q8 */
        if (T == M2C_K_P16)
            c[k] = low_bits(permute(d8, q8, 0x4400 + 16 * (4 + at) + k) & 0xffffu, 0x4b000000u,
                            8388608.0f + 256 * 136 + 128);
        else
            c[k] = low_bits(permute(q8, 0, 0x4440 + at), 0x4b000000u, 8388608.0f + 136);
    }
}

/* Elements [4·i, 4·i + 4) of the n whose codes are in w; i and n are known when
 * compiling. */
template <int T> M2C_INLINE void quad_of(const m2c_u32 *w, int n, int i, float c[4])
{
    if (weights<T>::nested) {
        nested_quad<T>(w, n / 8, i, c);
    } else if (T == M2C_K_F32) {
#pragma unroll
        for (int k = 0; k < 4; k++)
            c[k] = as_float(w[4 * i + k]);
    } else if (T == M2C_K_F16) {
        c[0] = f16_lo(w[2 * i]);
        c[1] = f16_hi(w[2 * i]);
        c[2] = f16_lo(w[2 * i + 1]);
        c[3] = f16_hi(w[2 * i + 1]);
    } else if (T == M2C_K_BF16) {
#pragma unroll
        for (int k = 0; k < 4; k++)
            c[k] = as_float(k % 2 ? w[2 * i + k / 2] & 0xffff0000u : w[2 * i + k / 2] << 16);
    } else if (T == M2C_K_I8) {
        m2c_u32 v = w[i] ^ 0x80808080u; /* code + 128 */
#pragma unroll
        for (int k = 0; k < 4; k++)
            c[k] = low_bits(permute(v, 0, 0x4440 + k), 0x4b000000u, 8388608.0f + 128);
    } else {
        /* Nibbles 0 to 4 of a word lie within a mantissa as they are. */
        m2c_u32 v = w[i / 2] ^ 0x88888888u; /* code + 8 */
        m2c_u32 high = v >> 20;
#pragma unroll
        for (int k = 0; k < 4; k++) {
            int at = i % 2 * 4 + k, nibble = at < 5 ? at : at - 5;
            m2c_u32 bits = (at < 5 ? v : high) & 15u << 4 * nibble;
            c[k] = low_bits(bits, (127u + 23 - 4 * nibble) << 23,
                            (float)(1 << (23 - 4 * nibble)) + 8);
        }
    }
}

/* Scales of packed records may begin at odd addresses. */
M2C_INLINE float scale_at(const m2c_u8 *scales, m2c_u32 element, bool is_even)
{
    const m2c_u8 *p = scales + element / M2C_K_GROUP * 2;
    if (is_even)
        return f16_lo(ld<m2c_u16>(p));
    return f16_lo(ld<m2c_u8>(p) | (m2c_u32)ld<m2c_u8>(p + 1) << 8);
}

/* What the codes of a group are multiplied by. */
template <int T> M2C_INLINE float unit_at(const m2c_u8 *scales, m2c_u32 element, bool is_even)
{
    const float s = scale_at(scales, element, is_even);
    return T == M2C_K_P16 ? s * (1.0f / 4096) : T == M2C_K_P8 ? s * (1.0f / 16) : s;
}

/* ---- loads ---- */

/* Whether vectors at p, p + step, … begin on multiples of 16. */
M2C_INLINE bool aligned(m2c_u64 p, m2c_u64 step)
{
    return ((p | step) & 15) == 0;
}

/* `words` words of codes from element `at` on, of a vector of n; by bytes, or by
 * what the element's alignment gives. */
template <int T> M2C_INLINE void load_slowly(const m2c_u8 *codes, m2c_u32 at, m2c_u32 n,
                                             int words, m2c_u32 *w)
{
    const int per_word = 32 / weights<T>::bits;
#pragma unroll
    for (int k = 0; k < words; k++) {
        m2c_u32 e = at + k * per_word;
        w[k] = 0;
        if (weights<T>::bits == 32) {
            if (e < n)
                w[k] = ld<m2c_u32>(codes + 4ull * e);
        } else if (weights<T>::bits == 16) {
            if (e < n)
                w[k] = ld<m2c_u16>(codes + 2ull * e);
            if (e + 1 < n)
                w[k] |= (m2c_u32)ld<m2c_u16>(codes + 2ull * e + 2) << 16;
        } else {
            const int per_byte = weights<T>::bits < 8 ? 2 : 1;
#pragma unroll
            for (int b = 0; b < 4; b++)
                if (e + b * per_byte < n)
                    w[k] |= (m2c_u32)ld<m2c_u8>(codes + e / per_byte + b) << 8 * b;
        }
    }
}

M2C_INLINE void load_four(const m2c_u8 *p, m2c_u32 w[4])
{
    const uint4 v = ld_stream(p);
    w[0] = v.x;
    w[1] = v.y;
    w[2] = v.z;
    w[3] = v.w;
}

M2C_INLINE void load_two(const m2c_u8 *p, m2c_u32 w[2])
{
    const uint2 v = ld<uint2>(p);
    w[0] = v.x;
    w[1] = v.y;
}

/* The chunk from element `at` on, which is a multiple of the chunk's length, of an
 * aligned vector that has all of it. */
template <int T> M2C_INLINE void load_whole(const vec &v, m2c_u32 at, m2c_u32 *w)
{
    if constexpr (weights<T>::nested) {
        load_two(v.codes + at / 2, w);
        load_two(v.d4 + at / 2, w + 2);
        if constexpr (T == M2C_K_P16)
            load_four(v.d8 + at, w + 4);
    } else {
        load_four(v.codes + (m2c_u64)at / weights<T>::chunk * 16, w);
    }
}

/* As load_slowly, of all planes: so many words of the first one. */
template <int T>
M2C_INLINE void load_planes_slowly(const vec &v, m2c_u32 at, m2c_u32 n, int words, m2c_u32 *w)
{
    load_slowly<M2C_K_I4>(v.codes, at, n, words, w);
    load_slowly<M2C_K_I4>(v.d4, at, n, words, w + words);
    if constexpr (T == M2C_K_P16)
        load_slowly<M2C_K_I8>(v.d8, at, n, 2 * words, w + 2 * words);
}

/* The same of any vector. */
template <int T>
M2C_INLINE void load_chunk(const vec &v, m2c_u32 at, m2c_u32 n, bool is_aligned, m2c_u32 *w)
{
    if (is_aligned && at + weights<T>::chunk <= n)
        load_whole<T>(v, at, w);
    else if constexpr (weights<T>::nested)
        load_planes_slowly<T>(v, at, n, weights<T>::chunk / 8, w);
    else
        load_slowly<T>(v.codes, at, n, 4, w);
}

/* The eight elements from `at` on, a multiple of 8. w has 8 words for F32, 4
 * for 16 bits, 2 for I8, 1 for I4. */
template <int T>
M2C_INLINE void load_octet(const m2c_u8 *codes, m2c_u32 at, m2c_u32 n, bool is_aligned,
                           m2c_u32 *w)
{
    const m2c_u8 *p = codes + (m2c_u64)at / 8 * weights<T>::octet_bytes;
    if (!is_aligned || at + 8 > n) {
        load_slowly<T>(codes, at, n, weights<T>::octet_bytes / 4, w);
    } else if (T == M2C_K_I4) {
        w[0] = ld<m2c_u32>(p);
    } else if (T == M2C_K_I8) {
        load_two(p, w);
    } else {
#pragma unroll
        for (int k = 0; k < weights<T>::octet_bytes / 16; k++)
            load_four(p + 16 * k, w + 4 * k);
    }
}

/* An octet of a nested code: w has 4 words for P16, 2 for P8. */
template <int T>
M2C_INLINE void load_planes(const vec &v, m2c_u32 at, m2c_u32 n, bool is_aligned, m2c_u32 *w)
{
    if (!is_aligned || at + 8 > n) {
        load_planes_slowly<T>(v, at, n, 1, w);
        return;
    }
    w[0] = ld<m2c_u32>(v.codes + at / 2);
    w[1] = ld<m2c_u32>(v.d4 + at / 2);
    if constexpr (T == M2C_K_P16)
        load_two(v.d8 + at, w + 2);
}

/* Values of an octet's codes, without their scale. */
template <int T> M2C_INLINE void octet_values(const m2c_u32 *w, float c[8])
{
    quad_of<T>(w, 8, 0, c);
    quad_of<T>(w, 8, 1, c + 4);
}

#endif
