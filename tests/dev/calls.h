/* SPDX-License-Identifier: MIT */
/* One valid call of every op, each operand in a buffer of its own that is
 * exactly as large as it must be. Sizes are written down here as op.h has
 * them, not asked of the code under test. */
#ifndef TESTS_DEV_CALLS_H
#define TESTS_DEV_CALLS_H

#include "dev/dev.h"

struct operand {
    const char *name;
    struct m2c_mem *mem; /* in the call */
    size_t bytes;
    unsigned align;
    bool written;
};

struct example {
    const char *what;
    struct m2c_call call;
    struct m2c_ffn_unit unit;
    unsigned n;
    struct operand operand[6];
    struct m2c_buf buf[6];
};

unsigned n_examples(void);
/* In place: the call points into *e. */
void make_example(struct example *e, unsigned i);

#endif
