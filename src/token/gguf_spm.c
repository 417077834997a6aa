/* SPDX-License-Identifier: MIT */
/* A GGUF vocabulary of the kind `llama` as a SentencePiece model, written as the
 * protobuf that spm_proto.c reads.
 *
 * llama.cpp takes extra spaces as they are and finds unused pieces like others;
 * so does what is written here. */
#include "token/gguf_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct out {
    uint8_t *b;
    size_t n, cap;
};

/* Room for n more bytes. */
static bool reserve(struct out *o, size_t n)
{
    size_t cap = o->cap;
    if (o->cap - o->n >= n)
        return true;
    while (cap - o->n < n)
        cap = cap ? 2 * cap : 4096;
    uint8_t *more = realloc(o->b, cap);
    if (!more)
        return false;
    o->b = more;
    o->cap = cap;
    return true;
}

/* The caller has reserved room for these: at most 10 bytes and n more. */
static void put_varint(struct out *o, uint64_t x)
{
    for (; x > 0x7f; x >>= 7)
        o->b[o->n++] = (uint8_t)(x | 0x80);
    o->b[o->n++] = (uint8_t)x;
}

static void put_bytes(struct out *o, unsigned field, const void *s, size_t n)
{
    put_varint(o, field << 3 | 2);
    put_varint(o, n);
    memcpy(o->b + o->n, s, n);
    o->n += n;
}

static void put_number(struct out *o, unsigned field, uint64_t x)
{
    put_varint(o, field << 3);
    put_varint(o, x);
}

/* ModelProto.pieces: piece 1, score 2, type 3. */
static bool put_piece(struct out *all, struct out *one, const char *s, size_t n,
                      const uint8_t *score, enum m2c_gguf_token type)
{
    one->n = 0;
    if (!reserve(one, n + 40) || !reserve(all, n + 60))
        return false;
    put_bytes(one, 1, s, n);
    put_varint(one, 2 << 3 | 5);
    memcpy(one->b + one->n, score, 4);
    one->n += 4;
    put_number(one, 3, type == M2C_GGUF_UNUSED ? M2C_GGUF_NORMAL : type);
    put_bytes(all, 1, one->b, one->n);
    return true;
}

static bool put_pieces(struct out *all, struct out *one, const struct m2c_gguf_vocab *v,
                       bool *bytes)
{
    const uint8_t *at = v->tokens;
    for (size_t i = 0; i < v->n; i++) {
        enum m2c_gguf_token type = m2c_gguf_type(v, i);
        const char *s;
        size_t n;
        m2c_gguf_next(&at, &s, &n);
        *bytes = *bytes || type == M2C_GGUF_BYTE;
        if (!put_piece(all, one, s, n, v->scores + 4 * i, type))
            return false;
    }
    return true;
}

/* TrainerSpec and NormalizerSpec. */
static bool put_specs(struct out *all, struct out *one, bool bytes, bool prefix)
{
    one->n = 0;
    if (!reserve(one, 64) || !reserve(all, 160))
        return false;
    put_number(one, 3, 2); /* model_type: BPE */
    put_number(one, 35, bytes);
    put_bytes(all, 2, one->b, one->n);
    one->n = 0;
    put_number(one, 3, prefix); /* add_dummy_prefix */
    put_number(one, 4, 0);      /* remove_extra_whitespaces */
    put_number(one, 5, 1);      /* escape_whitespaces */
    put_bytes(all, 3, one->b, one->n);
    return true;
}

int m2c_gguf_spm(const struct m2c_gguf_vocab *v, uint8_t **bytes_out, size_t *n,
                 struct m2c_err *err)
{
    struct out all = {0}, one = {0};
    bool prefix = true, bytes = false;
    int rc = m2c_gguf_bool(v->g, "tokenizer.ggml.add_space_prefix", &prefix, err);
    if (rc < 0)
        return rc;
    if (!v->scores)
        return m2c_fail(err, -EINVAL, "no key 'tokenizer.ggml.scores'");
    bool ok = put_pieces(&all, &one, v, &bytes) && put_specs(&all, &one, bytes, prefix) &&
              reserve(&all, 1);
    free(one.b);
    if (!ok) {
        free(all.b);
        return m2c_fail(err, -ENOMEM, "out of memory");
    }
    all.b[all.n] = 0; /* as all sources have */
    *bytes_out = all.b;
    *n = all.n;
    return 0;
}
