/* SPDX-License-Identifier: MIT */
/* Quantisers: who chooses the scale of a group. The codes follow from it:
 * to the nearest that the type has, the last one where there is none beyond.
 *
 * A quantiser is one file with a const struct m2c_quant and a line in the
 * registry. It sees one group at a time and keeps no state, so that vectors
 * may be encoded in any order, by any thread. */
#ifndef M2C_QUANT_QUANT_H
#define M2C_QUANT_QUANT_H

#include "base/plugin.h"
#include "quant/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_quant {
    struct m2c_plugin p; /* no private state */
    bool calibrated;     /* wants weights: something has to measure them */
    /* Mandatory: the scale, as f16 bits, of n <= M2C_GROUP finite values that
     * the type can hold, not all zero. `weight` as in m2c_encode_with. The
     * scale must be positive; of P16 and P8 no code may be cut off by it
     * (m2c_quant_fits). */
    uint16_t (*scale)(enum m2c_type type, const float *x, const float *weight, size_t n);
};

/* Registered quantisers, the default first, NULL-terminated. */
const struct m2c_plugin *const *m2c_quant_list(void);
/* NULL with -ENOENT names the known ones. */
const struct m2c_quant *m2c_quant_find(const char *name, struct m2c_err *err);

/* ---- for quantisers ---- */

/* The scale of round-to-nearest, see quant/codec.h. */
uint16_t m2c_quant_amax(enum m2c_type type, const float *x, size_t n);
/* Whether no code of the group is cut off at this scale. */
bool m2c_quant_fits(enum m2c_type type, const float *x, size_t n, uint16_t scale);
/* Sum of weight · error² of the group at this scale; of P16 and P8 the error
 * that the 4-bit reading makes, beside which those of the others are small. */
double m2c_quant_loss(enum m2c_type type, const float *x, const float *weight, size_t n,
                      uint16_t scale);

#ifdef __cplusplus
}
#endif
#endif
