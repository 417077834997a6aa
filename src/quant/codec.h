/* SPDX-License-Identifier: MIT */
/* Codecs: how a vector of floats becomes codes and scales, and back.
 *
 * F16: round to nearest even, saturating is not allowed: a value beyond
 * 65504 is an error. The others work in groups, each with an f16 scale s
 * that a quantiser chooses (quant/quant.h); what follows is round-to-nearest.
 * I8: s = amax/127, q = rne(w/s) in -127..127. I4: s = amax/7, q in -7..7.
 * s is rounded to f16 first and the codes are taken against the rounded scale
 * (rounded up where a code would clip); a group of zeros has s = 0.
 * P16, P8: s = amax/7 rounded up to f16, q16 = rne(4096·w/s),
 * q8 = (q16 + 128) >> 8, q4 = (q8 + 8) >> 4, cut into planes as base/type.h
 * says. So an I4 from plane 0 and a P8 are what a P16 is rounded to. */
#ifndef M2C_QUANT_CODEC_H
#define M2C_QUANT_CODEC_H

#include "base/type.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_quant; /* quant/quant.h */

/* Where the codes of a vector go, plane by plane (P16 has three, P8 two, the
 * others one), and its scales (f16, any alignment). */
struct m2c_coded {
    void *plane[3], *scales;
};

/* Encodes n floats with round-to-nearest: m2c_code_bytes(type, n) bytes to
 * `codes` and m2c_scale_bytes(type, n) to `scales`. -EINVAL with the index
 * when a value is NaN, infinite or too large for the type, or the type is one
 * of digits. */
M2C_MUST_USE int m2c_encode(enum m2c_type type, const float *x, size_t n, void *codes,
                            void *scales, struct m2c_err *err);
/* The same with a quantiser, and planes apart. `weight` (n, or NULL: all 1)
 * says how much the square of an element's error matters. */
M2C_MUST_USE int m2c_encode_with(const struct m2c_quant *quant, enum m2c_type type,
                                 const float *x, const float *weight, size_t n,
                                 const struct m2c_coded *out, struct m2c_err *err);
void m2c_decode(enum m2c_type type, const void *codes, const void *scales, size_t n,
                float *x);
void m2c_decode_planes(enum m2c_type type, const struct m2c_coded *in, size_t n, float *x);

/* Largest |w - decode(encode(w))| of round-to-nearest for a group whose
 * largest magnitude is amax; the tests hold every codec to it. */
float m2c_code_bound(enum m2c_type type, float amax);
/* The same of what is read of a P16: of all its planes (P16), of planes 0 and
 * 1 (P8), of plane 0 (I4). With s the scale: s/8192, s/32 + s/8192,
 * s/2 + s/32 + s/8192. */
float m2c_plane_bound(enum m2c_type type, float amax);

#ifdef __cplusplus
}
#endif
#endif
