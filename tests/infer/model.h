/* SPDX-License-Identifier: MIT */
/* The shipped model as a store in the build folder, for tests of the engine. */
#ifndef M2C_TESTS_INFER_MODEL_H
#define M2C_TESTS_INFER_MODEL_H

#include "infer/engine.h"
#include "infer/text.h"

struct model {
    char path[512];
    struct m2c_store *store;
    struct m2c_tok *tok;
    struct m2c_text text; /* held-out text of the shipped model */
};

/* Imports data/tiny into a file of its own named after `test`, in this layout
 * and arrangement; exits with a message on failure, since nothing can be tested
 * then. */
void model_open_as(struct model *m, const char *test, const char *layout,
                   const char *arrange);
void model_open(struct model *m, const char *test); /* copies, part */
void model_close(struct model *m); /* removes the file */

/* A configuration of three tiers on this store: 25:25:50, oracle, DRAM for
 * three layers, pread. Tests change what they are about. */
void model_cfg(const struct model *m, double hbm_share, struct m2c_engine_cfg *cfg);
uint64_t model_unit_bytes(const struct model *m); /* all neurons at the widest class */

#endif
