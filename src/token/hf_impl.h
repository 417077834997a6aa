/* SPDX-License-Identifier: MIT */
/* What the files of the Hugging Face kind share. Inside the module.
 *
 * Text goes through steps, one after the other: tokens that are found as they
 * are, normalisation, tokens that are found in normalised text, pre-tokenizers.
 * A step rewrites a piece or cuts it, and hands what comes out to the next; the
 * last hands words to the merging (hf_word.c). */
#ifndef M2C_TOKEN_HF_IMPL_H
#define M2C_TOKEN_HF_IMPL_H

#include "token/bpe.h"
#include "token/match.h"
#include "token/token_impl.h"

#include <jansson.h>

/* ---- JSON with paths, in messages as /model/merges/12 (hf_json.c) ---- */

struct m2c_hf_path {
    char s[128];
};
struct m2c_hf_path m2c_hf_at(const char *path, const char *key);
struct m2c_hf_path m2c_hf_at_index(const char *path, size_t i);
/* Absent and null give `def`; -EINVAL for another type. */
M2C_MUST_USE int m2c_hf_bool(const json_t *o, const char *path, const char *key, bool def,
                             bool *out, struct m2c_err *err);
/* A string; *out NULL where absent or null. Borrowed from the JSON. */
M2C_MUST_USE int m2c_hf_string(const json_t *o, const char *path, const char *key,
                               const char **out, struct m2c_err *err);
/* The "type" of an object; -EINVAL where it is no object or has none. */
M2C_MUST_USE int m2c_hf_type(const json_t *o, const char *path, const char **out,
                             struct m2c_err *err);
/* The list under `key`, [0, *n) objects or not. */
M2C_MUST_USE int m2c_hf_list(const json_t *o, const char *path, const char *key,
                             const json_t **out, size_t *n, struct m2c_err *err);
int m2c_hf_unsupported(const char *path, const char *what, const char *have,
                       struct m2c_err *err);

/* ---- regular expressions (hf_regex.c, or hf_regex_none.c without PCRE2) ---- */

struct m2c_regex;
/* A pattern as Oniguruma and Rust's regex read it. -ENOTSUP for what PCRE2 reads
 * otherwise, and where there is no PCRE2. */
M2C_MUST_USE int m2c_regex_open(struct m2c_regex **out, const char *pattern,
                                const char *path, struct m2c_err *err);
void m2c_regex_close(struct m2c_regex *re); /* accepts NULL */
struct m2c_regex_scratch;                   /* of one thread; NULL on no memory */
struct m2c_regex_scratch *m2c_regex_scratch_open(void);
void m2c_regex_scratch_close(struct m2c_regex_scratch *s); /* accepts NULL */
/* The first match at or after `at` in well-formed UTF-8: 1 with [*from, *to), 0,
 * or -EINVAL where the pattern takes too long. */
M2C_MUST_USE int m2c_regex_next(const struct m2c_regex *re, struct m2c_regex_scratch *s,
                                const char *text, size_t n, size_t at, size_t *from,
                                size_t *to);
/* The pattern in PCRE2's words (hf_pattern.c); *out is malloc'ed. */
M2C_MUST_USE int m2c_regex_translate(const char *pattern, const char *path, char **out,
                                     struct m2c_err *err);

/* ---- steps ---- */

enum m2c_hf_kind {
    M2C_HF_ADDED,     /* cuts out added tokens */
    M2C_HF_PREPEND,   /* `a` before the piece */
    M2C_HF_REPLACE,   /* each `a` becomes `b` */
    M2C_HF_SPLIT,     /* at `re`, or at each `a` */
    M2C_HF_METASPACE, /* each space becomes `a`, and one is before the piece */
    M2C_HF_PREFIX     /* a space before a piece that has none */
};

/* tokenizers::SplitDelimiterBehavior */
enum m2c_hf_behavior {
    M2C_HF_ISOLATED,
    M2C_HF_REMOVED,
    M2C_HF_CONTIGUOUS,
    M2C_HF_WITH_PREVIOUS,
    M2C_HF_WITH_NEXT
};

enum m2c_hf_scheme { M2C_HF_ALWAYS, M2C_HF_FIRST, M2C_HF_NEVER };

struct m2c_hf_step {
    enum m2c_hf_kind kind;
    char *a, *b;
    struct m2c_regex *re;
    enum m2c_hf_behavior behavior;
    bool invert; /* what lies between matches counts as match */
    enum m2c_hf_scheme scheme;
    struct m2c_match match; /* ids are indices of `added` */
};

enum { M2C_HF_MAX_STEPS = 16 };

/* ---- the tokenizer ---- */

struct m2c_hf_token {
    const char *s; /* the bytes it stands for; NULL: a hole in the ids */
    uint32_t n;
    bool control, lead;
};

struct m2c_hf_added {
    const char *s;
    uint32_t n, id;
    bool special, lstrip, rstrip, normalized;
};

/* The bytes of a growing text. */
struct m2c_hf_buf {
    char *s;
    size_t n, cap;
};
M2C_MUST_USE int m2c_hf_put(struct m2c_hf_buf *b, const char *s, size_t n); /* -ENOMEM */

struct m2c_hf_merge {
    uint64_t pair; /* left << 32 | right, or UINT64_MAX */
    uint32_t rank, merged;
};

struct m2c_hf {
    json_t *root;               /* while it opens */
    struct m2c_strmap spelled;  /* while it opens: model tokens as written */
    struct m2c_hf_token *token; /* [vocab] */
    struct m2c_hf_added *added;
    char **normal; /* [n_added] normalised, NULL where that changes nothing */
    size_t n_added;
    char *text, *shown; /* of tokens: as they are matched, as they decode */
    size_t n_text, cap_text;
    bool byte_level;
    struct m2c_strmap map; /* model tokens by bytes (byte-level) or as written */
    uint32_t byte_id[256]; /* UINT32_MAX: none */
    uint32_t unk;          /* UINT32_MAX: none */
    bool ignore_merges, fuse_unk;
    struct m2c_hf_merge *merge;
    size_t merge_mask;
    struct m2c_joins joins; /* of characters, where not byte-level */
    struct m2c_hf_step step[M2C_HF_MAX_STEPS];
    size_t n_steps;
};

/* The model's tokens, with room for the added ones; then its merges and what
 * becomes of unknown characters; then the added tokens (hf_vocab.c, hf_model.c,
 * hf_added.c). */
M2C_MUST_USE int m2c_hf_vocab_open(struct m2c_hf *h, uint32_t *vocab,
                                   struct m2c_err *err);
M2C_MUST_USE int m2c_hf_model_open(struct m2c_hf *h, struct m2c_err *err);
M2C_MUST_USE int m2c_hf_added_open(struct m2c_hf *h, struct m2c_err *err);
/* A copy of a token's text; m2c_hf_vocab_open has counted the room. */
const char *m2c_hf_keep(struct m2c_hf *h, const char *s, size_t n);
/* The bytes that byte-level text stands for, at most as many as it has; -1 where
 * a character stands for none. */
int64_t m2c_hf_unmap(const char *s, size_t n, char *out);

/* Steps of the normalizer, or the pre_tokenizer, which sets h->byte_level; and
 * the cutting out of added tokens (hf_steps.c). */
M2C_MUST_USE int m2c_hf_normalizer_open(struct m2c_hf *h, struct m2c_err *err);
M2C_MUST_USE int m2c_hf_pre_open(struct m2c_hf *h, struct m2c_err *err);
M2C_MUST_USE int m2c_hf_added_step(struct m2c_hf *h, struct m2c_err *err);
void m2c_hf_steps_close(struct m2c_hf *h);
/* After the steps of the normalizer: the text as it leaves them, malloc'ed. */
M2C_MUST_USE int m2c_hf_normalize(const struct m2c_hf *h, const char *s, size_t n,
                                  char **out, size_t *n_out);

/* Turns the texts of tokens into what they decode to (hf_decoder.c). */
M2C_MUST_USE int m2c_hf_decoder_open(struct m2c_hf *h, uint32_t vocab,
                                     struct m2c_err *err);
/* What two adjacent symbols merge into; ctx is the m2c_hf (hf_word.c). */
bool m2c_hf_merge_pair(const void *ctx, uint32_t left, uint32_t right, double *priority,
                       uint32_t *merged);
struct m2c_hf_merge *m2c_hf_merge_slot(const struct m2c_hf *h, uint64_t pair);

/* One text on its way to ids. */
struct m2c_hf_run {
    const struct m2c_hf *h;
    bool special;
    struct m2c_ids *out;
    struct m2c_bpe bpe;
    struct m2c_hf_buf buf[M2C_HF_MAX_STEPS]; /* of steps that rewrite */
    struct m2c_regex_scratch *scratch;
};
/* A piece of well-formed UTF-8 from step i on; `first`: the text begins with it. */
M2C_MUST_USE int m2c_hf_piece(struct m2c_hf_run *r, size_t i, const char *s, size_t n,
                              bool first);
M2C_MUST_USE int m2c_hf_word(struct m2c_hf_run *r, const char *s, size_t n);
/* Bytes that are not UTF-8. */
M2C_MUST_USE int m2c_hf_stray(struct m2c_hf_run *r, const char *s, size_t n);

#endif
