/* SPDX-License-Identifier: MIT */
/* What the two files of the GGUF importer share. */
#ifndef M2C_IMPORT_GGUF_IMPL_H
#define M2C_IMPORT_GGUF_IMPL_H

#include "base/gguf.h"
#include "import/import_impl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The keys of a Llama as a config (*cfg zeroed before): all but vocab and
 * tied_head, which the tensors say. A key of the architecture that is not
 * known is an error: it may change the numbers. */
M2C_MUST_USE int m2c_gguf_config(const struct m2c_gguf *g, struct m2c_model_cfg *cfg,
                                 struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
