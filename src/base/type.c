/* SPDX-License-Identifier: MIT */
/* Element types: names, sizes, half-precision conversions in plain C. */
#include "base/type.h"

#include <errno.h>
#include <string.h>

static const char *const names[] = {[M2C_F32] = "f32", [M2C_F16] = "f16",
                                    [M2C_BF16] = "bf16", [M2C_I8] = "i8",
                                    [M2C_I4] = "i4",   [M2C_P16] = "p16",
                                    [M2C_P8] = "p8",   [M2C_D4] = "d4",
                                    [M2C_D8] = "d8"};

const char *m2c_type_name(enum m2c_type type)
{
    return (unsigned)type < M2C_N_TYPES ? names[type] : "?";
}

int m2c_type_parse(const char *name, enum m2c_type *out)
{
    for (unsigned i = 0; i < M2C_N_TYPES; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (enum m2c_type)i;
            return 0;
        }
    }
    return -EINVAL;
}

bool m2c_type_grouped(enum m2c_type type)
{
    return type == M2C_I8 || type == M2C_I4 || type == M2C_P16 || type == M2C_P8;
}

bool m2c_type_digits(enum m2c_type type)
{
    return type == M2C_D4 || type == M2C_D8;
}

unsigned m2c_type_planes(enum m2c_type type)
{
    return type == M2C_P16 ? 3 : type == M2C_P8 ? 2 : 1;
}

static size_t nibbles(size_t n)
{
    return n / 2 + n % 2;
}

size_t m2c_plane_off(enum m2c_type type, unsigned plane, size_t n)
{
    return m2c_type_planes(type) > plane ? plane * nibbles(n) : 0;
}

size_t m2c_code_bytes(enum m2c_type type, size_t n)
{
    switch (type) {
    case M2C_F32: return n * 4;
    case M2C_F16:
    case M2C_BF16: return n * 2;
    case M2C_I8:
    case M2C_D8: return n;
    case M2C_I4:
    case M2C_D4: return nibbles(n);
    case M2C_P16: return 2 * nibbles(n) + n;
    case M2C_P8: return 2 * nibbles(n);
    case M2C_N_TYPES: break;
    }
    return 0;
}

size_t m2c_scale_bytes(enum m2c_type type, size_t n)
{
    return m2c_type_grouped(type) ? (n / M2C_GROUP + (n % M2C_GROUP != 0)) * 2 : 0;
}

uint16_t m2c_f32_to_f16(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    uint32_t sign = (u >> 16) & 0x8000u, mag = u & 0x7fffffffu;
    if (mag > 0x7f800000u) /* NaN: keep it quiet */
        return (uint16_t)(sign | 0x7e00u | ((mag >> 13) & 0x1ffu));
    if (mag >= 0x477ff000u) /* 65520 and up round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (mag < 0x33000001u) /* at most half the least denormal */
        return (uint16_t)sign;
    uint32_t shift = 13, base = 0, frac = mag;
    if (mag < 0x38800000u) { /* denormal in f16 */
        shift = 126 - (mag >> 23);
        frac = (mag & 0x7fffffu) | 0x800000u;
    } else {
        base = 112u << 23; /* rebias 127 to 15 */
    }
    frac -= base;
    uint32_t half = 1u << (shift - 1), rest = frac & ((half << 1) - 1);
    uint32_t h = frac >> shift;
    h += rest > half || (rest == half && (h & 1));
    return (uint16_t)(sign | h);
}

float m2c_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, e = (h >> 10) & 31u, m = h & 1023u;
    uint32_t u;
    if (e == 31) {
        u = sign | 0x7f800000u | (m << 13);
    } else if (e) {
        u = sign | ((e + 112u) << 23) | (m << 13);
    } else {
        float f = (float)m * 0x1p-24f;
        memcpy(&u, &f, 4);
        u |= sign;
    }
    float x;
    memcpy(&x, &u, 4);
    return x;
}

uint16_t m2c_f32_to_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

float m2c_bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float x;
    memcpy(&x, &u, 4);
    return x;
}
