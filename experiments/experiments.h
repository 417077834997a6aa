/* SPDX-License-Identifier: MIT */
/* The experiments that m2c-exp knows. */
#ifndef M2C_EXPERIMENTS_H
#define M2C_EXPERIMENTS_H

#include "exp/exp.h"

extern const struct m2c_exp_ops m2c_exp_decode, m2c_exp_overlap, m2c_exp_ppl,
    m2c_exp_ratio, m2c_exp_sparsity, m2c_exp_tasks;

/* NULL-terminated. */
extern const struct m2c_exp_ops *const m2c_experiments[];

#endif
