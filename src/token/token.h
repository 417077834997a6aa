/* SPDX-License-Identifier: MIT */
/* Tokenizers: text to ids and back.
 *
 * Kinds: "llama2c", the tokenizer.bin of llama2.c; "spm", a SentencePiece model
 * of type BPE; "hf", BPE from a Hugging Face tokenizer.json. Ids are those of
 * run.c, of `sentencepiece` and of `tokenizers`. What a file asks for and is not
 * supported is refused when it is opened, since a tokenizer that is nearly right
 * gives wrong numbers. A tokenizer that is open may be used by several threads. */
#ifndef M2C_TOKEN_TOKEN_H
#define M2C_TOKEN_TOKEN_H

#include "base/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_tok;

/* A file, its kind detected by content; the vocabulary inside a GGUF file, as the
 * kind that it amounts to; GPT-2's pair X_vocab.json and X_merges.txt, given the
 * former; or a folder (tokenizer.json, else
 * tokenizer.model, tokenizer.bin, vocab.json). Where tokenizer_config.json or
 * config.json lie beside it, they name BOS and EOS. -ENOENT and friends; -EINVAL,
 * -ENOTSUP with the offset or the JSON path. */
M2C_MUST_USE int m2c_tok_open_file(struct m2c_tok **out, const char *path,
                                   struct m2c_err *err);
/* The bytes of such a file, of a known kind; they are copied. -ENOENT: no such
 * kind. */
M2C_MUST_USE int m2c_tok_open_mem(struct m2c_tok **out, const char *kind,
                                  const void *bytes, size_t n, struct m2c_err *err);
void m2c_tok_close(struct m2c_tok *t); /* accepts NULL */

/* Kinds, ended by NULL. */
const struct m2c_plugin *const *m2c_tok_list(void);
const char *m2c_tok_kind(const struct m2c_tok *t);
/* The raw bytes, to embed in a store; borrowed. Of a pair of files, a
 * tokenizer.json that means the same; of a GGUF file, that or a SentencePiece
 * model. */
void m2c_tok_source(const struct m2c_tok *t, const void **bytes, size_t *n);
uint32_t m2c_tok_vocab(const struct m2c_tok *t); /* ids are below this */
int32_t m2c_tok_bos(const struct m2c_tok *t);    /* -1: none */
int32_t m2c_tok_eos(const struct m2c_tok *t);
/* For a model whose config names others. */
void m2c_tok_set_special(struct m2c_tok *t, int32_t bos, int32_t eos);

/* Ids of n bytes of text, no BOS added, control tokens not recognised. Writes
 * at most cap ids (ids may be NULL when cap is 0), returns how many there
 * are, or -ENOMEM, -EFBIG (2^29 characters and more that cannot be cut),
 * -EINVAL (a tokenizer's pattern that takes too long). Bytes that are not UTF-8
 * become the tokens of bytes, where there are such, else the unknown token. */
M2C_MUST_USE int64_t m2c_tok_encode(const struct m2c_tok *t, const char *text, size_t n,
                                    uint32_t *ids, size_t cap);
/* The same, where control tokens that are spelled out count ("</s>"): for chat
 * templates and the like, never for what a user wrote. */
M2C_MUST_USE int64_t m2c_tok_encode_special(const struct m2c_tok *t, const char *text,
                                            size_t n, uint32_t *ids, size_t cap);

/* Bytes of one token after `prev` (-1: the text begins here): there and right
 * after BOS some kinds drop one leading space. Control tokens give nothing; a
 * token may end inside a character. Writes at most cap bytes, returns how many
 * there are, or -EINVAL for an id outside the vocabulary. */
M2C_MUST_USE int64_t m2c_tok_decode(const struct m2c_tok *t, int64_t prev, uint32_t id,
                                    char *buf, size_t cap);
/* Bytes of a whole text, BOS before it or not. As above. */
M2C_MUST_USE int64_t m2c_tok_decode_all(const struct m2c_tok *t, const uint32_t *ids,
                                        size_t n, char *buf, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
