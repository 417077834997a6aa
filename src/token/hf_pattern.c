/* SPDX-License-Identifier: MIT */
/* Patterns of tokenizer.json, which Oniguruma (Ruby's syntax) runs, as PCRE2
 * reads them.
 *
 * Only what both are known to read alike goes through, with white space spelled
 * out: \s is Unicode's White_Space there, and has U+180E in PCRE2. What they read
 * differently (\w, \b, \h, ^, $, nested classes, {n}+ and more) is refused. */
#include "token/hf_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char spaces[] =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}"
    "\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";

struct translator {
    const char *start, *p; /* in the pattern */
    struct m2c_hf_buf out;
    const char *path;
    struct m2c_err *err;
};

static int put(struct translator *t, const char *s)
{
    return m2c_hf_put(&t->out, s, strlen(s)) < 0
               ? m2c_fail(t->err, -ENOMEM, "out of memory")
               : 0;
}

/* Copies n bytes of the pattern. */
static int copy(struct translator *t, size_t n)
{
    int r =
        m2c_hf_put(&t->out, t->p, n) < 0 ? m2c_fail(t->err, -ENOMEM, "out of memory") : 0;
    t->p += n;
    return r;
}

static int refuse(const struct translator *t, size_t n)
{
    size_t have = strlen(t->p);
    return m2c_fail(t->err, -ENOTSUP,
                    "%s: '%s' at byte %zu of the pattern is not supported", t->path,
                    m2c_tok_quote(t->p, M2C_MIN(n, have)).s, (size_t)(t->p - t->start));
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t hex_digits(const char *s, size_t max)
{
    size_t n = 0;
    while (n < max && ((s[n] >= '0' && s[n] <= '9') || (s[n] >= 'a' && s[n] <= 'f') ||
                       (s[n] >= 'A' && s[n] <= 'F')))
        n++;
    return n;
}

/* \p{Lu}: general categories, which both know by one or two letters. */
static int property(struct translator *t)
{
    static const char *const names[] = {
        "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N",  "Nd",
        "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S",  "Sm",
        "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Co", "Cn"};
    const char *close = t->p[2] == '{' ? strchr(t->p, '}') : NULL;
    const char *name = t->p + 3 + (close && t->p[3] == '^');
    for (size_t i = 0; close && i < M2C_COUNTOF(names); i++) {
        if (strlen(names[i]) == (size_t)(close - name) &&
            memcmp(name, names[i], strlen(names[i])) == 0)
            return copy(t, (size_t)(close - t->p) + 1);
    }
    return refuse(t, close ? (size_t)(close - t->p) + 1 : 2);
}

/* \xHH, \x{H...}, \uHHHH; \xHH above 7f would be a raw byte. */
static int code_point(struct translator *t)
{
    bool braces = t->p[1] == 'x' && t->p[2] == '{';
    const char *digits = t->p + (braces ? 3 : 2);
    size_t n = hex_digits(digits, braces ? 6 : t->p[1] == 'u' ? 4 : 2);
    bool good = braces ? n > 0 && digits[n] == '}' : t->p[1] == 'u' ? n == 4 : n > 0;
    if (!good || (!braces && t->p[1] == 'x' && n == 2 && digits[0] > '7'))
        return refuse(t, 4);
    int r = put(t, "\\x{");
    t->p = digits;
    if (r == 0)
        r = copy(t, n);
    t->p += braces;
    return r < 0 ? r : put(t, "}");
}

static int space_class(struct translator *t, bool in_class)
{
    bool negated = t->p[1] == 'S';
    int r = 0;
    t->p += 2;
    if (in_class) /* all that is no space for PCRE2, and U+180E */
        return put(t, negated ? "\\S\\x{180e}" : spaces);
    r = put(t, negated ? "[^" : "[");
    if (r == 0)
        r = put(t, spaces);
    return r < 0 ? r : put(t, "]");
}

static int escape(struct translator *t, bool in_class)
{
    char c = t->p[1];
    switch (c) {
    case 's':
    case 'S':
        return space_class(t, in_class);
    case 'd':
    case 'D':
        t->p += 2;
        return put(t, c == 'd' ? "\\p{Nd}" : "\\P{Nd}");
    case 'p':
    case 'P':
        return property(t);
    case 'x':
    case 'u':
        return code_point(t);
    case 'r':
    case 'n':
    case 't':
    case 'f':
        return copy(t, 2);
    case 'v': /* one character there, a class in PCRE2 */
        t->p += 2;
        return put(t, "\\x{b}");
    default:
        break;
    }
    if (c == '\0' || is_alnum(c))
        return refuse(t, 2);
    if ((unsigned char)c < 0x80)
        return copy(t, 2);
    t->p++; /* a character beyond ASCII is itself; it follows */
    return 0;
}

static int class(struct translator *t)
{
    int r = copy(t, t->p[1] == '^' ? 2 : 1);
    bool empty = true;
    while (r == 0) {
        char c = *t->p;
        if (c == '\0' || c == '[' || (c == ']' && empty) || (c == '&' && t->p[1] == '&'))
            return refuse(t, 2);
        if (c == ']')
            return copy(t, 1);
        r = c == '\\' ? escape(t, true) : copy(t, 1);
        empty = false;
    }
    return r;
}

static int group(struct translator *t)
{
    static const char *const openings[] = {
        "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"};
    if (t->p[1] != '?' && t->p[1] != '*')
        return copy(t, 1);
    for (size_t i = 0; i < M2C_COUNTOF(openings); i++) {
        if (strncmp(t->p, openings[i], strlen(openings[i])) == 0)
            return copy(t, strlen(openings[i]));
    }
    /* elsewhere the two differ in how far it reaches over alternatives */
    if (t->p == t->start && strncmp(t->p, "(?i)", 4) == 0)
        return copy(t, 4);
    return refuse(t, 4);
}

/* {n}, {n,}, {n,m} and nothing after it: a + or ? there means another thing. */
static int counted(struct translator *t)
{
    size_t low = strspn(t->p + 1, "0123456789");
    const char *q = t->p + 1 + low;
    if (*q == ',')
        q += 1 + strspn(q + 1, "0123456789");
    if (low == 0 || low > 4 || *q != '}' || q[1] == '+' || q[1] == '?' || q[1] == '*' ||
        q[1] == '{')
        return refuse(t, (size_t)(q - t->p) + 2);
    return copy(t, (size_t)(q - t->p) + 1);
}

int m2c_regex_translate(const char *pattern, const char *path, char **out,
                        struct m2c_err *err)
{
    struct translator t = {.start = pattern, .p = pattern, .path = path, .err = err};
    int r = 0;
    while (*t.p && r == 0) {
        switch (*t.p) {
        case '\\':
            r = escape(&t, false);
            break;
        case '[':
            r = class(&t);
            break;
        case '(':
            r = group(&t);
            break;
        case '{':
            r = counted(&t);
            break;
        case '.':
            t.p++;
            r = put(&t, "[^\\n]");
            break;
        case '^':
        case '$':
            r = refuse(&t, 1);
            break;
        default:
            r = copy(&t, 1);
            break;
        }
    }
    if (r == 0 && m2c_hf_put(&t.out, "", 1) < 0)
        r = m2c_fail(err, -ENOMEM, "out of memory");
    if (r < 0) {
        free(t.out.s);
        return r;
    }
    *out = t.out.s;
    return 0;
}
