/* SPDX-License-Identifier: MIT */
/* Vectors of sixteen floats: AVX-512 F, BW, VL, DQ. */
#ifndef M2C_DEV_CPU_SIMD_AVX512_H
#define M2C_DEV_CPU_SIMD_AVX512_H

#include "base/type.h"

#include <immintrin.h>

enum {
    VF_LANES = 16,
    VG_PARTS = M2C_GROUP / VF_LANES,
    ROW_STEP = 4 /* 16 sums in 32 registers */
};

typedef __m512 vf;

typedef struct { /* M2C_GROUP elements, in an order that may depend on the type */
    vf v[VG_PARTS];
} vg;

static inline vf vf_set(float x)
{
    return _mm512_set1_ps(x);
}

static inline vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

static inline void vf_store(float *p, vf a)
{
    _mm512_storeu_ps(p, a);
}

static inline vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

static inline vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

static inline float vf_sum(vf a)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

/* exp(x) for x <= 0: 2^n · p(r), r = x - n·ln 2 in two steps, p the Taylor
 * polynomial of degree 7 on |r| <= 0.35 (remainder 4e-9). Below -87 the
 * result is that of -87; a NaN stays. */
static inline vf vf_exp(vf x)
{
    x = _mm512_max_ps(vf_set(-87.0f), x);
    vf n = _mm512_roundscale_ps(_mm512_mul_ps(x, vf_set(1.44269504f)),
                                _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    vf r = _mm512_fnmadd_ps(n, vf_set(0x1.62e4p-1f), x);
    r = _mm512_fnmadd_ps(n, vf_set(0x1.7f7d1cp-20f), r);
    vf p = vf_set(1.0f / 5040);
    p = vf_fma(p, r, vf_set(1.0f / 720));
    p = vf_fma(p, r, vf_set(1.0f / 120));
    p = vf_fma(p, r, vf_set(1.0f / 24));
    p = vf_fma(p, r, vf_set(1.0f / 6));
    p = vf_fma(p, r, vf_set(0.5f));
    p = vf_fma(p, r, vf_set(1.0f));
    p = vf_fma(p, r, vf_set(1.0f));
    return _mm512_scalef_ps(p, n);
}

/* n <= 16 scales to floats; reads no byte beyond them, but writes 16 floats. */
static inline void scales_16(const uint8_t *p, size_t n, float *out)
{
    __mmask16 m = (__mmask16)(0xffffu >> (16 - n));
    _mm512_storeu_ps(out, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, p)));
}

static inline vg vg_zero(void)
{
    return (vg){{_mm512_setzero_ps(), _mm512_setzero_ps()}};
}

static inline vf bf16_lanes(const uint8_t *c)
{
    __m512i u = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)c));
    return _mm512_castsi512_ps(_mm512_slli_epi32(u, 16));
}

static inline vf i8_lanes(const uint8_t *c)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)c)));
}

/* Bits 4 to 7 of each lane, a signed nibble, as a float: they become the end of
 * the mantissa of 2^19 with the sign flipped, which is 2^19 + 8 + nibble, exact.
 * A shift and a look-up would queue for the ports that widening uses; this is
 * (b & 0xf0) ^ magic in one operation of any port, and a subtraction. */
static inline vf high_nibbles(__m512i b)
{
    const __m512i magic = _mm512_set1_epi32((127 + 19) << 23 | 0x80);
    __m512i f = _mm512_ternarylogic_epi32(b, _mm512_set1_epi32(0xf0), magic, 0x6a);
    return _mm512_sub_ps(_mm512_castsi512_ps(f), vf_set((1 << 19) + 8));
}

/* Types whose codes are nibbles, and whose elements vg_codes and vg_planes may
 * give as even ones and odd ones. */
static inline bool paired(enum m2c_type type)
{
    return type == M2C_I4 || type == M2C_P16 || type == M2C_P8;
}

/* The values of one group's codes, before scaling. */
static inline vg vg_codes(enum m2c_type type, const uint8_t *c)
{
    vg r = vg_zero();
    switch (type) {
    case M2C_F32:
        r.v[0] = _mm512_loadu_ps(c);
        r.v[1] = _mm512_loadu_ps(c + 64);
        break;
    case M2C_F16:
        r.v[0] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)c));
        r.v[1] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(c + 32)));
        break;
    case M2C_BF16:
        r.v[0] = bf16_lanes(c);
        r.v[1] = bf16_lanes(c + 32);
        break;
    case M2C_I8:
        r.v[0] = i8_lanes(c);
        r.v[1] = i8_lanes(c + 16);
        break;
    case M2C_I4: { /* even elements, then odd ones; a look-up takes the low 4 bits */
        vf lut = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1);
        __m512i b = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)c));
        r.v[0] = _mm512_permutexvar_ps(b, lut);
        r.v[1] = high_nibbles(b);
        break;
    }
    case M2C_P16: /* vg_planes */
    case M2C_P8:
    case M2C_D4:
    case M2C_D8:
    case M2C_N_TYPES: break;
    }
    return r;
}

/* A group of a nested code from its planes, at 1/4096 of the scale: sixteen
 * words of even elements and sixteen of odd ones. A digit's sign comes with
 * the bits that are shifted to the top of its word. */
static inline void planes_words(enum m2c_type type, const uint8_t *c, const uint8_t *d4,
                                const uint8_t *d8, __m256i *even, __m256i *odd)
{
    const __m256i top = _mm256_set1_epi16((short)0xf000);
    __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)c));
    __m256i b = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)d4));
    __m256i e = _mm256_slli_epi16(b, 12), o = _mm256_and_si256(_mm256_slli_epi16(b, 8), top);
    e = _mm256_add_epi16(_mm256_slli_epi16(a, 12), _mm256_srai_epi16(e, 4));
    o = _mm256_add_epi16(_mm256_and_si256(_mm256_slli_epi16(a, 8), top),
                         _mm256_srai_epi16(o, 4));
    if (type == M2C_P16) { /* the low byte of each word is the even element's */
        __m256i w = _mm256_loadu_si256((const __m256i *)d8);
        e = _mm256_add_epi16(e, _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8));
        o = _mm256_add_epi16(o, _mm256_srai_epi16(w, 8));
    }
    *even = e;
    *odd = o;
}

static inline vg vg_planes(enum m2c_type type, const uint8_t *c, const uint8_t *d4,
                           const uint8_t *d8)
{
    __m256i e, o;
    planes_words(type, c, d4, d8, &e, &o);
    return (vg){{_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(e)),
                 _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(o))}};
}

static inline vg split_even_odd(vg a)
{
    __m512i e = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    __m512i o = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return (vg){{_mm512_permutex2var_ps(a.v[0], e, a.v[1]),
                 _mm512_permutex2var_ps(a.v[0], o, a.v[1])}};
}

/* From vg_codes' order to that of the elements. */
static inline vg vg_natural(enum m2c_type type, vg a)
{
    if (!paired(type))
        return a;
    __m512i l = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    __m512i h = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                  31);
    return (vg){{_mm512_permutex2var_ps(a.v[0], l, a.v[1]),
                 _mm512_permutex2var_ps(a.v[0], h, a.v[1])}};
}

/* Floats in the order in which vg_codes gives this type. */
static inline vg vg_load(enum m2c_type type, const float *p)
{
    vg a = {{_mm512_loadu_ps(p), _mm512_loadu_ps(p + 16)}};
    return paired(type) ? split_even_odd(a) : a;
}

static inline void vg_store(enum m2c_type type, float *p, vg a)
{
    a = vg_natural(type, a);
    _mm512_storeu_ps(p, a.v[0]);
    _mm512_storeu_ps(p + 16, a.v[1]);
}

/* Reads n bytes, a multiple of 256. The prefetch crosses pages, which the
 * CPU's own prefetcher does not. */
static inline uint64_t sweep(const uint8_t *p, size_t n)
{
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (size_t i = 0; i < n; i += 256) {
        const uint8_t *v = p + i;
        a = _mm512_or_si512(a, _mm512_loadu_si512(v));
        b = _mm512_or_si512(b, _mm512_loadu_si512(v + 64));
        c = _mm512_or_si512(c, _mm512_loadu_si512(v + 128));
        d = _mm512_or_si512(d, _mm512_loadu_si512(v + 192));
        for (int k = 0; k < 256; k += 64)
            _mm_prefetch(v + 4096 + k, _MM_HINT_T0);
    }
    a = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));
    return (uint64_t)_mm512_reduce_or_epi64(a);
}

/* A macro: gcc takes a function that only prefetches for one without effect,
 * and drops the calls. */
#define prefetch(p) _mm_prefetch(p, _MM_HINT_T1)

#endif
