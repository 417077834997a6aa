/* SPDX-License-Identifier: MIT */
/* Scored pieces. Text is merged between two places where no piece reaches
 * across, so that memory follows the longest such stretch, not the text. */
#include "token/pieces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int m2c_pieces_add(struct m2c_pieces *p, const char *s, uint32_t n, float score,
                   bool mergeable)
{
    if (p->n_all == p->cap) {
        uint32_t cap = p->cap ? p->cap * 2 : 1024;
        void *more = realloc(p->v, (size_t)cap * sizeof *p->v);
        if (!more)
            return -ENOMEM;
        p->v = more;
        p->cap = cap;
    }
    p->v[p->n_all++] = (struct m2c_piece_text){
        .s = s, .n = n, .score = score, .mergeable = mergeable, .byte = -1};
    return 0;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int m2c_pieces_byte_name(const char *s, size_t n)
{
    if (n != 6 || memcmp(s, "<0x", 3) != 0 || hex(s[3]) < 0 || hex(s[4]) < 0 ||
        s[5] != '>')
        return -1;
    return hex(s[3]) * 16 + hex(s[4]);
}

static size_t char_at(const struct m2c_pieces *p, const struct m2c_piece_text *t,
                      size_t at)
{
    size_t len = p->char_len(t->s + at, t->n - at);
    return len ? len : 1;
}

static bool known(const struct m2c_pieces *p, const char *s, size_t n)
{
    return m2c_strmap_find(&p->map, s, n, NULL, 0) != UINT32_MAX;
}

/* Characters that a text must keep until its merges are done, though no piece
 * is called like them. */
static int add_characters(struct m2c_pieces *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        for (size_t at = 0, len; p->v[i].mergeable && at < p->v[i].n; at += len) {
            const char *s = p->v[i].s + at;
            len = char_at(p, &p->v[i], at);
            if (known(p, s, len))
                continue;
            m2c_strmap_add(&p->map, s, (uint32_t)len, p->n_all);
            if (m2c_pieces_add(p, s, (uint32_t)len, 0, false) < 0)
                return -ENOMEM;
        }
    }
    return 0;
}

/* Fills p->map with the mergeable pieces; it has room for `more` strings. */
static int map_pieces(struct m2c_pieces *p, size_t more, bool unique, uint32_t *twice)
{
    m2c_strmap_fini(&p->map);
    if (m2c_strmap_init(&p->map, p->n + more) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < p->n; i++) {
        struct m2c_piece_text *t = &p->v[i];
        if (!t->mergeable || t->n == 0)
            continue;
        if (m2c_strmap_add(&p->map, t->s, t->n, i) != i && unique) {
            *twice = i;
            return -EEXIST;
        }
    }
    return 0;
}

int m2c_pieces_index(struct m2c_pieces *p, bool unique, uint32_t *twice)
{
    size_t unknown = 0;
    p->n = p->n_all;
    for (int b = 0; b < 256; b++)
        p->byte_text[b] = (char)b;
    int r = map_pieces(p, 0, unique, twice);
    if (r == 0)
        r = m2c_joins_init(&p->joins);
    for (uint32_t i = 0; r == 0 && i < p->n; i++) {
        const struct m2c_piece_text *t = &p->v[i];
        uint32_t last = 0;
        for (size_t at = 0, len; t->mergeable && at < t->n; at += len) {
            len = char_at(p, t, at);
            uint32_t key = m2c_char_key(t->s + at, len);
            if (at)
                m2c_joins_add(&p->joins, last, key);
            last = key;
            unknown += !known(p, t->s + at, len);
        }
    }
    if (r < 0 || unknown == 0 || p->bytes_merge)
        return r;
    r = map_pieces(p, unknown, unique, twice);
    return r < 0 ? r : add_characters(p);
}

void m2c_pieces_fini(struct m2c_pieces *p)
{
    m2c_strmap_fini(&p->map);
    m2c_joins_fini(&p->joins);
    free(p->v);
    p->v = NULL;
}

static bool merge(const void *ctx, uint32_t left, uint32_t right, double *priority,
                  uint32_t *merged)
{
    const struct m2c_pieces *p = ctx;
    const struct m2c_piece_text *a = &p->v[left], *b = &p->v[right];
    *merged = m2c_strmap_find(&p->map, a->s, a->n, b->s, b->n);
    if (*merged == UINT32_MAX || !(p->v[*merged].score > p->min_score))
        return false;
    *priority = -(double)p->v[*merged].score;
    return true;
}

static void put(struct m2c_pieces_run *r, uint32_t id)
{
    m2c_ids_add(r->out, id);
    r->after_unk = false;
}

/* A character that is no piece: its bytes, else the unknown token, once for
 * several in a row. */
static void put_unknown(struct m2c_pieces_run *r, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t byte = r->p->byte_id[(unsigned char)s[i]];
        if (byte >= 0) {
            put(r, (uint32_t)byte);
        } else if (!r->after_unk) {
            put(r, r->p->unk);
            r->after_unk = true;
        }
    }
}

int m2c_pieces_flush(struct m2c_pieces_run *r)
{
    int rc = m2c_bpe_merge(&r->bpe, merge, r->p);
    for (size_t i = 0; rc == 0 && i < r->bpe.n; i++) {
        uint32_t id = r->bpe.sym[i];
        if (id < r->p->n)
            put(r, id);
        else
            put_unknown(r, r->p->v[id].s, r->p->v[id].n);
    }
    r->bpe.n = 0;
    r->last = 0;
    return rc;
}

static int add_unknown(struct m2c_pieces_run *r, const char *s, size_t n)
{
    int rc = 0;
    if (!r->p->bytes_merge) {
        rc = m2c_pieces_flush(r);
        if (rc == 0)
            put_unknown(r, s, n);
        return rc;
    }
    r->last = 0; /* what a byte's name may merge with is not looked at */
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = m2c_bpe_add(&r->bpe, (uint32_t)r->p->byte_id[(unsigned char)s[i]]);
    return rc;
}

int m2c_pieces_text(struct m2c_pieces_run *r, const char *text, size_t n)
{
    const struct m2c_pieces *p = r->p;
    int rc = 0;
    for (size_t at = 0, len; at < n && rc == 0; at += len) {
        const char *s = text + at;
        len = p->char_len(s, n - at);
        uint32_t id = len ? m2c_strmap_find(&p->map, s, len, NULL, 0) : UINT32_MAX;
        if (id == UINT32_MAX) {
            len = len ? len : 1;
            rc = add_unknown(r, s, len);
            continue;
        }
        uint32_t key = m2c_char_key(s, len);
        if (r->last && !m2c_joins_has(&p->joins, r->last, key))
            rc = m2c_pieces_flush(r);
        if (rc == 0)
            rc = m2c_bpe_add(&r->bpe, id);
        r->last = key;
    }
    return rc;
}

int m2c_pieces_token(struct m2c_pieces_run *r, uint32_t id)
{
    int rc = m2c_pieces_flush(r);
    if (rc == 0)
        put(r, id);
    return rc;
}

void m2c_pieces_run_fini(struct m2c_pieces_run *r)
{
    m2c_bpe_fini(&r->bpe);
}
