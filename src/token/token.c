/* SPDX-License-Identifier: MIT */
/* Registry of tokenizers, files, and what all kinds share. */
#define _GNU_SOURCE /* asprintf */
#include "token/token_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* In the order in which bytes are tried. */
static const struct m2c_tok_ops *const registry[] = {
    &m2c_tok_hf,
    &m2c_tok_llama2c,
    NULL,
};

/* No tokenizer comes near; a larger file is something else. */
enum { MAX_FILE = 256 << 20 };

int m2c_tok_read_file(const char *path, uint8_t **out, size_t *n, struct m2c_err *err)
{
    FILE *f = fopen(path, "rbe");
    struct stat st;
    if (!f || fstat(fileno(f), &st) < 0) {
        int e = errno;
        if (f)
            fclose(f);
        return m2c_fail(err, -e, "%s: %s", path, strerror(e));
    }
    int r = 0;
    if (!S_ISREG(st.st_mode))
        r = m2c_fail(err, -EINVAL, "%s: not a regular file", path);
    else if (st.st_size > MAX_FILE)
        r = m2c_fail(err, -EFBIG, "%s: %lld bytes are too many for a tokenizer", path,
                     (long long)st.st_size);
    uint8_t *bytes = r == 0 ? malloc((size_t)st.st_size + 1) : NULL;
    if (r == 0 && !bytes)
        r = m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    if (r == 0 && fread(bytes, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
        r = m2c_fail(err, -EIO, "%s: cannot be read to its end", path);
    fclose(f);
    if (r < 0) {
        free(bytes);
        return r;
    }
    bytes[st.st_size] = 0;
    *out = bytes;
    *n = (size_t)st.st_size;
    return 0;
}

/* Takes `bytes` over. */
static int open_bytes(struct m2c_tok **out, const struct m2c_tok_ops *ops, uint8_t *bytes,
                      size_t n, struct m2c_err *err)
{
    struct m2c_tok *t = calloc(1, sizeof *t);
    if (!t || !(t->priv = calloc(1, ops->p.priv_size))) {
        free(t);
        free(bytes);
        return m2c_fail(err, -ENOMEM, "tokenizer: out of memory");
    }
    t->ops = ops;
    t->bytes = bytes;
    t->n = n;
    t->bos = t->eos = -1;
    int r = ops->open(t, err);
    if (r < 0) {
        m2c_tok_close(t);
        return r;
    }
    *out = t;
    return 0;
}

int m2c_tok_open_mem(struct m2c_tok **out, const char *kind, const void *bytes, size_t n,
                     struct m2c_err *err)
{
    const struct m2c_tok_ops *ops = m2c_plugin_find(
        (const void *const *)(const void *)registry, "kind of tokenizer", kind, err);
    if (!ops)
        return -ENOENT;
    uint8_t *copy = malloc(n + 1);
    if (!copy)
        return m2c_fail(err, -ENOMEM, "tokenizer: out of memory");
    memcpy(copy, bytes, n);
    copy[n] = 0;
    return open_bytes(out, ops, copy, n, err);
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

static int open_folder(struct m2c_tok **out, const char *path, struct m2c_err *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model",
                                        "tokenizer.bin"};
    for (size_t i = 0; i < M2C_COUNTOF(names); i++) {
        char *file;
        struct stat st;
        if (asprintf(&file, "%s/%s", path, names[i]) < 0)
            return m2c_fail(err, -ENOMEM, "%s: out of memory", path);
        int r = stat(file, &st) == 0 ? m2c_tok_open_file(out, file, err) : 1;
        free(file);
        if (r <= 0)
            return r;
    }
    return m2c_fail(err, -ENOENT,
                    "%s: holds no tokenizer.json, tokenizer.model or tokenizer.bin", path);
}

int m2c_tok_open_file(struct m2c_tok **out, const char *path, struct m2c_err *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return open_folder(out, path, err);
    uint8_t *bytes;
    size_t n;
    int r;
    if (ends_with(path, "vocab.json"))
        r = m2c_hf_from_pair(path, (char **)&bytes, &n, err);
    else
        r = m2c_tok_read_file(path, &bytes, &n, err);
    if (r < 0)
        return r;
    for (size_t i = 0; registry[i]; i++) {
        if (!registry[i]->sniff(bytes, n))
            continue;
        r = open_bytes(out, registry[i], bytes, n, err);
        return r < 0 ? m2c_fail_in(err, r, "%s", path) : 0;
    }
    free(bytes);
    return m2c_fail(err, -EINVAL,
                    "%s: neither a tokenizer.json nor a SentencePiece model nor a llama2.c "
                    "tokenizer",
                    path);
}

void m2c_tok_close(struct m2c_tok *t)
{
    if (!t)
        return;
    t->ops->close(t);
    free(t->priv);
    free(t->bytes);
    free(t);
}

const char *m2c_tok_kind(const struct m2c_tok *t) { return t->ops->p.name; }

void m2c_tok_source(const struct m2c_tok *t, const void **bytes, size_t *n)
{
    *bytes = t->bytes;
    *n = t->n;
}

uint32_t m2c_tok_vocab(const struct m2c_tok *t) { return t->vocab; }
int32_t m2c_tok_bos(const struct m2c_tok *t) { return t->bos; }
int32_t m2c_tok_eos(const struct m2c_tok *t) { return t->eos; }

void m2c_tok_set_special(struct m2c_tok *t, int32_t bos, int32_t eos)
{
    t->bos = bos;
    t->eos = eos;
}

int64_t m2c_tok_encode(struct m2c_tok *t, const char *text, size_t n, uint32_t *ids,
                       size_t cap)
{
    struct m2c_ids out = {ids, cap, 0};
    int r = n ? t->ops->encode(t, text, n, &out) : 0;
    return r < 0 ? r : out.n;
}

int64_t m2c_tok_decode(const struct m2c_tok *t, int64_t prev, uint32_t id, char *buf,
                       size_t cap)
{
    const char *bytes = NULL;
    if (id >= t->vocab)
        return -EINVAL;
    if ((int64_t)id == t->bos || (int64_t)id == t->eos)
        return 0;
    size_t n = t->ops->piece(t, id, &bytes);
    if (n && t->ops->strips_space && (prev < 0 || prev == t->bos) && bytes[0] == ' ') {
        bytes++;
        n--;
    }
    memcpy(buf, bytes ? bytes : "", M2C_MIN(n, cap));
    return (int64_t)n;
}
