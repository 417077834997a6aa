/* SPDX-License-Identifier: MIT */
/* Codecs: how a vector of floats becomes codes and scales, and back.
 *
 * F16: round to nearest even, saturating is not allowed: a value beyond
 * 65504 is an error. I8: s = amax/127, q = rne(w/s) in -127..127. I4:
 * s = amax/7, q in -7..7. s is rounded to f16 first and the codes are taken
 * against the rounded scale (rounded up where a code would clip); a group of
 * zeros has s = 0. */
#ifndef M2C_QUANT_CODEC_H
#define M2C_QUANT_CODEC_H

#include "base/type.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Encodes n floats: m2c_code_bytes(type, n) bytes to `codes` and
 * m2c_scale_bytes(type, n) to `scales` (f16, any alignment). -EINVAL with
 * the index when a value is NaN, infinite or too large for the type. */
M2C_MUST_USE int m2c_encode(enum m2c_type type, const float *x, size_t n, void *codes,
                            void *scales, struct m2c_err *err);
void m2c_decode(enum m2c_type type, const void *codes, const void *scales, size_t n,
                float *x);

/* Largest |w - decode(encode(w))| for a group whose largest magnitude is
 * amax; the tests hold every codec to it. */
float m2c_code_bound(enum m2c_type type, float amax);

#ifdef __cplusplus
}
#endif
#endif
