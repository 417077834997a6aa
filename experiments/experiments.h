/* SPDX-License-Identifier: MIT */
/* The experiments that m2c-exp knows. */
#ifndef M2C_EXPERIMENTS_H
#define M2C_EXPERIMENTS_H

#include "exp/exp.h"
#include "infer/generate.h"

extern const struct m2c_exp_ops m2c_exp_ablation, m2c_exp_decode, m2c_exp_overlap,
    m2c_exp_ppl, m2c_exp_ratio, m2c_exp_sparsity, m2c_exp_tasks;

/* NULL-terminated. */
extern const struct m2c_exp_ops *const m2c_experiments[];

/* Prompt text, or prompt_tokens tokens from a place in prompt_file that depends on
 * (seed, repetition) only. BOS comes first. free(*out). */
M2C_MUST_USE int m2c_exp_prompt(struct m2c_run *run, uint32_t **out, uint32_t *n,
                                struct m2c_err *err);
/* [decode] for m2c_generate, which this prompt is lent to. */
void m2c_exp_generation(const struct m2c_run *run, const uint32_t *prompt, uint32_t n,
                        struct m2c_generate_cfg *out);

#endif
