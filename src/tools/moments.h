/* SPDX-License-Identifier: MIT */
/* Measuring what a calibrated quantiser goes by: the mean square of each input
 * of gate and up, over the tokens of a text. */
#ifndef M2C_TOOLS_MOMENTS_H
#define M2C_TOOLS_MOMENTS_H

#include "base/log.h"
#include "store/store.h"

/* Runs the text through the store, dense, at its widest class. *out: f32
 * [layers][dim], the caller's to free. tokens: at most so many, 0: all. */
M2C_MUST_USE int m2c_moments(const struct m2c_store *store, const char *text,
                             uint64_t tokens, struct m2c_log *log, float **out,
                             struct m2c_err *err);

#endif
