/* SPDX-License-Identifier: MIT */
/* The predictors of m2c rank: which to train, training, and the report. */
#ifndef M2C_TOOLS_RANK_PREDICT_H
#define M2C_TOOLS_RANK_PREDICT_H

#include "infer/engine.h"
#include "infer/train.h"
#include "tools/cli.h"

struct m2c_predict_flags {
    struct m2c_cli_list kinds;
    int64_t width;     /* -1: a tenth of the FFN's f16 bytes */
    int64_t lookahead;
    int weights;       /* index into m2c_predict_weights */
};
extern const char *const m2c_predict_weights[]; /* "own", "i4", "i8", "f16" */

struct m2c_predict_task {
    const struct m2c_predict_flags *flags;
    struct m2c_engine *engine; /* with `truth`; its memory is used to judge */
    const struct m2c_model_cfg *model;
    struct m2c_rank *rank;     /* gets the predictors; its order is known */
    const struct m2c_samples *train, *test; /* test NULL: the last tenth of train */
    struct m2c_log *log;
};

/* -EINVAL for a kind that does not exist or is there twice. */
M2C_MUST_USE int m2c_predict_check(const struct m2c_predict_flags *f, struct m2c_err *err);
/* Trains and judges all of flags->kinds. *report: a list, a predictor an item. */
M2C_MUST_USE int m2c_predict_train(const struct m2c_predict_task *t, json_t **report,
                                   struct m2c_err *err);
void m2c_predict_print(const json_t *report);

#endif
