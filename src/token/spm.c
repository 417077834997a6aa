/* SPDX-License-Identifier: MIT */
/* SentencePiece models (tokenizer.model) of type BPE: Llama 1 and 2, Mistral
 * and their like. Ids are those of google/sentencepiece's encode() without BOS
 * and EOS, but for malformed UTF-8, whose bytes become byte pieces. */
#include "token/spm_impl.h"

#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char shown_space[] = "\xe2\x96\x81"; /* U+2581 */

/* The first field is a piece, and that begins with its text. */
static bool sniff(const uint8_t *b, size_t n)
{
    size_t at = 1;
    if (n < 4 || b[0] != 0x0a)
        return false;
    while (at < 6 && at + 1 < n && b[at] & 0x80)
        at++;
    return at + 1 < n && b[at] != 0 && b[at + 1] == 0x0a;
}

static int check_spec(const struct m2c_spm *m, struct m2c_err *err)
{
    static const char *const types[] = {"?", "unigram", "BPE", "word", "char"};
    uint64_t type = m->model_type;
    if (type != 2)
        return m2c_fail(
            err, -ENOTSUP,
            "trainer_spec.model_type: %llu (%s) is not supported, only BPE is",
            (unsigned long long)type, types[type < M2C_COUNTOF(types) ? type : 0]);
    if (m->space_suffix)
        return m2c_fail(err, -ENOTSUP,
                        "trainer_spec.treat_whitespace_as_suffix: not supported");
    if (m->denormalizer.n)
        return m2c_fail(err, -ENOTSUP,
                        "denormalizer_spec.precompiled_charsmap: not supported");
    return 0;
}

static int fail_piece(const struct m2c_spm *m, uint32_t i, int code, const char *what,
                      struct m2c_err *err)
{
    return m2c_fail(err, code, "piece %u ('%s'): %s", i,
                    m2c_tok_quote(m->p.v[i].s, m->p.v[i].n).s, what);
}

/* A piece that is not made by merging. */
static int add_reserved(struct m2c_spm *m, uint32_t i, struct m2c_err *err)
{
    struct m2c_piece_text *x = &m->p.v[i];
    if (m2c_strmap_add(&m->names, x->s, x->n, i) != i)
        return fail_piece(m, i, -EINVAL, "is there twice", err);
    if (m->type[i] == M2C_SPM_UNKNOWN) {
        if (m->p.unk != UINT32_MAX)
            return fail_piece(m, i, -EINVAL, "a second unknown piece", err);
        m->p.unk = i;
    } else if (m->type[i] == M2C_SPM_BYTE) {
        int b = m2c_pieces_byte_name(x->s, x->n);
        if (b < 0)
            return fail_piece(m, i, -EINVAL, "names no byte, as <0x0A> does", err);
        if (!m->byte_fallback)
            return fail_piece(m, i, -EINVAL, "a byte, but byte_fallback is off", err);
        x->byte = (int16_t)b;
        m->p.byte_id[b] = (int32_t)i;
    } else if (m2c_match_add(&m->control, x->s, x->n, i) < 0) {
        return m2c_fail(err, -ENOMEM, "out of memory");
    }
    return 0;
}

static int check_pieces(struct m2c_spm *m, uint32_t n, struct m2c_err *err)
{
    m->p.unk = UINT32_MAX;
    for (int b = 0; b < 256; b++)
        m->p.byte_id[b] = -1;
    if (m2c_strmap_init(&m->names, n) < 0)
        return m2c_fail(err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < n; i++) {
        const struct m2c_piece_text *x = &m->p.v[i];
        int r = 0;
        if (m->type[i] == M2C_SPM_UNUSED)
            r = fail_piece(m, i, -ENOTSUP, "of type UNUSED, which is not supported", err);
        else if (m->type[i] == M2C_SPM_USER_DEFINED)
            r = m2c_match_add(&m->user, x->s, x->n, i) < 0
                    ? m2c_fail(err, -ENOMEM, "out of memory")
                    : 0;
        else if (m->type[i] != M2C_SPM_NORMAL)
            r = add_reserved(m, i, err);
        if (r < 0)
            return r;
    }
    m2c_match_sort(&m->user);
    m2c_match_sort(&m->control);
    if (m->p.unk == UINT32_MAX)
        return m2c_fail(err, -EINVAL, "%u pieces, none of them for what is unknown", n);
    for (int b = 0; b < 256 && m->byte_fallback; b++) {
        if (m->p.byte_id[b] < 0)
            return m2c_fail(err, -EINVAL, "byte_fallback is on, but no piece is <0x%02X>",
                            (unsigned)b);
    }
    return 0;
}

static int32_t find_control(const struct m2c_spm *m, const char *name, size_t n)
{
    uint32_t id = m2c_strmap_find(&m->names, name, n, NULL, 0);
    return id == UINT32_MAX || m->type[id] != M2C_SPM_CONTROL ? -1 : (int32_t)id;
}

static void show_piece(const struct m2c_spm *m, uint32_t i, char **at)
{
    const struct m2c_piece_text *x = &m->p.v[i];
    struct m2c_tok_text *out = &m->shown[i];
    if (m->type[i] == M2C_SPM_CONTROL) {
        *out = (struct m2c_tok_text){0};
    } else if (m->type[i] == M2C_SPM_UNKNOWN) {
        *out = (struct m2c_tok_text){.s = m->unk_surface.s, .n = m->unk_surface.n};
    } else if (m->type[i] == M2C_SPM_BYTE) {
        *out = (struct m2c_tok_text){.s = &m->p.byte_text[x->byte], .n = 1};
    } else {
        *out = (struct m2c_tok_text){.s = *at};
        for (size_t k = 0; k < x->n; k++) {
            bool space = x->n - k >= 3 && memcmp(x->s + k, shown_space, 3) == 0;
            (*at)[out->n++] = space ? ' ' : x->s[k];
            k += space ? 2 : 0;
        }
        out->lead = (m->dummy_prefix || m->trim_spaces) && out->n && (*at)[0] == ' ' &&
                    x->s[0] != ' ';
        *at += out->n;
    }
}

static int show_pieces(struct m2c_spm *m)
{
    size_t total = 0;
    for (uint32_t i = 0; i < m->p.n; i++)
        total += m->p.v[i].n;
    m->shown = calloc(m->p.n, sizeof *m->shown);
    m->shown_bytes = malloc(total);
    if (!m->shown || !m->shown_bytes)
        return -ENOMEM;
    char *at = m->shown_bytes;
    for (uint32_t i = 0; i < m->p.n; i++)
        show_piece(m, i, &at);
    return 0;
}

static int open_spm(struct m2c_tok *t, struct m2c_err *err)
{
    struct m2c_spm *m = t->priv;
    uint32_t twice = 0;
    int r = m2c_spm_parse(m, t->bytes, t->n, err);
    uint32_t n = m->p.n_all;
    if (r == 0)
        r = check_spec(m, err);
    if (r == 0)
        r = check_pieces(m, n, err);
    if (r == 0)
        r = m2c_spm_charsmap_open(&m->charsmap, &m->charsmap_source, err);
    if (r < 0)
        return r;
    m->p.min_score = -INFINITY;
    m->p.char_len = m2c_utf8_char;
    r = m2c_pieces_index(&m->p, true, &twice);
    if (r < 0)
        return r == -EEXIST ? fail_piece(m, twice, -EINVAL, "is there twice", err)
                            : m2c_fail(err, r, "out of memory");
    if (show_pieces(m) < 0)
        return m2c_fail(err, -ENOMEM, "out of memory");
    t->vocab = n;
    t->trims = m->trim_spaces;
    t->bos = find_control(m, m->bos_piece.s, m->bos_piece.n);
    t->eos = find_control(m, m->eos_piece.s, m->eos_piece.n);
    return 0;
}

static void close_spm(struct m2c_tok *t)
{
    struct m2c_spm *m = t->priv;
    m2c_pieces_fini(&m->p);
    m2c_match_fini(&m->user);
    m2c_match_fini(&m->control);
    m2c_strmap_fini(&m->names);
    free(m->type);
    free(m->shown);
    free(m->shown_bytes);
}

/* Text between control pieces: normalised, then user-defined pieces whole and
 * the rest by merging. */
static int encode_plain(struct m2c_pieces_run *run, const struct m2c_spm *m,
                        const char *text, size_t n)
{
    char *norm = NULL;
    size_t len = 0, skip;
    if (n == 0)
        return 0;
    int r = m2c_spm_normalize(m, text, n, &norm, &len);
    for (size_t at = 0; at < len && r == 0; at += skip) {
        uint32_t id = 0;
        skip = m2c_match_prefix(&m->user, norm + at, len - at, &id);
        if (skip) {
            r = m2c_pieces_token(run, id);
        } else {
            skip = m2c_utf8_char(norm + at, len - at);
            skip = skip ? skip : 1;
            r = m2c_pieces_text(run, norm + at, skip);
        }
    }
    free(norm);
    return r < 0 ? r : m2c_pieces_flush(run);
}

static int encode(const struct m2c_tok *t, const char *text, size_t n, bool special,
                  struct m2c_ids *out)
{
    static const struct m2c_match none;
    const struct m2c_spm *m = t->priv;
    struct m2c_pieces_run run = {.p = &m->p, .out = out};
    int r = 0;
    for (size_t at = 0, len; at < n && r == 0;) {
        uint32_t id = 0;
        size_t next =
            m2c_match_next(special ? &m->control : &none, text, n, at, &len, &id);
        r = encode_plain(&run, m, text + at, next - at);
        if (r == 0 && len)
            r = m2c_pieces_token(&run, id);
        at = next + len;
    }
    m2c_pieces_run_fini(&run);
    return r;
}

static void text_of(const struct m2c_tok *t, uint32_t id, struct m2c_tok_text *out)
{
    *out = ((const struct m2c_spm *)t->priv)->shown[id];
}

static int32_t find(const struct m2c_tok *t, const char *name)
{
    return find_control(t->priv, name, strlen(name));
}

const struct m2c_tok_ops m2c_tok_spm = {
    .p = {.name = "spm",
          .desc = "SentencePiece model of type BPE",
          .priv_size = sizeof(struct m2c_spm)},
    .sniff = sniff,
    .open = open_spm,
    .close = close_spm,
    .encode = encode,
    .text = text_of,
    .find = find,
};
