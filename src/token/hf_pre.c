/* SPDX-License-Identifier: MIT */
/* Pre-splitting of text into words, by PCRE2.
 *
 * The patterns were written for Oniguruma and Rust's regex, whose \s is
 * Unicode's White_Space; PCRE2's differs by U+180E, so \s and \S are spelled
 * out before compiling. */
#include "token/hf_impl.h"

#include "m2c_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#if M2C_HAVE_PCRE2

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

static const char gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
static const char spaces[] = "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}"
                             "\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";

struct hf_step {
    pcre2_code *code;
    pcre2_match_data *match;
};

/* \s and \S written as classes; the result is malloc'ed. */
static char *spell_spaces(const char *p)
{
    size_t n = strlen(p), cap = n + 1, at = 0;
    for (const char *q = p; *q; q++)
        cap += *q == '\\' ? sizeof spaces + 4 : 0;
    char *out = malloc(cap);
    bool in_class = false;
    for (; out && *p; p++) {
        bool space = p[0] == '\\' && (p[1] == 's' || p[1] == 'S');
        if (!space) {
            in_class = *p == '[' ? true : *p == ']' ? false : in_class;
            out[at++] = *p;
            if (*p == '\\' && p[1])
                out[at++] = *++p;
            continue;
        }
        bool negated = *++p == 'S';
        if (negated && in_class) { /* no way to say it: PCRE2's own is close */
            memcpy(out + at, "\\S", 2);
            at += 2;
            continue;
        }
        if (!in_class)
            out[at++] = '[';
        if (negated)
            out[at++] = '^';
        memcpy(out + at, spaces, sizeof spaces - 1);
        at += sizeof spaces - 1;
        if (!in_class)
            out[at++] = ']';
    }
    if (out)
        out[at] = 0;
    return out;
}

static int add_step(struct hf *h, const char *pattern, const char *path, struct m2c_err *err)
{
    if (h->n_steps == HF_MAX_STEPS)
        return m2c_fail(err, -ENOTSUP, "tokenizer.json: %s: more than %d steps", path,
                        HF_MAX_STEPS);
    struct hf_step *s = calloc(1, sizeof *s);
    char *p = spell_spaces(pattern);
    int code = 0;
    PCRE2_SIZE where = 0;
    if (!s || !p) {
        free(s);
        free(p);
        return m2c_fail(err, -ENOMEM, "tokenizer: out of memory");
    }
    h->step[h->n_steps++] = s;
    s->code = pcre2_compile((PCRE2_SPTR)p, PCRE2_ZERO_TERMINATED,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &code, &where,
                            NULL);
    free(p);
    if (!s->code) {
        char text[128];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        return m2c_fail(err, -EINVAL, "tokenizer.json: %s: pattern: %s", path, text);
    }
    (void)pcre2_jit_compile(s->code, PCRE2_JIT_COMPLETE); /* speed only */
    s->match = pcre2_match_data_create(1, NULL);
    return s->match ? 0 : m2c_fail(err, -ENOMEM, "tokenizer: out of memory");
}

static int open_split(struct hf *h, const json_t *o, const char *path, struct m2c_err *err)
{
    const char *regex =
        json_string_value(json_object_get(json_object_get(o, "pattern"), "Regex"));
    const char *behavior = json_string_value(json_object_get(o, "behavior"));
    if (!regex || !behavior || strcmp(behavior, "Isolated") != 0 ||
        json_is_true(json_object_get(o, "invert")))
        return m2c_fail(err, -ENOTSUP,
                        "tokenizer.json: %s: only a Regex with behavior Isolated is supported",
                        path);
    return add_step(h, regex, path, err);
}

static int open_one(struct hf *h, const json_t *o, const char *path, bool *byte_level,
                    struct m2c_err *err)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    if (type && strcmp(type, "Split") == 0)
        return open_split(h, o, path, err);
    if (type && strcmp(type, "Digits") == 0)
        return add_step(h, json_is_true(json_object_get(o, "individual_digits"))
                               ? "\\p{N}"
                               : "\\p{N}+",
                        path, err);
    if (!type || strcmp(type, "ByteLevel") != 0)
        return m2c_fail(err, -ENOTSUP,
                        "tokenizer.json: %s.type: '%s' is not supported (ByteLevel, Split, "
                        "Digits are)",
                        path, type ? type : "nothing");
    if (json_is_true(json_object_get(o, "add_prefix_space")))
        return m2c_fail(err, -ENOTSUP,
                        "tokenizer.json: %s.add_prefix_space: true is not supported", path);
    *byte_level = true;
    const json_t *use = json_object_get(o, "use_regex");
    return use && !json_is_true(use) ? 0 : add_step(h, gpt2_pattern, path, err);
}

int m2c_hf_pre_open(struct hf *h, const json_t *pre, struct m2c_err *err)
{
    const char *type = json_string_value(json_object_get(pre, "type"));
    bool byte_level = false;
    int r = 0;
    if (type && strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(pre, "pretokenizers");
        size_t n = json_array_size(list);
        for (size_t i = 0; i < n && r == 0; i++) {
            if (byte_level)
                return m2c_fail(err, -ENOTSUP,
                                "tokenizer.json: pre_tokenizer: ByteLevel must come last");
            r = open_one(h, json_array_get(list, i), "pre_tokenizer.pretokenizers[]",
                         &byte_level, err);
        }
    } else {
        r = open_one(h, pre, "pre_tokenizer", &byte_level, err);
    }
    if (r == 0 && !byte_level)
        r = m2c_fail(err, -ENOTSUP, "tokenizer.json: pre_tokenizer: no ByteLevel step");
    return r;
}

void m2c_hf_pre_close(struct hf *h)
{
    for (unsigned i = 0; i < h->n_steps; i++) {
        pcre2_match_data_free(h->step[i]->match);
        pcre2_code_free(h->step[i]->code);
        free(h->step[i]);
    }
}

/* Applies step i to a piece, and the later ones to what comes out. Each match
 * is a piece of its own, and so is what lies between matches. */
static int split(struct hf *h, unsigned i, const char *s, size_t n, struct m2c_ids *out)
{
    if (n == 0)
        return 0;
    if (i == h->n_steps)
        return m2c_hf_word(h, s, n, out);
    struct hf_step *st = h->step[i];
    size_t at = 0, from = 0;
    int r = 0;
    while (at < n && r == 0) {
        int found = pcre2_match(st->code, (PCRE2_SPTR)s, n, at, 0, st->match, NULL);
        if (found == PCRE2_ERROR_NOMATCH)
            break;
        if (found < 0)
            return -EINVAL;
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(st->match);
        size_t begin = span[0], end = span[1];
        if (end == begin) { /* an empty match splits nothing */
            at = end + 1;
            continue;
        }
        r = split(h, i + 1, s + from, begin - from, out);
        if (r == 0)
            r = split(h, i + 1, s + begin, end - begin, out);
        from = at = end;
    }
    return r < 0 ? r : split(h, i + 1, s + from, n - from, out);
}

int m2c_hf_pre_split(struct hf *h, const char *text, size_t n, struct m2c_ids *out)
{
    return split(h, 0, text, n, out);
}

#else

int m2c_hf_pre_open(struct hf *h, const json_t *pre, struct m2c_err *err)
{
    (void)h;
    (void)pre;
    return m2c_fail(err, -ENOTSUP,
                    "this build has no PCRE2 and cannot split text for byte-level BPE");
}

void m2c_hf_pre_close(struct hf *h) { (void)h; }

int m2c_hf_pre_split(struct hf *h, const char *text, size_t n, struct m2c_ids *out)
{
    (void)h;
    (void)text;
    (void)n;
    (void)out;
    return -ENOTSUP;
}

#endif
