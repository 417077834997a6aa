/* SPDX-License-Identifier: MIT */
/* A vocabulary of scored pieces, merged by score: what the llama2.c and the
 * SentencePiece kinds have in common. Inside the module. */
#ifndef M2C_TOKEN_PIECES_H
#define M2C_TOKEN_PIECES_H

#include "token/bpe.h"
#include "token/token_impl.h"

struct m2c_pieces {
    uint32_t n;     /* ids of the vocabulary; [n, n_all): characters in tokens that */
    uint32_t n_all; /* are no tokens themselves, from m2c_pieces_index */
    uint32_t cap;
    struct m2c_piece_text {
        const char *s; /* in the source */
        uint32_t n;
        float score;
        bool mergeable; /* found by merging and in text */
        int16_t byte;   /* the byte it stands for, or -1 */
    } * v;
    struct m2c_strmap map; /* mergeable ones and [n, n_all) */
    struct m2c_joins joins;
    int32_t byte_id[256]; /* -1: none */
    char byte_text[256];  /* all bytes in order, for the text of byte pieces */
    uint32_t unk;         /* for bytes without an id */
    float min_score;      /* no merge unless above it */
    bool bytes_merge;     /* byte pieces merge by their names, as in run.c */
    /* Bytes of the character at s, n > 0 left; 0: malformed. */
    size_t (*char_len)(const char *s, size_t n);
};

/* -ENOMEM. */
M2C_MUST_USE int m2c_pieces_add(struct m2c_pieces *p, const char *s, uint32_t n,
                                float score, bool mergeable);
/* The byte that "<0x0A>" and the like stand for, or -1. */
int m2c_pieces_byte_name(const char *s, size_t n);
/* After the last piece: fills map and joins. -ENOMEM; -EEXIST with *twice the
 * second of two equal pieces, where they are not to be (the first one counts
 * otherwise). */
M2C_MUST_USE int m2c_pieces_index(struct m2c_pieces *p, bool unique, uint32_t *twice);
void m2c_pieces_fini(struct m2c_pieces *p);

/* One text on its way to ids. */
struct m2c_pieces_run {
    const struct m2c_pieces *p;
    struct m2c_ids *out;
    struct m2c_bpe bpe;
    uint32_t last;  /* key of the last character in bpe, 0: none to cut after */
    bool after_unk; /* the last id was the unknown token's */
};
/* Appends text, which is cut into characters, or a token that nothing merges
 * with. -ENOMEM, -EFBIG. */
M2C_MUST_USE int m2c_pieces_text(struct m2c_pieces_run *r, const char *text, size_t n);
M2C_MUST_USE int m2c_pieces_token(struct m2c_pieces_run *r, uint32_t id);
/* Merges and writes what is left. */
M2C_MUST_USE int m2c_pieces_flush(struct m2c_pieces_run *r);
void m2c_pieces_run_fini(struct m2c_pieces_run *r);

#endif
