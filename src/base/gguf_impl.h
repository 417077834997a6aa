/* SPDX-License-Identifier: MIT */
/* What the two files of the GGUF reader share. */
#ifndef M2C_BASE_GGUF_IMPL_H
#define M2C_BASE_GGUF_IMPL_H

#include "base/gguf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Exactly n bytes at off, or -EIO. */
M2C_MUST_USE int m2c_gguf_read(const struct m2c_gguf *g, uint64_t off, void *dst,
                               size_t n, struct m2c_err *err);

/* A key or name made fit for a message: one line, printable ASCII. */
struct m2c_gguf_quoted {
    char s[72];
};
struct m2c_gguf_quoted m2c_gguf_quote(const char *s);

#ifdef __cplusplus
}
#endif
#endif
