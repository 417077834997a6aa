/* SPDX-License-Identifier: MIT */
/* The tokenizer.bin of karpathy/llama2.c: i32 longest piece, then to the end
 * of the file f32 score, i32 length, bytes, little-endian. It encodes as
 * run.c does: one space in front, characters, bytes (id = byte + 3) where a
 * character is no piece, merges by score. BOS is 1, EOS 2. */
#include "token/pieces.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PIECE = 4096, FIRST_BYTE = 3 };

struct l2c {
    struct m2c_pieces p;
};

static uint32_t u32(const uint8_t *b)
{
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static bool sniff(const uint8_t *b, size_t n)
{
    uint32_t longest = n >= 12 ? u32(b) : 0;
    return longest >= 1 && longest <= MAX_PIECE && u32(b + 8) <= longest;
}

static int open_l2c(struct m2c_tok *t, struct m2c_err *err)
{
    struct l2c *l = t->priv;
    size_t at = 4;
    if (t->n < 4)
        return m2c_fail(err, -EINVAL, "llama2.c tokenizer: ends at byte %zu, in its header",
                        t->n);
    while (at < t->n) {
        if (t->n - at < 8)
            return m2c_fail(err, -EINVAL,
                            "llama2.c tokenizer: ends at byte %zu, inside token %u", t->n,
                            l->p.n);
        uint32_t bits = u32(t->bytes + at), len = u32(t->bytes + at + 4);
        float score;
        memcpy(&score, &bits, 4);
        at += 8;
        if (isnan(score) || len > MAX_PIECE || len > t->n - at)
            return m2c_fail(err, -EINVAL,
                            "llama2.c tokenizer: offset %zu: token %u has score %g, length %u",
                            at - 8, l->p.n, (double)score, len);
        if (m2c_pieces_add(&l->p, (const char *)t->bytes + at, len, score, true) < 0)
            return m2c_fail(err, -ENOMEM, "tokenizer: out of memory");
        at += len;
    }
    if (l->p.n < FIRST_BYTE)
        return m2c_fail(err, -EINVAL, "llama2.c tokenizer: only %u tokens", l->p.n);
    if (m2c_pieces_index(&l->p) < 0)
        return m2c_fail(err, -ENOMEM, "tokenizer: out of memory");
    /* run.c falls back to byte + 3, whatever the pieces there are called */
    for (int b = 0; b < 256; b++)
        l->p.byte_id[b] = (uint32_t)(b + FIRST_BYTE) < l->p.n ? b + FIRST_BYTE : -1;
    t->vocab = l->p.n;
    t->bos = 1;
    t->eos = 2;
    return 0;
}

static void close_l2c(struct m2c_tok *t) { m2c_pieces_fini(&((struct l2c *)t->priv)->p); }

static int encode(struct m2c_tok *t, const char *text, size_t n, struct m2c_ids *out)
{
    const struct l2c *l = t->priv;
    char *spaced = NULL;
    size_t size;
    if (!m2c_add_size(n, 1, &size) || !(spaced = malloc(size)))
        return -ENOMEM;
    spaced[0] = ' ';
    memcpy(spaced + 1, text, n);
    int r = m2c_pieces_encode(&l->p, spaced, size, 0, out);
    free(spaced);
    return r;
}

static size_t piece(const struct m2c_tok *t, uint32_t id, const char **bytes)
{
    return m2c_pieces_text(&((struct l2c *)t->priv)->p, id, bytes);
}

const struct m2c_tok_ops m2c_tok_llama2c = {
    .p = {.name = "llama2c",
          .desc = "tokenizer.bin of llama2.c",
          .priv_size = sizeof(struct l2c)},
    .sniff = sniff,
    .open = open_l2c,
    .close = close_l2c,
    .encode = encode,
    .piece = piece,
    .strips_space = true,
};
