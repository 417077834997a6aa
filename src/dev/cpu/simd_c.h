/* SPDX-License-Identifier: MIT */
/* Vectors in plain C: eight lanes as an array, left to the compiler. */
#ifndef M2C_DEV_CPU_SIMD_C_H
#define M2C_DEV_CPU_SIMD_C_H

#include "base/type.h"

#include <math.h>
#include <string.h>

enum { VF_LANES = 8, VG_PARTS = M2C_GROUP / VF_LANES, ROW_STEP = 2 };

typedef struct {
    float f[VF_LANES];
} vf;

typedef struct { /* M2C_GROUP elements, in an order that may depend on the type */
    vf v[VG_PARTS];
} vg;

static inline vf vf_set(float x)
{
    vf r;
    for (int i = 0; i < VF_LANES; i++)
        r.f[i] = x;
    return r;
}

static inline vf vf_load(const float *p)
{
    vf r;
    memcpy(&r, p, sizeof(r));
    return r;
}

static inline void vf_store(float *p, vf a)
{
    memcpy(p, &a, sizeof(a));
}

/* a·b + c; two roundings here, one where the CPU has a fused instruction. */
static inline vf vf_fma(vf a, vf b, vf c)
{
    for (int i = 0; i < VF_LANES; i++)
        c.f[i] += a.f[i] * b.f[i];
    return c;
}

static inline vf vf_mul(vf a, vf b)
{
    for (int i = 0; i < VF_LANES; i++)
        a.f[i] *= b.f[i];
    return a;
}

static inline vf vf_add(vf a, vf b)
{
    for (int i = 0; i < VF_LANES; i++)
        a.f[i] += b.f[i];
    return a;
}

static inline float vf_sum(vf a)
{
    for (int step = VF_LANES / 2; step; step /= 2)
        for (int i = 0; i < step; i++)
            a.f[i] += a.f[i + step];
    return a.f[0];
}

/* exp(x) for x <= 0, from the C library. */
static inline vf vf_exp(vf x)
{
    for (int i = 0; i < VF_LANES; i++)
        x.f[i] = expf(x.f[i]);
    return x;
}

/* m2c_f16_to_f32 without branches, so that loops over it vectorise: the
 * exponent is rebiased by a multiplication, which is exact, denormals too. */
static inline float f16_lane(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, mag = (uint32_t)(h & 0x7fffu) << 13;
    uint32_t special = mag >= 0x0f800000u ? 0x70000000u : 0;
    float f;
    memcpy(&f, &mag, 4);
    f *= 0x1p112f;
    memcpy(&mag, &f, 4);
    mag |= sign | special; /* infinities and NaNs */
    memcpy(&f, &mag, 4);
    return f;
}

static inline void scales_16(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, 2);
        out[i] = f16_lane(h);
    }
}

static inline vg vg_zero(void)
{
    vg r;
    memset(&r, 0, sizeof(r));
    return r;
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
    vg r;
    float *f = r.v[0].f;
    uint16_t h[M2C_GROUP];
    switch (type) {
    case M2C_F32: memcpy(f, c, sizeof(r)); break;
    case M2C_F16:
        memcpy(h, c, sizeof(h));
        for (int i = 0; i < M2C_GROUP; i++)
            f[i] = f16_lane(h[i]);
        break;
    case M2C_BF16: {
        uint32_t u[M2C_GROUP];
        memcpy(h, c, sizeof(h));
        for (int i = 0; i < M2C_GROUP; i++)
            u[i] = (uint32_t)h[i] << 16;
        memcpy(f, u, sizeof(r));
        break;
    }
    case M2C_I8:
        for (int i = 0; i < M2C_GROUP; i++)
            f[i] = (float)(int8_t)c[i];
        break;
    case M2C_I4:
        for (int i = 0; i < M2C_GROUP / 2; i++) {
            f[2 * i] = (float)(((c[i] & 15) ^ 8) - 8);
            f[2 * i + 1] = (float)(((c[i] >> 4) ^ 8) - 8);
        }
        break;
    case M2C_P16: /* vg_planes */
    case M2C_P8:
    case M2C_D4:
    case M2C_D8:
    case M2C_N_TYPES: break;
    }
    return r;
}

/* A group of a nested code from its planes, at 1/4096 of the scale. */
static inline vg vg_planes(enum m2c_type type, const uint8_t *c, const uint8_t *d4,
                           const uint8_t *d8)
{
    vg r;
    int16_t q[M2C_GROUP];
    for (int i = 0; i < M2C_GROUP / 2; i++) {
        q[2 * i] = (int16_t)((((c[i] & 15) ^ 8) - 8) * 4096 + (((d4[i] & 15) ^ 8) - 8) * 256);
        q[2 * i + 1] =
            (int16_t)((((c[i] >> 4) ^ 8) - 8) * 4096 + (((d4[i] >> 4) ^ 8) - 8) * 256);
    }
    for (int i = 0; type == M2C_P16 && i < M2C_GROUP; i++)
        q[i] = (int16_t)(q[i] + (int8_t)d8[i]);
    for (int i = 0; i < M2C_GROUP; i++)
        r.v[i / VF_LANES].f[i % VF_LANES] = q[i];
    return r;
}

/* Floats in the order in which vg_codes gives this type. */
static inline vg vg_load(enum m2c_type type, const float *p)
{
    (void)type;
    vg r;
    memcpy(&r, p, sizeof(r));
    return r;
}

static inline void vg_store(enum m2c_type type, float *p, vg a)
{
    (void)type;
    memcpy(p, &a, sizeof(a));
}

static inline vg vg_natural(enum m2c_type type, vg a)
{
    (void)type;
    return a;
}

/* Reads n bytes, a multiple of 256. */
static inline uint64_t sweep(const uint8_t *p, size_t n)
{
    uint64_t sum[32] = {0}, v[32];
    for (size_t i = 0; i < n; i += sizeof(v)) {
        memcpy(v, p + i, sizeof(v));
        for (int k = 0; k < 32; k++)
            sum[k] |= v[k];
    }
    for (int k = 1; k < 32; k++)
        sum[0] |= sum[k];
    return sum[0];
}

#define prefetch(p) ((void)(p))

#endif
