/* SPDX-License-Identifier: MIT */
/* The normalizer and the pre_tokenizer of a tokenizer.json, as steps. */
#include "token/hf_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* openai/gpt-2, encoder.py; what ByteLevel splits by */
static const char gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static int no_memory(struct m2c_err *err)
{
    return m2c_fail(err, -ENOMEM, "out of memory");
}

/* A step with copies of a and b, which may be NULL; it is the tokenizer's at
 * once, so that closing that frees it. */
static int new_step(struct m2c_hf *h, enum m2c_hf_kind kind, const char *a, const char *b,
                    const char *path, struct m2c_hf_step **out, struct m2c_err *err)
{
    if (h->n_steps == M2C_HF_MAX_STEPS)
        return m2c_fail(err, -ENOTSUP, "%s: more than %d steps", path, M2C_HF_MAX_STEPS);
    struct m2c_hf_step *s = &h->step[h->n_steps++];
    *s = (struct m2c_hf_step){.kind = kind};
    s->a = a ? strdup(a) : NULL;
    s->b = b ? strdup(b) : NULL;
    *out = s;
    return (a && !s->a) || (b && !s->b) ? no_memory(err) : 0;
}

void m2c_hf_steps_close(struct m2c_hf *h)
{
    for (size_t i = 0; i < h->n_steps; i++) {
        struct m2c_hf_step *s = &h->step[i];
        free(s->a);
        free(s->b);
        m2c_regex_close(s->re);
        m2c_match_fini(&s->match);
    }
    h->n_steps = 0;
}

int m2c_hf_added_step(struct m2c_hf *h, struct m2c_err *err)
{
    struct m2c_hf_step *s = NULL;
    return new_step(h, M2C_HF_ADDED, NULL, NULL, "/added_tokens", &s, err);
}

/* {"String": "x"} or {"Regex": "x"}; the other one NULL. */
static int pattern_of(const json_t *o, const char *path, const char **string,
                      const char **regex, struct m2c_err *err)
{
    struct m2c_hf_path at = m2c_hf_at(path, "pattern");
    const json_t *p = json_object_get(o, "pattern");
    int r = m2c_hf_string(p, at.s, "String", string, err);
    if (r == 0)
        r = m2c_hf_string(p, at.s, "Regex", regex, err);
    if (r == 0 && !*string == !*regex)
        r = m2c_fail(err, -EINVAL, "%s: expected a String or a Regex", at.s);
    if (r == 0 && *string && !**string)
        r = m2c_fail(err, -EINVAL, "%s/String: expected a character at least", at.s);
    return r;
}

/* A string that must be there and not be empty. */
static int text_of(const json_t *o, const char *path, const char *key, const char **out,
                   struct m2c_err *err)
{
    int r = m2c_hf_string(o, path, key, out, err);
    if (r == 0 && (!*out || !**out))
        r = m2c_fail(err, -EINVAL, "%s/%s: expected a string", path, key);
    return r;
}

/* ---- normalizer ---- */

static int open_replace(struct m2c_hf *h, const json_t *o, const char *path,
                        struct m2c_err *err)
{
    struct m2c_hf_step *s = NULL;
    const char *string, *regex, *content;
    int r = pattern_of(o, path, &string, &regex, err);
    if (r == 0 && regex)
        r = m2c_hf_unsupported(m2c_hf_at(path, "pattern").s, "Regex",
                               "only String is, in a Replace", err);
    if (r == 0)
        r = m2c_hf_string(o, path, "content", &content, err);
    if (r == 0 && !content)
        r = m2c_fail(err, -EINVAL, "%s/content: expected a string", path);
    return r < 0 ? r : new_step(h, M2C_HF_REPLACE, string, content, path, &s, err);
}

static int open_normalizer(struct m2c_hf *h, const json_t *o, const char *path,
                           unsigned depth, struct m2c_err *err)
{
    struct m2c_hf_step *s = NULL;
    const char *type, *text;
    int r = m2c_hf_type(o, path, &type, err);
    if (r < 0)
        return r;
    if (strcmp(type, "Sequence") == 0 && depth < M2C_HF_MAX_STEPS) {
        const json_t *list;
        size_t n;
        r = m2c_hf_list(o, path, "normalizers", &list, &n, err);
        struct m2c_hf_path at = m2c_hf_at(path, "normalizers");
        for (size_t i = 0; i < n && r == 0; i++)
            r = open_normalizer(h, json_array_get(list, i), m2c_hf_at_index(at.s, i).s,
                                depth + 1, err);
        return r;
    }
    if (strcmp(type, "Prepend") == 0) {
        r = text_of(o, path, "prepend", &text, err);
        return r < 0 ? r : new_step(h, M2C_HF_PREPEND, text, NULL, path, &s, err);
    }
    if (strcmp(type, "Replace") == 0)
        return open_replace(h, o, path, err);
    return m2c_hf_unsupported(path, type, "Prepend, Replace and Sequence are", err);
}

int m2c_hf_normalizer_open(struct m2c_hf *h, struct m2c_err *err)
{
    const json_t *o = json_object_get(h->root, "normalizer");
    return !o || json_is_null(o) ? 0 : open_normalizer(h, o, "/normalizer", 0, err);
}

/* ---- pre_tokenizer ---- */

/* Splits by a pattern, where one is given, or at each `string`. */
static int add_split(struct m2c_hf *h, const char *string, const char *regex,
                     enum m2c_hf_behavior behavior, bool invert, const char *path,
                     struct m2c_err *err)
{
    struct m2c_hf_step *s = NULL;
    int r = new_step(h, M2C_HF_SPLIT, string, NULL, path, &s, err);
    if (r < 0)
        return r;
    s->behavior = behavior;
    s->invert = invert;
    return regex ? m2c_regex_open(&s->re, regex, path, err) : 0;
}

static int open_split(struct m2c_hf *h, const json_t *o, const char *path,
                      struct m2c_err *err)
{
    static const char *const names[] = {[M2C_HF_ISOLATED] = "Isolated",
                                        [M2C_HF_REMOVED] = "Removed",
                                        [M2C_HF_CONTIGUOUS] = "Contiguous",
                                        [M2C_HF_WITH_PREVIOUS] = "MergedWithPrevious",
                                        [M2C_HF_WITH_NEXT] = "MergedWithNext"};
    const char *string = NULL, *regex = NULL, *behavior;
    bool invert;
    size_t b = 0;
    int r = pattern_of(o, path, &string, &regex, err);
    if (r == 0)
        r = text_of(o, path, "behavior", &behavior, err);
    if (r == 0)
        r = m2c_hf_bool(o, path, "invert", false, &invert, err);
    if (r < 0)
        return r;
    while (b < M2C_COUNTOF(names) && strcmp(names[b], behavior) != 0)
        b++;
    if (b == M2C_COUNTOF(names))
        return m2c_hf_unsupported(m2c_hf_at(path, "behavior").s, behavior,
                                  "Isolated, Removed, Contiguous, MergedWithPrevious and "
                                  "MergedWithNext are",
                                  err);
    return add_split(h, string, regex, (enum m2c_hf_behavior)b, invert, path, err);
}

static int open_digits(struct m2c_hf *h, const json_t *o, const char *path,
                       struct m2c_err *err)
{
    bool each;
    int r = m2c_hf_bool(o, path, "individual_digits", false, &each, err);
    return r < 0
               ? r
               : add_split(h, NULL, "\\p{N}", each ? M2C_HF_ISOLATED : M2C_HF_CONTIGUOUS,
                           false, path, err);
}

static int open_metaspace(struct m2c_hf *h, const json_t *o, const char *path,
                          struct m2c_err *err)
{
    struct m2c_hf_step *s = NULL;
    const char *mark, *scheme;
    bool split, prefix;
    int r = text_of(o, path, "replacement", &mark, err);
    if (r == 0)
        r = m2c_hf_string(o, path, "prepend_scheme", &scheme, err);
    if (r == 0)
        r = m2c_hf_bool(o, path, "add_prefix_space", true, &prefix, err);
    if (r == 0)
        r = m2c_hf_bool(o, path, "split", true, &split, err);
    if (r < 0)
        return r;
    if (!scheme) /* older files */
        scheme = prefix ? "always" : "never";
    int place = strcmp(scheme, "always") == 0  ? M2C_HF_ALWAYS
                : strcmp(scheme, "first") == 0 ? M2C_HF_FIRST
                : strcmp(scheme, "never") == 0 ? M2C_HF_NEVER
                                               : -1;
    if (place < 0)
        return m2c_hf_unsupported(m2c_hf_at(path, "prepend_scheme").s, scheme,
                                  "always, first and never are", err);
    r = new_step(h, M2C_HF_METASPACE, mark, NULL, path, &s, err);
    if (r < 0)
        return r;
    s->scheme = (enum m2c_hf_scheme)place;
    return split ? add_split(h, mark, NULL, M2C_HF_WITH_NEXT, false, path, err) : 0;
}

static int open_byte_level(struct m2c_hf *h, const json_t *o, const char *path,
                           struct m2c_err *err)
{
    struct m2c_hf_step *s = NULL;
    bool prefix, regex;
    int r = m2c_hf_bool(o, path, "add_prefix_space", true, &prefix, err);
    if (r == 0)
        r = m2c_hf_bool(o, path, "use_regex", true, &regex, err);
    h->byte_level = true;
    if (r == 0 && prefix)
        r = new_step(h, M2C_HF_PREFIX, NULL, NULL, path, &s, err);
    if (r == 0 && regex)
        r = add_split(h, NULL, gpt2_pattern, M2C_HF_ISOLATED, false, path, err);
    return r;
}

static int open_pre(struct m2c_hf *h, const json_t *o, const char *path, unsigned depth,
                    struct m2c_err *err)
{
    static const struct {
        const char *type;
        int (*open)(struct m2c_hf *h, const json_t *o, const char *path,
                    struct m2c_err *err);
    } kinds[] = {{"ByteLevel", open_byte_level},
                 {"Split", open_split},
                 {"Digits", open_digits},
                 {"Metaspace", open_metaspace}};
    const char *type;
    int r = m2c_hf_type(o, path, &type, err);
    if (r < 0)
        return r;
    if (h->byte_level) /* the others would see bytes spelled as characters */
        return m2c_fail(err, -ENOTSUP, "%s: nothing is supported after ByteLevel", path);
    if (strcmp(type, "Sequence") == 0 && depth < M2C_HF_MAX_STEPS) {
        const json_t *list;
        size_t n;
        r = m2c_hf_list(o, path, "pretokenizers", &list, &n, err);
        struct m2c_hf_path at = m2c_hf_at(path, "pretokenizers");
        for (size_t i = 0; i < n && r == 0; i++)
            r = open_pre(h, json_array_get(list, i), m2c_hf_at_index(at.s, i).s,
                         depth + 1, err);
        return r;
    }
    for (size_t i = 0; i < M2C_COUNTOF(kinds); i++) {
        if (strcmp(type, kinds[i].type) == 0)
            return kinds[i].open(h, o, path, err);
    }
    return m2c_hf_unsupported(
        path, type, "ByteLevel, Split, Digits, Metaspace and Sequence are", err);
}

int m2c_hf_pre_open(struct m2c_hf *h, struct m2c_err *err)
{
    const json_t *o = json_object_get(h->root, "pre_tokenizer");
    return !o || json_is_null(o) ? 0 : open_pre(h, o, "/pre_tokenizer", 0, err);
}
