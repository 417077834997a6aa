/* SPDX-License-Identifier: MIT */
/* BPE from a Hugging Face tokenizer.json: byte-level as in GPT-2, Llama 3 and
 * SmolLM, or of characters with bytes to fall back on as in Llama 2.
 *
 * Ids are those of `tokenizers` without the post-processor, with
 * encode_special_tokens set unless special tokens are asked for. What is not
 * supported is refused by its JSON path. */
#include "token/hf_impl.h"

#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool sniff(const uint8_t *b, size_t n)
{
    size_t i = 0;
    while (i < n && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t'))
        i++;
    return i < n && b[i] == '{';
}

/* ---- open ---- */

static int32_t find(const struct m2c_tok *t, const char *name)
{
    const struct m2c_hf *h = t->priv;
    size_t n = strlen(name);
    for (size_t i = 0; i < h->n_added; i++) {
        if (h->added[i].n == n && memcmp(h->added[i].s, name, n) == 0)
            return (int32_t)h->added[i].id;
    }
    return -1;
}

/* Names by which models call them, as added tokens. */
static int32_t well_known(const struct m2c_tok *t, const char *const *names)
{
    int32_t id = -1;
    for (; *names && id < 0; names++)
        id = find(t, *names);
    return id;
}

/* What a TemplateProcessing puts before and after one text; a Sequence may hold
 * it. */
static void read_template(struct m2c_tok *t, const json_t *post, unsigned depth)
{
    const json_t *single = json_object_get(post, "single"), *v;
    const json_t *list = json_object_get(post, "processors");
    bool after = false;
    size_t i;
    json_array_foreach(single, i, v)
    {
        const char *name =
            json_string_value(json_object_get(json_object_get(v, "SpecialToken"), "id"));
        after = after || json_object_get(v, "Sequence");
        if (name)
            *(after ? &t->eos : &t->bos) = find(t, name);
    }
    json_array_foreach(list, i, v)
    {
        if (depth < M2C_HF_MAX_STEPS)
            read_template(t, v, depth + 1);
    }
}

static void name_special(struct m2c_tok *t)
{
    static const char *const bos[] = {"<s>", "<|begin_of_text|>", "<bos>",
                                      "<|endoftext|>", NULL};
    static const char *const eos[] = {"</s>", "<|end_of_text|>", "<eos>", "<|endoftext|>",
                                      NULL};
    const struct m2c_hf *h = t->priv;
    read_template(t, json_object_get(h->root, "post_processor"), 0);
    if (t->bos < 0)
        t->bos = well_known(t, bos);
    if (t->eos < 0)
        t->eos = well_known(t, eos);
}

/* Where two characters meet inside a token. */
static int find_joins(struct m2c_hf *h, uint32_t vocab)
{
    if (m2c_joins_init(&h->joins) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < vocab; i++) {
        const struct m2c_hf_token *t = &h->token[i];
        uint32_t last = 0;
        for (size_t at = 0, len; t->s && at < t->n; at += len) {
            len = m2c_utf8_char(t->s + at, t->n - at);
            uint32_t key = m2c_char_key(t->s + at, len);
            if (at)
                m2c_joins_add(&h->joins, last, key);
            last = key;
        }
    }
    return 0;
}

static int open_parts(struct m2c_hf *h, uint32_t *vocab, struct m2c_err *err)
{
    int r = m2c_hf_added_step(h, err);
    if (r == 0)
        r = m2c_hf_normalizer_open(h, err);
    if (r == 0)
        r = m2c_hf_added_step(h, err);
    if (r == 0)
        r = m2c_hf_pre_open(h, err);
    if (r == 0)
        r = m2c_hf_vocab_open(h, vocab, err);
    if (r == 0)
        r = m2c_hf_model_open(h, err);
    if (r == 0 && !h->byte_level && find_joins(h, *vocab) < 0)
        r = m2c_fail(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = m2c_hf_added_open(h, err);
    return r < 0 ? r : m2c_hf_decoder_open(h, *vocab, err);
}

static int open_hf(struct m2c_tok *t, struct m2c_err *err)
{
    struct m2c_hf *h = t->priv;
    json_error_t je;
    h->root = json_loadb((const char *)t->bytes, t->n, JSON_REJECT_DUPLICATES, &je);
    if (!h->root)
        return m2c_fail(err, -EINVAL, "line %d, column %d: %s", je.line, je.column,
                        m2c_tok_quote(je.text, strlen(je.text)).s);
    if (!json_is_object(json_object_get(h->root, "model")))
        return m2c_fail(err, -EINVAL,
                        "/model: expected an object; is it a tokenizer.json?");
    int r = open_parts(h, &t->vocab, err);
    if (r < 0)
        return r;
    name_special(t);
    json_decref(h->root);
    h->root = NULL;
    m2c_strmap_fini(&h->spelled); /* its strings were the JSON's */
    return 0;
}

static void close_hf(struct m2c_tok *t)
{
    struct m2c_hf *h = t->priv;
    m2c_hf_steps_close(h);
    m2c_strmap_fini(&h->map);
    m2c_strmap_fini(&h->spelled);
    m2c_joins_fini(&h->joins);
    for (size_t i = 0; i < h->n_added; i++)
        free(h->normal[i]);
    free(h->normal);
    free(h->added);
    free(h->merge);
    free(h->token);
    free(h->text);
    free(h->shown);
    json_decref(h->root);
}

/* ---- encode ---- */

/* Well-formed stretches go through the steps, each as a text of its own; what
 * lies between goes by bytes. */
static int encode(const struct m2c_tok *t, const char *text, size_t n, bool special,
                  struct m2c_ids *out)
{
    struct m2c_hf_run r = {.h = t->priv, .special = special, .out = out};
    int rc = 0;
    for (size_t at = 0; at < n && rc == 0;) {
        size_t good = at, stray, len;
        while (good < n && (len = m2c_utf8_char(text + good, n - good)) > 0)
            good += len;
        stray = good;
        while (stray < n && m2c_utf8_char(text + stray, n - stray) == 0)
            stray++;
        rc = m2c_hf_piece(&r, 0, text + at, good - at, at == 0);
        if (rc == 0 && stray > good)
            rc = m2c_hf_stray(&r, text + good, stray - good);
        at = stray;
    }
    m2c_bpe_fini(&r.bpe);
    m2c_regex_scratch_close(r.scratch);
    for (size_t i = 0; i < M2C_HF_MAX_STEPS; i++)
        free(r.buf[i].s);
    return rc;
}

static void text_of(const struct m2c_tok *t, uint32_t id, struct m2c_tok_text *out)
{
    const struct m2c_hf_token *x = &((const struct m2c_hf *)t->priv)->token[id];
    if (!x->control && x->s)
        *out = (struct m2c_tok_text){.s = x->s, .n = x->n, .lead = x->lead};
}

const struct m2c_tok_ops m2c_tok_hf = {
    .p = {.name = "hf",
          .desc = "BPE of a Hugging Face tokenizer.json",
          .priv_size = sizeof(struct m2c_hf)},
    .sniff = sniff,
    .open = open_hf,
    .close = close_hf,
    .encode = encode,
    .text = text_of,
    .find = find,
};
