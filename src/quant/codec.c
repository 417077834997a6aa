/* SPDX-License-Identifier: MIT */
/* Encoding and decoding of vectors, in plain C.
 *
 * The numbers are part of the store format: a change here changes every
 * store that is written. Kernels decode by themselves and are tested
 * against m2c_decode. */
#include "quant/codec.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const float f16_max = 65504.0f;

/* Codes are taken in -qmax..qmax. */
static int q_max(enum m2c_type type)
{
    return type == M2C_I8 ? 127 : 7;
}

/* Codes of the group against scale s; false when one would clip. Rounding is
 * to nearest even (the default mode of lrint). */
static bool take_codes(const float *x, size_t n, float s, int qmax, int8_t *q)
{
    for (size_t i = 0; i < n; i++) {
        long v = s > 0 ? lrint((double)x[i] / (double)s) : 0;
        if (v > qmax || v < -qmax)
            return false;
        q[i] = (int8_t)v;
    }
    return true;
}

/* The scale is amax / qmax rounded to nearest f16; where that makes a code
 * clip (possible when f16 is coarse, near its denormals), it is the next f16
 * up, which cannot clip. Returns the f16 bits. */
static uint16_t encode_group(const float *x, size_t n, int qmax, int8_t q[M2C_GROUP])
{
    float amax = 0;
    for (size_t i = 0; i < n; i++)
        amax = fmaxf(amax, fabsf(x[i]));
    memset(q, 0, M2C_GROUP);
    if (amax == 0)
        return 0;
    uint16_t s = m2c_f32_to_f16((float)((double)amax / qmax));
    if (s == 0 || !take_codes(x, n, m2c_f16_to_f32(s), qmax, q)) {
        s++;
        (void)take_codes(x, n, m2c_f16_to_f32(s), qmax, q);
    }
    return s;
}

static int bad_value(struct m2c_err *err, enum m2c_type type, size_t i, float x)
{
    return m2c_fail(err, -EINVAL, "element %zu is %g, which %s cannot hold", i, (double)x,
                    m2c_type_name(type));
}

static int encode_grouped(enum m2c_type type, const float *x, size_t n, uint8_t *codes,
                          uint8_t *scales)
{
    int8_t q[M2C_GROUP];
    for (size_t at = 0; at < n; at += M2C_GROUP, scales += 2) {
        size_t len = M2C_MIN(n - at, (size_t)M2C_GROUP);
        uint16_t s = encode_group(x + at, len, q_max(type), q);
        memcpy(scales, &s, 2);
        if (type == M2C_I8) {
            memcpy(codes + at, q, len);
        } else {
            for (size_t i = 0; i < len; i += 2)
                codes[(at + i) / 2] = (uint8_t)((q[i] & 15) | (q[i + 1] & 15) << 4);
        }
    }
    return 0;
}

int m2c_encode(enum m2c_type type, const float *x, size_t n, void *codes, void *scales,
               struct m2c_err *err)
{
    uint8_t *c = codes;
    /* The largest magnitude that each type can hold: f16 and bf16 by their
     * rounding, a group by the largest f16 scale. */
    float limit = INFINITY;
    if (m2c_type_grouped(type))
        limit = f16_max * (float)q_max(type);
    for (size_t i = 0; i < n; i++) {
        bool fits = fabsf(x[i]) <= limit && isfinite(x[i]);
        if (type == M2C_F16)
            fits = fits && fabsf(x[i]) <= f16_max;
        else if (type == M2C_BF16)
            fits = fits && isfinite(m2c_bf16_to_f32(m2c_f32_to_bf16(x[i])));
        if (!fits)
            return bad_value(err, type, i, x[i]);
    }
    switch (type) {
    case M2C_F32: memcpy(codes, x, n * sizeof(*x)); return 0;
    case M2C_F16:
    case M2C_BF16:
        for (size_t i = 0; i < n; i++) {
            uint16_t h = type == M2C_F16 ? m2c_f32_to_f16(x[i]) : m2c_f32_to_bf16(x[i]);
            memcpy(c + 2 * i, &h, 2);
        }
        return 0;
    case M2C_I8:
    case M2C_I4: return encode_grouped(type, x, n, c, scales);
    case M2C_N_TYPES: break;
    }
    return m2c_fail(err, -EINVAL, "there is no element type %d", (int)type);
}

void m2c_decode(enum m2c_type type, const void *codes, const void *scales, size_t n,
                float *x)
{
    const uint8_t *c = codes, *s = scales;
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
        int q;
        if (type == M2C_I8)
            q = (int8_t)c[i];
        else
            q = (((c[i / 2] >> (i % 2 * 4)) & 15) ^ 8) - 8;
        x[i] = (float)q * m2c_f16_to_f32(h); /* exact: 7 + 11 bits */
    }
}

/* f16: half an ulp, at least half the least denormal. Groups: half a step of
 * a scale that is at most one f16 ulp above amax / qmax (relative 2^-10, or
 * the least denormal 2^-24 where f16 is coarse). */
float m2c_code_bound(enum m2c_type type, float amax)
{
    switch (type) {
    case M2C_F16: return fmaxf(amax * 0x1p-11f, 0x1p-25f);
    case M2C_BF16: return fmaxf(amax * 0x1p-8f, 0x1p-134f);
    case M2C_I8:
    case M2C_I4: {
        float s = amax / (float)q_max(type);
        return 0.5f * fmaxf(s * (1 + 0x1p-10f), s + 0x1p-24f);
    }
    case M2C_F32:
    case M2C_N_TYPES: break;
    }
    return 0;
}
