/* SPDX-License-Identifier: MIT */
/* Keys by name, and what to suggest for a name that is none. */
#include "base/opt_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 64 }; /* section.key: 24 + 1 + 24 at most */

/* The different sections, or the keys of one: a list of s->n + 1 places ended
 * by NULL, to be freed. */
static const char **sections_of(const struct m2c_optset *s)
{
    const char **names = calloc(s->n + 2, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; names && i < s->n; i++) {
        size_t j = 0;
        while (j < n && strcmp(names[j], s->table[i].section) != 0)
            j++;
        if (j == n)
            names[n++] = s->table[i].section;
    }
    if (names)
        names[n] = "sweep";
    return names;
}

static const char **keys_of(const struct m2c_optset *s, const char *section)
{
    const char **names = calloc(s->n + 1, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; names && i < s->n; i++) {
        if (strcmp(s->table[i].section, section) == 0)
            names[n++] = s->table[i].key;
    }
    return names;
}

static int no_memory(struct m2c_err *err)
{
    return m2c_fail(err, -ENOMEM, "no memory");
}

int m2c_optset_find_section(const struct m2c_optset *s, const char *section,
                            struct m2c_err *err)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->table[i].section, section) == 0)
            return 0;
    }
    if (!err)
        return -EINVAL;
    const char **names = sections_of(s);
    if (!names)
        return no_memory(err);
    const char *near = m2c_nearest(section, names);
    if (near) {
        m2c_fail(err, -EINVAL, "unknown section, did you mean '%s'?", near);
    } else {
        char list[500];
        m2c_opt_list(names, list, sizeof list);
        m2c_fail(err, -EINVAL, "unknown section (have: %s)", list);
    }
    free(names);
    return -EINVAL;
}

static int fail_key(const struct m2c_optset *s, const char *section, const char *key,
                    struct m2c_err *err)
{
    for (size_t i = 0; i < s->n; i++) { /* the right key in the wrong place */
        if (strcmp(s->table[i].key, key) == 0)
            return m2c_fail(err, -EINVAL, "unknown key, did you mean '%s' of [%s]?", key,
                            s->table[i].section);
    }
    const char **names = keys_of(s, section);
    if (!names)
        return no_memory(err);
    const char *near = m2c_nearest(key, names);
    if (near) {
        m2c_fail(err, -EINVAL, "unknown key, did you mean '%s'?", near);
    } else {
        char list[500];
        m2c_opt_list(names, list, sizeof list);
        m2c_fail(err, -EINVAL, "unknown key (have: %s)", list);
    }
    free(names);
    return -EINVAL;
}

int m2c_optset_find(const struct m2c_optset *s, const char *section, const char *key,
                    size_t *out, struct m2c_err *err)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->table[i].section, section) == 0 &&
            strcmp(s->table[i].key, key) == 0) {
            *out = i;
            return 0;
        }
    }
    int rc = m2c_optset_find_section(s, section, err);
    if (rc)
        return rc;
    return err ? fail_key(s, section, key, err) : -EINVAL;
}

static int find_bare(const struct m2c_optset *s, const char *key, size_t *out,
                     struct m2c_err *err)
{
    size_t n = 0, used = 0;
    char list[400] = "";
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->table[i].key, key) != 0)
            continue;
        *out = i;
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s.%s",
                                     n ? " or " : "", s->table[i].section, key);
        n++;
    }
    if (n > 1)
        return m2c_fail(err, -EINVAL, "several sections have this key: write %s", list);
    return n ? 0 : -ENOENT;
}

/* Nothing has this bare name: the nearest of all full names and all keys. */
static int fail_swept(const struct m2c_optset *s, const char *name, struct m2c_err *err)
{
    char(*full)[NAME_MAX_BYTES] = calloc(s->n + 1, sizeof *full);
    const char **names = calloc(2 * s->n + 1, sizeof *names);
    if (!full || !names) {
        free(full);
        free(names);
        return no_memory(err);
    }
    for (size_t i = 0; i < s->n; i++) {
        snprintf(full[i], sizeof full[i], "%s.%s", s->table[i].section, s->table[i].key);
        names[2 * i] = full[i];
        names[2 * i + 1] = s->table[i].key;
    }
    const char *near = m2c_nearest(name, names);
    for (size_t i = 0; near && i < s->n; i++) {
        if (near == s->table[i].key)
            near = full[i];
    }
    int rc = m2c_fail(err, -EINVAL, "unknown key%s%s%s", near ? ", did you mean '" : "",
                      near ? near : "", near ? "'?" : " (expected section.key)");
    free(full);
    free(names);
    return rc;
}

int m2c_optset_find_swept(const struct m2c_optset *s, const char *name, size_t *out,
                          struct m2c_err *err)
{
    const char *dot = strchr(name, '.');
    if (!dot) {
        int rc = find_bare(s, name, out, err);
        return rc == -ENOENT ? fail_swept(s, name, err) : rc;
    }
    char section[NAME_MAX_BYTES];
    size_t n = (size_t)(dot - name);
    if (n >= sizeof section)
        return m2c_fail(err, -EINVAL, "unknown section");
    memcpy(section, name, n);
    section[n] = 0;
    return m2c_optset_find(s, section, dot + 1, out, err);
}
