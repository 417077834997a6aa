/* SPDX-License-Identifier: MIT */
/* The header of one safetensors file: u64 length, JSON, then the tensors.
 *
 * As strict as the reference implementation: known types, bytes that fit the
 * shape, and tensors that fill the rest of the file without gap or overlap. */
#ifndef M2C_IMPORT_SAFETENSORS_IMPL_H
#define M2C_IMPORT_SAFETENSORS_IMPL_H

#include "import/import_impl.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { M2C_ST_DIMS = 8 };

struct m2c_st_tensor {
    char *name;
    char dtype[8]; /* "BF16" */
    uint32_t n_dims;
    uint64_t shape[M2C_ST_DIMS];
    uint64_t offset, bytes; /* in the file */
    bool used;              /* for the importer's own bookkeeping */
};

struct m2c_st {
    struct m2c_import_file file;
    size_t n;
    struct m2c_st_tensor *t; /* sorted by name */
};

/* Fills *st, zeroed before; on failure m2c_st_close is still due. */
M2C_MUST_USE int m2c_st_open(struct m2c_st *st, const char *path, struct m2c_err *err);
void m2c_st_close(struct m2c_st *st);
struct m2c_st_tensor *m2c_st_find(const struct m2c_st *st,
                                  const char *name); /* or NULL */

#ifdef __cplusplus
}
#endif
#endif
