/* SPDX-License-Identifier: MIT */
/* The vocabulary of a tokenizer.json. */
#include "token/hf_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An id far beyond the number of tokens is a mistake, and must not decide how
 * much memory is taken. */
enum { MAX_VOCAB = 1 << 24, HOLES = 4096 };

/* The bytes that byte-level vocabularies show as themselves; the other 68 are
 * shown as U+0100 and up, in order (GPT-2's bytes_to_unicode). */
static bool shown_as_itself(unsigned b)
{
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
}

static int byte_of(unsigned c)
{
    unsigned next = 256;
    if (c < 256)
        return shown_as_itself(c) ? (int)c : -1;
    for (unsigned b = 0; b < 256; b++) {
        if (!shown_as_itself(b) && next++ == c)
            return (int)b;
    }
    return -1;
}

int64_t m2c_hf_unmap(const char *s, size_t n, char *out)
{
    size_t m = 0;
    for (size_t i = 0; i < n;) {
        unsigned c = (unsigned char)s[i++];
        if ((c & 0xe0) == 0xc0 && i < n)
            c = (c & 0x1f) << 6 | ((unsigned char)s[i++] & 0x3f);
        else if (c >= 0x80)
            return -1;
        int b = byte_of(c);
        if (b < 0)
            return -1;
        out[m++] = (char)b;
    }
    return (int64_t)m;
}

const char *m2c_hf_keep(struct m2c_hf *h, const char *s, size_t n)
{
    char *at = h->text + h->n_text;
    if (n)
        memcpy(at, s, n);
    h->n_text += n;
    return at;
}

static int check_id(const json_t *v, const char *path, size_t tokens, uint32_t *max,
                    struct m2c_err *err)
{
    json_int_t x = json_is_integer(v) ? json_integer_value(v) : -1;
    if (x < 0 || x >= MAX_VOCAB || (uint64_t)x > 4 * (uint64_t)tokens + HOLES)
        return m2c_fail(err, -EINVAL, "%s: no id that fits %zu tokens", path, tokens);
    *max = M2C_MAX(*max, (uint32_t)x);
    return 0;
}

static int count(struct m2c_hf *h, json_t *vocab, const json_t *added, uint32_t *n,
                 struct m2c_err *err)
{
    size_t tokens = json_object_size(vocab) + json_array_size(added), i;
    uint32_t max = 0;
    const char *key;
    json_t *v;
    int r = 0;
    json_object_foreach(vocab, key, v)
    {
        if (r == 0 && !(json_is_integer(v) && json_integer_value(v) >= 0))
            r = m2c_fail(err, -EINVAL, "/model/vocab: '%s' has no id",
                         m2c_tok_quote(key, strlen(key)).s);
        if (r == 0)
            r = check_id(v, "/model/vocab", tokens, &max, err);
        h->cap_text += strlen(key);
    }
    json_array_foreach(added, i, v)
    {
        struct m2c_hf_path at = m2c_hf_at_index("/added_tokens", i);
        if (r == 0)
            r = check_id(json_object_get(v, "id"), m2c_hf_at(at.s, "id").s, tokens, &max,
                         err);
        h->cap_text += json_string_length(json_object_get(v, "content"));
    }
    *n = max + 1;
    return r;
}

static int add_token(struct m2c_hf *h, const char *key, uint32_t id, char *scratch,
                     struct m2c_err *err)
{
    struct m2c_hf_token *t = &h->token[id];
    size_t n = strlen(key);
    if (t->s)
        return m2c_fail(err, -EINVAL, "/model/vocab: '%s' has the id %u of another token",
                        m2c_tok_quote(key, n).s, id);
    m2c_strmap_add(&h->spelled, key, (uint32_t)n, id);
    int64_t m = h->byte_level ? m2c_hf_unmap(key, n, scratch) : -1;
    bool reached = m >= 0 || !h->byte_level;
    t->s = m >= 0 ? m2c_hf_keep(h, scratch, (size_t)m) : m2c_hf_keep(h, key, n);
    t->n = m >= 0 ? (uint32_t)m : (uint32_t)n;
    if (reached && t->n)
        m2c_strmap_add(&h->map, t->s, t->n, id);
    return 0;
}

int m2c_hf_vocab_open(struct m2c_hf *h, uint32_t *vocab, struct m2c_err *err)
{
    json_t *list = json_object_get(json_object_get(h->root, "model"), "vocab"), *v;
    json_t *added = json_object_get(h->root, "added_tokens");
    const char *key;
    if (!json_is_object(list) || json_object_size(list) == 0)
        return m2c_fail(err, -EINVAL, "/model/vocab: expected an object of ids");
    if (added && !json_is_null(added) && !json_is_array(added))
        return m2c_fail(err, -EINVAL, "/added_tokens: expected a list");
    int r = count(h, list, added, vocab, err);
    if (r < 0)
        return r;
    h->token = calloc(*vocab, sizeof *h->token);
    h->text = malloc(h->cap_text + 1);
    char *scratch = malloc(h->cap_text + 1);
    if (!h->token || !h->text || !scratch ||
        m2c_strmap_init(&h->map, json_object_size(list)) < 0 ||
        m2c_strmap_init(&h->spelled, json_object_size(list)) < 0)
        r = m2c_fail(err, -ENOMEM, "out of memory");
    json_object_foreach(list, key, v)
    {
        if (r == 0)
            r = add_token(h, key, (uint32_t)json_integer_value(v), scratch, err);
    }
    free(scratch);
    return r;
}
