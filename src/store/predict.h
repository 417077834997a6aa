/* SPDX-License-Identifier: MIT */
/* Predictors of active neurons, as the rank file keeps them.
 *
 * A predictor has, for each layer l, a linear map from the FFN input x of layer
 * l - min(l, lookahead) to a score a neuron:
 *     score = wide · (narrow · x) + bias        (width 0: wide · x + bias)
 * above 0 where the neuron is expected to be active. In the rank file, guarded
 * by its digest:
 *   /predictors/<kind>-<lookahead>/<l>  narrow f32[width · dim] (row after row;
 *                none where width is 0), wide f32[n · (width or dim)], bias f32[n]
 *   index        predictors: a list of {kind, lookahead, dim, width, type (what
 *                the matrices are stored at on the device: f16, i8, i4), tokens,
 *                text (of the training), layers: a list of {recall, narrow, wide,
 *                bias}, the last three being offsets} */
#ifndef M2C_STORE_PREDICT_H
#define M2C_STORE_PREDICT_H

#include "base/type.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { M2C_LOOKAHEAD_MAX = 2 };

struct m2c_predictor_layer {
    float *narrow; /* [width][dim]; NULL where width is 0 */
    float *wide;   /* [n][width or dim] */
    float *bias;   /* [n] */
    float recall;  /* at the true k, on text it was not trained on; NAN: not measured */
};

struct m2c_predictor {
    char kind[8]; /* of m2c_predictor_kinds */
    uint32_t lookahead, layers, n, dim, width;
    enum m2c_type type;
    uint64_t tokens;
    char text[256];
    struct m2c_predictor_layer *layer; /* [layers] */
};

/* "gate", "mlp", "rrr", NULL */
extern const char *const m2c_predictor_kinds[];

/* Zeroed arrays; kind, lookahead, layers, n, dim, width of `shape`. -ENOMEM. */
M2C_MUST_USE int m2c_predictor_init(struct m2c_predictor *p,
                                    const struct m2c_predictor *shape);
void m2c_predictor_fini(struct m2c_predictor *p); /* zeroed is fine */
/* Columns of `wide`. */
uint32_t m2c_predictor_inner(const struct m2c_predictor *p);
/* Of all matrices and biases, at their type: what stays resident. */
uint64_t m2c_predictor_bytes(const struct m2c_predictor *p);

#ifdef __cplusplus
}
#endif
#endif
