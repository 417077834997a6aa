/* SPDX-License-Identifier: MIT */
/* One results folder from the shards of a sweep. */
#define _GNU_SOURCE /* asprintf */
#include "exp/exp.h"

#include "exp/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Loads the config of a folder into a fresh set. */
static int load_config(const char *dir, struct m2c_optset **out, struct m2c_err *err)
{
    char *path;
    if (asprintf(&path, "%s/config.ini", dir) < 0)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", dir);
    int r = m2c_optset_open(out, m2c_settings_table, m2c_settings_rows);
    if (r < 0)
        r = m2c_fail(err, r, "%s: out of memory", path);
    else if ((r = m2c_optset_load(*out, path, err)) < 0) {
        m2c_optset_close(*out);
        *out = NULL;
    }
    free(path);
    return r;
}

static int same_key(const json_t *a, const json_t *b)
{
    return json_integer_value(json_object_get(a, "rep")) ==
               json_integer_value(json_object_get(b, "rep")) &&
           strcmp(json_string_value(json_object_get(a, "point")),
                  json_string_value(json_object_get(b, "point"))) == 0;
}

static int by_rep_index(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    json_int_t p = json_integer_value(json_object_get(x, "rep"));
    json_int_t q = json_integer_value(json_object_get(y, "rep"));
    if (p != q)
        return p < q ? -1 : 1;
    p = json_integer_value(json_object_get(x, "index"));
    q = json_integer_value(json_object_get(y, "index"));
    return (p > q) - (p < q);
}

/* In the order of an undivided run; the same record twice is an error. */
static int add_sorted(struct m2c_journal *j, const json_t *all, struct m2c_err *err)
{
    size_t n = json_array_size(all);
    json_t **list = calloc(n + 1, sizeof(json_t *));
    if (!list)
        return m2c_fail(err, -ENOMEM, "merge: out of memory");
    for (size_t i = 0; i < n; i++)
        list[i] = json_array_get(all, i);
    qsort(list, n, sizeof(json_t *), by_rep_index);
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        if (i && same_key(list[i - 1], list[i]))
            r = m2c_fail(err, -EEXIST,
                         "merge: point %" JSON_INTEGER_FORMAT
                         ", repetition %" JSON_INTEGER_FORMAT " is in two folders",
                         json_integer_value(json_object_get(list[i], "index")),
                         json_integer_value(json_object_get(list[i], "rep")));
        else
            r = m2c_journal_add(j, list[i], err);
    }
    free(list);
    return r;
}

int m2c_exp_merge(const char *const *dirs, size_t n, const char *out, struct m2c_err *err)
{
    struct m2c_optset *config = NULL;
    struct m2c_journal *journal = NULL;
    json_t *all = json_array();
    int r = all ? load_config(dirs[0], &config, err)
                : m2c_fail(err, -ENOMEM, "merge: out of memory");
    for (size_t i = 0; i < n && r == 0; i++) {
        /* opening with `resume` compares the folder's config with the first's */
        struct m2c_journal *shard = NULL;
        json_t *records = NULL;
        r = m2c_journal_open(&shard, dirs[i], config, true, err);
        m2c_journal_close(shard);
        if (r == 0)
            r = m2c_journal_read(dirs[i], &records, err);
        if (r == 0 && json_array_extend(all, records) < 0)
            r = m2c_fail(err, -ENOMEM, "merge: out of memory");
        json_decref(records);
    }
    if (r == 0)
        r = m2c_journal_open(&journal, out, config, false, err);
    if (r == 0)
        r = add_sorted(journal, all, err);
    m2c_journal_close(journal);
    if (r == 0)
        r = m2c_exp_export(out, err);
    m2c_optset_close(config);
    json_decref(all);
    return r;
}
