/* SPDX-License-Identifier: MIT */
/* Reading the header of a GGUF file, front to back, once. */
#include "base/gguf.h"

#include "base/gguf_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Far beyond any real model (the largest have some thousand tensors and 20 MB
 * of vocabulary): what a lying file may cost. */
enum {
    MAX_KEYS = 1 << 16,
    MAX_TENSORS = 1 << 17,
    MAX_KEY = 65535, /* of the format */
    MAX_NAME = 64,   /* of the format, and more than llama.cpp takes */
    MAX_HEADER = 256 << 20,
    MAX_ALIGNMENT = 1 << 20,
    BUFFER = 1 << 16
};

/* A cursor over the file. */
struct reader {
    struct m2c_gguf *g;
    uint64_t at;   /* of the next byte */
    uint64_t from; /* of buf[0] */
    size_t n;      /* bytes in buf */
    uint8_t *buf;  /* [BUFFER] */
    struct m2c_err *err;
};

static int pread_all(int fd, uint64_t off, void *dst, size_t n, struct m2c_err *err)
{
    uint8_t *p = dst;
    while (n > 0) {
        ssize_t got = pread(fd, p, M2C_MIN(n, (size_t)1 << 30), (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return m2c_fail(err, -EIO, "offset %" PRIu64 ": %s", off, strerror(errno));
        if (got == 0)
            return m2c_fail(err, -EIO, "ends at byte %" PRIu64 ", %zu more expected", off,
                            n);
        p += got;
        off += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

int m2c_gguf_read(const struct m2c_gguf *g, uint64_t off, void *dst, size_t n,
                  struct m2c_err *err)
{
    return pread_all(g->fd, off, dst, n, err);
}

static int ends_inside(const struct reader *r, const char *what)
{
    return m2c_fail(r->err, -EINVAL,
                    "offset %" PRIu64 ": ends at byte %" PRIu64 ", inside %s", r->at,
                    r->g->size, what);
}

/* n bytes, n at most BUFFER. */
static int take(struct reader *r, void *dst, size_t n, const char *what)
{
    if (!m2c_range_ok(r->at, n, r->g->size))
        return ends_inside(r, what);
    if (r->at < r->from || !m2c_range_ok(r->at - r->from, n, r->n)) {
        r->from = r->at;
        r->n = (size_t)M2C_MIN((uint64_t)BUFFER, r->g->size - r->at);
        int rc = pread_all(r->g->fd, r->at, r->buf, r->n, r->err);
        if (rc) {
            r->n = 0;
            return rc;
        }
    }
    memcpy(dst, r->buf + (r->at - r->from), n);
    r->at += n;
    return 0;
}

static int take_uint(struct reader *r, unsigned bytes, uint64_t *out, const char *what)
{
    uint8_t b[8];
    int rc = take(r, b, bytes, what);
    *out = 0;
    for (unsigned i = 0; rc == 0 && i < bytes; i++)
        *out |= (uint64_t)b[i] << 8 * i;
    return rc;
}

static int skip(struct reader *r, uint64_t n, const char *what)
{
    if (!m2c_range_ok(r->at, n, r->g->size))
        return ends_inside(r, what);
    r->at += n;
    return r->at <= MAX_HEADER
               ? 0
               : m2c_fail(r->err, -EINVAL,
                          "offset %" PRIu64 ": more than %d bytes of header", r->at - n,
                          MAX_HEADER);
}

/* Length and bytes of a name without NUL; *out is malloc'ed. */
static int take_name(struct reader *r, uint64_t max, char **out, const char *what)
{
    uint64_t n, start = r->at;
    int rc = take_uint(r, 8, &n, what);
    if (rc)
        return rc;
    if (n == 0 || n > max)
        return m2c_fail(r->err, -EINVAL,
                        "offset %" PRIu64 ": %s of %" PRIu64
                        " bytes, expected 1 to %" PRIu64,
                        start, what, n, max);
    if (!m2c_range_ok(r->at, n, r->g->size))
        return ends_inside(r, what);
    char *s = malloc((size_t)n + 1);
    if (!s)
        return m2c_fail(r->err, -ENOMEM, "no memory");
    rc = take(r, s, (size_t)n, what);
    s[n] = 0;
    if (rc == 0 && memchr(s, 0, (size_t)n))
        rc = m2c_fail(r->err, -EINVAL, "offset %" PRIu64 ": %s with a zero byte", start,
                      what);
    if (rc)
        free(s);
    else
        *out = s;
    return rc;
}

size_t m2c_gguf_value_bytes(enum m2c_gguf_value type)
{
    static const uint8_t bytes[M2C_GGUF_N_VALUES] = {
        [M2C_GGUF_U8] = 1,  [M2C_GGUF_I8] = 1,  [M2C_GGUF_BOOL] = 1, [M2C_GGUF_U16] = 2,
        [M2C_GGUF_I16] = 2, [M2C_GGUF_U32] = 4, [M2C_GGUF_I32] = 4,  [M2C_GGUF_F32] = 4,
        [M2C_GGUF_U64] = 8, [M2C_GGUF_I64] = 8, [M2C_GGUF_F64] = 8};
    return (unsigned)type < M2C_GGUF_N_VALUES ? bytes[type] : 0;
}

static int take_type(struct reader *r, const char *key, enum m2c_gguf_value *out)
{
    uint64_t type, start = r->at;
    int rc = take_uint(r, 4, &type, "the type of a value");
    if (rc)
        return rc;
    if (type >= M2C_GGUF_N_VALUES)
        return m2c_fail(r->err, -EINVAL,
                        "offset %" PRIu64 ": key '%s' has a value of type %" PRIu64
                        ", expected 0 to %d",
                        start, m2c_gguf_quote(key).s, type, M2C_GGUF_N_VALUES - 1);
    *out = (enum m2c_gguf_value)type;
    return 0;
}

static int skip_strings(struct reader *r, uint64_t n)
{
    int rc = 0;
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        uint64_t len;
        rc = take_uint(r, 8, &len, "a list of strings");
        if (rc == 0)
            rc = skip(r, len, "a list of strings");
    }
    return rc;
}

static int read_array(struct reader *r, struct m2c_gguf_kv *kv)
{
    uint64_t start = r->at;
    int rc = take_type(r, kv->key, &kv->elem);
    if (rc == 0 && kv->elem == M2C_GGUF_ARRAY)
        return m2c_fail(r->err, -EINVAL, "offset %" PRIu64 ": key '%s': a list of lists",
                        start, m2c_gguf_quote(kv->key).s);
    if (rc == 0)
        rc = take_uint(r, 8, &kv->n, "a list");
    if (rc)
        return rc;
    bool strings = kv->elem == M2C_GGUF_STRING;
    size_t least = strings ? 8 : m2c_gguf_value_bytes(kv->elem);
    if (kv->n > (r->g->size - r->at) / least)
        return m2c_fail(r->err, -EINVAL,
                        "offset %" PRIu64 ": key '%s': a list of %" PRIu64
                        " values, but %" PRIu64 " bytes are left",
                        start, m2c_gguf_quote(kv->key).s, kv->n, r->g->size - r->at);
    kv->at = r->at;
    rc = strings ? skip_strings(r, kv->n) : skip(r, kv->n * least, "a list");
    kv->bytes = r->at - kv->at;
    return rc;
}

static int read_kv(struct reader *r, struct m2c_gguf_kv *kv)
{
    int rc = take_name(r, MAX_KEY, &kv->key, "a key");
    if (rc == 0)
        rc = take_type(r, kv->key, &kv->type);
    if (rc)
        return rc;
    if (kv->type == M2C_GGUF_ARRAY)
        return read_array(r, kv);
    kv->n = 1;
    kv->bytes = m2c_gguf_value_bytes(kv->type);
    if (kv->type == M2C_GGUF_STRING) {
        rc = take_uint(r, 8, &kv->n, "a string");
        kv->bytes = kv->n;
    }
    kv->at = r->at;
    return rc ? rc : skip(r, kv->bytes, "a value");
}

static int read_tensor(struct reader *r, struct m2c_gguf_tensor *t)
{
    uint64_t x = 0;
    t->info_at = r->at;
    int rc = take_name(r, MAX_NAME, &t->name, "the name of a tensor");
    if (rc == 0)
        rc = take_uint(r, 4, &x, "a tensor");
    if (rc == 0 && (x < 1 || x > M2C_GGUF_DIMS))
        return m2c_fail(r->err, -EINVAL,
                        "offset %" PRIu64 ": tensor '%s' has %" PRIu64
                        " dimensions, expected 1 to %d",
                        t->info_at, m2c_gguf_quote(t->name).s, x, M2C_GGUF_DIMS);
    t->n_dims = (uint32_t)x;
    for (uint32_t i = 0; i < M2C_GGUF_DIMS; i++)
        t->dim[i] = 1;
    for (uint32_t i = 0; i < t->n_dims && rc == 0; i++)
        rc = take_uint(r, 8, &t->dim[i], "a tensor");
    if (rc == 0)
        rc = take_uint(r, 4, &x, "a tensor");
    t->type = (uint32_t)x;
    return rc ? rc : take_uint(r, 8, &t->at, "a tensor"); /* from data_at, as yet */
}

/* ---- lists that grow with what was read ---- */

static void *grow(void *list, size_t n, size_t size)
{
    if (n & (n - 1) || n == 1)
        return list; /* 0, 2, 4, 8 ... are full */
    return realloc(list, (n ? 2 * n : 2) * size);
}

static int read_kvs(struct reader *r, uint64_t n)
{
    struct m2c_gguf *g = r->g;
    int rc = 0;
    while (g->n_kv < n && rc == 0) {
        void *more = grow(g->kv, g->n_kv, sizeof *g->kv);
        if (!more)
            return m2c_fail(r->err, -ENOMEM, "no memory");
        g->kv = more;
        g->kv[g->n_kv] = (struct m2c_gguf_kv){0};
        rc = read_kv(r, &g->kv[g->n_kv++]); /* half-read ones are freed like others */
    }
    return rc;
}

static int read_tensors(struct reader *r, uint64_t n)
{
    struct m2c_gguf *g = r->g;
    int rc = 0;
    while (g->n_tensors < n && rc == 0) {
        void *more = grow(g->tensor, g->n_tensors, sizeof *g->tensor);
        if (!more)
            return m2c_fail(r->err, -ENOMEM, "no memory");
        g->tensor = more;
        g->tensor[g->n_tensors] = (struct m2c_gguf_tensor){0};
        rc = read_tensor(r, &g->tensor[g->n_tensors++]);
    }
    return rc;
}

static int by_key(const void *a, const void *b)
{
    const struct m2c_gguf_kv *x = a, *y = b;
    return strcmp(x->key, y->key);
}

static int by_name(const void *a, const void *b)
{
    const struct m2c_gguf_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int sort_all(struct m2c_gguf *g, struct m2c_err *err)
{
    if (g->n_kv)
        qsort(g->kv, g->n_kv, sizeof *g->kv, by_key);
    if (g->n_tensors)
        qsort(g->tensor, g->n_tensors, sizeof *g->tensor, by_name);
    for (size_t i = 1; i < g->n_kv; i++) {
        const struct m2c_gguf_kv *a = &g->kv[i - 1], *b = &g->kv[i];
        if (strcmp(a->key, b->key) == 0)
            return m2c_fail(err, -EINVAL,
                            "offset %" PRIu64 ": key '%s' is there twice, with another "
                            "value at %" PRIu64,
                            M2C_MAX(a->at, b->at), m2c_gguf_quote(a->key).s,
                            M2C_MIN(a->at, b->at));
    }
    for (size_t i = 1; i < g->n_tensors; i++) {
        const struct m2c_gguf_tensor *a = &g->tensor[i - 1], *b = &g->tensor[i];
        if (strcmp(a->name, b->name) == 0)
            return m2c_fail(err, -EINVAL,
                            "offset %" PRIu64 ": tensor '%s' is there twice",
                            M2C_MAX(a->info_at, b->info_at), m2c_gguf_quote(a->name).s);
    }
    return 0;
}

/* Offsets are relative to the data, which begin at the next aligned byte. */
static int place_data(struct reader *r)
{
    struct m2c_gguf *g = r->g;
    uint64_t align = 32;
    int rc = m2c_gguf_uint(g, "general.alignment", UINT32_MAX, &align, r->err);
    if (rc < 0)
        return rc;
    if (align < 8 || align > MAX_ALIGNMENT || align & (align - 1))
        return m2c_fail(r->err, -EINVAL,
                        "general.alignment: %" PRIu64
                        ", expected a power of two from 8 to %d",
                        align, MAX_ALIGNMENT);
    g->alignment = (uint32_t)align;
    g->data_at = (r->at + align - 1) & ~(align - 1);
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct m2c_gguf_tensor *t = &g->tensor[i];
        if (t->at % align || t->at > UINT64_MAX - g->data_at)
            return m2c_fail(r->err, -EINVAL,
                            "offset %" PRIu64 ": tensor '%s' lies at %" PRIu64
                            " in the data, expected a multiple of %" PRIu64,
                            t->info_at, m2c_gguf_quote(t->name).s, t->at, align);
        t->at += g->data_at;
    }
    return 0;
}

static int read_counts(struct reader *r, uint64_t *tensors, uint64_t *kvs)
{
    uint64_t version;
    uint8_t magic[4];
    int rc = take(r, magic, sizeof magic, "the header");
    if (rc == 0 && !m2c_gguf_magic(magic, sizeof magic))
        return m2c_fail(r->err, -EINVAL, "offset 0: not a GGUF file");
    if (rc == 0)
        rc = take_uint(r, 4, &version, "the header");
    if (rc)
        return rc;
    if (version == UINT64_C(2) << 24 || version == UINT64_C(3) << 24)
        return m2c_fail(r->err, -EINVAL,
                        "offset 4: a big-endian file, which is not read");
    if (version < 2 || version > 3)
        return m2c_fail(r->err, -EINVAL, "offset 4: version %" PRIu64 ", expected 2 or 3",
                        version);
    r->g->version = (uint32_t)version;
    rc = take_uint(r, 8, tensors, "the header");
    if (rc == 0)
        rc = take_uint(r, 8, kvs, "the header");
    if (rc == 0 && *tensors > MAX_TENSORS)
        return m2c_fail(r->err, -EINVAL,
                        "offset 8: %" PRIu64 " tensors, expected at most %d", *tensors,
                        MAX_TENSORS);
    if (rc == 0 && *kvs > MAX_KEYS)
        return m2c_fail(r->err, -EINVAL,
                        "offset 16: %" PRIu64 " keys, expected at most %d", *kvs,
                        MAX_KEYS);
    return rc;
}

int m2c_gguf_open(struct m2c_gguf *g, int fd, uint64_t size, struct m2c_err *err)
{
    uint64_t tensors = 0, kvs = 0;
    *g = (struct m2c_gguf){.fd = fd, .size = size};
    struct reader r = {.g = g, .err = err, .buf = malloc(BUFFER)};
    int rc =
        r.buf ? read_counts(&r, &tensors, &kvs) : m2c_fail(err, -ENOMEM, "no memory");
    if (rc == 0)
        rc = read_kvs(&r, kvs);
    if (rc == 0)
        rc = read_tensors(&r, tensors);
    if (rc == 0)
        rc = sort_all(g, err);
    if (rc == 0)
        rc = place_data(&r);
    free(r.buf);
    if (rc)
        m2c_gguf_close(g);
    return rc;
}

void m2c_gguf_close(struct m2c_gguf *g)
{
    for (size_t i = 0; i < g->n_kv; i++)
        free(g->kv[i].key);
    for (size_t i = 0; i < g->n_tensors; i++)
        free(g->tensor[i].name);
    free(g->kv);
    free(g->tensor);
    *g = (struct m2c_gguf){0};
}

const struct m2c_gguf_kv *m2c_gguf_find(const struct m2c_gguf *g, const char *key)
{
    struct m2c_gguf_kv want = {.key = (char *)(uintptr_t)key};
    return g->n_kv ? bsearch(&want, g->kv, g->n_kv, sizeof want, by_key) : NULL;
}

struct m2c_gguf_tensor *m2c_gguf_tensor(const struct m2c_gguf *g, const char *name)
{
    struct m2c_gguf_tensor want = {.name = (char *)(uintptr_t)name};
    return g->n_tensors ? bsearch(&want, g->tensor, g->n_tensors, sizeof want, by_name)
                        : NULL;
}
