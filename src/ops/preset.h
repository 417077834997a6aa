/* SPDX-License-Identifier: MIT */
/* Shapes of known models by name, for models that have no weights: synthetic
 * stores and simulated runs.
 *
 * A shape is what its model's public config.json says. m2c knows one forward
 * pass (ops/model.h); where the original computes otherwise, the shape says what
 * differs, since its bytes and products are right and its numbers mean nothing. */
#ifndef M2C_OPS_PRESET_H
#define M2C_OPS_PRESET_H

#include "ops/model.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_preset {
    const char *name; /* "7b" */
    const char *desc; /* one line for listings: the model, and what differs from it */
    double density;   /* fraction of FFN neurons that a token activates, NAN: not known */
    struct m2c_model_cfg cfg; /* cfg.name is "<preset> shape" */
};

/* All of them; *n receives how many. */
const struct m2c_preset *m2c_preset_list(size_t *n);
/* NULL, and err names the choices and the nearest. */
const struct m2c_preset *m2c_preset_find(const char *name, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
