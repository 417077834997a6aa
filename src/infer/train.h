/* SPDX-License-Identifier: MIT */
/* Training and judging predictors of active neurons.
 *
 * Owns the samples (FFN inputs and true scores of every layer of every token of
 * a text, in memory) and the arithmetic of training; the engine that makes them
 * and the rank file that keeps the result are the caller's. */
#ifndef M2C_INFER_TRAIN_H
#define M2C_INFER_TRAIN_H

#include "base/log.h"
#include "infer/predict.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of one layer, token after token. A neuron is active where its score is > 0:
 * who collects zeroes the scores of those that do not count as active. */
struct m2c_sample_layer {
    float *x;        /* [cap][dim] */
    uint16_t *score; /* f16 [cap][n], never rounded to 0 or infinity */
    double *mass;    /* [cap] the sum of all |h|, active or not */
    uint64_t n_tok;
};

struct m2c_samples {
    uint32_t layers, dim, n;
    uint64_t cap; /* tokens */
    struct m2c_sample_layer *layer;
};

/* Room for `cap` tokens: layers · cap · (4 dim + 2 n + 8) bytes. -ENOMEM. */
M2C_MUST_USE int m2c_samples_open(struct m2c_samples **out, uint32_t layers, uint32_t dim,
                                  uint32_t n, uint64_t cap, struct m2c_err *err);
void m2c_samples_close(struct m2c_samples *s); /* accepts NULL */
/* score f32[n]; beyond cap: dropped. */
void m2c_samples_add(struct m2c_samples *s, uint32_t layer, const float *x,
                     const float *score, double mass);

/* Predicts layer `to`'s activity from the inputs of layer `from`, on tokens
 * [begin, end). All of `train` but the last tenth is learnt from; that tenth
 * stops the training. Fills *out (its shape is set). -ENOTSUP in a build without
 * LAPACKE and OpenBLAS; -EDOM where inputs hold no number. */
struct m2c_train_job {
    const struct m2c_samples *s;
    uint32_t from, to;
    const struct m2c_predictor *shape;
    struct m2c_log *log;
    const volatile bool *stop; /* -EINTR when set; may be NULL */
};

/* Reduced-rank regression in closed form: the map of rank `width` (0: any) with
 * the least squares on activity as 0 and 1 (Izenman 1975), with a ridge of a
 * hundredth of the mean variance. */
M2C_MUST_USE int m2c_train_rrr(const struct m2c_train_job *job,
                               struct m2c_predictor_layer *out, struct m2c_err *err);
/* Deja Vu's, linear from end to end: binary cross-entropy with weight 1 on active
 * and (share of active + 0.005) on inactive neurons, AdamW, at most 20 passes,
 * from the closed form on instead of from noise; ends when recall on the last
 * tenth has not risen for 4 passes or is 0.99, and keeps the best pass. */
M2C_MUST_USE int m2c_train_mlp(const struct m2c_train_job *job,
                               struct m2c_predictor_layer *out, struct m2c_err *err);

/* Share of the k truly active among the k best scores; 1 where k = 0. Equal
 * scores: the lower id first. `order`: scratch u32[n]. */
double m2c_recall_true_k(const float *score, const uint16_t *truth, uint32_t n,
                         uint32_t *order);

/* What a predictor is worth on samples, layer by layer; means over tokens. */
struct m2c_judgement {
    double active;           /* share of neurons truly active */
    double recall;           /* at the true k */
    double mass;             /* share of |h| that those k caught */
    double threshold_recall, threshold_precision, threshold_share; /* of score > 0 */
    double prev, fixed;      /* recall at the true k of the token before; of the hot order */
    double token_ns;         /* a selection's scores, one row: best of the runs */
};
/* With the device's arithmetic, on every token of `s`. `hot`: u32[n], hottest
 * first; or NULL. The first token of `s` has no token before. */
M2C_MUST_USE int m2c_judge_predictor(struct m2c_predict *p, struct m2c_dev *dev,
                                     struct m2c_queue *queue, const struct m2c_samples *s,
                                     uint32_t from, uint32_t to, const uint32_t *hot,
                                     struct m2c_judgement *out, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
