/* SPDX-License-Identifier: MIT */
/* Registry of tokenizers, files, and what all kinds share. */
#define _GNU_SOURCE /* asprintf */
#include "token/token_impl.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* In the order in which bytes are tried. */
static const struct m2c_tok_ops *const registry[] = {
    &m2c_tok_hf,
    &m2c_tok_spm,
    &m2c_tok_llama2c,
    NULL,
};

const struct m2c_plugin *const *m2c_tok_list(void)
{
    /* Each entry begins with its plug-in head. */
    return (const struct m2c_plugin *const *)(const void *)registry;
}

/* No tokenizer comes near; a larger file is something else. */
enum { MAX_FILE = 256 << 20 };

static int read_all(int fd, uint8_t *bytes, size_t n, const char *path,
                    struct m2c_err *err)
{
    for (size_t got = 0; got < n;) {
        ssize_t k = read(fd, bytes + got, n - got);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return m2c_fail(err, -errno, "%s: %s", path, strerror(errno));
        if (k == 0)
            return m2c_fail(err, -EIO, "%s: ends at byte %zu of %zu", path, got, n);
        got += (size_t)k;
    }
    return 0;
}

int m2c_tok_read_file(const char *path, uint8_t **out, size_t *n, struct m2c_err *err)
{
    /* O_NONBLOCK: a FIFO must be refused, not waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0)
        return m2c_fail(err, -errno, "%s: %s", path, strerror(errno));
    uint8_t *bytes = NULL;
    int r = 0;
    if (fstat(fd, &st) < 0)
        r = m2c_fail(err, -errno, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        r = m2c_fail(err, -EINVAL, "%s: not a regular file", path);
    else if (st.st_size > MAX_FILE)
        r = m2c_fail(err, -EFBIG, "%s: %lld bytes, more than a tokenizer has", path,
                     (long long)st.st_size);
    else if (!(bytes = malloc((size_t)st.st_size + 1)))
        r = m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    if (r == 0)
        r = read_all(fd, bytes, (size_t)st.st_size, path, err);
    close(fd);
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
    if (n)
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
                                        "tokenizer.bin", "vocab.json"};
    for (size_t i = 0; i < M2C_COUNTOF(names); i++) {
        char *file;
        struct stat st;
        if (asprintf(&file, "%s/%s", path, names[i]) < 0)
            return m2c_fail(err, -ENOMEM, "%s: out of memory", path);
        bool there = stat(file, &st) == 0 && !S_ISDIR(st.st_mode);
        int r = there ? m2c_tok_open_file(out, file, err) : 1;
        free(file);
        if (r <= 0)
            return r;
    }
    return m2c_fail(err, -ENOENT,
                    "%s: holds no tokenizer.json, tokenizer.model, tokenizer.bin or "
                    "vocab.json",
                    path);
}

/* Files that people try, with what to do about it. */
static int foreign(const char *path, const uint8_t *b, size_t n, struct m2c_err *err)
{
    static const struct {
        const char *magic, *what;
    } known[] = {
        {"PK\x03\x04", "a zip file or PyTorch checkpoint, not a tokenizer"},
        {"\x1f\x8b", "a gzip file; unpack it first"},
        {"\x89HDF", "an HDF5 file; a model store has its tokenizer inside"},
        {"IQ== 0\n", "a tiktoken file; give the tokenizer.json of the same model"},
    };
    if (n == 0)
        return m2c_fail(err, -EINVAL, "%s: the file is empty", path);
    for (size_t i = 0; i < M2C_COUNTOF(known); i++) {
        size_t len = strlen(known[i].magic);
        if (n >= len && memcmp(b, known[i].magic, len) == 0)
            return m2c_fail(err, -EINVAL, "%s: %s", path, known[i].what);
    }
    return m2c_fail(
        err, -EINVAL,
        "%s: neither a tokenizer.json nor a SentencePiece model nor a llama2.c "
        "tokenizer nor a GGUF file",
        path);
}

static int open_gguf(struct m2c_tok **out, const char *path, struct m2c_err *err)
{
    const char *kind;
    uint8_t *bytes;
    size_t n, i = 0;
    int32_t bos, eos;
    int r = m2c_tok_from_gguf(path, &kind, &bytes, &n, &bos, &eos, err);
    if (r < 0)
        return r;
    while (strcmp(registry[i]->p.name, kind) != 0)
        i++;
    r = open_bytes(out, registry[i], bytes, n, err);
    if (r < 0)
        return m2c_fail_in(err, r, "%s: tokenizer.ggml", path);
    m2c_tok_set_special(*out, bos, eos);
    return 0;
}

int m2c_tok_open_file(struct m2c_tok **out, const char *path, struct m2c_err *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return open_folder(out, path, err);
    if (m2c_tok_is_gguf(path))
        return open_gguf(out, path, err);
    uint8_t *bytes;
    size_t n, i = 0;
    int r;
    if (ends_with(path, "vocab.json"))
        r = m2c_hf_from_pair(path, (char **)&bytes, &n, err);
    else
        r = m2c_tok_read_file(path, &bytes, &n, err);
    if (r < 0)
        return r;
    while (registry[i] && !registry[i]->sniff(bytes, n))
        i++;
    if (!registry[i]) {
        r = foreign(path, bytes, n, err);
        free(bytes);
        return r;
    }
    struct m2c_tok *t = NULL;
    r = open_bytes(&t, registry[i], bytes, n, err);
    if (r < 0)
        return m2c_fail_in(err, r, "%s", path);
    r = m2c_tok_beside(t, path, err);
    if (r < 0) {
        m2c_tok_close(t);
        return r;
    }
    *out = t;
    return 0;
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

const char *m2c_tok_kind(const struct m2c_tok *t)
{
    return t->ops->p.name;
}

void m2c_tok_source(const struct m2c_tok *t, const void **bytes, size_t *n)
{
    *bytes = t->bytes;
    *n = t->n;
}

uint32_t m2c_tok_vocab(const struct m2c_tok *t)
{
    return t->vocab;
}
int32_t m2c_tok_bos(const struct m2c_tok *t)
{
    return t->bos;
}
int32_t m2c_tok_eos(const struct m2c_tok *t)
{
    return t->eos;
}

void m2c_tok_set_special(struct m2c_tok *t, int32_t bos, int32_t eos)
{
    t->bos = bos;
    t->eos = eos;
}

static int64_t encode(const struct m2c_tok *t, const char *text, size_t n, bool special,
                      uint32_t *ids, size_t cap)
{
    struct m2c_ids out = {ids, cap, 0};
    int r = n ? t->ops->encode(t, text, n, special, &out) : 0;
    return r < 0 ? r : out.n;
}

int64_t m2c_tok_encode(const struct m2c_tok *t, const char *text, size_t n, uint32_t *ids,
                       size_t cap)
{
    return encode(t, text, n, false, ids, cap);
}

int64_t m2c_tok_encode_special(const struct m2c_tok *t, const char *text, size_t n,
                               uint32_t *ids, size_t cap)
{
    return encode(t, text, n, true, ids, cap);
}

/* Text of an id inside the vocabulary. The model's BOS and EOS are control
 * tokens whatever the tokenizer calls them. */
static struct m2c_tok_text text_of(const struct m2c_tok *t, uint32_t id)
{
    struct m2c_tok_text x = {0};
    if ((int64_t)id != t->bos && (int64_t)id != t->eos)
        t->ops->text(t, id, &x);
    return x;
}

static void drop_lead(struct m2c_tok_text *x)
{
    x->s++;
    x->n--;
}

int64_t m2c_tok_decode(const struct m2c_tok *t, int64_t prev, uint32_t id, char *buf,
                       size_t cap)
{
    if (id >= t->vocab)
        return -EINVAL;
    struct m2c_tok_text x = text_of(t, id);
    if (x.lead && (prev < 0 || prev == t->bos))
        drop_lead(&x);
    if (M2C_MIN(x.n, cap))
        memcpy(buf, x.s, M2C_MIN(x.n, cap));
    return (int64_t)x.n;
}

int64_t m2c_tok_decode_all(const struct m2c_tok *t, const uint32_t *ids, size_t n,
                           char *buf, size_t cap)
{
    size_t total = 0;
    bool start = true;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] >= t->vocab)
            return -EINVAL;
        struct m2c_tok_text x = text_of(t, ids[i]);
        if (x.n == 0)
            continue;
        if (start && x.lead)
            drop_lead(&x);
        start = start && t->trims && x.n == 0;
        if (total < cap && x.n)
            memcpy(buf + total, x.s, M2C_MIN(x.n, cap - total));
        total += x.n;
    }
    return (int64_t)total;
}

struct m2c_tok_quoted m2c_tok_quote(const char *s, size_t n)
{
    struct m2c_tok_quoted q;
    size_t at = 0, len;
    for (size_t i = 0; i < n; i += len) {
        len = m2c_utf8_char(s + i, n - i);
        bool plain = len && !m2c_is_control(s[i]) && s[i] != '\t';
        size_t put = plain ? len : 1;
        if (at + put + 4 > sizeof q.s) {
            memcpy(q.s + at, "...", 3);
            at += 3;
            break;
        }
        memcpy(q.s + at, plain ? s + i : "?", put);
        at += put;
        len = len ? len : 1;
    }
    q.s[at] = '\0';
    return q;
}
