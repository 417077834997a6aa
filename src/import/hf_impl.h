/* SPDX-License-Identifier: MIT */
/* What the two files of the Hugging Face importer share. */
#ifndef M2C_IMPORT_HF_IMPL_H
#define M2C_IMPORT_HF_IMPL_H

#include "import/import_impl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads config.json into *cfg (zeroed before). Every key that would change
 * the numbers and is not understood is an error naming it. */
M2C_MUST_USE int m2c_hf_config(const char *path, struct m2c_model_cfg *cfg,
                               struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
