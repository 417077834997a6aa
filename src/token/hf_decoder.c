/* SPDX-License-Identifier: MIT */
/* The decoder of a tokenizer.json, applied once to each token's text. */
#include "token/hf_impl.h"

#include "token/pieces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REPLACE = 8 };

struct decoder {
    struct {
        const char *from, *to;
    } replace[MAX_REPLACE];
    size_t n_replace;
    const char *lead; /* a text that begins with it loses it */
    bool bytes, fused, byte_level;
};

static int open_replace(struct decoder *d, const json_t *o, const char *path,
                        struct m2c_err *err)
{
    struct m2c_hf_path at = m2c_hf_at(path, "pattern");
    const char *from, *to;
    int r = m2c_hf_string(json_object_get(o, "pattern"), at.s, "String", &from, err);
    if (r == 0)
        r = m2c_hf_string(o, path, "content", &to, err);
    if (r < 0)
        return r;
    if (!from || !*from || !to || d->n_replace == MAX_REPLACE)
        return m2c_fail(err, -ENOTSUP,
                        "%s: expected a String and a content, %d times at most", path,
                        MAX_REPLACE);
    d->replace[d->n_replace].from = from;
    d->replace[d->n_replace++].to = to;
    return 0;
}

/* Strip of one character where the text begins; with Fuse before it, since it
 * would be done to every token otherwise. */
static int open_strip(struct decoder *d, const json_t *o, const char *path,
                      struct m2c_err *err)
{
    const json_t *start = json_object_get(o, "start"), *stop = json_object_get(o, "stop");
    const char *content;
    int r = m2c_hf_string(o, path, "content", &content, err);
    if (r < 0)
        return r;
    if (!content || !*content || !json_is_integer(start) || !json_is_integer(stop))
        return m2c_fail(err, -EINVAL, "%s: expected content, start and stop", path);
    if (json_integer_value(start) == 0 && json_integer_value(stop) == 0)
        return 0;
    if (json_integer_value(start) != 1 || json_integer_value(stop) != 0 || !d->fused ||
        strcmp(content, " ") != 0)
        return m2c_fail(err, -ENOTSUP,
                        "%s: only one space at the start, after a Fuse, is supported",
                        path);
    d->lead = " ";
    return 0;
}

static int open_metaspace(struct decoder *d, const json_t *o, const char *path,
                          struct m2c_err *err)
{
    const char *mark, *scheme;
    bool prefix;
    int r = m2c_hf_string(o, path, "replacement", &mark, err);
    if (r == 0)
        r = m2c_hf_string(o, path, "prepend_scheme", &scheme, err);
    if (r == 0)
        r = m2c_hf_bool(o, path, "add_prefix_space", true, &prefix, err);
    if (r < 0)
        return r;
    if (!mark || !*mark || d->n_replace)
        return m2c_fail(err, -EINVAL, "%s: expected one replacement", path);
    d->replace[d->n_replace].from = mark;
    d->replace[d->n_replace++].to = " ";
    if (scheme ? strcmp(scheme, "never") != 0 : prefix)
        d->lead = mark;
    return 0;
}

static int open_one(struct decoder *d, const json_t *o, const char *path, unsigned depth,
                    struct m2c_err *err)
{
    const char *type;
    int r = m2c_hf_type(o, path, &type, err);
    if (r < 0)
        return r;
    if (strcmp(type, "Sequence") == 0 && depth < M2C_HF_MAX_STEPS) {
        const json_t *list;
        size_t n;
        r = m2c_hf_list(o, path, "decoders", &list, &n, err);
        struct m2c_hf_path at = m2c_hf_at(path, "decoders");
        for (size_t i = 0; i < n && r == 0; i++)
            r = open_one(d, json_array_get(list, i), m2c_hf_at_index(at.s, i).s,
                         depth + 1, err);
        return r;
    }
    if (strcmp(type, "ByteLevel") == 0) {
        d->byte_level = true;
        return 0;
    }
    if (strcmp(type, "ByteFallback") == 0) {
        d->bytes = true;
        return 0;
    }
    if (strcmp(type, "Fuse") == 0) {
        d->fused = true;
        return 0;
    }
    if (strcmp(type, "Replace") == 0)
        return open_replace(d, o, path, err);
    if (strcmp(type, "Strip") == 0)
        return open_strip(d, o, path, err);
    if (strcmp(type, "Metaspace") == 0)
        return open_metaspace(d, o, path, err);
    return m2c_hf_unsupported(path, type,
                              "ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace "
                              "and Sequence are",
                              err);
}

static int apply(const struct decoder *d, const struct m2c_hf_token *t,
                 struct m2c_hf_buf *out)
{
    int byte = d->bytes ? m2c_pieces_byte_name(t->s, t->n) : -1;
    if (byte >= 0) {
        char c = (char)byte;
        return m2c_hf_put(out, &c, 1);
    }
    for (size_t i = 0; i < t->n;) {
        size_t k = 0, len = 0;
        for (; k < d->n_replace; k++) {
            len = strlen(d->replace[k].from);
            if (len <= t->n - i && memcmp(t->s + i, d->replace[k].from, len) == 0)
                break;
        }
        bool hit = k < d->n_replace;
        int r = hit ? m2c_hf_put(out, d->replace[k].to, strlen(d->replace[k].to))
                    : m2c_hf_put(out, t->s + i, 1);
        if (r < 0)
            return r;
        i += hit ? len : 1;
    }
    return 0;
}

static bool has_lead(const struct decoder *d, const struct m2c_hf_token *t,
                     const char *shown, size_t n)
{
    if (!d->lead)
        return false;
    if (strcmp(d->lead, " ") == 0)
        return n > 0 && shown[0] == ' ';
    size_t len = strlen(d->lead);
    return t->n >= len && memcmp(t->s, d->lead, len) == 0;
}

/* Offsets first: the buffer moves as it grows. */
static int show(struct m2c_hf *h, const struct decoder *d, uint32_t vocab)
{
    struct m2c_hf_buf out = {0};
    size_t *at = calloc((size_t)vocab + 1, sizeof *at);
    int r = at ? m2c_hf_put(&out, "", 1) : -ENOMEM;
    for (uint32_t i = 0; i < vocab && r == 0; i++) {
        at[i] = out.n;
        r = h->token[i].s ? apply(d, &h->token[i], &out) : 0;
        at[i + 1] = out.n;
    }
    for (uint32_t i = 0; i < vocab && r == 0; i++) {
        struct m2c_hf_token *t = &h->token[i];
        if (!t->s)
            continue;
        t->lead = has_lead(d, t, out.s + at[i], at[i + 1] - at[i]);
        t->s = out.s + at[i];
        t->n = (uint32_t)(at[i + 1] - at[i]);
    }
    free(at);
    if (r < 0)
        free(out.s);
    else
        h->shown = out.s;
    return r;
}

int m2c_hf_decoder_open(struct m2c_hf *h, uint32_t vocab, struct m2c_err *err)
{
    const json_t *o = json_object_get(h->root, "decoder");
    struct decoder d = {0};
    if (o && !json_is_null(o)) {
        int r = open_one(&d, o, "/decoder", 0, err);
        if (r < 0)
            return r;
    }
    /* bytes are bytes, whether the file says how to decode them or not */
    if (h->byte_level && (d.n_replace || d.bytes || d.lead))
        return m2c_fail(err, -ENOTSUP,
                        "/decoder: expected ByteLevel, as in /pre_tokenizer");
    if (h->byte_level)
        return 0;
    if (!o || json_is_null(o) || d.byte_level)
        return m2c_fail(
            err, -ENOTSUP,
            "/decoder: expected Replace or Metaspace, since /pre_tokenizer has "
            "no ByteLevel");
    return show(h, &d, vocab) < 0 ? m2c_fail(err, -ENOMEM, "out of memory") : 0;
}
