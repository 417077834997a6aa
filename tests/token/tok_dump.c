/* SPDX-License-Identifier: MIT */
/* Shows what a tokenizer does, for the Python tests beside this one.
 *
 *   tok_dump info FILE             kind, vocabulary, BOS and EOS
 *   tok_dump encode FILE TEXTS     one line of ids a text
 *   tok_dump special FILE TEXTS    the same, control tokens recognised
 *   tok_dump decode FILE TEXTS     the hex bytes of each text's ids
 *   tok_dump each FILE             the hex bytes of each id, as after other text
 *   tok_dump speed FILE TEXT       MB/s of encoding one file of text
 *
 * TEXTS is a file of texts, each a little-endian u32 length and its bytes. Exit
 * 1 with the message on stderr. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "token/token.h"

static int fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    return 1;
}

static char *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) < 0)
        return NULL;
    long size = ftell(f);
    rewind(f);
    char *text = size < 0 ? NULL : malloc((size_t)size + 1);
    *n = text ? fread(text, 1, (size_t)size, f) : 0;
    fclose(f);
    return text;
}

/* Of the ids and bytes that one call writes. */
struct room {
    uint32_t *ids;
    char *text;
};

static void put_hex(const char *s, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        printf("%02x", (unsigned char)s[i]);
    putchar('\n');
}

static int one_text(const struct m2c_tok *t, const char *what, const char *text, size_t n,
                    struct room *room)
{
    bool special = strcmp(what, "special") == 0;
    int64_t need = special ? m2c_tok_encode_special(t, text, n, NULL, 0)
                           : m2c_tok_encode(t, text, n, NULL, 0);
    uint32_t *ids = realloc(room->ids, (size_t)(need > 0 ? need : 1) * sizeof *ids);
    if (need < 0 || !ids)
        return fail("encode failed");
    room->ids = ids;
    int64_t got = special ? m2c_tok_encode_special(t, text, n, ids, (size_t)need)
                          : m2c_tok_encode(t, text, n, ids, (size_t)need);
    if (got != need)
        return fail("two encodings of one text differ");
    if (strcmp(what, "decode") != 0) {
        for (int64_t i = 0; i < need; i++)
            printf("%s%" PRIu32, i ? " " : "", ids[i]);
        putchar('\n');
        return 0;
    }
    int64_t bytes = m2c_tok_decode_all(t, ids, (size_t)need, NULL, 0);
    char *out = realloc(room->text, (size_t)(bytes > 0 ? bytes : 1));
    if (bytes < 0 || !out)
        return fail("decode failed");
    room->text = out;
    if (m2c_tok_decode_all(t, ids, (size_t)need, out, (size_t)bytes) != bytes)
        return fail("two decodings of one text differ");
    put_hex(out, bytes);
    return 0;
}

static int texts(const struct m2c_tok *t, const char *what, const char *path)
{
    size_t n, at = 0;
    char *all = read_file(path, &n);
    struct room room = {0};
    int rc = all ? 0 : fail("cannot read the texts");
    while (rc == 0 && n - at >= 4) {
        const unsigned char *b = (const unsigned char *)all + at;
        size_t len = b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 | (size_t)b[3] << 24;
        at += 4;
        /* a copy of its own, so that a sanitizer sees what is read beyond it */
        char *text = len > n - at ? NULL : malloc(len ? len : 1);
        if (!text)
            rc = fail("a text reaches beyond the file");
        else
            memcpy(text, all + at, len);
        if (rc == 0)
            rc = one_text(t, what, text, len, &room);
        free(text);
        at += len;
    }
    free(all);
    free(room.ids);
    free(room.text);
    return rc;
}

static int each(const struct m2c_tok *t)
{
    for (uint32_t id = 0; id < m2c_tok_vocab(t); id++) {
        char buf[8192];
        int64_t n = m2c_tok_decode(t, m2c_tok_vocab(t), id, buf, sizeof buf);
        if (n < 0 || n > (int64_t)sizeof buf)
            return fail("decode failed");
        put_hex(buf, n);
    }
    return 0;
}

static int speed(const struct m2c_tok *t, const char *path)
{
    size_t n;
    char *text = read_file(path, &n);
    if (!text)
        return fail("cannot read the text");
    double best = 0;
    int64_t ids = 0;
    for (int i = 0; i < 3; i++) {
        uint64_t start = m2c_now_ns();
        ids = m2c_tok_encode(t, text, n, NULL, 0);
        double rate = (double)n * 1e3 / (double)(m2c_now_ns() - start);
        best = rate > best ? rate : best;
    }
    printf("%zu bytes, %" PRId64 " ids, %.2f MB/s\n", n, ids, best);
    free(text);
    return ids < 0;
}

int main(int argc, char **argv)
{
    struct m2c_tok *t = NULL;
    struct m2c_err err = {0};
    if (argc < 3)
        return fail("usage: tok_dump info|encode|special|decode|each|speed FILE [TEXTS]");
    if (m2c_tok_open_file(&t, argv[2], &err) < 0)
        return fail(err.msg);
    int rc = 0;
    if (strcmp(argv[1], "info") == 0)
        printf("%s %" PRIu32 " %" PRId32 " %" PRId32 "\n", m2c_tok_kind(t),
               m2c_tok_vocab(t), m2c_tok_bos(t), m2c_tok_eos(t));
    else if (strcmp(argv[1], "each") == 0)
        rc = each(t);
    else if (strcmp(argv[1], "speed") == 0)
        rc = argc > 3 ? speed(t, argv[3]) : fail("no text");
    else
        rc = argc > 3 ? texts(t, argv[1], argv[3]) : fail("no texts");
    m2c_tok_close(t);
    return rc;
}
