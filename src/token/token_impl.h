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

struct m2c_tok_ops {
    struct m2c_plugin p;
    /* Whether bytes look like this kind. */
    bool (*sniff)(const uint8_t *bytes, size_t n);
    /* Parses t->bytes; sets vocab, bos, eos. */
    int (*open)(struct m2c_tok *t, struct m2c_err *err);
    void (*close)(struct m2c_tok *t); /* half-built is fine */
    int (*encode)(struct m2c_tok *t, const char *text, size_t n, struct m2c_ids *out);
    /* id < vocab; the token's own bytes: *bytes borrowed. Control tokens: 0. */
    size_t (*piece)(const struct m2c_tok *t, uint32_t id, const char **bytes);
    bool strips_space; /* after BOS, and at the start */
};

struct m2c_tok {
    const struct m2c_tok_ops *ops;
    uint8_t *bytes; /* the source */
    size_t n;
    uint32_t vocab;
    int32_t bos, eos;
    void *priv;
};

extern const struct m2c_tok_ops m2c_tok_llama2c, m2c_tok_spm, m2c_tok_hf;

/* GPT-2's pair of files as the text of a tokenizer.json; *out is malloc'ed. */
M2C_MUST_USE int m2c_hf_from_pair(const char *vocab_path, char **out, size_t *n,
                                  struct m2c_err *err);
M2C_MUST_USE int m2c_tok_read_file(const char *path, uint8_t **out, size_t *n,
                                   struct m2c_err *err);

#endif
