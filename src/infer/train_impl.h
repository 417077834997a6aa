/* SPDX-License-Identifier: MIT */
/* What the trainers share. */
#ifndef M2C_INFER_TRAIN_IMPL_H
#define M2C_INFER_TRAIN_IMPL_H

#include "infer/train.h"

/* Tokens that are learnt from; those after them, a tenth, stop the training. */
static inline uint64_t m2c_train_tokens(const struct m2c_train_job *job)
{
    uint64_t n = job->s->layer[job->to].n_tok;
    return n - n / 10;
}

#endif
