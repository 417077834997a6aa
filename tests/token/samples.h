/* SPDX-License-Identifier: MIT */
/* Small tokenizer files of every kind, written here from the descriptions of
 * the formats: for the unit test, and seeds for the fuzzer. */
#ifndef M2C_TESTS_SAMPLES_H
#define M2C_TESTS_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SAMPLE_ROOM = 1 << 15 };

struct sample {
    size_t n;
    uint8_t b[SAMPLE_ROOM];
};

static inline void sample_put(struct sample *s, const void *data, size_t n)
{
    memcpy(s->b + s->n, data, n);
    s->n += n;
}

static inline void sample_text(struct sample *s, const char *text)
{
    sample_put(s, text, strlen(text));
}

static inline void sample_u32(struct sample *s, uint32_t x)
{
    for (int i = 0; i < 4; i++)
        s->b[s->n++] = (uint8_t)(x >> 8 * i);
}

static inline void sample_f32(struct sample *s, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    sample_u32(s, bits);
}

/* ---- llama2.c: ids 259 on are "ab", " a", " ab", "a", "b", " " ---- */

static inline void sample_l2c_token(struct sample *s, const char *text, float score)
{
    sample_f32(s, score);
    sample_u32(s, (uint32_t)strlen(text));
    sample_text(s, text);
}

static inline void sample_l2c(struct sample *s)
{
    s->n = 0;
    sample_u32(s, 7);
    sample_l2c_token(s, "<unk>", 0);
    sample_l2c_token(s, "\n<s>\n", 0);
    sample_l2c_token(s, "\n</s>\n", 0);
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        sample_l2c_token(s, name, 0);
    }
    sample_l2c_token(s, "ab", -2);
    sample_l2c_token(s, " a", -1);
    sample_l2c_token(s, " ab", -3);
    sample_l2c_token(s, "a", -1e9f);
    sample_l2c_token(s, "b", -1e9f);
    sample_l2c_token(s, " ", -1e9f);
}

/* ---- SentencePiece: as above, then "<u>" of the user and "<c>" for control;
 * the normalisation makes "ab" of "x" ---- */

enum { SPM_NORMAL = 1, SPM_UNKNOWN, SPM_CONTROL, SPM_USER, SPM_UNUSED, SPM_BYTE };

static inline void sample_varint(struct sample *s, uint64_t x)
{
    for (; x >= 0x80; x >>= 7)
        s->b[s->n++] = (uint8_t)(x | 0x80);
    s->b[s->n++] = (uint8_t)x;
}

static inline void sample_field(struct sample *s, unsigned number, unsigned wire)
{
    sample_varint(s, number << 3 | wire);
}

static inline void sample_bytes(struct sample *s, unsigned number, const void *data,
                                size_t n)
{
    sample_field(s, number, 2);
    sample_varint(s, n);
    sample_put(s, data, n);
}

static inline void sample_spm_piece(struct sample *s, const char *text, float score,
                                    unsigned type)
{
    size_t n = strlen(text);
    sample_field(s, 1, 2);
    sample_varint(s, 2 + n + 5 + 2); /* n < 110 */
    sample_bytes(s, 1, text, n);
    sample_field(s, 2, 5);
    sample_f32(s, score);
    sample_field(s, 3, 0);
    sample_varint(s, type);
}

static inline void sample_spm_pieces(struct sample *s)
{
    sample_spm_piece(s, "<unk>", 0, SPM_UNKNOWN);
    sample_spm_piece(s, "<s>", 0, SPM_CONTROL);
    sample_spm_piece(s, "</s>", 0, SPM_CONTROL);
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        sample_spm_piece(s, name, 0, SPM_BYTE);
    }
    sample_spm_piece(s, "ab", -2, SPM_NORMAL);
    sample_spm_piece(s, "\xe2\x96\x81\x61", -1, SPM_NORMAL);
    sample_spm_piece(s, "\xe2\x96\x81\x61\x62", -3, SPM_NORMAL);
    sample_spm_piece(s, "a", -4, SPM_NORMAL);
    sample_spm_piece(s, "b", -5, SPM_NORMAL);
    sample_spm_piece(s, "\xe2\x96\x81", -6, SPM_NORMAL);
    sample_spm_piece(s, "<u>", 0, SPM_USER);
    sample_spm_piece(s, "<c>", 0, SPM_CONTROL);
}

/* A double array of 384 units with the one word "x": the root leads to 256 ^ 'x',
 * in the form for long ways, and that unit to its leaf beside it, whose value is
 * place 0 of the texts. */
static inline void sample_charsmap(struct sample *s)
{
    enum { N = 384, ROOT = 1 << 10 | 1 << 9, WAY = 256 ^ 'x', LEAF = WAY ^ 1 };
    sample_u32(s, 4 * N);
    for (uint32_t i = 0; i < N; i++)
        sample_u32(s, i == 0      ? ROOT
                      : i == WAY  ? 1 << 10 | 1 << 8 | 'x'
                      : i == LEAF ? UINT32_C(1) << 31
                                  : 0);
    sample_put(s, "ab", 3);
}

static inline void sample_spm(struct sample *s)
{
    static const uint8_t trainer[] = {3 << 3, 2, 0x98, 2, 1}; /* BPE, byte_fallback */
    struct sample map = {0}, norm = {0};
    s->n = 0;
    sample_spm_pieces(s);
    sample_bytes(s, 2, trainer, sizeof trainer);
    sample_charsmap(&map);
    sample_bytes(&norm, 1, "mine", 4);
    sample_bytes(&norm, 2, map.b, map.n);
    sample_field(&norm, 4, 0);
    sample_varint(&norm, 0); /* remove_extra_whitespaces off */
    sample_bytes(s, 3, norm.b, norm.n);
}

/* ---- tokenizer.json ---- */

/* A byte as byte-level vocabularies spell it, as JSON. */
static inline void sample_hf_byte(struct sample *s, unsigned b, unsigned *next)
{
    bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    char text[24];
    snprintf(text, sizeof text, "\"\\u%04x\": %u", itself ? b : (*next)++, b);
    sample_text(s, text);
}

/* Byte-level: ids 0 to 255 are the bytes, "ab" is 256, " a" 257, " ab" 258;
 * "<s>" is 259 and special, "<t>" 260 and is not. `pre`: the pre_tokenizer. */
static inline void sample_hf(struct sample *s, const char *pre)
{
    unsigned next = 256;
    s->n = 0;
    sample_text(s, "{\"added_tokens\": [{\"id\": 259, \"content\": \"<s>\", \"special\": "
                   "true}, {\"id\": 260, \"content\": \"<t>\", \"special\": false, "
                   "\"lstrip\": true, \"normalized\": true}], \"normalizer\": null, "
                   "\"pre_tokenizer\": ");
    sample_text(s, pre);
    sample_text(s,
                ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": "
                "[{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, {\"Sequence\": "
                "{\"id\": \"A\", \"type_id\": 0}}]}, \"decoder\": {\"type\": "
                "\"ByteLevel\"}, \"model\": {\"type\": \"BPE\", \"dropout\": null, "
                "\"unk_token\": null, \"vocab\": {");
    for (unsigned b = 0; b < 256; b++) {
        sample_hf_byte(s, b, &next);
        sample_text(s, ", ");
    }
    sample_text(s, "\"ab\": 256, \"\\u0120a\": 257, \"\\u0120ab\": 258}, \"merges\": "
                   "[\"\\u0120 a\", [\"a\", \"b\"], \"\\u0120a b\"]}}");
}

/* Of characters, as Llama 2's but without bytes. */
static const char sample_hf_chars[] =
    "{\"added_tokens\": [{\"id\": 0, \"content\": \"<unk>\", \"special\": true}, "
    "{\"id\": 1, \"content\": \"<s>\", \"special\": true}, {\"id\": 7, \"content\": \"a "
    "b\", "
    "\"normalized\": true}], \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": "
    "[{\"type\": \"Prepend\", \"prepend\": \"_\"}, {\"type\": \"Replace\", \"pattern\": "
    "{\"String\": \" \"}, \"content\": \"_\"}]}, \"pre_tokenizer\": null, \"decoder\": "
    "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": "
    "{\"String\": \"_\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": "
    "\"Fuse\"}, {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}]}, "
    "\"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"fuse_unk\": true, "
    "\"byte_fallback\": true, \"vocab\": {\"<unk>\": 0, \"<s>\": 1, \"a\": 2, \"b\": 3, "
    "\"_\": 4, \"_a\": 5, \"ab\": 6}, \"merges\": [\"_ a\", \"a b\"]}}";

/* Every kind of step. */
static const char sample_hf_steps[] =
    "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
    "{\"Regex\": \"(?i:'s)|[^\\\\r\\\\n\\\\p{L}]?\\\\p{L}+|\\\\s+(?!\\\\S)|\\\\s+\"}, "
    "\"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"Digits\", "
    "\"individual_digits\": true}, {\"type\": \"Split\", \"pattern\": {\"String\": "
    "\"q\"}, "
    "\"behavior\": \"MergedWithNext\"}, {\"type\": \"Metaspace\", \"replacement\": "
    "\"_\", "
    "\"prepend_scheme\": \"first\", \"split\": true}, {\"type\": \"ByteLevel\", "
    "\"add_prefix_space\": true, \"use_regex\": true}]}";
static const char sample_hf_plain[] =
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}";

#endif
