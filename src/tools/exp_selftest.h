/* SPDX-License-Identifier: MIT */
/* The self-test with which a sweep begins. */
#ifndef M2C_TOOLS_EXP_SELFTEST_H
#define M2C_TOOLS_EXP_SELFTEST_H

#include "base/log.h"
#include "base/opt.h"

/* Tests every device that the sweep's points name, each once: a device that
 * computes wrong numbers must not make records. *wrong: one was there, and failed.
 * A device that cannot be opened is left to its points, which fail by themselves,
 * with a warning; -errno where none can be. */
M2C_MUST_USE int m2c_exp_selftest(const struct m2c_optset *set, struct m2c_log *log,
                                  bool *wrong, struct m2c_err *err);

#endif
