/* SPDX-License-Identifier: MIT */
/* Ini files through inih.
 *
 * inih splits sections, keys and values; what it lacks is done by the reader
 * that feeds it: line numbers for the handler, an error instead of a silent
 * split where a line is too long, comments and continuation lines alike in all
 * its versions, and escapes. An escaped character travels through inih as a
 * control byte, which no line may contain otherwise. */
#include "base/ini.h"

#include "base/text.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { RAW_MAX = 4096, SECTION_MAX = 49, KEY_MAX = 64, WRITE_WIDTH = 120 };

static const char escapable[] = " \t;#"; /* escapable[i] travels as the byte i + 1 */

struct reader {
    FILE *f;
    m2c_ini_fn fn;
    void *ctx;
    struct m2c_err *err;
    int rc;            /* the first error that is not inih's */
    unsigned fault;    /* its line */
    unsigned line;     /* the last one read */
    bool continues;    /* the last line ended in a backslash */
    bool is_more;      /* the line given to inih continues a value */
    bool pending;      /* a key whose value may go on */
    unsigned key_line; /* where it began */
    char section[SECTION_MAX + 1], key[KEY_MAX + 1];
    char *value;
    size_t len, cap;
    char raw[RAW_MAX + 1];
};

static int refuse(struct reader *r, unsigned line, const char *what)
{
    if (r->rc == 0) {
        r->rc = m2c_fail(r->err, -EINVAL, "%s", what);
        r->fault = line;
    }
    return r->rc;
}

/* One line without its end into r->raw: its length, or -1 at the end of the
 * file or after an error. */
static long raw_line(struct reader *r)
{
    size_t n = 0;
    int c;
    while ((c = getc(r->f)) != EOF && c != '\n') {
        if (n >= RAW_MAX) {
            refuse(r, r->line + 1, "line longer than 4096 bytes");
            return -1;
        }
        r->raw[n++] = (char)c;
    }
    if (ferror(r->f)) {
        r->rc = m2c_fail(r->err, -EIO, "read error");
        r->fault = r->line + 1;
        return -1;
    }
    if (c == EOF && n == 0)
        return -1;
    r->line++;
    if (n && r->raw[n - 1] == '\r')
        n--;
    r->raw[n] = 0;
    return (long)n;
}

static const char *raw_fault(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] == 0)
            return "NUL byte: not a text file";
        if (m2c_is_control(s[i]))
            return "control character in the line";
    }
    return m2c_utf8_valid(s, n) ? NULL : "not UTF-8";
}

/* Takes comment, blanks and escapes out of r->raw in place; returns the
 * length and leaves in r->continues whether the value goes on. */
static size_t prepare(struct reader *r, char *s)
{
    size_t n = 0, end = 0; /* end: after the last character that is no bare blank */
    bool after_blank = true;
    r->continues = false;
    for (const char *p = s; *p; p++) {
        const char *esc = NULL;
        if (*p == ';' && after_blank)
            break;
        if (p[0] == '\\' && p[1])
            esc = strchr(escapable, p[1]);
        after_blank = m2c_is_blank(*p);
        if (esc) {
            s[n++] = (char)(esc - escapable + 1);
            p++;
            after_blank = false;
        } else {
            s[n++] = *p;
        }
        if (!after_blank)
            end = n;
    }
    if (end && s[end - 1] == '\\') {
        r->continues = true;
        end--;
        /* Blanks before the backslash count; inih would strip them. */
        for (size_t i = end; i > 0 && m2c_is_blank(s[i - 1]); i--)
            s[i - 1] = s[i - 1] == ' ' ? 1 : 2;
    }
    s[end] = 0;
    return end;
}

static int flush(struct reader *r)
{
    if (!r->pending || r->rc)
        return r->rc;
    r->pending = false;
    const struct m2c_ini_item item = {r->section, r->key, r->value, r->key_line};
    r->rc = r->fn(r->ctx, &item, r->err);
    r->fault = r->key_line;
    return r->rc;
}

/* inih drops what follows the bracket and cuts long names; both are errors. */
static int begin_section(struct reader *r, const char *s, size_t n)
{
    if (flush(r))
        return r->rc;
    if (n < 3 || s[n - 1] != ']' || strcspn(s, "]\001\002\003\004") != n - 1 ||
        r->continues)
        return refuse(r, r->line, "not a section: expected [name]");
    if (n - 2 > SECTION_MAX)
        return refuse(r, r->line, "section name longer than 49 bytes");
    memcpy(r->section, s + 1, n - 2);
    r->section[n - 2] = 0;
    const struct m2c_ini_item item = {r->section, NULL, NULL, r->line};
    r->rc = r->fn(r->ctx, &item, r->err);
    r->fault = r->line;
    return r->rc;
}

/* inih's fgets. */
static char *next_line(char *dst, int size, void *arg)
{
    struct reader *r = arg;
    bool more = r->continues;
    long raw = r->rc ? -1 : raw_line(r);
    if (raw < 0)
        return NULL;
    char *s = r->raw;
    const char *fault = raw_fault(s, (size_t)raw);
    if (fault) {
        refuse(r, r->line, fault);
        return NULL;
    }
    if (r->line == 1 && strncmp(s, "\xef\xbb\xbf", 3) == 0)
        s += 3;
    s += strspn(s, " \t");
    size_t n = 0;
    if (*s == ';' || *s == '#')
        s[0] = 0; /* inside a continued value too, which goes on after it */
    else
        n = prepare(r, s);
    r->is_more = more && n > 0;
    if (n + 3 > (size_t)size) {
        refuse(r, r->line,
               "line longer than 197 bytes (a value goes on in the next line "
               "after a backslash)");
        return NULL;
    }
    if (!more && *s == '[' && begin_section(r, s, n))
        return NULL;
    /* A blank in front is what makes inih take a line as more of the value;
     * any other line must not begin with one. */
    dst[0] = ' ';
    memcpy(dst + r->is_more, s, n);
    memcpy(dst + r->is_more + n, "\n", 2);
    return dst;
}

static int append(struct reader *r, const char *s)
{
    size_t n = strlen(s);
    if (r->len + n > M2C_INI_VALUE_MAX)
        return refuse(r, r->line, "value longer than 1 MiB");
    if (r->len + n + 1 > r->cap) {
        size_t cap = (r->len + n + 1) * 2;
        char *p = realloc(r->value, cap);
        if (!p) {
            r->fault = r->line;
            return r->rc = m2c_fail(r->err, -ENOMEM, "no memory for the value");
        }
        r->value = p;
        r->cap = cap;
    }
    for (; *s; s++)
        r->value[r->len++] =
            *s > 0 && *s < (char)sizeof escapable ? escapable[*s - 1] : *s;
    r->value[r->len] = 0;
    return 0;
}

/* inih's handler. It always answers "handled": a fault is kept in the reader,
 * which then ends the file. */
static int handle(void *arg, const char *section, const char *key, const char *value)
{
    struct reader *r = arg;
    (void)section; /* r->section, which inih may cut */
    if (r->rc)
        return 1;
    if (!r->is_more || !r->pending) {
        if (flush(r))
            return 1;
        if (!r->section[0] || !key[0] || strlen(key) > KEY_MAX) {
            refuse(r, r->line,
                   !r->section[0] ? "a key before the first [section]"
                   : !key[0]      ? "no key before '='"
                                  : "key longer than 64 bytes");
            return 1;
        }
        for (const char *p = key; *p; p++) {
            if (m2c_is_control(*p)) {
                refuse(r, r->line, "backslash in a key");
                return 1;
            }
        }
        memcpy(r->key, key, strlen(key) + 1);
        r->key_line = r->line;
        r->pending = true;
        r->len = 0;
    }
    append(r, value);
    return 1;
}

int m2c_ini_read(FILE *f, const char *name, m2c_ini_fn fn, void *ctx, struct m2c_err *err)
{
    struct m2c_err local = {0};
    struct reader *r = calloc(1, sizeof *r);
    if (!r)
        return m2c_fail(err, -ENOMEM, "%s: no memory to read it", name);
    r->f = f;
    r->fn = fn;
    r->ctx = ctx;
    r->err = err ? err : &local;
    int bad_line = ini_parse_stream(next_line, r, handle, r);
    flush(r);
    int rc = r->rc;
    if (bad_line > 0 && (rc == 0 || (unsigned)bad_line <= r->fault)) {
        rc =
            m2c_fail(r->err, -EINVAL, "expected '[section]', 'key = value' or a comment");
        r->fault = (unsigned)bad_line;
    } else if (bad_line < 0 && rc == 0) {
        rc = m2c_fail(r->err, -ENOMEM, "no memory to read it");
    }
    if (rc)
        m2c_fail_in(r->err, rc, "%s:%u", name, r->fault);
    free(r->value);
    free(r);
    return rc;
}

int m2c_ini_load(const char *path, m2c_ini_fn fn, void *ctx, struct m2c_err *err)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        int rc = -errno;
        return m2c_fail(err, rc, "%s: %s", path, strerror(-rc));
    }
    struct stat st;
    int rc = fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)
                 ? m2c_fail(err, -EISDIR, "%s: a directory, not a config", path)
                 : m2c_ini_read(f, path, fn, ctx, err);
    fclose(f);
    return rc;
}

const char *m2c_ini_value_fault(const char *value)
{
    size_t n = strlen(value);
    for (size_t i = 0; i < n; i++) {
        if (m2c_is_control(value[i]))
            return "control characters are not allowed";
    }
    if (!m2c_utf8_valid(value, n))
        return "not UTF-8";
    if (n > M2C_INI_VALUE_MAX)
        return "longer than 1 MiB";
    if (n && value[n - 1] == '\\')
        return "a value cannot end in a backslash";
    return NULL;
}

void m2c_ini_write(FILE *f, const char *key, const char *value)
{
    size_t used = strlen(key) + 3;
    fprintf(f, "%s = ", key);
    bool start = true; /* of the value's part on this line */
    for (const char *p = value; *p; p++) {
        if (used >= WRITE_WIDTH && !m2c_utf8_inner(*p)) {
            fputs("\\\n    ", f);
            used = 4;
            start = true;
        }
        bool escape = *p == ';';
        if (m2c_is_blank(*p) || *p == '#')
            escape = start || p[-1] == '\\' || (m2c_is_blank(*p) && !p[1]);
        if (escape) {
            putc('\\', f);
            used++;
        }
        putc(*p, f);
        used++;
        start = false;
    }
    putc('\n', f);
}
