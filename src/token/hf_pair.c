/* SPDX-License-Identifier: MIT */
/* GPT-2's older pair of files, vocab.json and merges.txt, as the text of a
 * tokenizer.json with the same meaning. */
#define _GNU_SOURCE /* asprintf */
#include "token/hf_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* X_vocab.json -> X_merges.txt. */
static char *merges_path(const char *vocab_path)
{
    static const char tail[] = "vocab.json";
    size_t n = strlen(vocab_path) - (sizeof tail - 1);
    char *out;
    return asprintf(&out, "%.*smerges.txt", (int)n, vocab_path) < 0 ? NULL : out;
}

static int load_merges(const char *path, json_t *list, struct m2c_err *err)
{
    uint8_t *text;
    size_t n, line = 0;
    int r = m2c_tok_read_file(path, &text, &n, err);
    if (r < 0)
        return r;
    for (char *p = (char *)text, *end = p + n; p < end && r == 0;) {
        char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((nl ? nl : end) - p);
        line++;
        if (len && p[len - 1] == '\r')
            len--;
        bool comment = line == 1 && len >= 8 && memcmp(p, "#version", 8) == 0;
        if (len && !comment) {
            json_t *s = json_stringn(p, len);
            if (!s || json_array_append_new(list, s) < 0)
                r = m2c_fail(err, -EINVAL, "%s:%zu: not UTF-8", path, line);
        }
        p = nl ? nl + 1 : end;
    }
    free(text);
    return r;
}

static int load_vocab(const char *path, json_t **out, struct m2c_err *err)
{
    uint8_t *text;
    size_t n;
    json_error_t je;
    int r = m2c_tok_read_file(path, &text, &n, err);
    if (r < 0)
        return r;
    *out = json_loadb((const char *)text, n, JSON_REJECT_DUPLICATES, &je);
    free(text);
    if (!*out)
        return m2c_fail(err, -EINVAL, "%s: line %d, column %d: %s", path, je.line,
                        je.column, m2c_tok_quote(je.text, strlen(je.text)).s);
    return 0;
}

/* {"added_tokens": .., "pre_tokenizer": .., "decoder": .., "model": ..} */
static json_t *whole(json_t *vocab, json_t *merges)
{
    /* the one special token that GPT-2's vocabulary holds */
    json_t *end = json_object_get(vocab, "<|endoftext|>"), *added = json_array();
    if (end &&
        json_array_append_new(added, json_pack("{s:O, s:s, s:b}", "id", end, "content",
                                               "<|endoftext|>", "special", 1)) < 0) {
        json_decref(added);
        return NULL;
    }
    return json_pack("{s:o, s:{s:s, s:b}, s:{s:s}, s:{s:s, s:O, s:O}}", "added_tokens",
                     added, "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0,
                     "decoder", "type", "ByteLevel", "model", "type", "BPE", "vocab",
                     vocab, "merges", merges);
}

int m2c_hf_from_pair(const char *vocab_path, char **out, size_t *n, struct m2c_err *err)
{
    json_t *vocab = NULL, *merges = json_array(), *root = NULL;
    char *path = merges_path(vocab_path);
    *out = NULL;
    int r = merges && path ? load_vocab(vocab_path, &vocab, err)
                           : m2c_fail(err, -ENOMEM, "%s: out of memory", vocab_path);
    if (r == 0)
        r = load_merges(path, merges, err);
    if (r == 0 &&
        !((root = whole(vocab, merges)) && (*out = json_dumps(root, JSON_COMPACT))))
        r = m2c_fail(err, -ENOMEM, "%s: out of memory", vocab_path);
    *n = *out ? strlen(*out) : 0;
    json_decref(root);
    json_decref(merges);
    json_decref(vocab);
    free(path);
    return r;
}
