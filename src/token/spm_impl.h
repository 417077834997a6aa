/* SPDX-License-Identifier: MIT */
/* What the files of the SentencePiece kind share. Inside the module. */
#ifndef M2C_TOKEN_SPM_IMPL_H
#define M2C_TOKEN_SPM_IMPL_H

#include "token/match.h"
#include "token/pieces.h"

/* A string or bytes field: a range of the file. */
struct m2c_spm_bytes {
    const char *s;
    size_t n;
};

/* ModelProto.SentencePiece.Type */
enum m2c_spm_type {
    M2C_SPM_NORMAL = 1,
    M2C_SPM_UNKNOWN,
    M2C_SPM_CONTROL,
    M2C_SPM_USER_DEFINED,
    M2C_SPM_UNUSED,
    M2C_SPM_BYTE
};

/* A precompiled normalisation: a double array of prefixes (the layout of
 * Darts-clone) whose values are places in a text of NUL-ended replacements. */
struct m2c_spm_charsmap {
    const uint8_t *unit; /* [n] u32, little-endian */
    size_t n;
    const char *text; /* its last byte is NUL */
    size_t n_text;
};

struct m2c_spm {
    struct m2c_pieces p;
    uint8_t *type;              /* [p.n] enum m2c_spm_type */
    struct m2c_tok_text *shown; /* [p.n] the pieces as text */
    char *shown_bytes;          /* of those that are not as in the file */
    struct m2c_match user, control;
    struct m2c_strmap names; /* of control, unknown and byte pieces */
    struct m2c_spm_charsmap charsmap;
    struct m2c_spm_bytes charsmap_source, unk_surface, bos_piece, eos_piece;
    struct m2c_spm_bytes denormalizer;
    uint64_t model_type; /* 2: BPE */
    bool dummy_prefix, trim_spaces, escape_spaces, space_suffix, byte_fallback;
};

/* Parses the protobuf: pieces, types and the fields above, unchecked. Messages
 * name the offset. */
M2C_MUST_USE int m2c_spm_parse(struct m2c_spm *m, const uint8_t *bytes, size_t n,
                               struct m2c_err *err);

M2C_MUST_USE int m2c_spm_charsmap_open(struct m2c_spm_charsmap *c,
                                       const struct m2c_spm_bytes *source,
                                       struct m2c_err *err);
/* The longest prefix of the text that has a replacement: its bytes, with
 * the replacement; 0: none. */
size_t m2c_spm_charsmap_find(const struct m2c_spm_charsmap *c, const char *text, size_t n,
                             struct m2c_spm_bytes *out);

/* Text as the vocabulary has it. Malformed bytes stay. *out is the caller's to
 * free. -ENOMEM. */
M2C_MUST_USE int m2c_spm_normalize(const struct m2c_spm *m, const char *text, size_t n,
                                   char **out, size_t *n_out);

#endif
