/* SPDX-License-Identifier: MIT */
/* The tokenizer.bin of karpathy/llama2.c: i32 length of the longest token,
 * then to the end of the file f32 score, i32 length, bytes, little-endian.
 *
 * It encodes as run.c does: a space in front (where no token is a space, which
 * run.c does not foresee, it is a byte like others), characters, bytes (id = byte + 3)
 * where a character is no token, merges by score. The first three tokens are
 * unknown, BOS and EOS, and the next 256 the bytes, whatever they are called. */
#include "token/match.h"
#include "token/pieces.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { UNK, BOS, EOS, FIRST_BYTE, MIN_VOCAB = FIRST_BYTE + 256 };

struct l2c {
    struct m2c_pieces p;
    struct m2c_match special;
};

static uint32_t u32(const uint8_t *b)
{
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static bool sniff(const uint8_t *b, size_t n)
{
    uint32_t longest = n >= 12 ? u32(b) : 0, len = n >= 12 ? u32(b + 8) : 0;
    return longest >= 1 && longest <= M2C_TOK_MAX_TEXT && len >= 1 && len <= longest;
}

/* run.c takes any byte and up to three continuation bytes for a character. */
static size_t char_len(const char *s, size_t n)
{
    size_t len = 1;
    while (len < n && len < 4 && ((unsigned char)s[len] & 0xc0) == 0x80)
        len++;
    return len;
}

static int read_tokens(const struct m2c_tok *t, struct m2c_pieces *p, struct m2c_err *err)
{
    size_t at = 4;
    uint32_t longest = t->n < 4 ? 0 : u32(t->bytes);
    if (longest < 1 || longest > M2C_TOK_MAX_TEXT)
        return m2c_fail(err, -EINVAL,
                        "offset 0: expected the length of the longest token, 1 to %d",
                        M2C_TOK_MAX_TEXT);
    while (at < t->n) {
        if (t->n - at < 8)
            return m2c_fail(err, -EINVAL, "offset %zu: the file ends inside token %u", at,
                            p->n_all);
        uint32_t bits = u32(t->bytes + at), len = u32(t->bytes + at + 4);
        float score;
        memcpy(&score, &bits, 4);
        if (isnan(score))
            return m2c_fail(err, -EINVAL, "offset %zu: the score of token %u is NaN", at,
                            p->n_all);
        at += 8;
        if (len < 1 || len > longest)
            return m2c_fail(err, -EINVAL,
                            "offset %zu: token %u has length %d, expected 1 to %u",
                            at - 4, p->n_all, (int32_t)len, longest);
        if (len > t->n - at)
            return m2c_fail(err, -EINVAL, "offset %zu: the file ends inside token %u", at,
                            p->n_all);
        if (m2c_pieces_add(p, (const char *)t->bytes + at, len, score, true) < 0)
            return m2c_fail(err, -ENOMEM, "out of memory");
        at += len;
    }
    if (p->n_all < MIN_VOCAB)
        return m2c_fail(
            err, -EINVAL,
            "%u tokens, expected at least %d: three special ones and 256 bytes", p->n_all,
            MIN_VOCAB);
    return 0;
}

static int open_l2c(struct m2c_tok *t, struct m2c_err *err)
{
    struct l2c *l = t->priv;
    struct m2c_pieces *p = &l->p;
    int r = read_tokens(t, p, err);
    if (r < 0)
        return r;
    p->bytes_merge = true;
    p->min_score = -1e10f;
    p->char_len = char_len;
    p->unk = UNK;
    if (m2c_pieces_index(p, false, NULL) < 0 ||
        m2c_match_add(&l->special, "<s>", 3, BOS) < 0 ||
        m2c_match_add(&l->special, "</s>", 4, EOS) < 0)
        return m2c_fail(err, -ENOMEM, "out of memory");
    m2c_match_sort(&l->special);
    for (int b = 0; b < 256; b++)
        p->byte_id[b] = b + FIRST_BYTE;
    for (uint32_t i = 0; i < p->n; i++)
        p->v[i].byte = (int16_t)m2c_pieces_byte_name(p->v[i].s, p->v[i].n);
    t->vocab = p->n;
    t->bos = BOS;
    t->eos = EOS;
    return 0;
}

static void close_l2c(struct m2c_tok *t)
{
    struct l2c *l = t->priv;
    m2c_pieces_fini(&l->p);
    m2c_match_fini(&l->special);
}

static int encode_plain(struct m2c_pieces_run *run, const char *text, size_t n)
{
    if (n == 0)
        return 0;
    int r = m2c_pieces_text(run, " ", 1);
    if (r == 0)
        r = m2c_pieces_text(run, text, n);
    return r < 0 ? r : m2c_pieces_flush(run);
}

static int encode(const struct m2c_tok *t, const char *text, size_t n, bool special,
                  struct m2c_ids *out)
{
    static const struct m2c_match none;
    const struct l2c *l = t->priv;
    struct m2c_pieces_run run = {.p = &l->p, .out = out};
    int r = 0;
    for (size_t at = 0, len; at < n && r == 0;) {
        uint32_t id = UNK;
        size_t next =
            m2c_match_next(special ? &l->special : &none, text, n, at, &len, &id);
        r = encode_plain(&run, text + at, next - at);
        if (r == 0 && len)
            r = m2c_pieces_token(&run, id);
        at = next + len;
    }
    m2c_pieces_run_fini(&run);
    return r;
}

static void text_of(const struct m2c_tok *t, uint32_t id, struct m2c_tok_text *out)
{
    const struct m2c_pieces *p = &((const struct l2c *)t->priv)->p;
    const struct m2c_piece_text *x = &p->v[id];
    if (id == BOS || id == EOS)
        *out = (struct m2c_tok_text){0};
    else if (x->byte >= 0)
        *out = (struct m2c_tok_text){.s = &p->byte_text[x->byte], .n = 1};
    else
        *out = (struct m2c_tok_text){.s = x->s, .n = x->n, .lead = x->s[0] == ' '};
}

static int32_t find(const struct m2c_tok *t, const char *name)
{
    (void)t;
    return strcmp(name, "<s>") == 0 ? BOS : strcmp(name, "</s>") == 0 ? EOS : -1;
}

const struct m2c_tok_ops m2c_tok_llama2c = {
    .p = {.name = "llama2c",
          .desc = "tokenizer.bin of llama2.c",
          .priv_size = sizeof(struct l2c)},
    .sniff = sniff,
    .open = open_l2c,
    .close = close_l2c,
    .encode = encode,
    .text = text_of,
    .find = find,
    .fixed_special = true,
};
