/* SPDX-License-Identifier: MIT */
/* Predictors to and from an open rank file; inside the module. */
#ifndef M2C_STORE_PREDICT_IMPL_H
#define M2C_STORE_PREDICT_IMPL_H

#include "store/h5file_impl.h"
#include "store/rank.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Arrays of all predictors: one offset each, in the order written. */
size_t m2c_predictors_arrays(const struct m2c_rank *r);
M2C_MUST_USE int m2c_predictors_write(const struct m2c_rank *r, const struct m2c_h5_new *f,
                                      uint64_t *offset, struct m2c_err *err);
/* Their part of the index, a new list; NULL: no memory. */
json_t *m2c_predictors_index(const struct m2c_rank *r, const uint64_t *offset);
/* Fills r->pred from an index that may have such a part; `end`: bytes of the
 * file. What was read is r's also on failure. */
M2C_MUST_USE int m2c_predictors_read(struct m2c_rank *r, int fd, uint64_t end,
                                     const struct m2c_node *index, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
