/* SPDX-License-Identifier: MIT */
/* References that have a file of their own; inside the module. */
#ifndef M2C_OPS_REF_IMPL_H
#define M2C_OPS_REF_IMPL_H

#include "ops/ref.h"

#ifdef __cplusplus
extern "C" {
#endif

void m2c_ref_argmax(const struct m2c_call *call);
void m2c_ref_select(const struct m2c_call *call);
void m2c_ref_lookup(const struct m2c_call *call);

#ifdef __cplusplus
}
#endif
#endif
