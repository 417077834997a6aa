/* SPDX-License-Identifier: MIT */
/* A small HDF5 file written aside and renamed. Inside the module. */
#ifndef M2C_STORE_H5FILE_H
#define M2C_STORE_H5FILE_H

#include "store/h5util.h"

struct m2c_h5_new {
    char *path, *tmp;
    hid_t file;
    struct m2c_h5_quiet quiet;
    bool open;
};

M2C_MUST_USE int m2c_h5_new(struct m2c_h5_new *f, const char *path, struct m2c_err *err);
/* Flushes, closes, fsyncs, renames. */
M2C_MUST_USE int m2c_h5_commit(struct m2c_h5_new *f, struct m2c_err *err);
/* Drops what was not committed; zeroed is fine. */
void m2c_h5_drop(struct m2c_h5_new *f);
/* Opens a group, making it and its parents. Negative: failed. */
hid_t m2c_h5_group(hid_t file, const char *path);

#endif
