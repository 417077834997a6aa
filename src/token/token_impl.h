/* SPDX-License-Identifier: MIT */
/* What a kind of tokenizer implements. Inside the module. */
#ifndef M2C_TOKEN_TOKEN_IMPL_H
#define M2C_TOKEN_TOKEN_IMPL_H

#include "token/token.h"

/* Output of an encoder: counts all ids, keeps the first `cap`. */
struct m2c_ids {
    uint32_t *ids;
    size_t cap;
    int64_t n;
};

static inline void m2c_ids_add(struct m2c_ids *out, uint32_t id)
{
    if ((uint64_t)out->n < out->cap)
        out->ids[out->n] = id;
    out->n++;
}

/* Text of one token. */
struct m2c_tok_text {
    const char *s; /* borrowed */
    size_t n;      /* 0 for control tokens */
    bool lead;     /* begins with a space that is dropped where text begins */
};

/* All hooks are mandatory; they may be called by several threads but for open and
 * close. Messages name an offset or a JSON path; the caller
 * puts the file before it. */
struct m2c_tok_ops {
    struct m2c_plugin p;
    /* Whether bytes look like this kind. */
    bool (*sniff)(const uint8_t *bytes, size_t n);
    /* Parses t->bytes; sets vocab, bos, eos. */
    int (*open)(struct m2c_tok *t, struct m2c_err *err);
    void (*close)(struct m2c_tok *t); /* half-built is fine */
    /* n > 0. `special`: control tokens that are spelled out in the text count. */
    int (*encode)(const struct m2c_tok *t, const char *text, size_t n, bool special,
                  struct m2c_ids *out);
    /* id < vocab. */
    void (*text)(const struct m2c_tok *t, uint32_t id, struct m2c_tok_text *out);
    /* The id of a token as its maker spells it, control tokens included, or -1. */
    int32_t (*find)(const struct m2c_tok *t, const char *name);
    bool fixed_special; /* BOS and EOS are the same in every file */
};

struct m2c_tok {
    const struct m2c_tok_ops *ops;
    uint8_t *bytes; /* the source, a NUL after it */
    size_t n;
    uint32_t vocab;
    int32_t bos, eos;
    bool trims; /* all leading spaces of a text are dropped, not one */
    void *priv;
};

extern const struct m2c_tok_ops m2c_tok_llama2c, m2c_tok_spm, m2c_tok_hf;

/* The longest token that a vocabulary may have. */
enum { M2C_TOK_MAX_TEXT = 4096 };

/* At most 256 MiB, a NUL after it; *out is the caller's to free. */
M2C_MUST_USE int m2c_tok_read_file(const char *path, uint8_t **out, size_t *n,
                                   struct m2c_err *err);
/* GPT-2's pair of files as the text of a tokenizer.json; *out is malloc'ed. */
M2C_MUST_USE int m2c_hf_from_pair(const char *vocab_path, char **out, size_t *n,
                                  struct m2c_err *err);
/* The vocabulary inside a GGUF file as bytes of a kind: *out is malloc'ed. */
bool m2c_tok_is_gguf(const char *path);
M2C_MUST_USE int m2c_tok_from_gguf(const char *path, const char **kind, uint8_t **out,
                                   size_t *n, int32_t *bos, int32_t *eos,
                                   struct m2c_err *err);
/* BOS and EOS as the JSON files beside `path` name them, where there are any. */
M2C_MUST_USE int m2c_tok_beside(struct m2c_tok *t, const char *path, struct m2c_err *err);

/* Bytes from a file made fit for a message: cut short, control characters and
 * malformed bytes as question marks. */
struct m2c_tok_quoted {
    char s[64];
};
struct m2c_tok_quoted m2c_tok_quote(const char *s, size_t n);

#endif
