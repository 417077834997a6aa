/* SPDX-License-Identifier: MIT */
/* The model of a tokenizer.json: BPE, its merges, and what becomes of characters
 * that are no token. */
#include "token/hf_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- options ---- */

/* Affixes and dropout would change the words before they are merged. */
static int check_absent(const json_t *model, struct m2c_err *err)
{
    static const char *const affixes[] = {"continuing_subword_prefix",
                                          "end_of_word_suffix"};
    const json_t *dropout = json_object_get(model, "dropout");
    if (json_is_number(dropout) ? json_number_value(dropout) != 0
                                : dropout && !json_is_null(dropout))
        return m2c_fail(err, -ENOTSUP, "/model/dropout: not supported");
    for (size_t i = 0; i < M2C_COUNTOF(affixes); i++) {
        const char *text;
        int r = m2c_hf_string(model, "/model", affixes[i], &text, err);
        if (r == 0 && text && *text)
            r = m2c_fail(err, -ENOTSUP, "/model/%s: not supported", affixes[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static uint32_t spelled(const struct m2c_hf *h, const char *name)
{
    return m2c_strmap_find(&h->spelled, name, strlen(name), NULL, 0);
}

/* Byte-level: every byte is a token, under the character that shows it. */
static void find_bytes(struct m2c_hf *h)
{
    for (unsigned b = 0; b < 256; b++) {
        char c = (char)b;
        h->byte_id[b] = m2c_strmap_find(&h->map, &c, 1, NULL, 0);
    }
}

/* Otherwise "<0x0A>" and so on, all of them or none: with a few, `tokenizers`
 * puts unknown tokens in an order of its own. */
static int find_byte_names(struct m2c_hf *h, bool fallback, struct m2c_err *err)
{
    unsigned have = 0;
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        h->byte_id[b] = fallback ? spelled(h, name) : UINT32_MAX;
        have += h->byte_id[b] != UINT32_MAX;
    }
    if (have != 0 && have != 256)
        return m2c_fail(err, -ENOTSUP,
                        "/model/byte_fallback: /model/vocab has %u of 256 bytes", have);
    return 0;
}

static int open_unknown(struct m2c_hf *h, const json_t *model, struct m2c_err *err)
{
    const char *unk;
    bool fallback;
    int r = m2c_hf_string(model, "/model", "unk_token", &unk, err);
    if (r == 0)
        r = m2c_hf_bool(model, "/model", "byte_fallback", false, &fallback, err);
    if (r < 0)
        return r;
    if (h->byte_level)
        find_bytes(h);
    else
        r = find_byte_names(h, fallback, err);
    h->unk = unk ? spelled(h, unk) : UINT32_MAX;
    for (unsigned b = 0; b < 256 && r == 0; b++) {
        if (h->byte_id[b] == UINT32_MAX && h->unk == UINT32_MAX)
            r = m2c_fail(err, -ENOTSUP,
                         "/model/vocab: no token for byte 0x%02x and no unk_token: text "
                         "would be lost",
                         b);
    }
    return r;
}

/* ---- merges ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 31)) * 0x9E3779B97F4A7C15u;
    return x ^ (x >> 29);
}

struct m2c_hf_merge *m2c_hf_merge_slot(const struct m2c_hf *h, uint64_t pair)
{
    size_t i = mix(pair) & h->merge_mask;
    while (h->merge[i].pair != UINT64_MAX && h->merge[i].pair != pair)
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

static int add_merge(struct m2c_hf *h, const json_t *m, size_t i, struct m2c_err *err)
{
    struct m2c_hf_path at = m2c_hf_at_index("/model/merges", i);
    const char *a, *b;
    size_t na, nb;
    if (!split_merge(m, &a, &na, &b, &nb))
        return m2c_fail(err, -EINVAL, "%s: expected two tokens", at.s);
    uint32_t left = m2c_strmap_find(&h->spelled, a, na, NULL, 0);
    uint32_t right = m2c_strmap_find(&h->spelled, b, nb, NULL, 0);
    uint32_t both = m2c_strmap_find(&h->spelled, a, na, b, nb);
    if (left == UINT32_MAX || right == UINT32_MAX || both == UINT32_MAX)
        return m2c_fail(err, -EINVAL, "%s: '%s' and '%s': %s is not in /model/vocab",
                        at.s, m2c_tok_quote(a, na).s, m2c_tok_quote(b, nb).s,
                        left == UINT32_MAX    ? "the first"
                        : right == UINT32_MAX ? "the second"
                                              : "what they merge into");
    uint64_t pair = (uint64_t)left << 32 | right;
    /* of two equal pairs the later one counts, as in `tokenizers` */
    *m2c_hf_merge_slot(h, pair) = (struct m2c_hf_merge){pair, (uint32_t)i, both};
    return 0;
}

static int open_merges(struct m2c_hf *h, const json_t *model, struct m2c_err *err)
{
    const json_t *list;
    size_t n, cap = 16;
    int r = m2c_hf_list(model, "/model", "merges", &list, &n, err);
    if (r < 0)
        return r;
    while (cap < 2 * n)
        cap *= 2;
    h->merge = malloc(cap * sizeof *h->merge);
    h->merge_mask = cap - 1;
    if (!h->merge)
        return m2c_fail(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < cap; i++)
        h->merge[i].pair = UINT64_MAX;
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_merge(h, json_array_get(list, i), i, err);
    return r;
}

int m2c_hf_model_open(struct m2c_hf *h, struct m2c_err *err)
{
    const json_t *model = json_object_get(h->root, "model");
    const char *type;
    int r = m2c_hf_string(model, "/model", "type", &type, err);
    if (r == 0 && type && strcmp(type, "BPE") != 0) /* older files name none */
        r = m2c_hf_unsupported("/model/type", type, "only BPE is", err);
    if (r == 0)
        r = check_absent(model, err);
    if (r == 0)
        r = m2c_hf_bool(model, "/model", "ignore_merges", false, &h->ignore_merges, err);
    if (r == 0)
        r = m2c_hf_bool(model, "/model", "fuse_unk", false, &h->fuse_unk, err);
    if (r == 0)
        r = open_unknown(h, model, err);
    return r < 0 ? r : open_merges(h, model, err);
}
