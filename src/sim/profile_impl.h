/* SPDX-License-Identifier: MIT */
/* The table of a profile's keys. */
#ifndef M2C_SIM_PROFILE_IMPL_H
#define M2C_SIM_PROFILE_IMPL_H

#include "base/opt.h"
#include "sim/profile.h"

/* What stands where a file says nothing. */
#define M2C_PROFILE_MISSING "missing"

extern const struct m2c_opt m2c_profile_table[];
extern const size_t m2c_profile_rows;

#endif
