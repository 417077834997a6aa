/* SPDX-License-Identifier: MIT */
/* Exact top-k with classes; inside the module. */
#ifndef M2C_SELECT_TOPK_H
#define M2C_SELECT_TOPK_H

#include "select/select_impl.h"

/* Wants of the plan for `scores`, sorted by id. -EDOM on NaN. */
M2C_MUST_USE int m2c_topk(struct m2c_selector *s, const float *scores,
                          struct m2c_want *wants, uint32_t *n, struct m2c_err *err);

#endif
