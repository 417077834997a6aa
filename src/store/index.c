/* SPDX-License-Identifier: MIT */
/* Indices as text and as values. Knows no key of any. */
#include "store/index_impl.h"

#include "store/file_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int parse(int fd, const char *path, const struct m2c_userblock *head,
                 json_t **index, struct m2c_err *err)
{
    size_t n = (size_t)head->index_bytes;
    char *text = malloc(n + 1);
    if (!text)
        return m2c_fail(err, -ENOMEM, "%s: no memory for its index", path);
    json_error_t e;
    int rc = m2c_pread_all(fd, path, text, n, M2C_HEADER_BYTES, err);
    if (!rc) {
        *index = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
        if (!*index && json_error_code(&e) == json_error_out_of_memory)
            rc = m2c_fail(err, -ENOMEM, "%s: no memory for its index", path);
        else if (!*index) /* its words may quote the file: not one line */
            rc = m2c_fail(err, -EINVAL, "%s: the index is no JSON at offset %d", path,
                          M2C_HEADER_BYTES + e.position);
    }
    free(text);
    return rc;
}

int m2c_index_open(const char *path, const struct m2c_userblock_kind *kind, int *fd,
                   struct m2c_userblock *head, json_t **index, struct m2c_err *err)
{
    *index = NULL;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (*fd < 0) {
        int e = errno;
        return m2c_fail(err, -e, "%s: %s", path, strerror(e));
    }
    int rc = m2c_userblock_check(*fd, path, kind, head, err);
    if (!rc)
        rc = parse(*fd, path, head, index, err);
    if (rc) {
        close(*fd);
        *fd = -1;
    }
    return rc;
}

/* ---- writing ---- */

static int dump(const char *path, const json_t *index, char **text, size_t *n,
                struct m2c_err *err)
{
    *text = index ? json_dumps(index, JSON_COMPACT) : NULL;
    if (!*text)
        return m2c_fail(err, -ENOMEM, "%s: no memory for its index", path);
    *n = strlen(*text);
    return 0;
}

int m2c_index_room(const char *path, const json_t *index, uint64_t *bytes,
                   struct m2c_err *err)
{
    char *text;
    size_t n = 0;
    int rc = dump(path, index, &text, &n, err);
    if (rc)
        return rc;
    free(text);
    if (n > M2C_INDEX_MAX)
        return m2c_fail(err, -EFBIG,
                        "%s: its index would be %zu bytes, at most %d can be", path, n,
                        M2C_INDEX_MAX);
    *bytes = M2C_HEADER_BYTES;
    while (*bytes < M2C_HEADER_BYTES + n)
        *bytes *= 2;
    return 0;
}

int m2c_index_write(int fd, const char *path, const struct m2c_userblock_kind *kind,
                    const json_t *index, uint64_t userblock, uint64_t file_bytes,
                    uint64_t head_bytes, struct m2c_err *err)
{
    char *text;
    size_t n = 0;
    int rc = dump(path, index, &text, &n, err);
    if (rc)
        return rc;
    struct m2c_userblock u = {
        .file_bytes = file_bytes, .head_bytes = head_bytes, .index_bytes = n};
    if (!m2c_range_ok(M2C_HEADER_BYTES, n, userblock))
        rc = m2c_fail(err, -EIO, "%s: an index of %zu bytes in a user block of %" PRIu64,
                      path, n, userblock);
    if (!rc)
        rc = m2c_pwrite_all(fd, path, text, n, M2C_HEADER_BYTES, err);
    free(text);
    return rc ? rc : m2c_userblock_seal(fd, path, kind, u, err);
}

void m2c_index_text(char *s)
{
    json_t *valid = json_string(s);
    for (unsigned char *p = (unsigned char *)s; *p; p++) {
        if (*p < 0x20 || *p == 0x7f || (*p >= 0x80 && !valid))
            *p = '?';
    }
    json_decref(valid);
}

/* ---- reading ---- */

static int wrong(const struct m2c_node *n, struct m2c_err *err, const char *expected)
{
    return m2c_fail(err, -EINVAL, "%s: index: %s: expected %s", n->file, n->name,
                    expected);
}

int m2c_node_get(const struct m2c_node *in, const char *key, struct m2c_node *out,
                 struct m2c_err *err)
{
    out->file = in->file;
    out->v = json_object_get(in->v, key); /* NULL, too, when it is no object */
    snprintf(out->name, sizeof out->name, "%.95s%s%.63s", in->name,
             in->name[0] ? "." : "", key);
    return out->v ? 0
                  : m2c_fail(err, -EINVAL, "%s: index: has no %s", in->file, out->name);
}

int m2c_node_list(const struct m2c_node *in, const char *key, size_t min, size_t max,
                  struct m2c_node *out, size_t *n, struct m2c_err *err)
{
    char text[64];
    int rc = m2c_node_get(in, key, out, err);
    if (rc)
        return rc;
    *n = json_array_size(out->v);
    if (json_is_array(out->v) && *n >= min && *n <= max)
        return 0;
    if (min == max)
        snprintf(text, sizeof text, "a list of %zu", min);
    else
        snprintf(text, sizeof text, "a list of %zu to %zu", min, max);
    return wrong(out, err, text);
}

struct m2c_node m2c_node_item(const struct m2c_node *list, size_t i)
{
    struct m2c_node n = {.file = list->file, .v = json_array_get(list->v, i)};
    snprintf(n.name, sizeof n.name, "%.95s[%zu]", list->name, i);
    return n;
}

int m2c_node_int(const struct m2c_node *n, int64_t min, int64_t max, int64_t *out,
                 struct m2c_err *err)
{
    char text[64];
    *out = json_integer_value(n->v);
    if (json_is_integer(n->v) && *out >= min && *out <= max)
        return 0;
    snprintf(text, sizeof text, "a number of %" PRId64 " to %" PRId64, min, max);
    return wrong(n, err, text);
}

int m2c_node_u32(const struct m2c_node *in, const char *key, uint32_t *out,
                 struct m2c_err *err)
{
    struct m2c_node n;
    int64_t x = 0;
    int rc = m2c_node_get(in, key, &n, err);
    if (!rc)
        rc = m2c_node_int(&n, 0, UINT32_MAX, &x, err);
    *out = (uint32_t)x;
    return rc;
}

int m2c_node_u64(const struct m2c_node *in, const char *key, uint64_t *out,
                 struct m2c_err *err)
{
    struct m2c_node n;
    int64_t x = 0;
    int rc = m2c_node_get(in, key, &n, err);
    if (!rc)
        rc = m2c_node_int(&n, 0, INT64_MAX, &x, err);
    *out = (uint64_t)x;
    return rc;
}

int m2c_node_text(const struct m2c_node *n, size_t size, char *out, struct m2c_err *err)
{
    char text[64];
    const char *s = json_string_value(n->v);
    size_t len = s ? json_string_length(n->v) : 0;
    bool ok = s && len < size && !memchr(s, 0, len);
    for (size_t i = 0; ok && i < len; i++)
        ok = (unsigned char)s[i] >= 0x20 && s[i] != 0x7f;
    memset(out, 0, size);
    if (ok) {
        memcpy(out, s, len);
        return 0;
    }
    snprintf(text, sizeof text, "printable text of at most %zu bytes", size - 1);
    return wrong(n, err, text);
}

int m2c_node_str(const struct m2c_node *in, const char *key, size_t size, char *out,
                 struct m2c_err *err)
{
    struct m2c_node n;
    int rc = m2c_node_get(in, key, &n, err);
    return rc ? rc : m2c_node_text(&n, size, out, err);
}

int m2c_node_hash(const struct m2c_node *in, const char *key, struct m2c_hash128 *out,
                  struct m2c_err *err)
{
    char hex[33];
    struct m2c_node n;
    int rc = m2c_node_get(in, key, &n, err);
    if (!rc && (m2c_node_text(&n, sizeof hex, hex, NULL) || m2c_hash_parse(hex, out)))
        rc = wrong(&n, err, "32 hex digits");
    return rc;
}
