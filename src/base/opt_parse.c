/* SPDX-License-Identifier: MIT */
/* Texts of option values: what each type accepts and how it is spelled.
 *
 * Owns the grammar of numbers, sizes and ratios. It is stricter than strtod's
 * (no hex, no "inf", nothing before or after), and an accepted text always
 * prints to a spelling that is accepted again with the same value. */
#include "base/opt_impl.h"

#include "base/ini.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 64 }; /* bytes of the text of a number */

static const char digits[] = "0123456789";

static int no_number(struct m2c_err *err, const char *what)
{
    return m2c_fail(err, -EINVAL, "%s", what);
}

/* [sign] digits [. digits] [e [sign] digits], nothing else. */
static bool is_decimal(const char *s)
{
    s += *s == '+' || *s == '-';
    size_t whole = strspn(s, digits), part = 0;
    s += whole;
    if (*s == '.') {
        part = strspn(++s, digits);
        s += part;
    }
    if (whole + part == 0)
        return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '+' || *s == '-';
        size_t n = strspn(s, digits);
        if (n == 0)
            return false;
        s += n;
    }
    return *s == 0;
}

static int read_decimal(const char *text, double *out)
{
    if (strlen(text) >= NUMBER_MAX || !is_decimal(text))
        return -EINVAL;
    double x = strtod(text, NULL);
    if (!isfinite(x))
        return -ERANGE;
    *out = x == 0 ? 0 : x; /* no minus zero */
    return 0;
}

static bool below(double x, double min)
{
    return !(x >= min);
}

static int fail_range(struct m2c_err *err, const char *min, const char *max)
{
    if (!max)
        return m2c_fail(err, -EINVAL, "must be at least %s", min);
    if (!min)
        return m2c_fail(err, -EINVAL, "must be at most %s", max);
    return m2c_fail(err, -EINVAL, "must be from %s to %s", min, max);
}

int m2c_parse_int(const char *text, int64_t min, int64_t max, int64_t *out,
                  struct m2c_err *err)
{
    const char *s = text + (*text == '+' || *text == '-');
    if (!*s || s[strspn(s, digits)])
        return no_number(err, "not a whole number");
    errno = 0;
    long long v = strtoll(text, NULL, 10);
    if (errno == ERANGE || v < min || v > max) {
        char lo[24], hi[24];
        snprintf(lo, sizeof lo, "%" PRId64, min);
        snprintf(hi, sizeof hi, "%" PRId64, max);
        if (min == INT64_MIN && max == INT64_MAX)
            return no_number(err, "number too large");
        return fail_range(err, min == INT64_MIN ? NULL : lo,
                          max == INT64_MAX ? NULL : hi);
    }
    *out = v;
    return 0;
}

int m2c_parse_float(const char *text, double min, double max, double *out,
                    struct m2c_err *err)
{
    double x;
    int rc = read_decimal(text, &x);
    if (rc)
        return no_number(err, rc == -ERANGE ? "number too large" : "not a number");
    if (below(x, min) || x > max) {
        char lo[40], hi[40];
        m2c_opt_print_number(min, lo, sizeof lo);
        m2c_opt_print_number(max, hi, sizeof hi);
        return fail_range(err, isinf(min) ? NULL : lo, isinf(max) ? NULL : hi);
    }
    *out = x;
    return 0;
}

/* 0, -EINVAL for another grammar, -ERANGE. */
static int read_bytes(const char *text, uint64_t *out)
{
    static const char suffixes[] = "KMGT";
    char number[NUMBER_MAX];
    size_t n = strlen(text);
    if (n == 0 || n >= sizeof number || !strchr(digits, text[0]))
        return -EINVAL;
    memcpy(number, text, n + 1);
    unsigned shift = 0;
    char last = number[n - 1];
    const char *suffix = strchr(suffixes, last >= 'a' && last <= 'z' ? last - 32 : last);
    if (suffix) {
        shift = 10 * (unsigned)(suffix - suffixes + 1);
        number[n - 1] = 0;
    }
    if (number[strspn(number, "0123456789.")] || !is_decimal(number))
        return -EINVAL;
    if (strchr(number, '.')) {
        double x = strtod(number, NULL) * (double)(UINT64_C(1) << shift);
        if (!suffix)
            return -EINVAL; /* part of a byte */
        if (!(x < 0x1p63))
            return -ERANGE;
        *out = (uint64_t)x;
        return 0;
    }
    errno = 0;
    unsigned long long v = strtoull(number, NULL, 10);
    if (errno == ERANGE || v > (unsigned long long)INT64_MAX >> shift)
        return -ERANGE;
    *out = (uint64_t)v << shift;
    return 0;
}

int m2c_parse_bytes(const char *text, uint64_t *out, struct m2c_err *err)
{
    int rc = read_bytes(text, out);
    if (rc)
        return no_number(err, rc == -ERANGE ? "size too large"
                                            : "not a size (bytes with K, M, G or T)");
    return 0;
}

int m2c_parse_size(const char *text, struct m2c_size *out, struct m2c_err *err)
{
    size_t n = strlen(text);
    struct m2c_size size = {0};
    int rc;
    if (n && n < NUMBER_MAX && text[n - 1] == '%') {
        char number[NUMBER_MAX];
        memcpy(number, text, n - 1);
        number[n - 1] = 0;
        /* "30 %" too */
        for (size_t i = n - 1; i > 0 && m2c_is_blank(number[i - 1]); i--)
            number[i - 1] = 0;
        size.is_percent = true;
        rc = read_decimal(number, &size.percent);
        if (rc == 0 && (below(size.percent, 0) || size.percent > 1000))
            return fail_range(err, "0%", "1000%");
    } else {
        rc = read_bytes(text, &size.bytes);
    }
    if (rc)
        return no_number(err, rc == -ERANGE ? "size too large"
                                            : "not a size (bytes with K, M, G or T, or a "
                                              "percentage such as 30%)");
    *out = size;
    return 0;
}

int m2c_parse_ratio(const char *text, struct m2c_ratio *out, struct m2c_err *err)
{
    static const char what[] =
        "not a ratio such as 25:25:50 (1 to 8 shares, none negative, "
        "not all zero)";
    struct m2c_ratio r = {0};
    double sum = 0;
    for (const char *s = text;;) {
        char number[NUMBER_MAX];
        size_t n = strcspn(s, ":");
        if (n >= sizeof number || r.n == M2C_MAX_CLASSES)
            return no_number(err, what);
        memcpy(number, s, n);
        number[n] = 0;
        if (read_decimal(number, &r.share[r.n]) || r.share[r.n] < 0)
            return no_number(err, what);
        sum += r.share[r.n++];
        if (!s[n])
            break;
        s += n + 1;
    }
    if (!(sum > 0) || !isfinite(sum))
        return no_number(err, what);
    for (unsigned i = 0; i < r.n; i++)
        r.share[i] /= sum;
    *out = r;
    return 0;
}

int m2c_opt_choice(const struct m2c_opt *row, const char *text)
{
    for (int i = 0; row->choices && row->choices[i]; i++) {
        if (strcmp(row->choices[i], text) == 0)
            return i;
    }
    return -1;
}

static int fail_choice(const struct m2c_opt *row, const char *text, struct m2c_err *err)
{
    char list[400];
    m2c_opt_list(row->choices, list, sizeof list);
    const char *near = m2c_nearest(text, row->choices);
    if (near)
        return m2c_fail(err, -EINVAL, "not one of %s; did you mean '%s'?", list, near);
    return m2c_fail(err, -EINVAL, "not one of %s", list);
}

static bool has_range(const struct m2c_opt *row)
{
    return row->min != 0 || row->max != 0;
}

/* The end of an int64 range from a double, which may be infinite. */
static int64_t clamp_int(double x)
{
    if (x >= 0x1p63)
        return INT64_MAX;
    return x <= -0x1p63 ? INT64_MIN : (int64_t)x;
}

static int check_bytes(const struct m2c_opt *row, uint64_t bytes, struct m2c_err *err)
{
    if (!has_range(row) || ((double)bytes >= row->min && (double)bytes <= row->max))
        return 0;
    char lo[32], hi[32];
    m2c_opt_print_bytes((uint64_t)clamp_int(row->min), lo, sizeof lo);
    m2c_opt_print_bytes((uint64_t)clamp_int(row->max), hi, sizeof hi);
    return fail_range(err, row->min <= 0 ? NULL : lo, isinf(row->max) ? NULL : hi);
}

static int read_bool(const char *text, bool *out, struct m2c_err *err)
{
    static const char *const words[] = {"off", "on",  "false", "true",
                                        "no",  "yes", "0",     "1"};
    for (size_t i = 0; i < M2C_COUNTOF(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i % 2;
            return 0;
        }
    }
    return no_number(err, "must be on or off");
}

/* A word that stands where a number would: row->word_value. */
static int or_words(const struct m2c_opt *row, int rc, struct m2c_err *err)
{
    if (rc && row->choices && err) {
        char list[200];
        size_t n = strlen(err->msg);
        m2c_opt_list(row->choices, list, sizeof list);
        snprintf(err->msg + n, sizeof err->msg - n, ", or one of: %s", list);
    }
    return rc;
}

static int read_int(const struct m2c_opt *row, const char *text, int64_t *out,
                    struct m2c_err *err)
{
    bool range = has_range(row);
    return or_words(row,
                    m2c_parse_int(text, range ? clamp_int(row->min) : INT64_MIN,
                                  range ? clamp_int(row->max) : INT64_MAX, out, err),
                    err);
}

static int read_float(const struct m2c_opt *row, const char *text, double *out,
                      struct m2c_err *err)
{
    bool range = has_range(row);
    return or_words(row,
                    m2c_parse_float(text, range ? row->min : -INFINITY,
                                    range ? row->max : INFINITY, out, err),
                    err);
}

static int read_string(const char *text, struct m2c_err *err)
{
    const char *fault = m2c_ini_value_fault(text);
    return fault ? no_number(err, fault) : 0;
}

static int read_value(const struct m2c_opt *row, const char *text, union m2c_opt_value *v,
                      struct m2c_err *err)
{
    switch (row->type) {
    case M2C_OPT_BOOL:
        return read_bool(text, &v->on, err);
    case M2C_OPT_INT:
        if (m2c_opt_choice(row, text) < 0)
            return read_int(row, text, &v->i, err);
        v->i = (int64_t)row->word_value;
        return 0;
    case M2C_OPT_BYTES: {
        int rc = m2c_parse_bytes(text, &v->bytes, err);
        return rc ? rc : check_bytes(row, v->bytes, err);
    }
    case M2C_OPT_SIZE: {
        int rc = m2c_parse_size(text, &v->size, err);
        return rc || v->size.is_percent ? rc : check_bytes(row, v->size.bytes, err);
    }
    case M2C_OPT_FLOAT:
        if (m2c_opt_choice(row, text) < 0)
            return read_float(row, text, &v->x, err);
        v->x = row->word_value;
        return 0;
    case M2C_OPT_STR:
        return read_string(text, err);
    case M2C_OPT_ENUM:
    case M2C_OPT_NAME:
        v->choice = m2c_opt_choice(row, text);
        return v->choice < 0 ? fail_choice(row, text, err) : 0;
    case M2C_OPT_RATIO:
        return m2c_parse_ratio(text, &v->ratio, err);
    }
    return m2c_fail(err, -EINVAL, "unknown type");
}

int m2c_opt_read(const struct m2c_opt *row, const char *text, union m2c_opt_value *out,
                 char **canon, struct m2c_err *err)
{
    if (!*text && row->type != M2C_OPT_STR)
        return no_number(err, "no value");
    int rc = read_value(row, text, out, err);
    if (rc || !canon)
        return rc;
    char buf[M2C_OPT_TEXT];
    const char *spelled = buf;
    if (row->type == M2C_OPT_STR)
        spelled = text;
    else
        m2c_opt_print_value(row, text, out, buf, sizeof buf);
    *canon = strdup(spelled);
    return *canon ? 0 : m2c_fail(err, -ENOMEM, "no memory for the value");
}
