/* SPDX-License-Identifier: MIT */
/* What the files of the Hugging Face kind share. Inside the module. */
#ifndef M2C_TOKEN_HF_IMPL_H
#define M2C_TOKEN_HF_IMPL_H

#include "token/bpe.h"
#include "token/token_impl.h"

#include <jansson.h>

enum { HF_MAX_ID = 1 << 24, HF_WORD = 256, HF_MAX_STEPS = 8 };
#define HF_NO_PAIR UINT64_MAX

struct hf_token {
    char *text; /* the bytes it stands for; NULL: a hole in the ids */
    uint32_t n;
    bool control;
};

struct hf_merge {
    uint64_t pair; /* left << 32 | right, or HF_NO_PAIR */
    uint32_t rank, merged;
};

struct hf_step; /* of pre-splitting */

struct hf {
    json_t *root; /* keys of `map` live here */
    struct hf_token *token;
    struct m2c_strmap map; /* vocabulary strings as written */
    int16_t byte_of[324];  /* shown character to byte, or -1 */
    uint32_t byte_id[256];
    struct hf_merge *merge;
    size_t merge_mask;
    bool ignore_merges;
    struct hf_step *step[HF_MAX_STEPS];
    unsigned n_steps;
};

M2C_MUST_USE int m2c_hf_pre_open(struct hf *h, const json_t *pre, struct m2c_err *err);
void m2c_hf_pre_close(struct hf *h);
/* Splits text and hands every word to m2c_hf_word. */
M2C_MUST_USE int m2c_hf_pre_split(struct hf *h, const char *text, size_t n,
                                  struct m2c_ids *out);
M2C_MUST_USE int m2c_hf_word(struct hf *h, const char *s, size_t n, struct m2c_ids *out);

#endif
