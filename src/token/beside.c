/* SPDX-License-Identifier: MIT */
/* BOS and EOS as the files beside a tokenizer name them: tokenizer_config.json
 * by name, else config.json by id. */
#define _GNU_SOURCE /* asprintf */
#include "token/token_impl.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* *root NULL where there is no such file. */
static int load(const char *path, json_t **root, struct m2c_err *err)
{
    struct stat st;
    json_error_t je;
    uint8_t *bytes;
    size_t n;
    *root = NULL;
    if (stat(path, &st) < 0 && errno == ENOENT)
        return 0;
    int r = m2c_tok_read_file(path, &bytes, &n, err);
    if (r < 0)
        return r;
    *root = json_loadb((const char *)bytes, n, 0, &je);
    free(bytes);
    if (*root)
        return 0;
    return m2c_fail(err, -EINVAL, "%s: line %d, column %d: %s", path, je.line, je.column,
                    m2c_tok_quote(je.text, strlen(je.text)).s);
}

/* "bos_token": "<s>" or {"content": "<s>"}; -1 where it names none. */
static int by_name(const struct m2c_tok *t, const json_t *root, const char *key,
                   const char *path, int32_t *id, struct m2c_err *err)
{
    const json_t *v = json_object_get(root, key);
    const char *name =
        json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
    *id = -1;
    if (!v || json_is_null(v))
        return 0;
    if (!name)
        return m2c_fail(err, -EINVAL, "%s: /%s: expected the name of a token", path, key);
    *id = t->ops->find(t, name);
    if (*id < 0)
        return m2c_fail(err, -EINVAL, "%s: /%s: the tokenizer has no special token '%s'",
                        path, key, m2c_tok_quote(name, strlen(name)).s);
    return 0;
}

/* "eos_token_id": 2, or a list, of which the first counts. */
static int by_id(const struct m2c_tok *t, const json_t *root, const char *key,
                 const char *path, int32_t *id, struct m2c_err *err)
{
    const json_t *v = json_object_get(root, key);
    if (json_is_array(v))
        v = json_array_get(v, 0);
    *id = -1;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0 ||
        json_integer_value(v) >= (json_int_t)t->vocab)
        return m2c_fail(err, -EINVAL, "%s: /%s: expected an id below %u", path, key,
                        t->vocab);
    *id = (int32_t)json_integer_value(v);
    return 0;
}

typedef int (*lookup_fn)(const struct m2c_tok *t, const json_t *root, const char *key,
                         const char *path, int32_t *id, struct m2c_err *err);

/* Fills what is still -1. */
static int read_one(const struct m2c_tok *t, const char *dir, size_t n_dir,
                    const char *name, lookup_fn lookup, const char *const keys[2],
                    int32_t ids[2], struct m2c_err *err)
{
    char *path;
    json_t *root = NULL;
    if (asprintf(&path, "%.*s%s", (int)n_dir, dir, name) < 0)
        return m2c_fail(err, -ENOMEM, "out of memory");
    int r = load(path, &root, err);
    for (int i = 0; i < 2 && root && r == 0; i++) {
        int32_t id = -1;
        if (ids[i] < 0)
            r = lookup(t, root, keys[i], path, &id, err);
        if (r == 0 && id >= 0)
            ids[i] = id;
    }
    json_decref(root);
    free(path);
    return r;
}

int m2c_tok_beside(struct m2c_tok *t, const char *path, struct m2c_err *err)
{
    static const char *const names[2] = {"bos_token", "eos_token"};
    static const char *const keys[2] = {"bos_token_id", "eos_token_id"};
    const char *slash = strrchr(path, '/');
    size_t n_dir = slash ? (size_t)(slash - path) + 1 : 0;
    int32_t ids[2] = {-1, -1};
    if (t->ops->fixed_special)
        return 0;
    int r = read_one(t, path, n_dir, "tokenizer_config.json", by_name, names, ids, err);
    if (r == 0)
        r = read_one(t, path, n_dir, "config.json", by_id, keys, ids, err);
    if (r < 0)
        return r;
    if (ids[0] >= 0)
        t->bos = ids[0];
    if (ids[1] >= 0)
        t->eos = ids[1];
    return 0;
}
