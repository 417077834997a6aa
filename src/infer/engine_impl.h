/* SPDX-License-Identifier: MIT */
/* What the files of the engine share. */
#ifndef M2C_INFER_ENGINE_IMPL_H
#define M2C_INFER_ENGINE_IMPL_H

#include "infer/dense.h"
#include "infer/engine.h"
#include "infer/predict.h"
#include "infer/shadow.h"

/* A point on the compute queue; the time since the mark before it belongs to
 * `phase`. */
struct m2c_mark {
    struct m2c_event *ev;
    enum m2c_phase phase;
    uint32_t layer; /* for the timeline */
};

struct m2c_engine {
    const struct m2c_store *store;
    const struct m2c_model_cfg *model; /* of the store */
    struct m2c_engine_cfg cfg;
    struct m2c_engine_plan plan;
    uint32_t ctx, pos, rows, seg_neurons, segments;
    int prefill_class;
    int failed;

    struct m2c_dev *dev;
    struct m2c_queue *queue;
    struct m2c_dense *dense;
    struct m2c_tier *tier;
    struct m2c_selector *selector;
    struct m2c_shadow *shadow;
    struct m2c_predict *predict; /* NULL: the selector has scores of its own */

    /* activations, one buffer: f32, `rows` rows each */
    struct m2c_buf *scratch;
    struct m2c_mem x, xn, q, k, v, att, h, acc, logits, ids;
    struct m2c_buf **kv; /* [layers]: keys, then values */
    struct m2c_buf *ids_host, *logits_host, *x_host; /* x_host: with `truth` */

    struct m2c_want *wants, *ideal; /* [hidden] */
    uint8_t *wanted_before;         /* [layers][hidden] class + 1, for the overlap */
    struct m2c_mark *marks;
    uint32_t n_marks, cap_marks;
    uint32_t layer;                 /* at hand, or M2C_NO_LAYER */
    struct m2c_engine_stats stats;
    struct m2c_timeline *timeline; /* or NULL */
    int64_t ahead_ns;              /* of the device's clock the host's */
    struct m2c_dev_counters counts_base; /* of the device, when stats began */
    m2c_truth_fn watch;
    void *watch_ctx;
    m2c_wants_fn watch_wants;
    void *wants_ctx;
    m2c_input_fn watch_input;
    void *watch_input_ctx;
};

/* Everything of layer `l` for `rows` tokens at e->pos, enqueued; x is read
 * and written in place. */
M2C_MUST_USE int m2c_engine_attention(struct m2c_engine *e, uint32_t l, uint32_t rows,
                                      struct m2c_err *err);
/* dense: all neurons at prefill_class; else what the selector wants (rows
 * must be 1). */
M2C_MUST_USE int m2c_engine_ffn(struct m2c_engine *e, uint32_t l, uint32_t rows,
                                bool dense, struct m2c_err *err);
M2C_MUST_USE int m2c_engine_mark(struct m2c_engine *e, enum m2c_phase phase,
                                 struct m2c_err *err);
/* What the selection missed and how it overlaps with the token before. */
M2C_MUST_USE int m2c_engine_judge(struct m2c_engine *e, uint32_t l, const float *truth,
                                  uint32_t n_wants, struct m2c_err *err);

#endif
