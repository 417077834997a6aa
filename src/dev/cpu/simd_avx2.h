/* SPDX-License-Identifier: MIT */
/* Vectors of eight floats: AVX2, FMA, F16C. */
#ifndef M2C_DEV_CPU_SIMD_AVX2_H
#define M2C_DEV_CPU_SIMD_AVX2_H

#include "base/type.h"

#include <immintrin.h>
#include <string.h>

enum {
    VF_LANES = 8,
    VG_PARTS = M2C_GROUP / VF_LANES,
    ROW_STEP = 3 /* 12 sums in 16 registers */
};

typedef __m256 vf;

typedef struct { /* M2C_GROUP elements, in an order that may depend on the type */
    vf v[VG_PARTS];
} vg;

static inline vf vf_set(float x)
{
    return _mm256_set1_ps(x);
}

static inline vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

static inline void vf_store(float *p, vf a)
{
    _mm256_storeu_ps(p, a);
}

static inline vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

static inline vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}

static inline vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}

static inline float vf_sum(vf a)
{
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

/* exp(x) for x <= 0: 2^n · p(r), r = x - n·ln 2 in two steps, p the Taylor
 * polynomial of degree 7 on |r| <= 0.35 (remainder 4e-9). Below -87 the
 * result is that of -87; a NaN stays. */
static inline vf vf_exp(vf x)
{
    x = _mm256_max_ps(vf_set(-87.0f), x);
    vf n = _mm256_round_ps(_mm256_mul_ps(x, vf_set(1.44269504f)),
                           _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    vf r = _mm256_fnmadd_ps(n, vf_set(0x1.62e4p-1f), x);
    r = _mm256_fnmadd_ps(n, vf_set(0x1.7f7d1cp-20f), r);
    vf p = vf_set(1.0f / 5040);
    p = vf_fma(p, r, vf_set(1.0f / 720));
    p = vf_fma(p, r, vf_set(1.0f / 120));
    p = vf_fma(p, r, vf_set(1.0f / 24));
    p = vf_fma(p, r, vf_set(1.0f / 6));
    p = vf_fma(p, r, vf_set(0.5f));
    p = vf_fma(p, r, vf_set(1.0f));
    p = vf_fma(p, r, vf_set(1.0f));
    __m256i e = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23); /* n >= -126 */
    __m256 pow2 = _mm256_castsi256_ps(_mm256_add_epi32(e, _mm256_set1_epi32(127 << 23)));
    return _mm256_mul_ps(p, pow2);
}

/* n <= 16 scales to floats; reads no byte beyond them, but writes 16 floats. */
static inline void scales_16(const uint8_t *p, size_t n, float *out)
{
    uint8_t part[32] = {0};
    if (n < 16) {
        memcpy(part, p, 2 * n);
        p = part;
    }
    _mm256_storeu_ps(out, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)));
    _mm256_storeu_ps(out + 8, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 16))));
}

static inline vg vg_zero(void)
{
    vf z = _mm256_setzero_ps();
    return (vg){{z, z, z, z}};
}

static inline vf bf16_lanes(const uint8_t *c)
{
    __m256i u = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)c));
    return _mm256_castsi256_ps(_mm256_slli_epi32(u, 16));
}

static inline vf i8_lanes(const uint8_t *c)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)c)));
}

/* Sixteen codes: the even elements to r[0], the odd ones to r[1]. */
static inline void i4_lanes(const uint8_t *c, vf r[2])
{
    __m256i b = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)c));
    r[0] = _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(b, 28), 28));
    r[1] = _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(b, 24), 28));
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
        for (int i = 0; i < VG_PARTS; i++)
            r.v[i] = _mm256_loadu_ps((const float *)(const void *)(c + 32 * i));
        break;
    case M2C_F16:
        for (int i = 0; i < VG_PARTS; i++)
            r.v[i] = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(c + 16 * i)));
        break;
    case M2C_BF16:
        for (int i = 0; i < VG_PARTS; i++)
            r.v[i] = bf16_lanes(c + 16 * i);
        break;
    case M2C_I8:
        for (int i = 0; i < VG_PARTS; i++)
            r.v[i] = i8_lanes(c + 8 * i);
        break;
    case M2C_I4:
        i4_lanes(c, r.v);
        i4_lanes(c + 8, r.v + 2);
        break;
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

static inline vf words_lanes(__m128i w)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(w));
}

static inline vg vg_planes(enum m2c_type type, const uint8_t *c, const uint8_t *d4,
                           const uint8_t *d8)
{
    __m256i e, o;
    planes_words(type, c, d4, d8, &e, &o);
    return (vg){{words_lanes(_mm256_castsi256_si128(e)), words_lanes(_mm256_castsi256_si128(o)),
                 words_lanes(_mm256_extracti128_si256(e, 1)),
                 words_lanes(_mm256_extracti128_si256(o, 1))}};
}

/* Sixteen elements in order from their even and odd ones, and back. */
static inline void merge_even_odd(vf *e, vf *o)
{
    vf l = _mm256_unpacklo_ps(*e, *o), h = _mm256_unpackhi_ps(*e, *o);
    *e = _mm256_permute2f128_ps(l, h, 0x20);
    *o = _mm256_permute2f128_ps(l, h, 0x31);
}

static inline void split_even_odd(vf *a, vf *b)
{
    __m256d e = _mm256_castps_pd(_mm256_shuffle_ps(*a, *b, 0x88));
    __m256d o = _mm256_castps_pd(_mm256_shuffle_ps(*a, *b, 0xdd));
    *a = _mm256_castpd_ps(_mm256_permute4x64_pd(e, 0xd8));
    *b = _mm256_castpd_ps(_mm256_permute4x64_pd(o, 0xd8));
}

/* From vg_codes' order to that of the elements. */
static inline vg vg_natural(enum m2c_type type, vg a)
{
    if (paired(type)) {
        merge_even_odd(&a.v[0], &a.v[1]);
        merge_even_odd(&a.v[2], &a.v[3]);
    }
    return a;
}

/* Floats in the order in which vg_codes gives this type. */
static inline vg vg_load(enum m2c_type type, const float *p)
{
    vg a;
    for (int i = 0; i < VG_PARTS; i++)
        a.v[i] = _mm256_loadu_ps(p + 8 * i);
    if (paired(type)) {
        split_even_odd(&a.v[0], &a.v[1]);
        split_even_odd(&a.v[2], &a.v[3]);
    }
    return a;
}

static inline void vg_store(enum m2c_type type, float *p, vg a)
{
    a = vg_natural(type, a);
    for (int i = 0; i < VG_PARTS; i++)
        _mm256_storeu_ps(p + 8 * i, a.v[i]);
}

/* Reads n bytes, a multiple of 256. The prefetch crosses pages, which the
 * CPU's own prefetcher does not. */
static inline uint64_t sweep(const uint8_t *p, size_t n)
{
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i < n; i += 128) {
        const __m256i *v = (const __m256i *)(p + i);
        a = _mm256_or_si256(a, _mm256_loadu_si256(v));
        b = _mm256_or_si256(b, _mm256_loadu_si256(v + 1));
        c = _mm256_or_si256(c, _mm256_loadu_si256(v + 2));
        d = _mm256_or_si256(d, _mm256_loadu_si256(v + 3));
        _mm_prefetch(p + i + 4096, _MM_HINT_T0);
        _mm_prefetch(p + i + 4096 + 64, _MM_HINT_T0);
    }
    a = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
    __m128i q = _mm_or_si128(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    return (uint64_t)_mm_cvtsi128_si64(q) | (uint64_t)_mm_extract_epi64(q, 1);
}

/* A macro: gcc takes a function that only prefetches for one without effect,
 * and drops the calls. */
#define prefetch(p) _mm_prefetch(p, _MM_HINT_T1)

#endif
