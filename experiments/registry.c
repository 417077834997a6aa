/* SPDX-License-Identifier: MIT */
/* The list of experiments. */
#include "experiments/experiments.h"

const struct m2c_exp_ops *const m2c_experiments[] = {
    &m2c_exp_ablation,
    &m2c_exp_decode,
    &m2c_exp_ppl,
    &m2c_exp_overlap,
    &m2c_exp_sparsity,
    &m2c_exp_ratio,
    &m2c_exp_tasks,
    NULL,
};
