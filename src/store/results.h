/* SPDX-License-Identifier: MIT */
/* results.h5: a sweep's records as columns, for h5py and pandas.
 *
 * /columns/<name>: f64[n] (NaN: not known) or variable-length UTF-8 strings
 * [n], one element a record; /samples/<record>/<name>: f64, raw samples of
 * one record, named by its row. Attribute `version` on the root, 1. Made from
 * the journal, which is the truth. */
#ifndef M2C_STORE_RESULTS_H
#define M2C_STORE_RESULTS_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_results;

/* Writes to a temporary name beside `path`. */
M2C_MUST_USE int m2c_results_open(struct m2c_results **out, const char *path,
                                  struct m2c_err *err);
M2C_MUST_USE int m2c_results_numbers(struct m2c_results *r, const char *name, size_t n,
                                     const double *values, struct m2c_err *err);
M2C_MUST_USE int m2c_results_strings(struct m2c_results *r, const char *name, size_t n,
                                     const char *const *values, struct m2c_err *err);
M2C_MUST_USE int m2c_results_samples(struct m2c_results *r, size_t row, const char *name,
                                     size_t n, const double *values, struct m2c_err *err);
/* Renames into place. */
M2C_MUST_USE int m2c_results_commit(struct m2c_results *r, struct m2c_err *err);
void m2c_results_close(struct m2c_results *r); /* without commit: nothing is left */

#ifdef __cplusplus
}
#endif
#endif
