/* SPDX-License-Identifier: MIT */
/* Words to ids: the merging of huggingface/tokenizers' BPE. */
#include "token/hf_impl.h"

#include "base/text.h"

#include <errno.h>

bool m2c_hf_merge_pair(const void *ctx, uint32_t left, uint32_t right, double *priority,
                       uint32_t *merged)
{
    const struct m2c_hf_merge *m = m2c_hf_merge_slot(ctx, (uint64_t)left << 32 | right);
    if (m->pair == UINT64_MAX)
        return false;
    *priority = m->rank;
    *merged = m->merged;
    return true;
}

static int flush(struct m2c_hf_run *r)
{
    int rc = m2c_bpe_merge(&r->bpe, m2c_hf_merge_pair, r->h);
    for (size_t i = 0; rc == 0 && i < r->bpe.n; i++)
        m2c_ids_add(r->out, r->bpe.sym[i]);
    r->bpe.n = 0;
    return rc;
}

/* Tokens of single bytes, or the unknown token: once for several in a row
 * where the file wants it so. */
static int add_bytes(struct m2c_hf_run *r, const char *s, size_t n, bool *after_unk)
{
    const struct m2c_hf *h = r->h;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        uint32_t id = h->byte_id[(unsigned char)s[i]];
        if (id != UINT32_MAX)
            rc = m2c_bpe_add(&r->bpe, id);
        else if (!*after_unk)
            rc = m2c_bpe_add(&r->bpe, h->unk);
        *after_unk = id == UINT32_MAX && h->fuse_unk;
    }
    return rc;
}

/* An unknown character of several bytes is one unknown token. */
static int add_unknown(struct m2c_hf_run *r, const char *s, size_t n, bool *after_unk)
{
    if (r->h->byte_id[(unsigned char)s[0]] != UINT32_MAX)
        return add_bytes(r, s, n, after_unk);
    return add_bytes(r, s, 1, after_unk);
}

static int add_chars(struct m2c_hf_run *r, const char *s, size_t n)
{
    const struct m2c_hf *h = r->h;
    bool after_unk = false;
    uint32_t last = 0;
    int rc = 0;
    for (size_t at = 0, len; at < n && rc == 0; at += len) {
        len = m2c_utf8_char(s + at, n - at);
        uint32_t id = m2c_strmap_find(&h->map, s + at, len, NULL, 0);
        uint32_t key = m2c_char_key(s + at, len);
        if (id == UINT32_MAX) {
            rc = add_unknown(r, s + at, len, &after_unk);
            last = 0; /* merges with bytes or unknown tokens are not looked at */
            continue;
        }
        if (last && !m2c_joins_has(&h->joins, last, key))
            rc = flush(r);
        if (rc == 0)
            rc = m2c_bpe_add(&r->bpe, id);
        last = key;
        after_unk = false;
    }
    return rc;
}

int m2c_hf_word(struct m2c_hf_run *r, const char *s, size_t n)
{
    const struct m2c_hf *h = r->h;
    bool after_unk = false;
    if (h->ignore_merges) {
        uint32_t id = m2c_strmap_find(&h->map, s, n, NULL, 0);
        if (id != UINT32_MAX) {
            m2c_ids_add(r->out, id);
            return 0;
        }
    }
    int rc = h->byte_level ? add_bytes(r, s, n, &after_unk) : add_chars(r, s, n);
    return rc < 0 ? rc : flush(r);
}

int m2c_hf_stray(struct m2c_hf_run *r, const char *s, size_t n)
{
    bool after_unk = false;
    int rc = add_bytes(r, s, n, &after_unk);
    return rc < 0 ? rc : flush(r);
}
