/* SPDX-License-Identifier: MIT */
/* A GGUF vocabulary of the kind `gpt2`, byte-level BPE, as a tokenizer.json.
 *
 * How text is cut into words before they are merged is not in the file but for
 * a name, tokenizer.ggml.pre; what the names mean is in llama.cpp
 * (src/llama-vocab.cpp). Where a vocabulary lacks tokens of bytes, text with such
 * bytes gets the unknown token, where llama.cpp leaves the bytes out. */
#include "token/gguf_impl.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- pre-splitting ---- */

enum split { SPLIT_GPT2, SPLIT_DIGITS, SPLIT_LLAMA3, SPLIT_QWEN2 };

static const struct pre {
    const char *name;
    enum split split;
    bool ignore_merges; /* a word that is a token is that token */
} pres[] = {
    {"gpt-2", SPLIT_GPT2, false},
    {"phi-2", SPLIT_GPT2, false},
    {"mpt", SPLIT_GPT2, false},
    {"olmo", SPLIT_GPT2, false},
    {"jais", SPLIT_GPT2, false},
    {"trillion", SPLIT_GPT2, false},
    {"gigachat", SPLIT_GPT2, false},
    {"smollm", SPLIT_DIGITS, false},
    {"starcoder", SPLIT_DIGITS, false},
    {"refact", SPLIT_DIGITS, false},
    {"command-r", SPLIT_DIGITS, false},
    {"codeshell", SPLIT_DIGITS, false},
    {"exaone", SPLIT_DIGITS, false},
    {"minerva-7b", SPLIT_DIGITS, false},
    {"llama-bpe", SPLIT_LLAMA3, true},
    {"llama3", SPLIT_LLAMA3, true},
    {"llama-v3", SPLIT_LLAMA3, true},
    {"falcon3", SPLIT_LLAMA3, true},
    {"dbrx", SPLIT_LLAMA3, false},
    {"smaug-bpe", SPLIT_LLAMA3, false},
    {"qwen2", SPLIT_QWEN2, false},
    {"stablelm2", SPLIT_QWEN2, false},
    {"deepseek-r1-qwen", SPLIT_QWEN2, false},
};

/* meta-llama/Meta-Llama-3, Qwen/Qwen2: tokenizer.json */
static const char llama3_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char qwen2_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

static json_t *pre_json(enum split split)
{
    json_t *level =
        json_pack("{s:s, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                  "use_regex", split == SPLIT_GPT2 || split == SPLIT_DIGITS);
    if (split == SPLIT_GPT2)
        return level;
    json_t *first =
        split == SPLIT_DIGITS
            ? json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1)
            : json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                        split == SPLIT_LLAMA3 ? llama3_pattern : qwen2_pattern,
                        "behavior", "Isolated", "invert", 0);
    return json_pack("{s:s, s:[o, o]}", "type", "Sequence", "pretokenizers", first,
                     level);
}

static int find_pre(const struct m2c_gguf_vocab *v, const struct pre **out,
                    struct m2c_err *err)
{
    char *name = NULL;
    int rc = m2c_gguf_string(v->g, "tokenizer.ggml.pre", &name, err);
    if (rc == 0)
        return m2c_fail(err, -EINVAL,
                        "no key 'tokenizer.ggml.pre': how text is cut into words is not "
                        "known; give --tokenizer FILE");
    if (rc < 0)
        return rc;
    *out = NULL;
    for (size_t i = 0; i < M2C_COUNTOF(pres) && !*out; i++)
        if (strcmp(pres[i].name, name) == 0)
            *out = &pres[i];
    if (!*out)
        rc = m2c_fail(err, -ENOTSUP,
                      "tokenizer.ggml.pre: '%s' is not supported; give --tokenizer FILE",
                      m2c_tok_quote(name, strlen(name)).s);
    free(name);
    return *out ? 0 : rc;
}

/* ---- tokens and merges ---- */

static int no_memory(struct m2c_err *err)
{
    return m2c_fail(err, -ENOMEM, "out of memory");
}

static int bad_text(const char *key, size_t i, const char *s, size_t n, const char *what,
                    struct m2c_err *err)
{
    return m2c_fail(err, -EINVAL, "%s[%zu]: '%s': %s", key, i, m2c_tok_quote(s, n).s,
                    what);
}

static int add_token(const struct m2c_gguf_vocab *v, size_t i, json_t *text,
                     json_t *vocab, json_t *added, struct m2c_err *err)
{
    static const char key[] = "tokenizer.ggml.tokens";
    enum m2c_gguf_token type = m2c_gguf_type(v, i);
    const char *s = json_string_value(text);
    bool control = type == M2C_GGUF_CONTROL || type == M2C_GGUF_UNKNOWN;
    /* The unknown token must be the model's to be given to text. */
    if (!(control || type == M2C_GGUF_USER_DEFINED) || (int64_t)i == v->unk) {
        if (json_object_get(vocab, s))
            return bad_text(key, i, s, strlen(s), "is there twice", err);
        if (json_object_set_new(vocab, s, json_integer((json_int_t)i)) < 0)
            return no_memory(err);
    }
    if (!control && type != M2C_GGUF_USER_DEFINED)
        return 0;
    return json_array_append_new(
               added, json_pack("{s:I, s:O, s:b, s:b}", "id", (json_int_t)i, "content",
                                text, "special", control, "normalized", 0)) < 0
               ? no_memory(err)
               : 0;
}

/* The i-th string as JSON; NULL with a message where it is no text. */
static json_t *text_json(const char *key, size_t i, const char *s, size_t n,
                         struct m2c_err *err)
{
    json_t *text = memchr(s, 0, n) ? NULL : json_stringn(s, n);
    if (!text)
        bad_text(key, i, s, n, "not UTF-8, or with a zero byte", err);
    return text;
}

static int add_tokens(const struct m2c_gguf_vocab *v, json_t *vocab, json_t *added,
                      struct m2c_err *err)
{
    const uint8_t *at = v->tokens;
    int rc = 0;
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        const char *s;
        size_t n;
        m2c_gguf_next(&at, &s, &n);
        json_t *text = text_json("tokenizer.ggml.tokens", i, s, n, err);
        rc = text ? add_token(v, i, text, vocab, added, err) : -EINVAL;
        json_decref(text);
    }
    return rc;
}

static int add_merges(const struct m2c_gguf_vocab *v, json_t *merges, struct m2c_err *err)
{
    static const char key[] = "tokenizer.ggml.merges";
    const uint8_t *at = v->merges;
    for (size_t i = 0; i < v->n_merges; i++) {
        const char *s, *space;
        size_t n;
        m2c_gguf_next(&at, &s, &n);
        space = n ? memchr(s, ' ', n) : NULL;
        size_t left = space ? (size_t)(space - s) : 0, right = space ? n - left - 1 : 0;
        if (left == 0 || right == 0 || memchr(space + 1, ' ', right))
            return bad_text(key, i, s, n, "expected two tokens and a space between them",
                            err);
        json_t *text = text_json(key, i, s, n, err);
        if (!text)
            return -EINVAL;
        if (json_array_append_new(merges, text) < 0)
            return no_memory(err);
    }
    return 0;
}

static const char *unk_name(const struct m2c_gguf_vocab *v, const json_t *vocab)
{
    const char *name;
    json_t *id;
    json_object_foreach((json_t *)(uintptr_t)vocab, name, id)
    {
        if (json_integer_value(id) == v->unk)
            return name;
    }
    return NULL;
}

int m2c_gguf_bpe(const struct m2c_gguf_vocab *v, uint8_t **out, size_t *n,
                 struct m2c_err *err)
{
    const struct pre *pre = NULL;
    json_t *vocab = json_object(), *added = json_array(), *merges = json_array();
    json_t *root = NULL;
    char *text = NULL;
    int rc = vocab && added && merges ? find_pre(v, &pre, err) : no_memory(err);
    if (rc == 0 && !v->merges)
        rc = m2c_fail(err, -EINVAL, "no key 'tokenizer.ggml.merges'");
    if (rc == 0)
        rc = add_tokens(v, vocab, added, err);
    if (rc == 0)
        rc = add_merges(v, merges, err);
    if (rc == 0) {
        root = json_pack("{s:s, s:O, s:o, s:{s:s}, s:{s:s, s:s?, s:b, s:O, s:O}}",
                         "version", "1.0", "added_tokens", added, "pre_tokenizer",
                         pre_json(pre->split), "decoder", "type", "ByteLevel", "model",
                         "type", "BPE", "unk_token", unk_name(v, vocab), "ignore_merges",
                         pre->ignore_merges, "vocab", vocab, "merges", merges);
        text = root ? json_dumps(root, JSON_COMPACT) : NULL;
        rc = text ? 0 : no_memory(err);
    }
    json_decref(root);
    json_decref(vocab);
    json_decref(added);
    json_decref(merges);
    if (rc < 0)
        return rc;
    *out = (uint8_t *)text;
    *n = strlen(text);
    return 0;
}
