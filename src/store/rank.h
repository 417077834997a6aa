/* SPDX-License-Identifier: MIT */
/* The rank file: how important each neuron of a model is.
 *
 * HDF5 behind a user block (store/userblock.h), version 2; all of the file is
 * guarded by the digest, and m2c reads it by its index, without libhdf5.
 *   /meta        attributes: version, shape u32 {layers, n}, tokens, model and
 *                order hash, the text's name
 *   /layers/<l>  freq f32[n]: share of tokens at which the neuron was in the
 *                true active set; mean f32[n], m2 f32[n]: first and second
 *                moment of the score |h|; order u32[n]: ids, hottest first, by
 *                freq, then mean, ties to the lower id
 *   index        layers, n, tokens, model, order, text as above; offsets: a
 *                list of {freq, mean, m2, order} a layer
 *   /predictors and their part of the index: store/predict.h; may be absent
 * A file of another model, and a damaged one, is refused. */
#ifndef M2C_STORE_RANK_H
#define M2C_STORE_RANK_H

#include "base/hash.h"
#include "store/predict.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_rank_layer {
    float *freq, *mean, *m2; /* n each */
    uint32_t *order;
};

enum { M2C_PREDICTORS_MAX = 9 }; /* kinds and lookaheads */

struct m2c_rank {
    struct m2c_hash128 model, order;
    char text[256];
    uint64_t tokens;
    uint32_t layers, n; /* neurons a layer */
    struct m2c_rank_layer *layer;
    uint32_t n_pred;
    struct m2c_predictor pred[M2C_PREDICTORS_MAX];
};

/* Empty ranking with zeroed arrays. -ENOMEM. */
M2C_MUST_USE int m2c_rank_new(struct m2c_rank **out, uint32_t layers, uint32_t n);
void m2c_rank_free(struct m2c_rank *r); /* accepts NULL */
/* Fills `order` from freq and mean. -ENOMEM. */
M2C_MUST_USE int m2c_rank_sort(struct m2c_rank *r);
/* NULL: it has none of this kind and lookahead. */
const struct m2c_predictor *m2c_rank_predictor(const struct m2c_rank *r, const char *kind,
                                               uint32_t lookahead);
/* Written aside, then renamed. */
M2C_MUST_USE int m2c_rank_write(const struct m2c_rank *r, const char *path,
                                struct m2c_err *err);
/* `model`: the hash that the file must have; layers and n must match too. */
M2C_MUST_USE int m2c_rank_read(struct m2c_rank **out, const char *path,
                               struct m2c_hash128 model, uint32_t layers, uint32_t n,
                               struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
