/* SPDX-License-Identifier: MIT */
/* Scored pieces. */
#include "token/pieces.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int m2c_pieces_add(struct m2c_pieces *p, const char *s, uint32_t n, float score,
                   bool mergeable)
{
    if (p->n == p->cap) {
        uint32_t cap = p->cap ? p->cap * 2 : 1024;
        void *more = realloc(p->v, (size_t)cap * sizeof *p->v);
        if (!more)
            return -ENOMEM;
        p->v = more;
        p->cap = cap;
    }
    p->v[p->n++] = (struct m2c_piece_text){
        .s = s, .n = n, .score = score, .mergeable = mergeable, .byte = -1};
    return 0;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int m2c_pieces_index(struct m2c_pieces *p)
{
    if (m2c_strmap_init(&p->map, p->n) < 0)
        return -ENOMEM;
    for (int b = 0; b < 256; b++) {
        p->byte_id[b] = -1;
        p->byte_text[b] = (char)b;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        struct m2c_piece_text *t = &p->v[i];
        if (t->n == 6 && memcmp(t->s, "<0x", 3) == 0 && hex(t->s[3]) >= 0 &&
            hex(t->s[4]) >= 0 && t->s[5] == '>') {
            t->byte = (int16_t)(hex(t->s[3]) * 16 + hex(t->s[4]));
            p->byte_id[t->byte] = (int32_t)i;
        }
        if (t->mergeable && t->n)
            m2c_strmap_add(&p->map, t->s, t->n, i);
    }
    return 0;
}

void m2c_pieces_fini(struct m2c_pieces *p)
{
    m2c_strmap_fini(&p->map);
    free(p->v);
    free(p->own);
}

static bool merge(const void *ctx, uint32_t left, uint32_t right, double *priority,
                  uint32_t *merged)
{
    const struct m2c_pieces *p = ctx;
    const struct m2c_piece_text *a = &p->v[left], *b = &p->v[right];
    *merged = m2c_strmap_find(&p->map, a->s, a->n, b->s, b->n);
    if (*merged == UINT32_MAX)
        return false;
    *priority = -(double)p->v[*merged].score;
    return true;
}

size_t m2c_utf8_len(const char *s, size_t n)
{
    size_t want = (s[0] & 0x80) == 0      ? 1
                  : (s[0] & 0xe0) == 0xc0 ? 2
                  : (s[0] & 0xf0) == 0xe0 ? 3
                  : (s[0] & 0xf8) == 0xf0 ? 4
                                          : 1;
    size_t have = 1;
    while (have < want && have < n && (s[have] & 0xc0) == 0x80)
        have++;
    return have == want ? want : 1;
}

int m2c_pieces_encode(const struct m2c_pieces *p, const char *text, size_t n, uint32_t unk,
                      struct m2c_ids *out)
{
    uint32_t *sym = malloc((n ? n : 1) * sizeof *sym);
    size_t m = 0;
    if (!sym)
        return -ENOMEM;
    for (size_t at = 0, len; at < n; at += len) {
        len = m2c_utf8_len(text + at, n - at);
        uint32_t id = m2c_strmap_find(&p->map, text + at, len, NULL, 0);
        if (id != UINT32_MAX) {
            sym[m++] = id;
            continue;
        }
        for (size_t k = 0; k < len; k++) {
            int32_t byte = p->byte_id[(unsigned char)text[at + k]];
            sym[m++] = byte >= 0 ? (uint32_t)byte : unk;
        }
    }
    int64_t left = m2c_bpe(sym, m, merge, p);
    for (int64_t i = 0; i < left; i++)
        m2c_ids_add(out, sym[i]);
    free(sym);
    return left < 0 ? (int)left : 0;
}

size_t m2c_pieces_text(const struct m2c_pieces *p, uint32_t id, const char **bytes)
{
    const struct m2c_piece_text *t = &p->v[id];
    if (t->control)
        return 0;
    if (t->byte >= 0) {
        *bytes = &p->byte_text[t->byte];
        return 1;
    }
    *bytes = t->s;
    return t->n;
}
