/* SPDX-License-Identifier: MIT */
/* Models made on the spot, behind the importer's interface, and what tests do
 * with the stores that come of them. */
#ifndef M2C_TESTS_STORE_SYNTH_H
#define M2C_TESTS_STORE_SYNTH_H

#include "import/import_impl.h"
#include "store/store.h"

/* Every cmocka test lists these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A folder of the test's own, made on first use; removed by synth_clean. */
const char *synth_path(const char *name); /* static storage, four names at a time */
void synth_clean(void);
int synth_files(const char *part); /* files of the folder whose name has `part` */

/* dim a multiple of 2 · heads. */
struct m2c_model_cfg synth_cfg(uint32_t dim, uint32_t hidden, uint32_t layers,
                               uint32_t vocab);
/* Random weights of this seed as f32 in a file; `sparse`: zeros, of no bytes on
 * disk or in memory. */
struct m2c_import *synth_open(const struct m2c_model_cfg *cfg, uint64_t seed,
                              bool sparse);
/* A tensor's weights, [rows][cols], in memory. */
const float *synth_tensor(const struct m2c_import *im, enum m2c_tensor_kind kind,
                          uint32_t layer);
void synth_poke(struct m2c_import *im, enum m2c_tensor_kind kind, uint32_t layer,
                uint32_t row, uint32_t col, float value);

/* Called before the importer looks for a tensor; NULL: nothing. A writer does
 * that once for each chunk that it reads. */
extern void (*synth_on_find)(void);

/* The options that most tests want. */
struct m2c_store_write_opts synth_opts(enum m2c_type dense);
/* Imports and fails the test when that fails. */
void synth_import(const char *path, struct m2c_import *im, enum m2c_type dense);

/* Whole files. */
uint8_t *synth_slurp(const char *path, size_t *n); /* free */
void synth_spew(const char *path, const void *data, size_t n);

#endif
