/* SPDX-License-Identifier: MIT */
/* SentencePiece's normalisation: replacements of the precompiled map, spaces.
 *
 * It follows Normalizer::Normalize of google/sentencepiece but for malformed
 * UTF-8, which there becomes U+FFFD and here stays, so that its bytes can
 * become byte pieces and nothing is lost. */
#include "token/spm_impl.h"

#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char shown_space[] = "\xe2\x96\x81"; /* U+2581 */

static uint32_t u32(const uint8_t *b)
{
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

int m2c_spm_charsmap_open(struct m2c_spm_charsmap *c, const struct m2c_spm_bytes *source,
                          struct m2c_err *err)
{
    const uint8_t *b = (const uint8_t *)source->s;
    if (source->n == 0)
        return 0;
    size_t n = source->n < 4 ? 0 : u32(b);
    if (source->n < 4 || n == 0 || n % 4 != 0 || !m2c_range_ok(4, n, source->n))
        return m2c_fail(err, -EINVAL,
                        "normalizer_spec.precompiled_charsmap: %zu bytes with a table of "
                        "%zu",
                        source->n, n);
    *c = (struct m2c_spm_charsmap){.unit = b + 4,
                                   .n = n / 4,
                                   .text = source->s + 4 + n,
                                   .n_text = source->n - 4 - n};
    if (c->n_text == 0 || c->text[c->n_text - 1] != '\0')
        return m2c_fail(err, -EINVAL,
                        "normalizer_spec.precompiled_charsmap: its texts have no end");
    return 0;
}

/* Darts-clone, include/darts.h: a unit is a leaf's value, or label, offset and
 * whether a leaf hangs below. */
static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & (UINT32_C(1) << 9)) >> 6);
}

size_t m2c_spm_charsmap_find(const struct m2c_spm_charsmap *c, const char *text, size_t n,
                             struct m2c_spm_bytes *out)
{
    size_t best = 0;
    uint32_t at = 0, unit = c->n ? u32(c->unit) : 0;
    for (size_t i = 0; i < n && c->n; i++) {
        unsigned char b = (unsigned char)text[i];
        at ^= offset_of(unit) ^ b;
        if (at >= c->n)
            break;
        unit = u32(c->unit + 4 * (size_t)at);
        if ((unit & (UINT32_C(1) << 31 | 0xff)) != b)
            break;
        if (!(unit >> 8 & 1))
            continue;
        uint32_t leaf = at ^ offset_of(unit);
        uint32_t where = leaf < c->n ? u32(c->unit + 4 * (size_t)leaf) & 0x7fffffff : 0;
        if (leaf >= c->n || where >= c->n_text)
            break;
        best = i + 1;
        *out = (struct m2c_spm_bytes){c->text + where, strlen(c->text + where)};
    }
    return best;
}

struct buf {
    char *s;
    size_t n, cap;
};

static int put(struct buf *b, const char *s, size_t n)
{
    size_t need;
    if (!m2c_add_size(b->n, n, &need))
        return -ENOMEM;
    if (need > b->cap) {
        size_t cap = M2C_MAX(need, M2C_MAX(b->cap / 2 * 3, (size_t)64));
        char *more = realloc(b->s, cap);
        if (!more)
            return -ENOMEM;
        b->s = more;
        b->cap = cap;
    }
    memcpy(b->s + b->n, s, n);
    b->n = need;
    return 0;
}

static int put_space(const struct m2c_spm *m, struct buf *b)
{
    return m->escape_spaces ? put(b, shown_space, 3) : put(b, " ", 1);
}

/* What the text begins with, and what stands for it. */
static size_t prefix(const struct m2c_spm *m, const char *s, size_t n,
                     struct m2c_spm_bytes *out)
{
    uint32_t id;
    size_t len = m2c_match_prefix(&m->user, s, n, &id);
    if (len == 0) {
        len = m2c_spm_charsmap_find(&m->charsmap, s, n, out);
        if (len)
            return len;
        len = m2c_utf8_char(s, n);
    }
    len = len ? len : 1;
    *out = (struct m2c_spm_bytes){s, len};
    return len;
}

static int put_text(const struct m2c_spm *m, struct buf *b, const char *s, size_t n)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = s[i] == ' ' ? put_space(m, b) : put(b, s + i, 1);
    return r;
}

static void trim_end(const struct m2c_spm *m, struct buf *b)
{
    const char *space = m->escape_spaces ? shown_space : " ";
    size_t len = strlen(space);
    while (b->n >= len && memcmp(b->s + b->n - len, space, len) == 0)
        b->n -= len;
}

int m2c_spm_normalize(const struct m2c_spm *m, const char *text, size_t n, char **out,
                      size_t *n_out)
{
    struct buf b = {0};
    struct m2c_spm_bytes x;
    size_t at = 0, len;
    int r = 0;
    while (m->trim_spaces && at < n) {
        len = prefix(m, text + at, n - at, &x);
        if (x.n != 1 || x.s[0] != ' ')
            break;
        at += len;
    }
    if (m->dummy_prefix && at < n)
        r = put_space(m, &b);
    bool after_space = m->trim_spaces;
    for (; at < n && r == 0; at += len) {
        len = prefix(m, text + at, n - at, &x);
        while (after_space && x.n && x.s[0] == ' ') {
            x.s++;
            x.n--;
        }
        if (x.n) {
            r = put_text(m, &b, x.s, x.n);
            after_space = m->trim_spaces && x.s[x.n - 1] == ' ';
        }
    }
    if (r < 0) {
        free(b.s);
        return r;
    }
    if (m->trim_spaces)
        trim_end(m, &b);
    *out = b.s;
    *n_out = b.n;
    return 0;
}
