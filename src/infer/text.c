/* SPDX-License-Identifier: MIT */
/* Reading, cutting and tokenising text. */
#include "infer/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int m2c_text_tokenizer(const struct m2c_store *s, struct m2c_tok **out,
                       struct m2c_err *err)
{
    const char *kind;
    const void *bytes;
    size_t n;
    if (!m2c_store_tokenizer(s, &kind, &bytes, &n))
        return m2c_fail(err, -ENOENT,
                        "%s: holds no tokenizer; import the model with --tokenizer FILE",
                        m2c_store_path(s));
    int r = m2c_tok_open_mem(out, kind, bytes, n, err);
    if (r < 0)
        return m2c_fail_in(err, r, "%s: /tokenizer", m2c_store_path(s));
    const struct m2c_model_cfg *m = m2c_store_cfg(s);
    m2c_tok_set_special(*out, m->bos, m->eos);
    return 0;
}

int m2c_text_read(const char *path, char **out, size_t *n, struct m2c_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return m2c_fail(err, -e, "%s: %s", path, strerror(e));
    }
    size_t size = S_ISREG(st.st_mode) ? (size_t)st.st_size : 0, got = 0;
    char *text = malloc(size + 1);
    int r = text ? 0 : m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    if (r == 0 && !S_ISREG(st.st_mode))
        r = m2c_fail(err, -EINVAL, "%s: not a regular file", path);
    while (r == 0 && got < size) {
        ssize_t k = read(fd, text + got, size - got);
        if (k < 0 && errno != EINTR)
            r = m2c_fail(err, -errno, "%s: %s", path, strerror(errno));
        else if (k == 0)
            size = got;
        else
            got += k > 0 ? (size_t)k : 0;
    }
    close(fd);
    if (r < 0) {
        free(text);
        return r;
    }
    text[got] = 0;
    *out = text;
    *n = got;
    return 0;
}

int m2c_text_ids(struct m2c_tok *tok, const char *text, size_t n, uint32_t **ids,
                 uint32_t *count, struct m2c_err *err)
{
    int64_t need = m2c_tok_encode(tok, text, n, NULL, 0);
    if (need < 0 || need > UINT32_MAX)
        return m2c_fail(err, need < 0 ? (int)need : -E2BIG, "text cannot be tokenised");
    uint32_t *out = malloc((size_t)(need ? need : 1) * sizeof *out);
    if (!out)
        return m2c_fail(err, -ENOMEM, "tokens: out of memory");
    need = m2c_tok_encode(tok, text, n, out, (size_t)need);
    if (need < 0) {
        free(out);
        return m2c_fail(err, (int)need, "text cannot be tokenised");
    }
    *ids = out;
    *count = (uint32_t)need;
    return 0;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int add_piece(struct m2c_text *t, const char *text, size_t n, bool strip,
                     uint64_t max, struct m2c_tok *tok, struct m2c_err *err)
{
    while (strip && n && is_space(text[0])) {
        text++;
        n--;
    }
    while (strip && n && is_space(text[n - 1]))
        n--;
    if (n == 0 || (max && t->tokens >= max))
        return 0;
    struct m2c_piece *more = realloc(t->piece, (t->n + 1) * sizeof *more);
    if (!more)
        return m2c_fail(err, -ENOMEM, "text: out of memory");
    t->piece = more;
    struct m2c_piece p = {0};
    int r = m2c_text_ids(tok, text, n, &p.ids, &p.n, err);
    if (r < 0)
        return r;
    if (max && t->tokens + p.n > max)
        p.n = (uint32_t)(max - t->tokens);
    t->tokens += p.n;
    t->piece[t->n++] = p;
    return 0;
}

int m2c_text_load(const char *path, const char *split, uint64_t max_tokens,
                  struct m2c_tok *tok, struct m2c_text *out, struct m2c_err *err)
{
    char *text;
    size_t n, cut = split ? strlen(split) : 0;
    *out = (struct m2c_text){0};
    int r = m2c_text_read(path, &text, &n, err);
    if (r < 0)
        return r;
    const char *p = text, *end = text + n;
    while (r == 0 && p < end) {
        const char *stop = end;
        for (const char *q = p; cut && q + cut <= end; q++) {
            if (memcmp(q, split, cut) == 0) {
                stop = q;
                break;
            }
        }
        r = add_piece(out, p, (size_t)(stop - p), cut > 0, max_tokens, tok, err);
        p = stop == end ? end : stop + cut;
    }
    free(text);
    if (r == 0 && out->tokens == 0)
        r = m2c_fail(err, -EINVAL, "%s: no text to tokenise", path);
    if (r < 0)
        m2c_text_free(out);
    return r;
}

void m2c_text_free(struct m2c_text *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        free(t->piece[i].ids);
    free(t->piece);
    *t = (struct m2c_text){0};
}
