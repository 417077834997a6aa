/* SPDX-License-Identifier: MIT */
/* Small HDF5 files: written aside by libhdf5, fsynced, renamed. The same
 * content gives the same bytes: no times are recorded. */
#ifndef M2C_STORE_H5FILE_IMPL_H
#define M2C_STORE_H5FILE_IMPL_H

#include "store/file_impl.h"
#include "store/h5util_impl.h"
#include "store/index_impl.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_h5_new {
    char path[PATH_MAX], tmp[PATH_MAX];
    hid_t file; /* negative: none is open */
    struct m2c_h5_quiet quiet;
    bool made; /* `tmp` is there */
    uint64_t userblock;
};

/* `userblock`: bytes before HDF5, a power of two of at least 512, or 0. On
 * failure nothing is left; drop may be called all the same. */
M2C_MUST_USE int m2c_h5_new(struct m2c_h5_new *f, const char *path, uint64_t userblock,
                            struct m2c_err *err);
/* Closes, writes the index and seals the file with it (kind NULL: it has none),
 * fsyncs, renames. */
M2C_MUST_USE int m2c_h5_commit(struct m2c_h5_new *f,
                               const struct m2c_userblock_kind *kind, const json_t *index,
                               struct m2c_err *err);
/* Ends in any case; what was not committed is removed. */
void m2c_h5_drop(struct m2c_h5_new *f);
/* Opens a group, making it and its parents. Negative: failed. */
hid_t m2c_h5_group(hid_t file, const char *path);

#ifdef __cplusplus
}
#endif
#endif
