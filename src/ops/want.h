/* SPDX-License-Identifier: MIT */
/* What a selector asks for and a tier brings: neurons and their classes. */
#ifndef M2C_OPS_WANT_H
#define M2C_OPS_WANT_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One wanted neuron of one layer. Lists are sorted by id, ids are unique. */
struct m2c_want {
    uint32_t id;
    float score; /* the selector's; higher matters more */
    uint32_t cls;
};

#ifdef __cplusplus
}
#endif
#endif
