/* SPDX-License-Identifier: MIT */
/* A vocabulary of scored pieces, merged by score: what the llama2.c and the
 * SentencePiece kinds have in common. Inside the module. */
#ifndef M2C_TOKEN_PIECES_H
#define M2C_TOKEN_PIECES_H

#include "token/bpe.h"
#include "token/token_impl.h"

struct m2c_pieces {
    uint32_t n, cap;
    struct m2c_piece_text {
        const char *s; /* in the source or in `own` */
        uint32_t n;
        float score;
        bool mergeable; /* found by merging and in text */
        bool control;   /* gives no text */
        int16_t byte;   /* the byte it stands for, or -1 */
    } *v;
    struct m2c_strmap map;
    int32_t byte_id[256]; /* -1: none */
    char byte_text[256];  /* text of byte pieces */
    char *own;            /* converted texts */
};

M2C_MUST_USE int m2c_pieces_add(struct m2c_pieces *p, const char *s, uint32_t n,
                                float score, bool mergeable);
/* Fills map and byte ids ("<0x0A>"); -ENOMEM. */
M2C_MUST_USE int m2c_pieces_index(struct m2c_pieces *p);
void m2c_pieces_fini(struct m2c_pieces *p);
/* Ids of text that is already normalised: characters, bytes where there is no
 * such piece (`unk` where there is no byte either), merged by score. */
M2C_MUST_USE int m2c_pieces_encode(const struct m2c_pieces *p, const char *text, size_t n,
                                   uint32_t unk, struct m2c_ids *out);
size_t m2c_pieces_text(const struct m2c_pieces *p, uint32_t id, const char **bytes);

/* Bytes of the character at s: as many as its first byte announces and are
 * continuation bytes, at most 4; 1 for a stray byte. */
size_t m2c_utf8_len(const char *s, size_t n);

#endif
