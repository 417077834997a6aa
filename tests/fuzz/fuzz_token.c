/* SPDX-License-Identifier: MIT */
/* Tokenizer files. The first byte of an input picks the kind, the rest is the
 * file; its last bytes are also a text. What is refused is refused in one line
 * and without running out of memory; what is not encodes any text to ids that it
 * has, and writes what it says. */
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../token/samples.h"
#include "token/token.h"

enum { N_SEEDS = 5, MAX_IDS = 1 << 12 };

static const char *const kinds[] = {"llama2c", "spm", "hf"};
static const char text[] =
    "a ab  abab\n<s><t> <u><c></s>x '\xe2\x96\x81_q12 \xc3\xa9\xff\x80 \xe2\x96"
    "a b\xf0\x9f\x9a\x80 I'LL\t";

bool fuzz_seed(size_t i, const uint8_t **data, size_t *n)
{
    static struct sample seeds[N_SEEDS];
    static const uint8_t kind[N_SEEDS] = {0, 1, 2, 2, 2};
    struct sample file = {0};
    if (i >= N_SEEDS)
        return false;
    if (i == 0)
        sample_l2c(&file);
    else if (i == 1)
        sample_spm(&file);
    else if (i == 2)
        sample_text(&file, sample_hf_chars);
    else
        sample_hf(&file, i == 3 ? sample_hf_steps : sample_hf_plain);
    seeds[i].n = 0;
    sample_put(&seeds[i], &kind[i], 1);
    sample_put(&seeds[i], file.b, file.n);
    *data = seeds[i].b;
    *n = seeds[i].n;
    return true;
}

static void try_text(const struct m2c_tok *t, const char *s, size_t n, bool special)
{
    static uint32_t ids[MAX_IDS];
    int64_t k = special ? m2c_tok_encode_special(t, s, n, ids, MAX_IDS)
                        : m2c_tok_encode(t, s, n, ids, MAX_IDS);
    if (k == -EINVAL)
        return; /* a pattern that takes too long */
    FUZZ_CHECK(k >= 0);
    size_t have = k < MAX_IDS ? (size_t)k : MAX_IDS;
    for (size_t i = 0; i < have; i++)
        FUZZ_CHECK(ids[i] < m2c_tok_vocab(t));
    int64_t bytes = m2c_tok_decode_all(t, ids, have, NULL, 0);
    FUZZ_CHECK(bytes >= 0);
    char *out = malloc(bytes > 0 ? (size_t)bytes : 1);
    FUZZ_CHECK(out != NULL);
    FUZZ_CHECK(m2c_tok_decode_all(t, ids, have, out, (size_t)bytes) == bytes);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct m2c_tok *t = NULL;
    struct m2c_err err = {0};
    if (n == 0)
        return 0;
    const char *kind = kinds[data[0] % 3];
    if (m2c_tok_open_mem(&t, kind, data + 1, n - 1, &err) < 0) {
        FUZZ_CHECK(t == NULL && err.code < 0 && err.code != -ENOMEM);
        FUZZ_CHECK(err.msg[0] && strchr(err.msg, '\n') == NULL);
        return 0;
    }
    for (uint32_t id = 0; id < m2c_tok_vocab(t); id++) {
        char buf[16];
        FUZZ_CHECK(m2c_tok_decode(t, -1, id, buf, sizeof buf) >= 0);
    }
    FUZZ_CHECK(m2c_tok_bos(t) < (int64_t)m2c_tok_vocab(t));
    FUZZ_CHECK(m2c_tok_eos(t) < (int64_t)m2c_tok_vocab(t));
    size_t tail = n < 64 ? n : 64;
    try_text(t, text, sizeof text - 1, false);
    try_text(t, text, sizeof text - 1, true);
    try_text(t, (const char *)data + n - tail, tail, true);
    m2c_tok_close(t);
    return 0;
}
