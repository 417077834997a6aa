/* SPDX-License-Identifier: MIT */
/* The quantisers that there are. */
#ifndef M2C_QUANT_QUANT_IMPL_H
#define M2C_QUANT_QUANT_IMPL_H

#include "quant/quant.h"

extern const struct m2c_quant m2c_quant_rtn, m2c_quant_moment;

#endif
