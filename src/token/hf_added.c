/* SPDX-License-Identifier: MIT */
/* The added tokens of a tokenizer.json: found in the text before anything else,
 * the special ones only where they are asked for. */
#include "token/hf_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int read_one(struct m2c_hf *h, const json_t *o, const char *path,
                    struct m2c_hf_added *a, struct m2c_err *err)
{
    const char *content;
    bool word;
    int r = m2c_hf_string(o, path, "content", &content, err);
    if (r == 0 && (!content || !*content))
        r = m2c_fail(err, -EINVAL, "%s/content: expected a string", path);
    if (r == 0)
        r = m2c_hf_bool(o, path, "special", false, &a->special, err);
    if (r == 0)
        r = m2c_hf_bool(o, path, "lstrip", false, &a->lstrip, err);
    if (r == 0)
        r = m2c_hf_bool(o, path, "rstrip", false, &a->rstrip, err);
    if (r == 0)
        r = m2c_hf_bool(o, path, "normalized", !a->special, &a->normalized, err);
    if (r == 0)
        r = m2c_hf_bool(o, path, "single_word", false, &word, err);
    if (r == 0 && word)
        r = m2c_fail(err, -ENOTSUP, "%s/single_word: not supported", path);
    if (r < 0)
        return r;
    a->n = (uint32_t)strlen(content);
    a->id = (uint32_t)json_integer_value(json_object_get(o, "id"));
    struct m2c_hf_token *t = &h->token[a->id];
    uint32_t model = m2c_strmap_find(&h->spelled, content, a->n, NULL, 0);
    if (model == UINT32_MAX ? t->s != NULL : model != a->id)
        return m2c_fail(err, -EINVAL, "%s: '%s' has the id %u of another token", path,
                        m2c_tok_quote(content, a->n).s, a->id);
    a->s = m2c_hf_keep(h, content, a->n);
    if (!t->s) {
        t->s = a->s;
        t->n = a->n;
    }
    t->control = a->special;
    return 0;
}

/* Tokens that are found in normalised text are normalised themselves. */
static int add_match(struct m2c_hf *h, uint32_t k, struct m2c_err *err)
{
    struct m2c_hf_added *a = &h->added[k];
    struct m2c_hf_step *step = NULL;
    char *text = NULL;
    size_t n = a->n;
    for (size_t i = 0; i < h->n_steps; i++) {
        if (h->step[i].kind == M2C_HF_ADDED && (!step || a->normalized))
            step = &h->step[i];
    }
    int r = a->normalized ? m2c_hf_normalize(h, a->s, n, &text, &n) : 0;
    if (r == 0 && text && (n != a->n || memcmp(text, a->s, n) != 0)) {
        struct m2c_hf_token *t = &h->token[a->id];
        h->normal[k] = text;
        if (t->s == a->s) { /* no token of the model: it decodes to what it matched */
            t->s = text;
            t->n = (uint32_t)n;
        }
        r = m2c_match_add(&step->match, text, n, k);
    } else if (r == 0) {
        free(text);
        r = m2c_match_add(&step->match, a->s, a->n, k);
    }
    return r < 0 ? m2c_fail(err, r, "out of memory") : 0;
}

static int check_twice(const struct m2c_hf *h, const struct m2c_match *m,
                       struct m2c_err *err)
{
    for (size_t i = 1; i < m->n; i++) {
        const struct m2c_match_str *a = &m->v[i - 1], *b = &m->v[i];
        if (a->n == b->n && memcmp(a->s, b->s, a->n) == 0)
            return m2c_fail(err, -EINVAL, "/added_tokens: ids %u and %u are both '%s'",
                            h->added[a->id].id, h->added[b->id].id,
                            m2c_tok_quote(a->s, a->n).s);
    }
    return 0;
}

int m2c_hf_added_open(struct m2c_hf *h, struct m2c_err *err)
{
    const json_t *list = json_object_get(h->root, "added_tokens");
    size_t n = json_array_size(list);
    int r = 0;
    h->added = calloc(n + 1, sizeof *h->added);
    h->normal = calloc(n + 1, sizeof *h->normal);
    if (!h->added || !h->normal)
        return m2c_fail(err, -ENOMEM, "out of memory");
    h->n_added = n;
    for (size_t i = 0; i < n && r == 0; i++) {
        r = read_one(h, json_array_get(list, i), m2c_hf_at_index("/added_tokens", i).s,
                     &h->added[i], err);
        if (r == 0)
            r = add_match(h, (uint32_t)i, err);
    }
    for (size_t i = 0; i < h->n_steps && r == 0; i++) {
        m2c_match_sort(&h->step[i].match);
        r = check_twice(h, &h->step[i].match, err);
    }
    return r;
}
