/* SPDX-License-Identifier: MIT */
/* Regular expressions by PCRE2. */
#include "token/hf_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* A pattern from a file may backtrack without end: what it may spend on one
 * match, far above what one that cuts words needs. A long run of spaces may be
 * walked back once for each alternative, hence the share of the text. */
enum { MAX_PATTERN = 8192, MATCH_LIMIT = 1000000, PER_BYTE = 16, HEAP_LIMIT_KIB = 16384 };

struct m2c_regex {
    pcre2_code *code;
};

struct m2c_regex_scratch {
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

static int compile(pcre2_code **out, const char *pattern, const char *path,
                   struct m2c_err *err)
{
    int code = 0;
    PCRE2_SIZE where = 0;
    pcre2_compile_context *c = pcre2_compile_context_create(NULL);
    if (!c)
        return m2c_fail(err, -ENOMEM, "out of memory");
    pcre2_set_max_pattern_length(c, MAX_PATTERN);
    *out =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &where, c);
    pcre2_compile_context_free(c);
    if (*out)
        return 0;
    char text[128] = "";
    pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
    return m2c_fail(err, -EINVAL, "%s: the pattern does not compile: %s", path, text);
}

int m2c_regex_open(struct m2c_regex **out, const char *pattern, const char *path,
                   struct m2c_err *err)
{
    char *translated = NULL;
    struct m2c_regex *re = calloc(1, sizeof *re);
    if (!re)
        return m2c_fail(err, -ENOMEM, "out of memory");
    int r = m2c_regex_translate(pattern, path, &translated, err);
    if (r == 0)
        r = compile(&re->code, translated, path, err);
    free(translated);
    if (r < 0) {
        m2c_regex_close(re);
        return r;
    }
    /* For speed; where it cannot be had, the interpreter gives the same. */
    (void)pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE);
    *out = re;
    return 0;
}

void m2c_regex_close(struct m2c_regex *re)
{
    if (!re)
        return;
    pcre2_code_free(re->code);
    free(re);
}

struct m2c_regex_scratch *m2c_regex_scratch_open(void)
{
    struct m2c_regex_scratch *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->data = pcre2_match_data_create(1, NULL);
    s->limits = pcre2_match_context_create(NULL);
    if (!s->data || !s->limits) {
        m2c_regex_scratch_close(s);
        return NULL;
    }
    pcre2_set_heap_limit(s->limits, HEAP_LIMIT_KIB);
    return s;
}

void m2c_regex_scratch_close(struct m2c_regex_scratch *s)
{
    if (!s)
        return;
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->limits);
    free(s);
}

int m2c_regex_next(const struct m2c_regex *re, struct m2c_regex_scratch *s,
                   const char *text, size_t n, size_t at, size_t *from, size_t *to)
{
    uint64_t limit = MATCH_LIMIT + (uint64_t)PER_BYTE * (n - at);
    pcre2_set_match_limit(s->limits, (uint32_t)M2C_MIN(limit, (uint64_t)UINT32_MAX));
    /* Without PCRE2_NO_UTF_CHECK each call would read the whole text. */
    int found = pcre2_match(re->code, (PCRE2_SPTR)text, n, at, PCRE2_NO_UTF_CHECK,
                            s->data, s->limits);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(re->code, (PCRE2_SPTR)text, n, at,
                            PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->data, s->limits);
    if (found == PCRE2_ERROR_NOMATCH)
        return 0;
    if (found < 0)
        return found == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -EINVAL;
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(s->data);
    *from = span[0];
    *to = span[1];
    return 1;
}
