/* SPDX-License-Identifier: MIT */
/* Values of a GGUF file's keys, read when they are asked for. */
#include "base/gguf_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool m2c_gguf_magic(const void *head, size_t n)
{
    return n >= 4 && memcmp(head, "GGUF", 4) == 0;
}

struct m2c_gguf_quoted m2c_gguf_quote(const char *s)
{
    struct m2c_gguf_quoted q;
    size_t n = 0;
    for (; s[n] && n + 1 < sizeof q.s; n++)
        q.s[n] = s[n] >= 0x20 && s[n] < 0x7f ? s[n] : '?';
    q.s[n] = 0;
    return q;
}

static int wrong(const struct m2c_gguf_kv *kv, const char *want, struct m2c_err *err)
{
    static const char *const names[M2C_GGUF_N_VALUES] = {
        "u8",   "i8",     "u16",  "i16", "u32", "i32", "f32",
        "bool", "string", "list", "u64", "i64", "f64"};
    return m2c_fail(err, -EINVAL, "offset %" PRIu64 ": %s is of type %s, expected %s",
                    kv->at, m2c_gguf_quote(kv->key).s, names[kv->type], want);
}

static int read_bits(const struct m2c_gguf *g, const struct m2c_gguf_kv *kv,
                     uint64_t *out, struct m2c_err *err)
{
    uint8_t b[8] = {0};
    int rc = m2c_gguf_read(g, kv->at, b, (size_t)kv->bytes, err);
    *out = 0;
    for (unsigned i = 0; i < sizeof b; i++)
        *out |= (uint64_t)b[i] << 8 * i;
    return rc;
}

/* Of a signed type, below zero. */
static bool negative(enum m2c_gguf_value type, uint64_t bits)
{
    bool is_signed = type == M2C_GGUF_I8 || type == M2C_GGUF_I16 ||
                     type == M2C_GGUF_I32 || type == M2C_GGUF_I64;
    return is_signed && bits >> (8 * m2c_gguf_value_bytes(type) - 1) & 1;
}

int m2c_gguf_uint(const struct m2c_gguf *g, const char *key, uint64_t max, uint64_t *out,
                  struct m2c_err *err)
{
    const struct m2c_gguf_kv *kv = m2c_gguf_find(g, key);
    uint64_t bits;
    if (!kv)
        return 0;
    bool integer =
        kv->type <= M2C_GGUF_I32 || kv->type == M2C_GGUF_U64 || kv->type == M2C_GGUF_I64;
    if (!integer)
        return wrong(kv, "an integer", err);
    int rc = read_bits(g, kv, &bits, err);
    if (rc)
        return rc;
    if (negative(kv->type, bits))
        return m2c_fail(err, -EINVAL, "offset %" PRIu64 ": %s is negative", kv->at,
                        m2c_gguf_quote(key).s);
    if (bits > max)
        return m2c_fail(err, -EINVAL,
                        "offset %" PRIu64 ": %s is %" PRIu64
                        ", expected at most %" PRIu64,
                        kv->at, m2c_gguf_quote(key).s, bits, max);
    *out = bits;
    return 1;
}

int m2c_gguf_float(const struct m2c_gguf *g, const char *key, double *out,
                   struct m2c_err *err)
{
    const struct m2c_gguf_kv *kv = m2c_gguf_find(g, key);
    uint64_t bits;
    if (!kv)
        return 0;
    if (kv->type != M2C_GGUF_F32 && kv->type != M2C_GGUF_F64)
        return wrong(kv, "f32 or f64", err);
    int rc = read_bits(g, kv, &bits, err);
    if (rc)
        return rc;
    if (kv->type == M2C_GGUF_F64) {
        memcpy(out, &bits, sizeof *out);
    } else {
        uint32_t half = (uint32_t)bits;
        float x;
        memcpy(&x, &half, sizeof x);
        *out = (double)x;
    }
    return isfinite(*out)
               ? 1
               : m2c_fail(err, -EINVAL, "offset %" PRIu64 ": %s is no finite number",
                          kv->at, m2c_gguf_quote(key).s);
}

int m2c_gguf_bool(const struct m2c_gguf *g, const char *key, bool *out,
                  struct m2c_err *err)
{
    const struct m2c_gguf_kv *kv = m2c_gguf_find(g, key);
    uint64_t bits;
    if (!kv)
        return 0;
    if (kv->type != M2C_GGUF_BOOL)
        return wrong(kv, "bool", err);
    int rc = read_bits(g, kv, &bits, err);
    if (rc)
        return rc;
    if (bits > 1)
        return m2c_fail(err, -EINVAL,
                        "offset %" PRIu64 ": %s is %" PRIu64 ", expected 0 or 1", kv->at,
                        m2c_gguf_quote(key).s, bits);
    *out = bits != 0;
    return 1;
}

/* All bytes of a value, a NUL after them. */
static int load(const struct m2c_gguf *g, const struct m2c_gguf_kv *kv, uint8_t **out,
                struct m2c_err *err)
{
    uint8_t *b = malloc((size_t)kv->bytes + 1);
    if (!b)
        return m2c_fail(err, -ENOMEM, "%s: no memory", m2c_gguf_quote(kv->key).s);
    int rc = m2c_gguf_read(g, kv->at, b, (size_t)kv->bytes, err);
    if (rc) {
        free(b);
        return rc;
    }
    b[kv->bytes] = 0;
    *out = b;
    return 1;
}

int m2c_gguf_string(const struct m2c_gguf *g, const char *key, char **out,
                    struct m2c_err *err)
{
    const struct m2c_gguf_kv *kv = m2c_gguf_find(g, key);
    uint8_t *b = NULL;
    if (!kv)
        return 0;
    if (kv->type != M2C_GGUF_STRING)
        return wrong(kv, "string", err);
    int rc = load(g, kv, &b, err);
    if (rc < 0)
        return rc;
    if (memchr(b, 0, (size_t)kv->bytes)) {
        free(b);
        return m2c_fail(err, -EINVAL, "offset %" PRIu64 ": %s has a zero byte", kv->at,
                        m2c_gguf_quote(key).s);
    }
    *out = (char *)b;
    return 1;
}

/* Whether n strings fill the bytes: the file may have changed since it was opened. */
static bool strings_fit(const uint8_t *b, uint64_t bytes, uint64_t n)
{
    const uint8_t *at = b;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t left = bytes - (uint64_t)(at - b), len = 0;
        for (unsigned k = 0; left >= 8 && k < 8; k++)
            len |= (uint64_t)at[k] << 8 * k;
        if (left < 8 || len > left - 8)
            return false;
        at += 8 + len;
    }
    return (uint64_t)(at - b) == bytes;
}

int m2c_gguf_array(const struct m2c_gguf *g, const char *key, enum m2c_gguf_value elem,
                   uint8_t **out, size_t *n, struct m2c_err *err)
{
    const struct m2c_gguf_kv *kv = m2c_gguf_find(g, key);
    if (!kv)
        return 0;
    if (kv->type != M2C_GGUF_ARRAY || kv->elem != elem)
        return wrong(kv,
                     elem == M2C_GGUF_STRING ? "a list of strings"
                     : elem == M2C_GGUF_F32  ? "a list of f32"
                                             : "a list of i32",
                     err);
    int rc = load(g, kv, out, err);
    if (rc < 0)
        return rc;
    if (elem == M2C_GGUF_STRING && !strings_fit(*out, kv->bytes, kv->n)) {
        free(*out);
        *out = NULL;
        return m2c_fail(err, -EIO, "offset %" PRIu64 ": %s changed while it was read",
                        kv->at, m2c_gguf_quote(key).s);
    }
    *n = (size_t)kv->n;
    return 1;
}

void m2c_gguf_next(const uint8_t **at, const char **s, size_t *n)
{
    uint64_t len = 0;
    for (unsigned i = 0; i < 8; i++)
        len |= (uint64_t)(*at)[i] << 8 * i;
    *s = (const char *)*at + 8;
    *n = (size_t)len;
    *at += 8 + len;
}
