/* SPDX-License-Identifier: MIT */
/* Error detail and name suggestions. */
#include "base/base.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int m2c_fail(struct m2c_err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    err->code = code;
    return code;
}

int m2c_fail_in(struct m2c_err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    char old[sizeof err->msg], head[sizeof err->msg];
    memcpy(old, err->msg, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    size_t n = strlen(head);
    memcpy(err->msg, head, n + 1);
    snprintf(err->msg + n, sizeof err->msg - n, ": %s", old);
    err->code = err->code ? err->code : code;
    return err->code;
}

/* Optimal string alignment distance (Damerau-Levenshtein without repeated
 * edits) of words up to 63 bytes; longer words are never suggested. */
static unsigned edit_distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    size_t n = strlen(a), m = strlen(b);
    if (n >= MAX || m >= MAX)
        return UINT_MAX;
    unsigned row[3][MAX + 1];
    for (size_t j = 0; j <= m; j++)
        row[1][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *prev2 = row[(i + 2) % 3], *prev = row[i % 3];
        unsigned *cur = row[(i + 1) % 3];
        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned sub = prev[j - 1] + (a[i - 1] != b[j - 1]);
            unsigned best = M2C_MIN(M2C_MIN(prev[j] + 1, cur[j - 1] + 1), sub);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = M2C_MIN(best, prev2[j - 2] + 1);
            cur[j] = best;
        }
    }
    return row[(n + 1) % 3][m];
}

const char *m2c_nearest(const char *word, const char *const *names)
{
    const char *best = NULL;
    unsigned best_d = (unsigned)strlen(word) / 3 + 2; /* one typo in three letters */
    for (; *names; names++) {
        unsigned d = edit_distance(word, *names);
        if (d < best_d) {
            best_d = d;
            best = *names;
        }
    }
    return best;
}
