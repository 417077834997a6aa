/* SPDX-License-Identifier: MIT */
/* Element types of weights and activations, and their sizes.
 *
 * I8 and I4 are symmetric codes in groups of M2C_GROUP along a vector (the
 * last group may be short), one f16 scale a group. Codes and scales lie
 * apart: n elements are m2c_code_bytes(type, n) bytes of codes and
 * m2c_scale_bytes(type, n) bytes of scales, wherever a layout puts them.
 * I4 packs two codes a byte, the even index in the low nibble, in two's
 * complement.
 *
 * P16 and P8 are the 16- and 8-bit forms of one nested code that is kept in
 * planes: plane 0 is an I4, plane 1 (D4) its next four bits, plane 2 (D8) the
 * last eight, each a signed digit:
 *     q8 = 16·q4 + d4,  q16 = 256·q8 + d8,  value q4·s, q8·s/16 or q16·s/4096.
 * The planes of a vector lie wherever a layout puts them; where they are one
 * block of codes they follow each other without gap. D4 and D8 have no value
 * of their own. */
#ifndef M2C_BASE_TYPE_H
#define M2C_BASE_TYPE_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum m2c_type {
    M2C_F32,
    M2C_F16,
    M2C_BF16,
    M2C_I8,
    M2C_I4,
    M2C_P16, /* planes 0, 1 and 2 */
    M2C_P8,  /* planes 0 and 1 */
    M2C_D4,  /* plane 1 alone */
    M2C_D8,  /* plane 2 alone */
    M2C_N_TYPES
};

enum { M2C_GROUP = 32 };

/* "f32", "f16", "bf16", "i8", "i4", "p16", "p8", "d4", "d8"; never NULL. */
const char *m2c_type_name(enum m2c_type type);
/* -EINVAL when no type has this name. */
M2C_MUST_USE int m2c_type_parse(const char *name, enum m2c_type *out);
bool m2c_type_grouped(enum m2c_type type); /* has scales */
bool m2c_type_digits(enum m2c_type type);  /* D4, D8: no value of its own */
unsigned m2c_type_planes(enum m2c_type type); /* P16: 3, P8: 2, others: 1 */
/* Of plane `plane` in one block of codes. */
size_t m2c_plane_off(enum m2c_type type, unsigned plane, size_t n);
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
