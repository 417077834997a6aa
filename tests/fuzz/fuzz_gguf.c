/* SPDX-License-Identifier: MIT */
/* GGUF files, as models and as tokenizers: no bytes crash either reader, a
 * refusal is one line that names the file, and what was accepted can be read to
 * the last element. */
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_import.h"
#include "token/token.h"

enum { N_SEEDS = 4, MAX_BYTES = 1 << 15, U32 = 4, I32 = 5, F32 = 6, STRING = 8, ARRAY = 9 };

struct seed {
    uint8_t b[MAX_BYTES];
    size_t n;
};

static void put(struct seed *s, const void *p, size_t n)
{
    FUZZ_CHECK(s->n + n <= MAX_BYTES);
    memcpy(s->b + s->n, p, n);
    s->n += n;
}

static void put32(struct seed *s, uint32_t x)
{
    put(s, &x, sizeof x);
}

static void put64(struct seed *s, uint64_t x)
{
    put(s, &x, sizeof x);
}

static void put_text(struct seed *s, const char *text)
{
    put64(s, strlen(text));
    put(s, text, strlen(text));
}

static void put_uint(struct seed *s, const char *key, uint32_t x)
{
    put_text(s, key);
    put32(s, U32);
    put32(s, x);
}

static void put_string(struct seed *s, const char *key, const char *text)
{
    put_text(s, key);
    put32(s, STRING);
    put_text(s, text);
}

static void put_list(struct seed *s, const char *key, uint32_t type, uint64_t n)
{
    put_text(s, key);
    put32(s, ARRAY);
    put32(s, type);
    put64(s, n);
}

/* ---- a model of one layer ---- */

enum { DIM = 32, HIDDEN = 32, VOCAB = 3, MODEL_KEYS = 8 };

static void put_model_keys(struct seed *s)
{
    const float eps = 1e-5f;
    put_string(s, "general.architecture", "llama");
    put_uint(s, "llama.embedding_length", DIM);
    put_uint(s, "llama.feed_forward_length", HIDDEN);
    put_uint(s, "llama.block_count", 1);
    put_uint(s, "llama.context_length", 4);
    put_uint(s, "llama.attention.head_count", 2);
    put_uint(s, "llama.attention.head_count_kv", 1);
    put_text(s, "llama.attention.layer_norm_rms_epsilon");
    put32(s, F32);
    put(s, &eps, sizeof eps);
}

/* type and bytes a row of 32: F32 or Q8_0 */
static void put_model(struct seed *s, uint32_t type, uint64_t row)
{
    static const struct {
        const char *name;
        uint32_t rows; /* 0: a vector */
    } tensors[] = {
        {"token_embd.weight", VOCAB},      {"output_norm.weight", 0},
        {"blk.0.attn_norm.weight", 0},     {"blk.0.ffn_norm.weight", 0},
        {"blk.0.attn_q.weight", DIM},      {"blk.0.attn_k.weight", DIM / 2},
        {"blk.0.attn_v.weight", DIM / 2},  {"blk.0.attn_output.weight", DIM},
        {"blk.0.ffn_gate.weight", HIDDEN}, {"blk.0.ffn_up.weight", HIDDEN},
        {"blk.0.ffn_down.weight", DIM}};
    uint64_t at = 0;
    for (size_t i = 0; i < M2C_COUNTOF(tensors); i++) {
        uint32_t rows = tensors[i].rows;
        put_text(s, tensors[i].name);
        put32(s, rows ? 2 : 1);
        put64(s, DIM);
        if (rows)
            put64(s, rows);
        put32(s, rows ? type : 0);
        put64(s, at);
        at += rows ? rows * row : DIM * 4;
        at = (at + 31) / 32 * 32;
    }
    s->n = (s->n + 31) / 32 * 32 + at; /* all zero */
    FUZZ_CHECK(s->n <= MAX_BYTES);
}

/* ---- a vocabulary ---- */

static void put_vocab(struct seed *s, bool bpe)
{
    static const int32_t bpe_types[] = {3, 1, 1, 1, 4}, spm_types[] = {2, 3, 1, 1, 1};
    static const char *const bpe_text[] = {"<s>", "a", "b", "ab", "<u>"};
    static const char *const spm_text[] = {"<unk>", "<s>", "a", "b", "ab"};
    static const float scores[] = {0, 0, -1, -2, -3};
    put_string(s, "tokenizer.ggml.model", bpe ? "gpt2" : "llama");
    put_list(s, "tokenizer.ggml.tokens", STRING, 5);
    for (int i = 0; i < 5; i++)
        put_text(s, bpe ? bpe_text[i] : spm_text[i]);
    put_list(s, "tokenizer.ggml.token_type", I32, 5);
    put(s, bpe ? bpe_types : spm_types, sizeof bpe_types);
    put_uint(s, "tokenizer.ggml.bos_token_id", bpe ? 0 : 1);
    if (bpe) {
        put_uint(s, "tokenizer.ggml.unknown_token_id", 0);
        put_string(s, "tokenizer.ggml.pre", "smollm");
        put_list(s, "tokenizer.ggml.merges", STRING, 1);
        put_text(s, "a b");
    } else {
        put_list(s, "tokenizer.ggml.scores", F32, 5);
        put(s, scores, sizeof scores);
    }
}

static void make(size_t i, struct seed *s)
{
    bool model = i < 2;
    put(s, "GGUF", 4);
    put32(s, i == 1 ? 2 : 3);
    put64(s, model ? 11 : 0);
    put64(s, model ? MODEL_KEYS : i == 2 ? 7 : 5);
    if (model) {
        put_model_keys(s);
        put_model(s, i ? 8 : 0, i ? 34 : 128);
    } else {
        put_vocab(s, i == 2);
    }
}

bool fuzz_seed(size_t i, const uint8_t **data, size_t *n)
{
    static struct seed seeds[N_SEEDS];
    if (i >= N_SEEDS)
        return false;
    if (seeds[i].n == 0)
        make(i, &seeds[i]);
    *data = seeds[i].b;
    *n = seeds[i].n;
    return true;
}

/* Any text becomes ids of the vocabulary. */
static void try_tokenizer(const char *path)
{
    struct m2c_tok *t = NULL;
    struct m2c_err err = {0};
    uint32_t ids[64];
    if (m2c_tok_open_file(&t, path, &err) < 0) {
        FUZZ_CHECK(t == NULL && err.code < 0 && err.code != -ENOMEM);
        FUZZ_CHECK(strstr(err.msg, path) != NULL && strchr(err.msg, '\n') == NULL);
        return;
    }
    int64_t n = m2c_tok_encode_special(t, "<s>ab b\xff 12", 11, ids, M2C_COUNTOF(ids));
    FUZZ_CHECK(n >= 0 || n == -EINVAL);
    for (int64_t i = 0; i < n && i < (int64_t)M2C_COUNTOF(ids); i++)
        FUZZ_CHECK(ids[i] < m2c_tok_vocab(t));
    FUZZ_CHECK(m2c_tok_bos(t) < (int64_t)m2c_tok_vocab(t));
    m2c_tok_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *path = fuzz_file(data, n);
    fuzz_import(path, path);
    try_tokenizer(path);
    return 0;
}
