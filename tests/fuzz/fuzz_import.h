/* SPDX-License-Identifier: MIT */
/* What the targets of the importers share. */
#ifndef M2C_TESTS_FUZZ_IMPORT_H
#define M2C_TESTS_FUZZ_IMPORT_H

#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "import/import.h"

/* Reads the last row and the last column of each tensor: open has promised
 * that they are there. */
static inline void fuzz_import_read(struct m2c_import *im)
{
    const struct m2c_model_cfg *cfg = m2c_import_cfg(im);
    for (int k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        enum m2c_tensor_kind kind = (enum m2c_tensor_kind)k;
        uint32_t rows, cols;
        if (!m2c_tensor_shape(cfg, kind, &rows, &cols))
            continue;
        float *x = malloc(sizeof *x * (rows > cols ? rows : cols));
        struct m2c_import_cols *c = NULL;
        struct m2c_err err = {0};
        FUZZ_CHECK(x != NULL);
        uint32_t layers = m2c_tensor_kind_per_layer(kind) ? cfg->layers : 1;
        for (uint32_t l = 0; l < layers; l++) {
            FUZZ_CHECK(m2c_import_rows(im, kind, l, rows - 1, 1, x, &err) == 0);
            FUZZ_CHECK(m2c_import_cols_open(im, kind, l, &c, &err) == 0);
            m2c_import_cols_get(c, cols - 1, 1, x);
            m2c_import_cols_close(c);
        }
        free(x);
    }
}

/* Opens `path`; a refusal is one line that names `where`. */
static inline void fuzz_import(const char *path, const char *where)
{
    struct m2c_import *im = NULL;
    struct m2c_err err = {0};
    if (m2c_import_open(&im, path, NULL, &err) == 0) {
        fuzz_import_read(im);
        m2c_import_close(im);
        return;
    }
    FUZZ_CHECK(im == NULL && err.code < 0 && err.code != -ENOMEM);
    FUZZ_CHECK(strstr(err.msg, where) != NULL && strchr(err.msg, '\n') == NULL);
}

#endif
