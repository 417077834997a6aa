/* SPDX-License-Identifier: MIT */
/* Selectors whose scores a predictor of the rank file computes on the device
 * (infer/predict.h): the plan is theirs, the scores come from outside. */
#include "select/select_impl.h"

const struct m2c_select_ops m2c_select_rrr = {
    .p = {.name = "rrr", .desc = "a linear predictor, by reduced-rank regression"},
    .predicted = true,
    .needs_rank = true,
};

const struct m2c_select_ops m2c_select_mlp = {
    .p = {.name = "mlp", .desc = "a low-rank linear predictor, trained (Deja Vu's)"},
    .predicted = true,
    .needs_rank = true,
};

const struct m2c_select_ops m2c_select_gate = {
    .p = {.name = "gate", .desc = "the layer's own gate matrix, resident at 4 bits"},
    .predicted = true,
    .needs_rank = true,
};
