/* SPDX-License-Identifier: MIT */
/* Element types of weights and activations, and their sizes.
 *
 * I8 and I4 are symmetric codes in groups of M2C_GROUP along a vector (the
 * last group may be short), one f16 scale a group. Codes and scales lie
 * apart: n elements are m2c_code_bytes(type, n) bytes of codes and
 * m2c_scale_bytes(type, n) bytes of scales, wherever a layout puts them.
 * I4 packs two codes a byte, the even index in the low nibble, in two's
 * complement. */
#ifndef M2C_BASE_TYPE_H
#define M2C_BASE_TYPE_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum m2c_type { M2C_F32, M2C_F16, M2C_BF16, M2C_I8, M2C_I4, M2C_N_TYPES };

enum { M2C_GROUP = 32 };

/* "f32", "f16", "bf16", "i8", "i4"; never NULL. */
const char *m2c_type_name(enum m2c_type type);
/* -EINVAL when no type has this name. */
M2C_MUST_USE int m2c_type_parse(const char *name, enum m2c_type *out);
bool m2c_type_grouped(enum m2c_type type);
size_t m2c_code_bytes(enum m2c_type type, size_t n);
size_t m2c_scale_bytes(enum m2c_type type, size_t n); /* 0 for ungrouped types */

/* IEEE binary16 and bfloat16, round to nearest even; NaN stays NaN,
 * overflow gives infinity. */
uint16_t m2c_f32_to_f16(float x);
float m2c_f16_to_f32(uint16_t h);
uint16_t m2c_f32_to_bf16(float x);
float m2c_bf16_to_f32(uint16_t h);

#ifdef __cplusplus
}
#endif
#endif
