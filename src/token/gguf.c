/* SPDX-License-Identifier: MIT */
/* The vocabulary inside a GGUF file (keys tokenizer.ggml.*), as a file of a kind
 * that there is already: byte-level BPE becomes a tokenizer.json, the kind that
 * llama.cpp calls `llama` a SentencePiece model. A store therefore embeds
 * nothing new. */
#include "token/gguf_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_TOKENS = 1 << 22 };

/* An open file, or -errno; O_NONBLOCK: a FIFO must be refused, not waited for. */
static int open_regular(const char *path, uint64_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    *size = (uint64_t)st.st_size;
    return fd;
}

bool m2c_tok_is_gguf(const char *path)
{
    uint64_t size = 0;
    uint8_t head[4];
    int fd = open_regular(path, &size);
    if (fd < 0)
        return false;
    bool is = read(fd, head, sizeof head) == (ssize_t)sizeof head &&
              m2c_gguf_magic(head, sizeof head);
    close(fd);
    return is;
}

static int need(int found, const char *key, struct m2c_err *err)
{
    return found ? M2C_MIN(found, 0) : m2c_fail(err, -EINVAL, "no key '%s'", key);
}

static int get_id(const struct m2c_gguf_vocab *v, const char *key, int32_t *out,
                  struct m2c_err *err)
{
    uint64_t id = UINT32_MAX; /* llama.cpp's "none" */
    int rc = m2c_gguf_uint(v->g, key, UINT32_MAX, &id, err);
    *out = id < v->n ? (int32_t)id : -1;
    if (rc == 1 && *out < 0 && id != UINT32_MAX)
        return m2c_fail(err, -EINVAL, "%s is %llu, but there are %zu tokens", key,
                        (unsigned long long)id, v->n);
    return M2C_MIN(rc, 0);
}

static int check_tokens(const struct m2c_gguf_vocab *v, struct m2c_err *err)
{
    const uint8_t *at = v->tokens;
    for (size_t i = 0; i < v->n; i++) {
        const uint8_t *t = v->types + 4 * i;
        const char *s;
        size_t n;
        m2c_gguf_next(&at, &s, &n);
        if (n == 0 || n > M2C_TOK_MAX_TEXT)
            return m2c_fail(err, -EINVAL,
                            "tokenizer.ggml.tokens[%zu] has %zu bytes, expected 1 to %d",
                            i, n, M2C_TOK_MAX_TEXT);
        if (t[0] < M2C_GGUF_NORMAL || t[0] > M2C_GGUF_BYTE || t[1] || t[2] || t[3])
            return m2c_fail(err, -EINVAL,
                            "tokenizer.ggml.token_type[%zu] is none of 1 to 6", i);
    }
    return 0;
}

static int load(struct m2c_gguf_vocab *v, struct m2c_err *err)
{
    static const char tokens[] = "tokenizer.ggml.tokens",
                      types[] = "tokenizer.ggml.token_type",
                      scores[] = "tokenizer.ggml.scores",
                      merges[] = "tokenizer.ggml.merges";
    const struct m2c_gguf_kv *list = m2c_gguf_find(v->g, tokens);
    size_t n_types = 0, n_scores = 0;
    if (list && list->n > MAX_TOKENS)
        return m2c_fail(err, -EINVAL, "%s: %llu tokens, expected at most %d", tokens,
                        (unsigned long long)list->n, MAX_TOKENS);
    int rc = need(m2c_gguf_array(v->g, tokens, M2C_GGUF_STRING, &v->tokens, &v->n, err),
                  tokens, err);
    if (rc == 0)
        rc = need(m2c_gguf_array(v->g, types, M2C_GGUF_I32, &v->types, &n_types, err),
                  types, err);
    if (rc == 0)
        rc = m2c_gguf_array(v->g, scores, M2C_GGUF_F32, &v->scores, &n_scores, err);
    if (rc >= 0)
        rc = m2c_gguf_array(v->g, merges, M2C_GGUF_STRING, &v->merges, &v->n_merges, err);
    if (rc < 0)
        return rc;
    if (v->n == 0 || n_types != v->n || (v->scores && n_scores != v->n))
        return m2c_fail(err, -EINVAL,
                        "tokenizer.ggml: %zu tokens, %zu types and %zu scores", v->n,
                        n_types, n_scores);
    rc = check_tokens(v, err);
    if (rc == 0)
        rc = get_id(v, "tokenizer.ggml.bos_token_id", &v->bos, err);
    if (rc == 0)
        rc = get_id(v, "tokenizer.ggml.eos_token_id", &v->eos, err);
    if (rc == 0)
        rc = get_id(v, "tokenizer.ggml.unknown_token_id", &v->unk, err);
    return rc;
}

static int convert(struct m2c_gguf_vocab *v, const char **kind, uint8_t **out, size_t *n,
                   struct m2c_err *err)
{
    char *model = NULL;
    int rc = need(m2c_gguf_string(v->g, "tokenizer.ggml.model", &model, err),
                  "tokenizer.ggml.model", err);
    bool bpe = rc == 0 && strcmp(model, "gpt2") == 0;
    if (rc == 0 && !bpe && strcmp(model, "llama") != 0)
        rc = m2c_fail(err, -ENOTSUP,
                      "tokenizer.ggml.model: '%s' is not supported (have: gpt2, llama)",
                      m2c_tok_quote(model, strlen(model)).s);
    free(model);
    if (rc == 0)
        rc = load(v, err);
    *kind = bpe ? "hf" : "spm";
    return rc < 0 ? rc
           : bpe  ? m2c_gguf_bpe(v, out, n, err)
                  : m2c_gguf_spm(v, out, n, err);
}

int m2c_tok_from_gguf(const char *path, const char **kind, uint8_t **out, size_t *n,
                      int32_t *bos, int32_t *eos, struct m2c_err *err)
{
    struct m2c_gguf g = {0};
    struct m2c_gguf_vocab v = {.g = &g};
    uint64_t size = 0;
    int fd = open_regular(path, &size);
    if (fd < 0)
        return m2c_fail(err, fd, "%s: %s", path, strerror(-fd));
    int rc = m2c_gguf_open(&g, fd, size, err);
    if (rc == 0)
        rc = convert(&v, kind, out, n, err);
    *bos = v.bos;
    *eos = v.eos;
    free(v.tokens);
    free(v.types);
    free(v.scores);
    free(v.merges);
    m2c_gguf_close(&g);
    close(fd);
    return rc < 0 ? m2c_fail_in(err, rc, "%s", path) : 0;
}
