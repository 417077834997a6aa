/* SPDX-License-Identifier: MIT */
/* Exact top-k and classes; inside the module. */
#ifndef M2C_SELECT_TOPK_H
#define M2C_SELECT_TOPK_H

#include "select/select_impl.h"

enum { M2C_LEFT_OUT = 0xff };

/* Wants of the plan for `scores`, sorted by id. -EDOM on NaN. */
M2C_MUST_USE int m2c_topk(struct m2c_selector *s, uint32_t layer, const float *scores,
                          struct m2c_want *wants, uint32_t *n, struct m2c_err *err);
/* Sorts the first n of key[0] ascending, id[0] with them, stable; returns the
 * buffer (0 or 1) that holds the result. */
int m2c_radix_sort(struct m2c_selector *s, uint32_t n);

/* The plan's classes (classes.c): copies the shares. */
M2C_MUST_USE int m2c_classes_open(struct m2c_selector *s, struct m2c_err *err);
void m2c_classes_close(struct m2c_selector *s);
/* Notes the classes of a token's wants; and forgets them all. */
void m2c_classes_remember(struct m2c_selector *s, uint32_t layer,
                          const struct m2c_want *wants, uint32_t n);
void m2c_classes_forget(struct m2c_selector *s);
/* Fills s->cls: of the chosen `ids` [k], best first; all others M2C_LEFT_OUT. */
void m2c_classes_assign(struct m2c_selector *s, uint32_t layer, const float *scores,
                        const uint32_t *ids, uint32_t k);

#endif
