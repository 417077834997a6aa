/* SPDX-License-Identifier: MIT */
/* The header of a safetensors file
 * (github.com/huggingface/safetensors, section "Format"). */
#include "import/safetensors_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The reference allows 100 MB; the largest models have less than 1 MB, and a
 * parsed header takes about ten times its text. */
enum { MAX_HEADER = 8 << 20, DATA_AT = 8 };

static int fault(const struct m2c_st *st, const char *name, struct m2c_err *err,
                 const char *what)
{
    struct m2c_quoted q = m2c_import_quote(name);
    return m2c_fail(err, -EINVAL, "%s: tensor '%s': %s", st->file.path, q.s, what);
}

static uint64_t dtype_bytes(const char *dtype)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } types[] = {
        {"F32", 4}, {"F16", 2},  {"BF16", 2},    {"F64", 8},     {"I64", 8}, {"I32", 4},
        {"I16", 2}, {"I8", 1},   {"U64", 8},     {"U32", 4},     {"U16", 2}, {"U8", 1},
        {"C64", 8}, {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1},
    };
    for (size_t i = 0; i < M2C_COUNTOF(types); i++)
        if (strcmp(types[i].name, dtype) == 0)
            return types[i].bytes;
    return 0;
}

/* A JSON integer of at least 0. */
static bool get_size(const json_t *v, uint64_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static int read_tensor(const struct m2c_st *st, const char *name, const json_t *v,
                       uint64_t data_at, struct m2c_st_tensor *t, struct m2c_err *err)
{
    const char *dtype = json_string_value(json_object_get(v, "dtype"));
    const json_t *shape = json_object_get(v, "shape");
    const json_t *range = json_object_get(v, "data_offsets");
    if (!dtype || !json_is_array(shape) || !json_is_array(range))
        return fault(st, name, err, "expected dtype, shape and data_offsets");
    uint64_t size = dtype_bytes(dtype), begin, end;
    if (size == 0)
        return fault(st, name, err, "dtype is not one of the format's");
    strcpy(t->dtype, dtype);
    if (json_array_size(shape) > M2C_ST_DIMS)
        return fault(st, name, err, "shape has more than 8 dimensions");
    t->n_dims = (uint32_t)json_array_size(shape);
    for (uint32_t i = 0; i < t->n_dims; i++) {
        if (!get_size(json_array_get(shape, i), &t->shape[i]))
            return fault(st, name, err, "shape is not a list of sizes");
        if (!m2c_mul_size((size_t)size, (size_t)t->shape[i], (size_t *)&size))
            return fault(st, name, err, "the product of its shape overflows");
    }
    if (json_array_size(range) != 2 || !get_size(json_array_get(range, 0), &begin) ||
        !get_size(json_array_get(range, 1), &end) || begin > end)
        return fault(st, name, err, "data_offsets is not [begin, end]");
    if (end > st->file.size - data_at) {
        struct m2c_quoted q = m2c_import_quote(name);
        return m2c_fail(err, -EINVAL,
                        "%s: tensor '%s' ends at byte %" PRIu64
                        ", but the file has %" PRIu64,
                        st->file.path, q.s, data_at + end, st->file.size);
    }
    if (end - begin != size)
        return fault(st, name, err, "data_offsets do not fit dtype and shape");
    t->offset = data_at + begin;
    t->bytes = size;
    t->name = strdup(name);
    return t->name ? 0 : m2c_fail(err, -ENOMEM, "%s: no memory", st->file.path);
}

static int by_offset(const void *a, const void *b)
{
    const struct m2c_st_tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); /* empty ones first */
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct m2c_st_tensor *)a)->name,
                  ((const struct m2c_st_tensor *)b)->name);
}

/* No gap, no overlap, nothing behind the last. */
static int check_cover(struct m2c_st *st, uint64_t data_at, struct m2c_err *err)
{
    uint64_t at = data_at;
    qsort(st->t, st->n, sizeof *st->t, by_offset);
    for (size_t i = 0; i < st->n; i++) {
        if (st->t[i].offset < at)
            return fault(st, st->t[i].name, err, "overlaps the tensor before it");
        if (st->t[i].offset > at)
            return fault(st, st->t[i].name, err, "leaves a gap to the tensor before it");
        at += st->t[i].bytes;
    }
    if (at != st->file.size)
        return m2c_fail(err, -EINVAL,
                        "%s: the last tensor ends at byte %" PRIu64
                        ", but the file has %" PRIu64,
                        st->file.path, at, st->file.size);
    return 0;
}

static int read_tensors(struct m2c_st *st, json_t *root, uint64_t data_at,
                        struct m2c_err *err)
{
    const char *name;
    json_t *v;
    st->t = calloc(json_object_size(root) + 1, sizeof *st->t);
    if (!st->t)
        return m2c_fail(err, -ENOMEM, "%s: no memory", st->file.path);
    json_object_foreach(root, name, v)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        int rc = read_tensor(st, name, v, data_at, &st->t[st->n], err);
        if (rc)
            return rc;
        st->n++;
    }
    int rc = check_cover(st, data_at, err);
    if (rc == 0)
        qsort(st->t, st->n, sizeof *st->t, by_name);
    return rc;
}

int m2c_st_open(struct m2c_st *st, const char *path, struct m2c_err *err)
{
    uint8_t head[DATA_AT];
    int rc = m2c_import_file_open(&st->file, path, err);
    if (rc)
        return rc;
    if (st->file.size < sizeof head)
        return m2c_fail(err, -EINVAL, "%s: ends at byte %" PRIu64 ", inside the header",
                        path, st->file.size);
    rc = m2c_import_file_read(&st->file, 0, head, sizeof head, err);
    if (rc)
        return rc;
    uint64_t n = 0;
    for (unsigned i = 0; i < sizeof head; i++)
        n |= (uint64_t)head[i] << (8 * i);
    if (n > MAX_HEADER)
        return m2c_fail(err, -EINVAL,
                        "%s: offset 0: header of %" PRIu64 " bytes, expected at most %d",
                        path, n, MAX_HEADER);
    if (!m2c_range_ok(DATA_AT, n, st->file.size))
        return m2c_fail(err, -EINVAL,
                        "%s: ends at byte %" PRIu64 ", inside its header of %" PRIu64
                        " bytes",
                        path, st->file.size, n);
    char *text = malloc((size_t)n + 1);
    json_t *root = NULL;
    if (!text)
        return m2c_fail(err, -ENOMEM, "%s: no memory", path);
    rc = m2c_import_file_read(&st->file, DATA_AT, text, (size_t)n, err);
    if (rc == 0)
        rc = m2c_import_json_text(text, (size_t)n, path, "header: ", &root, err);
    free(text);
    if (rc == 0)
        rc = read_tensors(st, root, DATA_AT + n, err);
    json_decref(root);
    return rc;
}

void m2c_st_close(struct m2c_st *st)
{
    for (size_t i = 0; i < st->n; i++)
        free(st->t[i].name);
    free(st->t);
    m2c_import_file_close(&st->file);
    *st = (struct m2c_st){0};
}

struct m2c_st_tensor *m2c_st_find(const struct m2c_st *st, const char *name)
{
    struct m2c_st_tensor key = {.name = (char *)(uintptr_t)name};
    return st->n ? bsearch(&key, st->t, st->n, sizeof *st->t, by_name) : NULL;
}
