/* SPDX-License-Identifier: MIT */
/* Tokenizers: text to ids and back. */
#ifndef M2C_TOKEN_TOKEN_H
#define M2C_TOKEN_TOKEN_H

#include "base/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_tok;

/* A file, its kind detected by content, or a folder (tokenizer.json, else
 * tokenizer.model). */
M2C_MUST_USE int m2c_tok_open_file(struct m2c_tok **out, const char *path,
                                   struct m2c_err *err);
/* The bytes of such a file, of a known kind: "llama2c", "spm", "hf". */
M2C_MUST_USE int m2c_tok_open_mem(struct m2c_tok **out, const char *kind,
                                  const void *bytes, size_t n, struct m2c_err *err);
void m2c_tok_close(struct m2c_tok *t); /* accepts NULL */

const char *m2c_tok_kind(const struct m2c_tok *t);
/* The raw bytes, to embed in a store; borrowed. */
void m2c_tok_source(const struct m2c_tok *t, const void **bytes, size_t *n);
uint32_t m2c_tok_vocab(const struct m2c_tok *t);
int32_t m2c_tok_bos(const struct m2c_tok *t); /* -1: none */
int32_t m2c_tok_eos(const struct m2c_tok *t);
void m2c_tok_set_special(struct m2c_tok *t, int32_t bos, int32_t eos);

/* Ids of n bytes of text, no BOS added, special tokens not recognised. Writes
 * at most cap ids (ids may be NULL when cap is 0), returns how many there
 * are, or negative errno. */
M2C_MUST_USE int64_t m2c_tok_encode(struct m2c_tok *t, const char *text, size_t n,
                                    uint32_t *ids, size_t cap);
/* Bytes of one token after `prev` (-1: nothing before): right after BOS some
 * kinds drop one leading space, and control tokens give nothing. Writes at
 * most cap bytes, returns how many there are, or -EINVAL for an id outside
 * the vocabulary. */
M2C_MUST_USE int64_t m2c_tok_decode(const struct m2c_tok *t, int64_t prev, uint32_t id,
                                    char *buf, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
