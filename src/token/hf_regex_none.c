/* SPDX-License-Identifier: MIT */
/* Regular expressions in a build without PCRE2: what needs them is refused when
 * it is opened. */
#include "token/hf_impl.h"

#include <errno.h>

int m2c_regex_open(struct m2c_regex **out, const char *pattern, const char *path,
                   struct m2c_err *err)
{
    (void)pattern;
    *out = NULL;
    return m2c_fail(err, -ENOTSUP,
                    "%s: splits text by a pattern, and this build has no PCRE2", path);
}

void m2c_regex_close(struct m2c_regex *re)
{
    (void)re;
}

struct m2c_regex_scratch *m2c_regex_scratch_open(void)
{
    return NULL;
}

void m2c_regex_scratch_close(struct m2c_regex_scratch *s)
{
    (void)s;
}

int m2c_regex_next(const struct m2c_regex *re, struct m2c_regex_scratch *s,
                   const char *text, size_t n, size_t at, size_t *from, size_t *to)
{
    (void)re;
    (void)s;
    (void)text;
    (void)n;
    (void)at;
    (void)from;
    (void)to;
    return -ENOTSUP;
}
