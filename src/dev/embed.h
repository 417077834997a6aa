/* SPDX-License-Identifier: MIT */
/* Files that are part of the program, as scripts/embed.py puts them there. */
#ifndef M2C_DEV_EMBED_H
#define M2C_DEV_EMBED_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_embed {
    const char *name;           /* "matmul.cl"; NULL ends an array */
    const unsigned char *bytes; /* a NUL follows that is not counted */
    size_t size;
};

#ifdef __cplusplus
}
#endif
#endif
