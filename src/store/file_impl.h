/* SPDX-License-Identifier: MIT */
/* Files by descriptor and by name: what store and small HDF5 files share. */
#ifndef M2C_STORE_FILE_IMPL_H
#define M2C_STORE_FILE_IMPL_H

#include "base/base.h"

#include <limits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whole reads and writes: EINTR and short transfers handled. The end of the
 * file is -EIO ("ends at"); -ENOSPC and others name path and offset. */
M2C_MUST_USE int m2c_pread_all(int fd, const char *path, void *buf, size_t n,
                               uint64_t off, struct m2c_err *err);
M2C_MUST_USE int m2c_pwrite_all(int fd, const char *path, const void *buf, size_t n,
                                uint64_t off, struct m2c_err *err);

/* "PATH.part-PID": beside `path`, and never taken for it. -ENAMETOOLONG. */
M2C_MUST_USE int m2c_part_name(const char *path, char out[PATH_MAX], struct m2c_err *err);

/* The folder of a path, "." when it names none. */
void m2c_folder_of(const char *path, char out[PATH_MAX]);
/* Makes a rename in the folder of `path` durable. */
M2C_MUST_USE int m2c_sync_folder(const char *path, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
