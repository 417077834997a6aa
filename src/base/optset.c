/* SPDX-License-Identifier: MIT */
/* The texts of all keys of a table, their origins and the axes. Invariant:
 * every text kept is canonical and parses by its row. */
#include "base/opt_impl.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char plain[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

static bool is_plain(const char *s)
{
    return s && *s && !s[strspn(s, plain)];
}

static int check_row(const struct m2c_opt *row, struct m2c_err *err)
{
    bool listed = row->type == M2C_OPT_ENUM || row->type == M2C_OPT_NAME;
    if (!m2c_opt_type_name(row->type))
        return m2c_fail(err, -EINVAL, "unknown type");
    if (listed && (!row->choices || !row->choices[0]))
        return m2c_fail(err, -EINVAL, "no choices");
    for (size_t i = 0; row->choices && row->choices[i]; i++) {
        if (!is_plain(row->choices[i]))
            return m2c_fail(err, -EINVAL, "choice '%s' is no plain word",
                            row->choices[i]);
    }
    bool words = row->choices && row->type == M2C_OPT_INT;
    if (words &&
        !(fabs(row->word_value) < 0x1p53 && trunc(row->word_value) == row->word_value))
        return m2c_fail(err, -EINVAL, "word_value is no whole number");
    if (isnan(row->min) || isnan(row->max) || row->min > row->max)
        return m2c_fail(err, -EINVAL, "empty range");
    if (!row->def || !row->help || !row->readers)
        return m2c_fail(err, -EINVAL, "no default, help or readers");
    union m2c_opt_value v;
    int rc = m2c_opt_read(row, row->def, &v, NULL, err);
    return rc ? m2c_fail_in(err, rc, "default '%s'", row->def) : 0;
}

int m2c_opt_check(const struct m2c_opt *table, size_t n, struct m2c_err *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct m2c_opt *row = &table[i];
        if (!is_plain(row->section) || !is_plain(row->key) || strlen(row->section) > 24 ||
            strlen(row->key) > 24 || strcmp(row->section, "sweep") == 0)
            return m2c_fail(err, -EINVAL, "option row %zu has no proper name", i);
        int rc = check_row(row, err);
        if (rc)
            return m2c_fail_in(err, rc, "option %s.%s", row->section, row->key);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(table[j].section, row->section) == 0 &&
                strcmp(table[j].key, row->key) == 0)
                return m2c_fail(err, -EINVAL, "option %s.%s: twice in the table",
                                row->section, row->key);
        }
    }
    return 0;
}

int m2c_optset_open(struct m2c_optset **out, const struct m2c_opt *table, size_t n)
{
    int rc = m2c_opt_check(table, n, NULL);
    if (rc)
        return rc;
    struct m2c_optset *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    rc = -ENOMEM;
    s->table = table;
    s->entries = calloc(n + 1, sizeof *s->entries);
    s->axes = calloc(n + 1, sizeof *s->axes);
    if (!s->entries || !s->axes)
        goto fail;
    s->n = n;
    for (size_t i = 0; i < n; i++) {
        union m2c_opt_value v;
        rc = m2c_opt_read(&table[i], table[i].def, &v, &s->entries[i].def, NULL);
        if (rc)
            goto fail;
        s->entries[i].text = strdup(s->entries[i].def);
        rc = -ENOMEM;
        if (!s->entries[i].text)
            goto fail;
    }
    *out = s;
    return 0;
fail:
    m2c_optset_close(s);
    return rc;
}

void m2c_opt_free_texts(char **texts, size_t n)
{
    for (size_t i = 0; texts && i < n; i++)
        free(texts[i]);
    free(texts);
}

void m2c_optset_close(struct m2c_optset *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        free(s->entries[i].text);
        free(s->entries[i].def);
        free(s->entries[i].origin);
    }
    for (size_t i = 0; i < s->n_axes; i++)
        m2c_opt_free_texts(s->axes[i].values, s->axes[i].n);
    free(s->entries);
    free(s->axes);
    free(s);
}

static int copy_axis(struct m2c_optset *to, const struct m2c_opt_axis *axis)
{
    char **values = calloc(axis->n, sizeof *values);
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < axis->n; i++) {
        values[i] = strdup(axis->values[i]);
        if (!values[i]) {
            m2c_opt_free_texts(values, axis->n);
            return -ENOMEM;
        }
    }
    m2c_optset_store_axis(to, axis->row, values, axis->n);
    return 0;
}

int m2c_optset_clone(const struct m2c_optset *s, struct m2c_optset **out)
{
    struct m2c_optset *copy;
    int rc = m2c_optset_open(&copy, s->table, s->n);
    if (rc)
        return rc;
    for (size_t i = 0; i < s->n && rc == 0; i++) {
        char *text = strdup(s->entries[i].text);
        rc = text ? m2c_optset_store(copy, i, text, s->entries[i].origin) : -ENOMEM;
    }
    for (size_t i = 0; i < s->n_axes && rc == 0; i++)
        rc = copy_axis(copy, &s->axes[i]);
    if (rc) {
        m2c_optset_close(copy);
        return rc;
    }
    *out = copy;
    return 0;
}

int m2c_optset_store(struct m2c_optset *s, size_t i, char *text, const char *origin)
{
    char *where = origin ? strdup(origin) : NULL;
    if (origin && !where) {
        free(text);
        return -ENOMEM;
    }
    free(s->entries[i].text);
    free(s->entries[i].origin);
    s->entries[i].text = text;
    s->entries[i].origin = where;
    return 0;
}

void m2c_optset_store_axis(struct m2c_optset *s, size_t row, char **values, size_t n)
{
    size_t i = 0;
    while (i < s->n_axes && s->axes[i].row != row)
        i++;
    if (i < s->n_axes)
        m2c_opt_free_texts(s->axes[i].values, s->axes[i].n);
    else
        s->n_axes++;
    s->axes[i] = (struct m2c_opt_axis){row, values, n};
}

void m2c_optset_drop_axis(struct m2c_optset *s, size_t row)
{
    for (size_t i = 0; i < s->n_axes; i++) {
        if (s->axes[i].row != row)
            continue;
        m2c_opt_free_texts(s->axes[i].values, s->axes[i].n);
        s->n_axes--;
        memmove(&s->axes[i], &s->axes[i + 1], (s->n_axes - i) * sizeof *s->axes);
        return;
    }
}

size_t m2c_optset_count(const struct m2c_optset *s)
{
    return s->n;
}

const struct m2c_opt *m2c_optset_row(const struct m2c_optset *s, size_t i)
{
    return &s->table[i];
}

const char *m2c_optset_text(const struct m2c_optset *s, size_t i)
{
    return s->entries[i].text;
}

const char *m2c_optset_origin(const struct m2c_optset *s, size_t i)
{
    return s->entries[i].origin ? s->entries[i].origin : "default";
}

bool m2c_optset_is_default(const struct m2c_optset *s, size_t i)
{
    return strcmp(s->entries[i].text, s->entries[i].def) == 0;
}

const char *m2c_optset_get(const struct m2c_optset *s, const char *section,
                           const char *key)
{
    size_t i;
    return m2c_optset_find(s, section, key, &i, NULL) ? NULL : s->entries[i].text;
}

size_t m2c_optset_axes(const struct m2c_optset *s)
{
    return s->n_axes;
}

const struct m2c_opt *m2c_optset_axis(const struct m2c_optset *s, size_t axis)
{
    return &s->table[s->axes[axis].row];
}

size_t m2c_optset_axis_len(const struct m2c_optset *s, size_t axis)
{
    return s->axes[axis].n;
}

const char *m2c_optset_axis_value(const struct m2c_optset *s, size_t axis, size_t i)
{
    return s->axes[axis].values[i];
}

static void put(void *settings, size_t offset, const void *value, size_t size)
{
    memcpy((char *)settings + offset, value, size);
}

static void apply_row(const struct m2c_opt *row, const char *text,
                      const union m2c_opt_value *v, void *settings)
{
    switch (row->type) {
    case M2C_OPT_BOOL:
        put(settings, row->offset, &v->on, sizeof v->on);
        return;
    case M2C_OPT_INT:
        put(settings, row->offset, &v->i, sizeof v->i);
        return;
    case M2C_OPT_BYTES:
        put(settings, row->offset, &v->bytes, sizeof v->bytes);
        return;
    case M2C_OPT_SIZE:
        put(settings, row->offset, &v->size, sizeof v->size);
        return;
    case M2C_OPT_FLOAT:
        put(settings, row->offset, &v->x, sizeof v->x);
        return;
    case M2C_OPT_STR:
        put(settings, row->offset, &text, sizeof text);
        return;
    case M2C_OPT_ENUM:
        put(settings, row->offset, &v->choice, sizeof v->choice);
        return;
    case M2C_OPT_RATIO:
        put(settings, row->offset, &v->ratio, sizeof v->ratio);
        return;
    case M2C_OPT_NAME: {
        const char *name = row->choices[v->choice];
        put(settings, row->offset, &name, sizeof name);
        return;
    }
    }
}

int m2c_optset_apply(const struct m2c_optset *s, void *settings, struct m2c_err *err)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct m2c_opt *row = &s->table[i];
        union m2c_opt_value v;
        int rc = m2c_opt_read(row, s->entries[i].text, &v, NULL, err);
        if (rc)
            return m2c_fail_in(err, rc, "%s.%s", row->section, row->key);
        apply_row(row, s->entries[i].text, &v, settings);
    }
    return 0;
}
