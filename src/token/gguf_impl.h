/* SPDX-License-Identifier: MIT */
/* The vocabulary of a GGUF file on its way to a tokenizer. Inside the module. */
#ifndef M2C_TOKEN_GGUF_IMPL_H
#define M2C_TOKEN_GGUF_IMPL_H

#include "base/gguf.h"
#include "token/token_impl.h"

/* tokenizer.ggml.token_type; the numbers are SentencePiece's. */
enum m2c_gguf_token {
    M2C_GGUF_NORMAL = 1,
    M2C_GGUF_UNKNOWN,
    M2C_GGUF_CONTROL,
    M2C_GGUF_USER_DEFINED,
    M2C_GGUF_UNUSED,
    M2C_GGUF_BYTE
};

struct m2c_gguf_vocab {
    const struct m2c_gguf *g;
    uint8_t *tokens, *types, *scores, *merges; /* as in the file; NULL: not there */
    size_t n, n_merges;
    int32_t bos, eos, unk; /* -1: none */
};

/* Type of token i, 1 to 6: checked when it was loaded. */
static inline enum m2c_gguf_token m2c_gguf_type(const struct m2c_gguf_vocab *v, size_t i)
{
    return (enum m2c_gguf_token)v->types[4 * i];
}

/* The text of a tokenizer.json, malloc'ed. */
M2C_MUST_USE int m2c_gguf_bpe(const struct m2c_gguf_vocab *v, uint8_t **out, size_t *n,
                              struct m2c_err *err);
/* The bytes of a SentencePiece model, malloc'ed. */
M2C_MUST_USE int m2c_gguf_spm(const struct m2c_gguf_vocab *v, uint8_t **out, size_t *n,
                              struct m2c_err *err);

#endif
