/* SPDX-License-Identifier: MIT */
/* Who, what and where: the part of a record that lets a number be traced. */
#ifndef M2C_EXP_IDENTITY_H
#define M2C_EXP_IDENTITY_H

#include "base/base.h"

#include <jansson.h>

/* Program, compiler, host, kernel; a new object, or NULL when out of memory. */
json_t *m2c_identity(void);

/* Share of a file's pages in the page cache, or NAN. */
double m2c_page_cache_share(const char *path);

/* Largest resident set since m2c_rss_reset, in bytes; 0: unknown. */
uint64_t m2c_rss_peak(void);
void m2c_rss_reset(void);

#endif
