/* SPDX-License-Identifier: MIT */
#ifndef M2C_TESTS_CUDA_EMU_DEV_H
#define M2C_TESTS_CUDA_EMU_DEV_H

#include "dev/dev_impl.h"

extern const struct m2c_dev_ops m2c_dev_emu;

#endif
