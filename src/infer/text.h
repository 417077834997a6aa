/* SPDX-License-Identifier: MIT */
/* Text as pieces of tokens: what ppl scores and rank watches. */
#ifndef M2C_INFER_TEXT_H
#define M2C_INFER_TEXT_H

#include "store/store.h"
#include "token/token.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_piece {
    uint32_t *ids; /* without BOS */
    uint32_t n;
};

struct m2c_text {
    struct m2c_piece *piece;
    uint32_t n;
    uint64_t tokens; /* of all pieces */
};

/* The tokenizer that is embedded in a store; -ENOENT when there is none. */
M2C_MUST_USE int m2c_text_tokenizer(const struct m2c_store *s, struct m2c_tok **out,
                                    struct m2c_err *err);

/* Reads a file, cuts it at each `split` (NULL or "": one piece), strips white
 * space from both ends of the pieces where it was cut, drops empty ones and
 * tokenises, up to max_tokens in all (0: no limit; the last piece is cut
 * short). -EINVAL when nothing is left. */
M2C_MUST_USE int m2c_text_load(const char *path, const char *split, uint64_t max_tokens,
                               struct m2c_tok *tok, struct m2c_text *out,
                               struct m2c_err *err);
void m2c_text_free(struct m2c_text *t);

/* Ids of a string, for prompts; *ids is the caller's to free. */
M2C_MUST_USE int m2c_text_ids(struct m2c_tok *tok, const char *text, size_t n,
                              uint32_t **ids, uint32_t *count, struct m2c_err *err);

/* Whole file; *out is the caller's to free, NUL-terminated. */
M2C_MUST_USE int m2c_text_read(const char *path, char **out, size_t *n,
                               struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
