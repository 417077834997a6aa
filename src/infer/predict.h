/* SPDX-License-Identifier: MIT */
/* A predictor at work on a device: its matrices resident at their type, the
 * scores of a layer by MATMUL, the chosen neurons by SELECT. Inside the module
 * and for m2c rank, which judges with the arithmetic that will be used. */
#ifndef M2C_INFER_PREDICT_H
#define M2C_INFER_PREDICT_H

#include "dev/dev.h"
#include "select/selector.h"
#include "store/predict.h"

struct m2c_predict;

/* `p` may go after this. On a simulated device p->layer may be NULL: a predictor of
 * which there is only the shape, and whose choices are none. `act`: what scores are for a `gate` predictor of a
 * model whose activation is not ReLU: |act(score)|. */
M2C_MUST_USE int m2c_predict_open(struct m2c_predict **out, struct m2c_dev *dev,
                                  struct m2c_queue *queue, const struct m2c_predictor *p,
                                  enum m2c_act act, struct m2c_err *err);
void m2c_predict_close(struct m2c_predict *p); /* accepts NULL; the queue is drained */
uint64_t m2c_predict_bytes(const struct m2c_predictor *p); /* of device memory */

/* Enqueues the scores of every layer that is foreseen from the FFN input x
 * (f32[dim], one row) of layer `source`. */
M2C_MUST_USE int m2c_predict_from(struct m2c_predict *p, uint32_t source, struct m2c_mem x,
                                  struct m2c_err *err);
/* One layer's scores alone. */
M2C_MUST_USE int m2c_predict_layer(struct m2c_predict *p, uint32_t layer, struct m2c_mem x,
                                   struct m2c_err *err);
/* What was computed for `layer`, by the latest m2c_predict_from of its source:
 * waits. The scores f32[n], until the next call. */
M2C_MUST_USE int m2c_predict_scores(struct m2c_predict *p, uint32_t layer,
                                    const float **scores, struct m2c_err *err);
/* The two halves of that, for many at once: enqueues the copy of the scores to
 * dst; and, when they have arrived, makes scores of what the matrices gave. */
M2C_MUST_USE int m2c_predict_bring(struct m2c_predict *p, uint32_t layer,
                                   struct m2c_mem dst, struct m2c_err *err);
void m2c_predict_settle(const struct m2c_predict *p, float *scores);
/* The same, but the plan's wants for them (as m2c_selector_ideal): chosen on the
 * device where it can, so that scores do not come back. -EDOM on a NaN. */
M2C_MUST_USE int m2c_predict_wants(struct m2c_predict *p, struct m2c_selector *plan,
                                   uint32_t layer, struct m2c_want *wants, uint32_t *n,
                                   struct m2c_err *err);

#endif
