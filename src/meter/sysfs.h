/* SPDX-License-Identifier: MIT */
/* Files of sysfs: one value on one line. Inside the module. */
#ifndef M2C_METER_SYSFS_H
#define M2C_METER_SYSFS_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The first line without its end. A negative errno; -EIO when there is none. */
M2C_MUST_USE int m2c_sysfs_line(const char *path, char *out, int size);
/* -EBADMSG for what is not a whole number >= 0. */
M2C_MUST_USE int m2c_sysfs_u64(const char *path, uint64_t *out);

#ifdef __cplusplus
}
#endif
#endif
