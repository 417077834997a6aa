/* SPDX-License-Identifier: MIT */
/* A thin layer over libhdf5 for this module: errors as text, attributes and
 * small datasets. It writes; nothing that others wrote is ever parsed by
 * libhdf5 (store/index_impl.h).
 *
 * libhdf5 as Debian builds it is not thread-safe, so only import and the
 * writers of small files call it, one thread at a time. */
#ifndef M2C_STORE_H5UTIL_IMPL_H
#define M2C_STORE_H5UTIL_IMPL_H

#include "base/base.h"

#define H5_USE_110_API /* the names below mean the same in later releases */
#include <hdf5.h>

#ifdef __cplusplus
extern "C" {
#endif

/* libhdf5 prints its error stack on its own; this holds what the process had
 * set, so that it is put back. */
struct m2c_h5_quiet {
    H5E_auto2_t fn;
    void *data;
    bool saved;
};
void m2c_h5_quiet_begin(struct m2c_h5_quiet *q);
void m2c_h5_quiet_end(const struct m2c_h5_quiet *q);

/* m2c_fail with libhdf5's innermost reason behind the text. */
int m2c_h5_fail(struct m2c_err *err, int code, const char *fmt, ...) M2C_PRINTF(3, 4);

/* Closes any object, and nothing below 0. A call into libhdf5 forgets the error
 * before it; this one keeps it for m2c_h5_fail. A file that was written is
 * closed by H5Fclose, whose result matters. */
void m2c_h5_close(hid_t id);

/* A type on disk. */
struct m2c_h5_type {
    H5T_class_t cls; /* H5T_INTEGER or H5T_FLOAT */
    size_t bytes;
    bool is_signed; /* integers */
};
extern const struct m2c_h5_type m2c_h5_u8, m2c_h5_u32, m2c_h5_u64, m2c_h5_i8, m2c_h5_i32,
    m2c_h5_f16, m2c_h5_f32, m2c_h5_f64;

/* The same on disk and in memory (little-endian hosts only); the caller
 * closes it with H5Tclose. Negative: no memory. */
hid_t m2c_h5_disk_type(const struct m2c_h5_type *t);

/* ---- attributes of an open object; `obj_name` is for messages ---- */

struct m2c_h5_obj {
    hid_t id;
    const char *file, *name;
};

/* n = 0: a scalar; else a 1-D array of n. */
M2C_MUST_USE int m2c_h5_put(const struct m2c_h5_obj *o, const char *attr,
                            const struct m2c_h5_type *t, size_t n, const void *data,
                            struct m2c_err *err);
/* Fixed-length, NUL-padded UTF-8: n strings of `size` bytes each (n = 0: one,
 * scalar). */
M2C_MUST_USE int m2c_h5_put_str(const struct m2c_h5_obj *o, const char *attr, size_t n,
                                size_t size, const char *data, struct m2c_err *err);

/* Creates a contiguous dataset and writes all of it through libhdf5, for
 * files whose data is small. *offset (NULL: not asked for) gets its place in the
 * file; nothing has none. */
M2C_MUST_USE int m2c_h5_write_dset(const char *file, hid_t parent, const char *name,
                                   const struct m2c_h5_type *t, size_t n,
                                   const void *data, uint64_t *offset,
                                   struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
