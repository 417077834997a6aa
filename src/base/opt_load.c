/* SPDX-License-Identifier: MIT */
/* Config files, --set and single keys into a set.
 *
 * Owns the wording of where a fault is: "file:line: [section] key = value" in
 * a file, "--set section.key=value" elsewhere. */
#include "base/opt_impl.h"

#include "base/ini.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHOWN = 60,         /* bytes of a bad value that a message repeats */
    AXIS_VALUES = 4096, /* more is a slip; it also bounds the search for equal ones */
};

/* A copy of the n bytes at s without the blanks around it; NULL: no memory. */
static char *trimmed(const char *s, size_t n)
{
    while (n && m2c_is_blank(*s)) {
        s++;
        n--;
    }
    while (n && m2c_is_blank(s[n - 1]))
        n--;
    char *copy = malloc(n + 1);
    if (copy) {
        memcpy(copy, s, n);
        copy[n] = 0;
    }
    return copy;
}

static int no_memory(struct m2c_err *err)
{
    return m2c_fail(err, -ENOMEM, "no memory for the value");
}

/* One value for row i. */
static int store_text(struct m2c_optset *s, size_t i, const char *text,
                      const char *origin, struct m2c_err *err)
{
    const struct m2c_opt *row = &s->table[i];
    union m2c_opt_value v;
    char *canon;
    if (row->type != M2C_OPT_STR && strchr(text, '|'))
        return m2c_fail(err, -EINVAL,
                        "several values belong in [sweep], as %s.%s = a | b "
                        "(--set 'sweep.%s.%s=a|b')",
                        row->section, row->key, row->section, row->key);
    int rc = m2c_opt_read(row, text, &v, &canon, err);
    if (rc)
        return rc;
    rc = m2c_optset_store(s, i, canon, origin);
    return rc ? no_memory(err) : 0;
}

struct values {
    char **v;
    size_t n, cap;
};

static int add_value(struct values *list, char *text)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 8, bytes;
        char **v = m2c_mul_size(cap, sizeof *v, &bytes) ? realloc(list->v, bytes) : NULL;
        if (!v)
            return -ENOMEM;
        list->v = v;
        list->cap = cap;
    }
    list->v[list->n++] = text;
    return 0;
}

/* Checks one value of an axis, spells it and adds it. */
static int add_to_axis(const struct m2c_opt *row, struct values *list, const char *text,
                       struct m2c_err *err)
{
    union m2c_opt_value v;
    char *canon;
    size_t at = list->n + 1;
    if (at > AXIS_VALUES)
        return m2c_fail(err, -EINVAL, "more than %d values", AXIS_VALUES);
    if (!*text)
        return m2c_fail(err, -EINVAL, "value %zu of the axis is empty", at);
    int rc = m2c_opt_read(row, text, &v, &canon, err);
    if (rc)
        return m2c_fail_in(err, rc, "value %zu, '%.*s'", at, (int)SHOWN, text);
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->v[i], canon) == 0) {
            rc = m2c_fail(err, -EINVAL, "value %zu, '%.*s', is the same as value %zu", at,
                          (int)SHOWN, text, i + 1);
            free(canon);
            return rc;
        }
    }
    if (add_value(list, canon)) {
        free(canon);
        return no_memory(err);
    }
    return 0;
}

/* The next bar that is not "\|", or the end. */
static const char *value_end(const char *s)
{
    while (*s && *s != '|')
        s += s[0] == '\\' && s[1] == '|' ? 2 : 1;
    return s;
}

static void unescape_bars(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (s[0] == '\\' && s[1] == '|')
            s++;
        *to++ = *s;
    }
    *to = 0;
}

static int store_axis(struct m2c_optset *s, size_t row, const char *text,
                      struct m2c_err *err)
{
    struct values list = {0};
    int rc = 0;
    for (const char *p = text; rc == 0;) {
        const char *end = value_end(p);
        char *value = trimmed(p, (size_t)(end - p));
        if (!value) {
            rc = no_memory(err);
            break;
        }
        unescape_bars(value);
        rc = add_to_axis(&s->table[row], &list, value, err);
        free(value);
        if (!*end)
            break;
        p = end + 1;
    }
    if (rc) {
        m2c_opt_free_texts(list.v, list.n);
        return rc;
    }
    m2c_optset_store_axis(s, row, list.v, list.n);
    return 0;
}

int m2c_optset_set(struct m2c_optset *s, const char *section, const char *key,
                   const char *value, const char *origin, struct m2c_err *err)
{
    struct m2c_err detail = {0};
    size_t i;
    int rc = m2c_optset_find(s, section, key, &i, &detail);
    if (rc == 0)
        rc = store_text(s, i, value, origin, &detail);
    if (rc)
        return m2c_fail(err, rc, "%s %s.%s=%.*s: %s", origin, section, key, (int)SHOWN,
                        value, detail.msg);
    return 0;
}

/* `name` is "section.key", or "sweep." and a key of [sweep]. */
static int assign(struct m2c_optset *s, const char *name, const char *value,
                  const char *origin, struct m2c_err *err)
{
    size_t i;
    if (strncmp(name, "sweep.", 6) == 0) {
        int rc = m2c_optset_find_swept(s, name + 6, &i, err);
        return rc ? rc : store_axis(s, i, value, err);
    }
    if (!strchr(name, '.'))
        return m2c_fail(err, -EINVAL, "expected SECTION.KEY=VALUE");
    int rc = m2c_optset_find_swept(s, name, &i, err);
    if (rc == 0)
        rc = store_text(s, i, value, origin, err);
    if (rc == 0)
        m2c_optset_drop_axis(s, i);
    return rc;
}

int m2c_optset_assign(struct m2c_optset *s, const char *text, const char *origin,
                      struct m2c_err *err)
{
    struct m2c_err detail = {0};
    const char *eq = strchr(text, '=');
    int rc;
    if (!eq) {
        rc = m2c_fail(&detail, -EINVAL, "expected SECTION.KEY=VALUE");
    } else {
        char *name = trimmed(text, (size_t)(eq - text));
        char *value = trimmed(eq + 1, strlen(eq + 1));
        rc = name && value ? assign(s, name, value, origin, &detail) : no_memory(&detail);
        free(name);
        free(value);
    }
    if (rc)
        return m2c_fail(err, rc, "%s %.*s: %s", origin, 2 * (int)SHOWN, text, detail.msg);
    return 0;
}

struct load {
    struct m2c_optset *set;
    const char *name;
    unsigned *key_line, *axis_line; /* where this file gave a row, or 0 */
};

static int load_item(void *ctx, const struct m2c_ini_item *item, struct m2c_err *err)
{
    struct load *l = ctx;
    bool sweep = strcmp(item->section, "sweep") == 0;
    struct m2c_err detail = {0};
    char origin[300];
    size_t i;
    int rc;
    if (!item->key) {
        rc = sweep ? 0 : m2c_optset_find_section(l->set, item->section, &detail);
        return rc ? m2c_fail(err, rc, "[%s]: %s", item->section, detail.msg) : 0;
    }
    rc = sweep ? m2c_optset_find_swept(l->set, item->key, &i, &detail)
               : m2c_optset_find(l->set, item->section, item->key, &i, &detail);
    if (rc)
        return m2c_fail(err, rc, "[%s] %s: %s", item->section, item->key, detail.msg);
    unsigned *line = sweep ? &l->axis_line[i] : &l->key_line[i];
    if (*line)
        return m2c_fail(err, -EINVAL, "[%s] %s: given twice, first in line %u",
                        item->section, item->key, *line);
    *line = item->line;
    snprintf(origin, sizeof origin, "%s:%u", l->name, item->line);
    rc = sweep ? store_axis(l->set, i, item->value, &detail)
               : store_text(l->set, i, item->value, origin, &detail);
    if (rc)
        return m2c_fail(err, rc, "[%s] %s = %.*s: %s", item->section, item->key,
                        (int)SHOWN, item->value, detail.msg);
    return 0;
}

/* Loads into a copy, which takes the set's place when all went well. */
static int load(struct m2c_optset *s, FILE *f, const char *name, struct m2c_err *err)
{
    struct load l = {.name = name};
    int rc = m2c_optset_clone(s, &l.set);
    if (rc)
        return m2c_fail(err, rc, "%s: no memory to read it", name);
    l.key_line = calloc(2 * s->n + 1, sizeof *l.key_line);
    if (l.key_line) {
        l.axis_line = l.key_line + s->n;
        rc = f ? m2c_ini_read(f, name, load_item, &l, err)
               : m2c_ini_load(name, load_item, &l, err);
    } else {
        rc = m2c_fail(err, -ENOMEM, "%s: no memory to read it", name);
    }
    if (rc == 0) {
        struct m2c_optset old = *s;
        *s = *l.set;
        *l.set = old;
    }
    m2c_optset_close(l.set);
    free(l.key_line);
    return rc;
}

int m2c_optset_load(struct m2c_optset *s, const char *path, struct m2c_err *err)
{
    return load(s, NULL, path, err);
}

int m2c_optset_read(struct m2c_optset *s, FILE *f, const char *name, struct m2c_err *err)
{
    return load(s, f, name, err);
}
