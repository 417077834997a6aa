/* SPDX-License-Identifier: MIT */
/* Encoding and decoding of vectors, in plain C.
 *
 * The numbers are part of the store format: a change here changes every
 * store that is written. Kernels decode by themselves and are tested
 * against m2c_decode. */
#include "quant/codec.h"

#include "quant/quant_impl.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const float f16_max = 65504.0f;

/* Nested codes are taken at 1/4096 of the scale. */
enum { NEST = 4096 };

static bool nested(enum m2c_type type)
{
    return type == M2C_P16 || type == M2C_P8;
}

/* amax is the scale times this. */
static int q_max(enum m2c_type type)
{
    return type == M2C_I8 ? 127 : 7;
}

/* The codes that there are. Of nested ones the largest and least q16 whose q4
 * is a nibble and whose q8 is a byte. */
static void q_range(enum m2c_type type, long *low, long *high)
{
    *high = nested(type) ? 119 * 256 + 127 : q_max(type);
    *low = nested(type) ? -128 * 256 : -q_max(type);
}

/* The code of one value, not cut off. Rounding is to nearest even (the default
 * mode of lrint). */
static long code_of(enum m2c_type type, float x, float s)
{
    return lrint((nested(type) ? NEST : 1) * ((double)x / (double)s));
}

static int q8_of(long q16)
{
    return (int)((q16 + 128 + 65536) >> 8) - 256; /* the shift is of a positive number */
}

static int q4_of(int q8)
{
    return ((q8 + 8 + 256) >> 4) - 16;
}

/* ---- scales ---- */

bool m2c_quant_fits(enum m2c_type type, const float *x, size_t n, uint16_t scale)
{
    float s = m2c_f16_to_f32(scale);
    long low, high;
    q_range(type, &low, &high);
    for (size_t i = 0; i < n; i++) {
        if (s > 0 && code_of(type, x[i], s) >= low && code_of(type, x[i], s) <= high)
            continue;
        if (x[i] != 0)
            return false;
    }
    return true;
}

/* amax / qmax rounded to nearest f16; where that makes a code clip (possible
 * when f16 is coarse, near its denormals), the next f16 up, which cannot clip.
 * Nested codes: always up, as their bounds ask for. */
uint16_t m2c_quant_amax(enum m2c_type type, const float *x, size_t n)
{
    float amax = 0;
    for (size_t i = 0; i < n; i++)
        amax = fmaxf(amax, fabsf(x[i]));
    double exact = (double)amax / q_max(type);
    uint16_t s = m2c_f32_to_f16((float)exact);
    bool low = nested(type) ? (double)m2c_f16_to_f32(s) < exact
                            : s == 0 || !m2c_quant_fits(type, x, n, s);
    return (uint16_t)(amax > 0 && low ? s + 1 : s);
}

static long clipped(enum m2c_type type, float x, float s)
{
    long low, high, q = code_of(type, x, s);
    q_range(type, &low, &high);
    return M2C_MIN(M2C_MAX(q, low), high);
}

double m2c_quant_loss(enum m2c_type type, const float *x, const float *weight, size_t n,
                      uint16_t scale)
{
    float s = m2c_f16_to_f32(scale);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        long q = clipped(type, x[i], s);
        double e = (double)x[i] - (double)(nested(type) ? q4_of(q8_of(q)) : q) * (double)s;
        sum += (weight ? (double)weight[i] : 1) * e * e;
    }
    return sum;
}

/* ---- encode ---- */

static int bad_value(struct m2c_err *err, enum m2c_type type, size_t i, float x)
{
    return m2c_fail(err, -EINVAL, "element %zu is %g, which %s cannot hold", i, (double)x,
                    m2c_type_name(type));
}

/* Code i, even, and the one after it, in one byte. */
static void put_nibbles(uint8_t *p, size_t i, int even, int odd)
{
    p[i / 2] = (uint8_t)((even & 15) | (odd & 15) << 4);
}

/* The codes [at, at + len) of a vector; beyond len they are 0, so that a byte
 * of nibbles is always whole. */
static void put_codes(enum m2c_type type, const struct m2c_coded *out, size_t at,
                      size_t len, const long *q)
{
    uint8_t *p0 = out->plane[0], *p1 = out->plane[1], *p2 = out->plane[2];
    for (size_t i = 0; i < len; i += 2) {
        if (type == M2C_I8) {
            for (size_t k = i; k < M2C_MIN(i + 2, len); k++)
                p0[at + k] = (uint8_t)q[k];
        } else if (type == M2C_I4) {
            put_nibbles(p0, at + i, (int)q[i], (int)q[i + 1]);
        } else {
            int a8 = q8_of(q[i]), b8 = q8_of(q[i + 1]);
            put_nibbles(p0, at + i, q4_of(a8), q4_of(b8));
            put_nibbles(p1, at + i, a8 - 16 * q4_of(a8), b8 - 16 * q4_of(b8));
            for (size_t k = i; type == M2C_P16 && k < M2C_MIN(i + 2, len); k++)
                p2[at + k] = (uint8_t)(q[k] - 256 * (k == i ? a8 : b8));
        }
    }
}

static void encode_grouped(const struct m2c_quant *quant, enum m2c_type type,
                           const float *x, const float *weight, size_t n,
                           const struct m2c_coded *out)
{
    uint8_t *scales = out->scales;
    for (size_t at = 0; at < n; at += M2C_GROUP, scales += 2) {
        size_t len = M2C_MIN(n - at, (size_t)M2C_GROUP), k = 0;
        long q[M2C_GROUP] = {0};
        uint16_t s = 0;
        while (k < len && x[at + k] == 0)
            k++;
        if (k < len)
            s = quant->scale(type, x + at, weight ? weight + at : NULL, len);
        memcpy(scales, &s, 2);
        for (k = 0; k < len && s; k++)
            q[k] = clipped(type, x[at + k], m2c_f16_to_f32(s));
        put_codes(type, out, at, len, q);
    }
}

/* The largest magnitude that each type can hold: f16 and bf16 by their
 * rounding, a group by the largest f16 scale. */
static bool holds(enum m2c_type type, float x)
{
    if (!isfinite(x))
        return false;
    if (m2c_type_grouped(type))
        return fabsf(x) <= f16_max * (float)q_max(type);
    if (type == M2C_F16)
        return fabsf(x) <= f16_max;
    return type != M2C_BF16 || isfinite(m2c_bf16_to_f32(m2c_f32_to_bf16(x)));
}

int m2c_encode_with(const struct m2c_quant *quant, enum m2c_type type, const float *x,
                    const float *weight, size_t n, const struct m2c_coded *out,
                    struct m2c_err *err)
{
    uint8_t *c = out->plane[0];
    for (size_t i = 0; i < n; i++)
        if (!holds(type, x[i]))
            return bad_value(err, type, i, x[i]);
    switch (type) {
    case M2C_F32: memcpy(c, x, n * sizeof(*x)); return 0;
    case M2C_F16:
    case M2C_BF16:
        for (size_t i = 0; i < n; i++) {
            uint16_t h = type == M2C_F16 ? m2c_f32_to_f16(x[i]) : m2c_f32_to_bf16(x[i]);
            memcpy(c + 2 * i, &h, 2);
        }
        return 0;
    case M2C_I8:
    case M2C_I4:
    case M2C_P16:
    case M2C_P8: encode_grouped(quant, type, x, weight, n, out); return 0;
    case M2C_D4:
    case M2C_D8: return m2c_fail(err, -EINVAL, "%s is a part of a code",
                                 m2c_type_name(type));
    case M2C_N_TYPES: break;
    }
    return m2c_fail(err, -EINVAL, "there is no element type %d", (int)type);
}

/* Planes that follow each other in one block. */
static struct m2c_coded block_planes(enum m2c_type type, const void *codes,
                                     const void *scales, size_t n)
{
    struct m2c_coded out = {.scales = (void *)(uintptr_t)scales};
    for (unsigned p = 0; p < m2c_type_planes(type); p++)
        out.plane[p] = (uint8_t *)(uintptr_t)codes + m2c_plane_off(type, p, n);
    return out;
}

int m2c_encode(enum m2c_type type, const float *x, size_t n, void *codes, void *scales,
               struct m2c_err *err)
{
    struct m2c_coded out = block_planes(type, codes, scales, n);
    return m2c_encode_with(&m2c_quant_rtn, type, x, NULL, n, &out, err);
}

/* ---- decode ---- */

static int nibble(const uint8_t *p, size_t i)
{
    return (((p[i / 2] >> (i % 2 * 4)) & 15) ^ 8) - 8;
}

void m2c_decode_planes(enum m2c_type type, const struct m2c_coded *in, size_t n, float *x)
{
    const uint8_t *c = in->plane[0], *s = in->scales;
    for (size_t i = 0; i < n; i++) {
        uint16_t h = 0;
        if (type == M2C_F32) {
            memcpy(&x[i], c + 4 * i, 4);
            continue;
        }
        if (type == M2C_F16 || type == M2C_BF16) {
            memcpy(&h, c + 2 * i, 2);
            x[i] = type == M2C_F16 ? m2c_f16_to_f32(h) : m2c_bf16_to_f32(h);
            continue;
        }
        memcpy(&h, s + i / M2C_GROUP * 2, 2);
        int q = type == M2C_I8 ? (int8_t)c[i] : nibble(c, i);
        float unit = m2c_f16_to_f32(h);
        if (nested(type)) {
            q = 256 * (16 * q + nibble(in->plane[1], i));
            q += type == M2C_P16 ? (int8_t)((const uint8_t *)in->plane[2])[i] : 0;
            unit /= NEST;
        }
        x[i] = (float)q * unit; /* exact but for P16: 15 + 11 bits */
    }
}

void m2c_decode(enum m2c_type type, const void *codes, const void *scales, size_t n,
                float *x)
{
    struct m2c_coded in = block_planes(type, codes, scales, n);
    m2c_decode_planes(type, &in, n, x);
}

/* ---- bounds ---- */

/* A scale is at most one f16 ulp above amax / qmax (relative 2^-10, or the
 * least denormal 2^-24 where f16 is coarse). */
static float scale_bound(enum m2c_type type, float amax)
{
    float s = amax / (float)q_max(type);
    return fmaxf(s * (1 + 0x1p-10f), s + 0x1p-24f);
}

/* f16: half an ulp, at least half the least denormal. Groups: half a step.
 * Products of a P16 are rounded to f32, 2^-24 of 7 steps. */
float m2c_plane_bound(enum m2c_type type, float amax)
{
    float s = scale_bound(M2C_P16, amax);
    switch (type) {
    case M2C_P16: return s * (0x1p-13f + 7 * 0x1p-24f);
    case M2C_P8: return s * (0x1p-5f + 0x1p-13f);
    case M2C_I4: return s * (0x1p-1f + 0x1p-5f + 0x1p-13f);
    default: return NAN;
    }
}

float m2c_code_bound(enum m2c_type type, float amax)
{
    switch (type) {
    case M2C_F16: return fmaxf(amax * 0x1p-11f, 0x1p-25f);
    case M2C_BF16: return fmaxf(amax * 0x1p-8f, 0x1p-134f);
    case M2C_I8:
    case M2C_I4: return 0.5f * scale_bound(type, amax);
    case M2C_P16:
    case M2C_P8: return m2c_plane_bound(type, amax);
    case M2C_F32: return 0;
    case M2C_D4:
    case M2C_D8:
    case M2C_N_TYPES: break;
    }
    return NAN;
}
