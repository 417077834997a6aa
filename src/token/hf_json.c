/* SPDX-License-Identifier: MIT */
/* Reading JSON so that a message says where the fault is. */
#include "token/hf_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct m2c_hf_path m2c_hf_at(const char *path, const char *key)
{
    struct m2c_hf_path out;
    snprintf(out.s, sizeof out.s, "%.90s/%.30s", path, key);
    return out;
}

struct m2c_hf_path m2c_hf_at_index(const char *path, size_t i)
{
    struct m2c_hf_path out;
    snprintf(out.s, sizeof out.s, "%.100s/%zu", path, i);
    return out;
}

int m2c_hf_bool(const json_t *o, const char *path, const char *key, bool def, bool *out,
                struct m2c_err *err)
{
    const json_t *v = json_object_get(o, key);
    *out = v && !json_is_null(v) ? json_is_true(v) : def;
    if (v && !json_is_null(v) && !json_is_boolean(v))
        return m2c_fail(err, -EINVAL, "%s/%s: expected true or false", path, key);
    return 0;
}

int m2c_hf_string(const json_t *o, const char *path, const char *key, const char **out,
                  struct m2c_err *err)
{
    const json_t *v = json_object_get(o, key);
    *out = json_string_value(v);
    if (v && !json_is_null(v) && !*out)
        return m2c_fail(err, -EINVAL, "%s/%s: expected a string", path, key);
    return 0;
}

int m2c_hf_type(const json_t *o, const char *path, const char **out, struct m2c_err *err)
{
    int r = m2c_hf_string(o, path, "type", out, err);
    if (r == 0 && !*out)
        r = m2c_fail(err, -EINVAL, "%s: expected an object with a type", path);
    return r;
}

int m2c_hf_list(const json_t *o, const char *path, const char *key, const json_t **out,
                size_t *n, struct m2c_err *err)
{
    *out = json_object_get(o, key);
    *n = json_array_size(*out);
    if (!json_is_array(*out))
        return m2c_fail(err, -EINVAL, "%s/%s: expected a list", path, key);
    return 0;
}

int m2c_hf_unsupported(const char *path, const char *what, const char *have,
                       struct m2c_err *err)
{
    return m2c_fail(err, -ENOTSUP, "%s: '%s' is not supported (%s)", path,
                    m2c_tok_quote(what, strlen(what)).s, have);
}
