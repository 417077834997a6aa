/* SPDX-License-Identifier: MIT */
/* Byte-level BPE from a Hugging Face tokenizer.json: GPT-2, Llama 3, SmolLM
 * and their like. The file is parsed with jansson, text is pre-split with
 * PCRE2 (hf_pre.c). What is not supported is refused by its JSON path: a
 * tokenizer that is nearly right gives wrong numbers. */
#include "token/hf_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bytes that byte-level vocabularies show as themselves; the other 68 are
 * shown as U+0100 and up, in order (GPT-2's bytes_to_unicode). */
static bool shown_as_itself(int b)
{
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
}

static void fill_byte_map(int16_t byte_of[324])
{
    int next = 256;
    for (int i = 0; i < 324; i++)
        byte_of[i] = -1;
    for (int b = 0; b < 256; b++)
        byte_of[shown_as_itself(b) ? b : next++] = (int16_t)b;
}

/* A vocabulary string to the bytes it stands for; -1 when it holds a
 * character that stands for none (an added token). out has room for n. */
static int64_t unmap(const int16_t byte_of[324], const char *s, size_t n, char *out)
{
    size_t m = 0;
    for (size_t i = 0; i < n;) {
        unsigned c = (unsigned char)s[i++];
        if ((c & 0xe0) == 0xc0 && i < n)
            c = (c & 0x1f) << 6 | ((unsigned char)s[i++] & 0x3f);
        else if (c >= 0x80)
            return -1;
        if (c >= 324 || byte_of[c] < 0)
            return -1;
        out[m++] = (char)byte_of[c];
    }
    return (int64_t)m;
}

static bool sniff(const uint8_t *b, size_t n)
{
    size_t i = 0;
    while (i < n && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t'))
        i++;
    return i < n && b[i] == '{';
}

/* ---- vocabulary ---- */

static int add_token(struct hf *h, uint32_t id, const char *s, bool mapped,
                     struct m2c_err *err)
{
    struct hf_token *t = &h->token[id];
    size_t n = strlen(s);
    if (t->text)
        return 0; /* added tokens repeat the vocabulary's */
    char *text = malloc(n + 1);
    if (!text)
        return m2c_fail(err, -ENOMEM, "tokenizer: out of memory");
    int64_t m = mapped ? unmap(h->byte_of, s, n, text) : -1;
    if (m < 0) {
        memcpy(text, s, n);
        m = (int64_t)n;
    }
    text[m] = 0;
    t->text = text;
    t->n = (uint32_t)m;
    return 0;
}

static int check_id(const json_t *v, const char *what, uint32_t *id, struct m2c_err *err)
{
    json_int_t x = json_is_integer(v) ? json_integer_value(v) : -1;
    if (x < 0 || x > HF_MAX_ID)
        return m2c_fail(err, -EINVAL, "tokenizer.json: %s: not an id between 0 and %d", what,
                        HF_MAX_ID);
    *id = (uint32_t)x;
    return 0;
}

static int size_vocab(struct hf *h, json_t *vocab, json_t *added, uint32_t *n,
                      struct m2c_err *err)
{
    const char *key;
    json_t *v;
    uint32_t id = 0, max = 0;
    size_t i;
    json_object_foreach(vocab, key, v) {
        int r = check_id(v, "model.vocab", &id, err);
        if (r < 0)
            return r;
        max = M2C_MAX(max, id);
    }
    json_array_foreach(added, i, v) {
        int r = check_id(json_object_get(v, "id"), "added_tokens[].id", &id, err);
        if (r < 0)
            return r;
        max = M2C_MAX(max, id);
    }
    *n = max + 1;
    h->token = calloc(*n, sizeof *h->token);
    return h->token ? 0 : m2c_fail(err, -ENOMEM, "tokenizer: out of memory");
}

static int load_vocab(struct m2c_tok *t, json_t *root, json_t *model, struct m2c_err *err)
{
    struct hf *h = t->priv;
    json_t *vocab = json_object_get(model, "vocab"), *v;
    json_t *added = json_object_get(root, "added_tokens");
    const char *key;
    size_t i;
    if (!json_is_object(vocab) || json_object_size(vocab) == 0)
        return m2c_fail(err, -EINVAL, "tokenizer.json: model.vocab: not an object of ids");
    int r = size_vocab(h, vocab, added, &t->vocab, err);
    if (r == 0 && m2c_strmap_init(&h->map, json_object_size(vocab)) < 0)
        r = m2c_fail(err, -ENOMEM, "tokenizer: out of memory");
    if (r < 0)
        return r;
    json_object_foreach(vocab, key, v) {
        uint32_t id = (uint32_t)json_integer_value(v);
        r = add_token(h, id, key, true, err);
        if (r < 0)
            return r;
        /* the JSON keys live as long as the tokenizer: h->root is kept */
        m2c_strmap_add(&h->map, key, (uint32_t)strlen(key), id);
    }
    json_array_foreach(added, i, v) {
        const char *content = json_string_value(json_object_get(v, "content"));
        uint32_t id = (uint32_t)json_integer_value(json_object_get(v, "id"));
        if (!content)
            return m2c_fail(err, -EINVAL, "tokenizer.json: added_tokens[%zu].content: missing",
                            i);
        if (!json_is_true(json_object_get(v, "special")))
            return m2c_fail(err, -ENOTSUP,
                            "tokenizer.json: added_tokens[%zu] ('%s') is not special: not "
                            "supported",
                            i, content);
        r = add_token(h, id, content, false, err);
        if (r < 0)
            return r;
        h->token[id].control = true;
    }
    return 0;
}

static int load_bytes(struct hf *h, struct m2c_err *err)
{
    for (int c = 0; c < 324; c++) {
        char utf8[3] = {0};
        if (h->byte_of[c] < 0)
            continue;
        if (c < 0x80) {
            utf8[0] = (char)c;
        } else {
            utf8[0] = (char)(0xc0 | c >> 6);
            utf8[1] = (char)(0x80 | (c & 0x3f));
        }
        h->byte_id[h->byte_of[c]] =
            m2c_strmap_find(&h->map, utf8, strlen(utf8), NULL, 0);
        if (h->byte_id[h->byte_of[c]] == UINT32_MAX)
            return m2c_fail(err, -ENOTSUP,
                            "tokenizer.json: model.vocab has no token for byte 0x%02x: not a "
                            "complete byte-level vocabulary",
                            (unsigned)h->byte_of[c]);
    }
    return 0;
}

/* ---- merges ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 31)) * 0x9E3779B97F4A7C15u;
    return x ^ (x >> 29);
}

static struct hf_merge *merge_slot(const struct hf *h, uint64_t pair)
{
    size_t i = mix(pair) & h->merge_mask;
    while (h->merge[i].pair != HF_NO_PAIR && h->merge[i].pair != pair)
        i = (i + 1) & h->merge_mask;
    return &h->merge[i];
}

/* "a b" or ["a", "b"]. */
static bool split_merge(const json_t *m, const char **a, size_t *na, const char **b,
                        size_t *nb)
{
    if (json_is_array(m) && json_array_size(m) == 2) {
        *a = json_string_value(json_array_get(m, 0));
        *b = json_string_value(json_array_get(m, 1));
        if (!*a || !*b)
            return false;
        *na = strlen(*a);
        *nb = strlen(*b);
        return true;
    }
    const char *s = json_string_value(m), *space = s ? strchr(s, ' ') : NULL;
    if (!space || strchr(space + 1, ' '))
        return false;
    *a = s;
    *na = (size_t)(space - s);
    *b = space + 1;
    *nb = strlen(*b);
    return true;
}

static int load_merges(struct hf *h, const json_t *model, struct m2c_err *err)
{
    const json_t *list = json_object_get(model, "merges");
    size_t n = json_array_size(list), cap = 16;
    if (!json_is_array(list))
        return m2c_fail(err, -EINVAL, "tokenizer.json: model.merges: not a list");
    while (cap < 2 * n)
        cap *= 2;
    h->merge = malloc(cap * sizeof *h->merge);
    h->merge_mask = cap - 1;
    if (!h->merge)
        return m2c_fail(err, -ENOMEM, "tokenizer: out of memory");
    for (size_t i = 0; i < cap; i++)
        h->merge[i].pair = HF_NO_PAIR;
    for (size_t i = 0; i < n; i++) {
        const char *a, *b;
        size_t na, nb;
        if (!split_merge(json_array_get(list, i), &a, &na, &b, &nb))
            return m2c_fail(err, -EINVAL, "tokenizer.json: model.merges[%zu]: not two tokens",
                            i);
        uint32_t ia = m2c_strmap_find(&h->map, a, na, NULL, 0);
        uint32_t ib = m2c_strmap_find(&h->map, b, nb, NULL, 0);
        uint32_t ab = m2c_strmap_find(&h->map, a, na, b, nb);
        if (ia == UINT32_MAX || ib == UINT32_MAX || ab == UINT32_MAX)
            return m2c_fail(err, -EINVAL,
                            "tokenizer.json: model.merges[%zu]: a token that is not in "
                            "model.vocab",
                            i);
        uint64_t pair = (uint64_t)ia << 32 | ib;
        struct hf_merge *m = merge_slot(h, pair);
        *m = (struct hf_merge){pair, (uint32_t)i, ab}; /* a later one wins, as in HF */
    }
    return 0;
}

/* ---- open ---- */

static int want_null(const json_t *o, const char *key, const char *path, struct m2c_err *err)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v) || json_is_false(v) ||
        (json_is_string(v) && json_string_length(v) == 0))
        return 0;
    return m2c_fail(err, -ENOTSUP, "tokenizer.json: %s%s: not supported", path, key);
}

static int load_model(struct m2c_tok *t, json_t *root, struct m2c_err *err)
{
    struct hf *h = t->priv;
    json_t *model = json_object_get(root, "model");
    const char *type = json_string_value(json_object_get(model, "type"));
    if (!json_is_object(model) || (type && strcmp(type, "BPE") != 0))
        return m2c_fail(err, -ENOTSUP, "tokenizer.json: model.type: '%s', only BPE is supported",
                        type ? type : "nothing");
    static const char *const absent[] = {"dropout", "continuing_subword_prefix",
                                         "end_of_word_suffix", "byte_fallback", "fuse_unk"};
    int r = want_null(root, "normalizer", "", err);
    for (size_t i = 0; i < M2C_COUNTOF(absent) && r == 0; i++)
        r = want_null(model, absent[i], "model.", err);
    h->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    fill_byte_map(h->byte_of);
    if (r == 0)
        r = load_vocab(t, root, model, err);
    if (r == 0)
        r = load_bytes(h, err);
    if (r == 0)
        r = load_merges(h, model, err);
    return r < 0 ? r : m2c_hf_pre_open(h, json_object_get(root, "pre_tokenizer"), err);
}

static int32_t well_known(const struct m2c_tok *t, const char *const *names)
{
    const struct hf *h = t->priv;
    for (; *names; names++) {
        for (uint32_t i = 0; i < t->vocab; i++) {
            if (h->token[i].control && strcmp(h->token[i].text, *names) == 0)
                return (int32_t)i;
        }
    }
    return -1;
}

static int open_hf(struct m2c_tok *t, struct m2c_err *err)
{
    static const char *const bos[] = {"<s>", "<|begin_of_text|>", "<bos>", "<|endoftext|>",
                                      NULL};
    static const char *const eos[] = {"</s>", "<|end_of_text|>", "<eos>", "<|endoftext|>",
                                      NULL};
    struct hf *h = t->priv;
    json_error_t je;
    h->root = json_loadb((const char *)t->bytes, t->n, JSON_REJECT_DUPLICATES, &je);
    if (!h->root)
        return m2c_fail(err, -EINVAL, "tokenizer.json: line %d: %s", je.line, je.text);
    int r = load_model(t, h->root, err);
    if (r == 0) {
        t->bos = well_known(t, bos);
        t->eos = well_known(t, eos);
    }
    return r;
}

static void close_hf(struct m2c_tok *t)
{
    struct hf *h = t->priv;
    for (uint32_t i = 0; h->token && i < t->vocab; i++)
        free(h->token[i].text);
    free(h->token);
    free(h->merge);
    m2c_strmap_fini(&h->map);
    m2c_hf_pre_close(h);
    json_decref(h->root);
}

/* ---- encode ---- */

static bool merge_pair(const void *ctx, uint32_t left, uint32_t right, double *priority,
                       uint32_t *merged)
{
    const struct hf_merge *m = merge_slot(ctx, (uint64_t)left << 32 | right);
    if (m->pair == HF_NO_PAIR)
        return false;
    *priority = m->rank;
    *merged = m->merged;
    return true;
}

/* With ignore_merges a word that is a token is that token. */
static uint32_t whole_word(const struct hf *h, const char *s, size_t n)
{
    char key[HF_WORD * 2] = {0};
    size_t m = 0;
    if (!h->ignore_merges || n > HF_WORD)
        return UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        int c = 0;
        while (h->byte_of[c] != (unsigned char)s[i])
            c++;
        if (c < 0x80) {
            key[m++] = (char)c;
        } else {
            key[m++] = (char)(0xc0 | c >> 6);
            key[m++] = (char)(0x80 | (c & 0x3f));
        }
    }
    return m2c_strmap_find(&h->map, key, m, NULL, 0);
}

int m2c_hf_word(struct hf *h, const char *s, size_t n, struct m2c_ids *out)
{
    uint32_t id = whole_word(h, s, n), small[256], *sym = small;
    if (id != UINT32_MAX) {
        m2c_ids_add(out, id);
        return 0;
    }
    if (n > M2C_COUNTOF(small) && !(sym = malloc(n * sizeof *sym)))
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        sym[i] = h->byte_id[(unsigned char)s[i]];
    int64_t m = m2c_bpe(sym, n, merge_pair, h);
    for (int64_t i = 0; i < m; i++)
        m2c_ids_add(out, sym[i]);
    if (sym != small)
        free(sym);
    return m < 0 ? (int)m : 0;
}

static int encode(struct m2c_tok *t, const char *text, size_t n, struct m2c_ids *out)
{
    return m2c_hf_pre_split(t->priv, text, n, out);
}

static size_t piece(const struct m2c_tok *t, uint32_t id, const char **bytes)
{
    const struct hf_token *k = &((const struct hf *)t->priv)->token[id];
    if (k->control || !k->text)
        return 0;
    *bytes = k->text;
    return k->n;
}

const struct m2c_tok_ops m2c_tok_hf = {
    .p = {.name = "hf",
          .desc = "byte-level BPE of a Hugging Face tokenizer.json",
          .priv_size = sizeof(struct hf)},
    .sniff = sniff,
    .open = open_hf,
    .close = close_hf,
    .encode = encode,
    .piece = piece,
};
