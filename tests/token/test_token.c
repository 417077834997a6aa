/* SPDX-License-Identifier: MIT */
/* The calls around tokenizers: kinds, files and folders, special tokens, damage,
 * memory that runs out. What tokenizer.json files are refused for is in
 * test_refused.c; ids are compared with those of others by the Python tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "m2c_config.h"
#include "samples.h"
#include "token/token_impl.h"

/* ---- allocations that fail on request (linked with --wrap; jansson too) ---- */

static long fail_at = -1; /* the how-manieth allocation from now fails */

static bool fails(void)
{
    return fail_at >= 0 && fail_at-- == 0;
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

/* ---- helpers ---- */

static struct sample file; /* the one at hand */

static struct m2c_tok *open_mem(const char *kind)
{
    struct m2c_tok *t = NULL;
    struct m2c_err err = {0};
    if (m2c_tok_open_mem(&t, kind, file.b, file.n, &err) < 0)
        fail_msg("%s: %s", kind, err.msg);
    return t;
}

/* Refused in one line that holds `words`. */
static void refused(const char *kind, int code, const char *words)
{
    struct m2c_tok *t = NULL;
    struct m2c_err err = {0};
    int r = m2c_tok_open_mem(&t, kind, file.b, file.n, &err);
    if (r != code || err.code != code || t || !strstr(err.msg, words) ||
        strchr(err.msg, '\n'))
        fail_msg("%s: %d '%s', expected %d '%s'", kind, r, err.msg, code, words);
}

static void put_text(const char *text)
{
    file.n = 0;
    sample_text(&file, text);
}

/* Ids of text as "1 2 3". */
static void ids_are(const struct m2c_tok *t, bool special, const char *text, size_t n,
                    const char *want)
{
    uint32_t ids[64];
    char have[512] = "";
    int64_t k = special ? m2c_tok_encode_special(t, text, n, ids, 64)
                        : m2c_tok_encode(t, text, n, ids, 64);
    assert_in_range(k, 0, 64);
    for (int64_t i = 0; i < k; i++)
        snprintf(have + strlen(have), sizeof have - strlen(have), "%s%u", i ? " " : "",
                 ids[i]);
    assert_string_equal(have, want);
    /* a small room changes no count, and nothing is written beyond it */
    uint32_t two[2] = {7, 12345};
    int64_t all = m2c_tok_encode(t, text, n, NULL, 0);
    assert_int_equal(m2c_tok_encode(t, text, n, two, 1), all);
    assert_int_equal(two[1], 12345);
}

static void text_is(const struct m2c_tok *t, int64_t prev, uint32_t id, const char *want)
{
    char buf[64] = {0};
    assert_int_equal(m2c_tok_decode(t, prev, id, buf, sizeof buf), strlen(want));
    assert_string_equal(buf, want);
}

/* ---- kinds ---- */

static void test_registry(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_tok *t = NULL;
    const struct m2c_plugin *const *list = m2c_tok_list();
    assert_int_equal(
        m2c_plugin_check((const void *const *)(const void *)list, "kind", &err), 0);
    size_t n = 0;
    for (; list[n]; n++) {
        const struct m2c_tok_ops *ops = (const struct m2c_tok_ops *)(const void *)list[n];
        assert_true(ops->sniff && ops->open && ops->close && ops->encode && ops->text &&
                    ops->find);
    }
    assert_int_equal(n, 3);
    assert_int_equal(m2c_tok_open_mem(&t, "spam", "x", 1, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "'spm'"));
    m2c_tok_close(NULL);
}

static void test_llama2c(void **state)
{
    (void)state;
    sample_l2c(&file);
    struct m2c_tok *t = open_mem("llama2c");
    const void *bytes;
    size_t n;
    m2c_tok_source(t, &bytes, &n);
    assert_int_equal(n, file.n);
    assert_memory_equal(bytes, file.b, n);
    assert_string_equal(m2c_tok_kind(t), "llama2c");
    assert_int_equal(m2c_tok_vocab(t), 265);
    assert_int_equal(m2c_tok_bos(t), 1);
    assert_int_equal(m2c_tok_eos(t), 2);
    ids_are(t, false, "", 0, "");
    /* " a" comes before "ab", and " ab" is made of it */
    ids_are(t, false, "ab", 2, "261");
    ids_are(t, false, "bab", 3, "264 263 259");
    ids_are(t, false, "\xff\0", 2, "264 258 3");
    ids_are(t, true, "a</s>b", 6, "260 2 264 263");
    text_is(t, 1, 261, "ab");
    text_is(t, -1, 261, "ab");
    text_is(t, 5, 261, " ab");
    text_is(t, 5, 3 + 'x', "x");
    text_is(t, 5, 0, "<unk>");
    text_is(t, 5, 2, "");
    char two[2] = "zz";
    assert_int_equal(m2c_tok_decode(t, 5, 261, two, 1), 3);
    assert_memory_equal(two, " z", 2);
    assert_int_equal(m2c_tok_decode(t, 5, 265, two, 1), -EINVAL);
    const uint32_t all[] = {1, 261, 3 + '!', 260, 2}, bad[] = {1, 265};
    char buf[16] = {0};
    assert_int_equal(m2c_tok_decode_all(t, all, 5, buf, sizeof buf), 5);
    assert_string_equal(buf, "ab! a");
    assert_int_equal(m2c_tok_decode_all(t, all, 5, two, 1), 5);
    assert_memory_equal(two, "az", 2);
    assert_int_equal(m2c_tok_decode_all(t, bad, 2, buf, sizeof buf), -EINVAL);
    m2c_tok_set_special(t, 260, 261);
    text_is(t, 260, 264, "");
    text_is(t, 1, 264, " ");
    text_is(t, 5, 261, "");
    m2c_tok_close(t);
}

static void test_spm(void **state)
{
    (void)state;
    sample_spm(&file);
    struct m2c_tok *t = open_mem("spm");
    assert_int_equal(m2c_tok_vocab(t), 267);
    assert_int_equal(m2c_tok_bos(t), 1);
    assert_int_equal(m2c_tok_eos(t), 2);
    ids_are(t, false, "ab", 2, "261");
    ids_are(t, false, "x", 1, "261"); /* by the charsmap */
    ids_are(t, false, "a<u>b", 5, "260 265 263");
    ids_are(t, false, "\xe2\x96", 2, "264 229 153");
    ids_are(t, true, "ab<c>ab", 7, "261 266 261");
    ids_are(t, true, "</s>", 4, "2");
    text_is(t, -1, 261, "ab");
    text_is(t, 4, 261, " ab");
    text_is(t, 4, 0, " \xe2\x81\x87 ");
    text_is(t, -1, 265, "<u>");
    text_is(t, -1, 266, "");
    m2c_tok_close(t);
}

static void test_hf_chars(void **state)
{
    (void)state;
    put_text(sample_hf_chars);
    struct m2c_tok *t = open_mem("hf");
    assert_int_equal(m2c_tok_vocab(t), 8);
    assert_int_equal(m2c_tok_bos(t), 1);
    ids_are(t, false, "ab a", 4, "5 3 5");
    ids_are(t, false, "a b", 3, "7"); /* as "_a_b" in the normalised text */
    ids_are(t, false, "azzb", 4, "5 0 3");
    ids_are(t, false, "a\xff\xff", 3, "5 0");
    ids_are(t, true, "<s>ab", 5, "1 5 3");
    text_is(t, -1, 5, "a");
    text_is(t, 3, 5, " a");
    text_is(t, 3, 0, "");
    m2c_tok_close(t);
}

static void test_hf_bytes(void **state)
{
    (void)state;
    sample_hf(&file, sample_hf_plain);
    if (!M2C_HAVE_PCRE2) {
        refused("hf", -ENOTSUP, "PCRE2");
        sample_hf(&file, sample_hf_steps);
        refused("hf", -ENOTSUP, "PCRE2");
        return;
    }
    struct m2c_tok *t = open_mem("hf");
    assert_int_equal(m2c_tok_vocab(t), 261);
    assert_int_equal(m2c_tok_bos(t), 259); /* from the template */
    assert_int_equal(m2c_tok_eos(t), -1);
    ids_are(t, false, "ab ab", 5, "256 258");
    ids_are(t, false, "a <t>\xff", 6, "97 260 255"); /* lstrip takes the space */
    ids_are(t, false, "<s>", 3, "60 115 62");
    ids_are(t, true, "<s>a", 4, "259 97");
    text_is(t, -1, 258, " ab");
    text_is(t, -1, 255, "\xff");
    text_is(t, -1, 260, "<t>");
    text_is(t, -1, 259, "");
    m2c_tok_close(t);
    sample_hf(&file, sample_hf_steps);
    m2c_tok_close(open_mem("hf"));
}

/* ---- damage ---- */

static void test_bad_llama2c(void **state)
{
    (void)state;
    sample_l2c(&file);
    const struct sample good = file;
    for (size_t n = 0; n < good.n; n++) { /* cut anywhere */
        struct m2c_tok *t = NULL;
        struct m2c_err err = {0};
        if (m2c_tok_open_mem(&t, "llama2c", good.b, n, &err) == 0)
            assert_in_range(m2c_tok_vocab(t), 259, 264); /* between two tokens */
        else
            assert_true(strstr(err.msg, "offset") || strstr(err.msg, "tokens"));
        m2c_tok_close(t);
    }
    file.n = 101;
    refused("llama2c", -EINVAL, "the file ends inside token 7");
    file = good;
    memset(file.b, 0xff, 4);
    refused("llama2c", -EINVAL, "offset 0: expected the length of the longest token");
    file = good;
    memset(file.b + 8, 0x7f, 4);
    refused("llama2c", -EINVAL,
            "offset 8: token 0 has length 2139062143, expected 1 to 7");
    file = good;
    file.b[8] = 0;
    refused("llama2c", -EINVAL, "offset 8: token 0 has length 0");
    file = good;
    memset(file.b + 4, 0xff, 4);
    refused("llama2c", -EINVAL, "offset 4: the score of token 0 is NaN");
}

static void test_cut_spm(void **state)
{
    (void)state;
    static const uint8_t huge[] = {0x0a, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0x7f};
    static const uint8_t endless[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff};
    int opened = 0;
    sample_spm(&file);
    const struct sample good = file;
    for (size_t n = 0; n < good.n; n++) {
        struct m2c_tok *t = NULL;
        struct m2c_err err = {0};
        /* once between two fields: without the normalisation, the last one */
        if (m2c_tok_open_mem(&t, "spm", good.b, n, &err) == 0)
            opened++;
        else
            assert_true(err.code == -EINVAL || err.code == -ENOTSUP);
        m2c_tok_close(t);
    }
    assert_int_equal(opened, 1);
    file.n = 0;
    sample_put(&file, huge, sizeof huge);
    refused("spm", -EINVAL, "offset 0: a field of 9223372036854775807 bytes, 0 are left");
    file.n = 0;
    sample_put(&file, endless, sizeof endless);
    refused("spm", -EINVAL, "offset 1: a number of more than 64 bits");
    file = good;
    file.b[file.n++] = 0x0b; /* a group */
    refused("spm", -EINVAL, "no field of a protobuf begins like this");
}

static void test_bad_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
        float score;
        unsigned type;
        int code;
    } bad[] = {
        {"ab", "piece 267 ('ab'): is there twice", 0, SPM_NORMAL, -EINVAL},
        {"<c>", "piece 267 ('<c>'): is there twice", 0, SPM_CONTROL, -EINVAL},
        {"u", "a second unknown piece", 0, SPM_UNKNOWN, -EINVAL},
        {"u", "of type UNUSED, which is not supported", 0, SPM_UNUSED, -ENOTSUP},
        {"u", "names no byte", 0, SPM_BYTE, -EINVAL},
        {"u", "piece 267 has score 0 and type 9", 0, 9, -EINVAL},
        {"u", "piece 267 has score inf", INFINITY, SPM_NORMAL, -EINVAL},
        {"u", "piece 267 has score nan", NAN, SPM_NORMAL, -EINVAL},
        {"", "piece 267 has 0 bytes", 0, SPM_NORMAL, -EINVAL},
    };
    for (size_t i = 0; i < M2C_COUNTOF(bad); i++) {
        sample_spm(&file);
        sample_spm_piece(&file, bad[i].text, bad[i].score, bad[i].type);
        refused("spm", bad[i].code, bad[i].words);
    }
}

static void test_bad_spec(void **state)
{
    (void)state;
    /* fields of ModelProto after the good ones, of which they change a part */
    static const struct {
        unsigned field;
        const char *bytes;
        size_t n;
        const char *words;
        int code;
    } bad[] = {
        {2, "\x18\x01", 2, "model_type: 1 (unigram) is not supported", -ENOTSUP},
        {2, "\xc0\x01\x01", 3, "treat_whitespace_as_suffix", -ENOTSUP},
        {2, "\x1a\x01\x00", 3, "a field of another type than expected", -EINVAL},
        {2, "\x98\x02\x00", 3, "a byte, but byte_fallback is off", -EINVAL},
        {5, "\x12\x01x", 3, "denormalizer_spec", -ENOTSUP},
        {3, "\x12\x05\xff\xff\xff\xff!", 7,
         "precompiled_charsmap: 5 bytes with a table of 4294967295", -EINVAL},
        {3, "\x12\x09\x04\0\0\0\0\0\0\0x", 11,
         "precompiled_charsmap: its texts have no end", -EINVAL},
    };
    for (size_t i = 0; i < M2C_COUNTOF(bad); i++) {
        sample_spm(&file);
        sample_bytes(&file, bad[i].field, bad[i].bytes, bad[i].n);
        refused("spm", bad[i].code, bad[i].words);
    }
}

/* ---- files ---- */

static char folder[] = "/tmp/m2c-token-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(path_of(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void opens(const char *path, const char *kind, int32_t bos, int32_t eos)
{
    struct m2c_tok *t = NULL;
    struct m2c_err err = {0};
    if (m2c_tok_open_file(&t, path, &err) < 0)
        fail_msg("%s", err.msg);
    assert_string_equal(m2c_tok_kind(t), kind);
    assert_int_equal(m2c_tok_bos(t), bos);
    assert_int_equal(m2c_tok_eos(t), eos);
    m2c_tok_close(t);
}

/* The message names a file and holds the words. */
static void not_opened(const char *path, const char *words)
{
    struct m2c_tok *t = NULL;
    struct m2c_err err = {0};
    assert_true(m2c_tok_open_file(&t, path, &err) < 0);
    assert_null(t);
    if (!strstr(err.msg, folder) || !strstr(err.msg, words))
        fail_msg("%s: '%s', expected '%s'", path, err.msg, words);
}

static void test_files(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    not_opened(folder, "holds no tokenizer.json");
    not_opened(path_of("none"), "none: No such file");
    write_file("empty", "", 0);
    not_opened(path_of("empty"), "empty: the file is empty");
    write_file("odd", "hello", 5);
    not_opened(path_of("odd"), "odd: neither a tokenizer.json nor");
    write_file("gguf", "GGUF....", 8);
    not_opened(path_of("gguf"), "offset 4: version");
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    not_opened(path_of("fifo"), "not a regular file");
    sample_l2c(&file);
    write_file("tokenizer.bin", file.b, file.n);
    opens(folder, "llama2c", 1, 2);
    sample_spm(&file);
    write_file("tokenizer.model", file.b, file.n);
    opens(folder, "spm", 1, 2);
    write_file("tokenizer.json", sample_hf_chars, strlen(sample_hf_chars));
    opens(folder, "hf", 1, -1);
    opens(path_of("tokenizer.bin"), "llama2c", 1, 2);
    write_file("tokenizer.json", sample_hf_chars, strlen(sample_hf_chars) - 9);
    not_opened(folder, "tokenizer.json: line 1, column");
    write_file("tokenizer.json", sample_hf_chars, strlen(sample_hf_chars));
}

/* After test_files: what lies beside its files says. */
static void test_beside(void **state)
{
    (void)state;
    static const char *const made[] = {"config.json", "tokenizer_config.json",
                                       "tokenizer.json", "tokenizer.model",
                                       "tokenizer.bin"};
    static const char ids[] = "{\"bos_token_id\": 2, \"eos_token_id\": [3, 4]}";
    static const char names[] =
        "{\"bos_token\": {\"content\": \"<unk>\"}, \"eos_token\": null}";
    static const char unknown[] = "{\"bos_token\": \"<x>\"}";
    static const char beyond[] = "{\"eos_token_id\": 8}";
    write_file("config.json", ids, sizeof ids - 1);
    opens(folder, "hf", 2, 3);
    write_file("tokenizer_config.json", names, sizeof names - 1);
    opens(folder, "hf", 0, 3);
    opens(path_of("tokenizer.bin"), "llama2c", 1, 2);
    write_file("tokenizer_config.json", unknown, sizeof unknown - 1);
    not_opened(folder, "tokenizer_config.json: /bos_token: the tokenizer has no special "
                       "token '<x>'");
    write_file("tokenizer_config.json", "{", 1);
    not_opened(folder, "tokenizer_config.json: line 1");
    write_file("tokenizer_config.json", "{}", 2);
    write_file("config.json", beyond, sizeof beyond - 1);
    not_opened(folder, "config.json: /eos_token_id: expected an id below 8");
    for (size_t i = 0; i < M2C_COUNTOF(made); i++)
        assert_int_equal(unlink(path_of(made[i])), 0);
}

/* X_vocab.json and X_merges.txt, all bytes and one merge. */
static void test_pair(void **state)
{
    (void)state;
    static const char merges[] = "#version: 0.2\na b\r\n\n";
    unsigned next = 256;
    put_text("{");
    for (unsigned b = 0; b < 256; b++) {
        sample_hf_byte(&file, b, &next);
        sample_text(&file, ",");
    }
    sample_text(&file, "\"ab\": 256, \"<|endoftext|>\": 257}");
    write_file("my_vocab.json", file.b, file.n);
    not_opened(path_of("my_vocab.json"), "my_merges.txt: No such file");
    write_file("my_merges.txt", merges, sizeof merges - 1);
    if (M2C_HAVE_PCRE2)
        opens(path_of("my_vocab.json"), "hf", 257, 257);
    write_file("my_merges.txt", "a c\n", 4);
    if (M2C_HAVE_PCRE2)
        not_opened(path_of("my_vocab.json"), "/model/merges/0: 'a' and 'c'");
    write_file("my_merges.txt", "a \xff\n", 4);
    not_opened(path_of("my_vocab.json"), "my_merges.txt:1: not UTF-8");
}

static int remove_files(void **state)
{
    (void)state;
    static const char *const names[] = {"empty", "odd",           "gguf",
                                        "fifo",  "my_vocab.json", "my_merges.txt"};
    for (size_t i = 0; i < M2C_COUNTOF(names); i++)
        (void)unlink(path_of(names[i]));
    return rmdir(folder);
}

/* ---- memory that runs out ---- */

static const char any_text[] = "ab a<u>x bab\xff q1 q2 I'd <t>";

/* Each allocation of opening fails once. `strict`: none may go unseen, which
 * libraries of others do not promise. */
static void opening_without_memory(const char *kind, bool strict)
{
    bool done = false;
    json_set_alloc_funcs(__wrap_malloc, free);
    for (long i = 0; !done; i++) {
        struct m2c_tok *t = NULL;
        struct m2c_err err = {0};
        fail_at = i;
        int r = m2c_tok_open_mem(&t, kind, file.b, file.n, &err);
        done = fail_at >= 0;
        fail_at = -1;
        if (r == 0 && !done && strict)
            fail_msg("%s: allocation %ld failed unseen", kind, i);
        if (r < 0) {
            assert_null(t);
            assert_true(err.code < 0 && err.msg[0]);
        }
        m2c_tok_close(t);
    }
    json_set_alloc_funcs(malloc, free);
}

static void encoding_without_memory(const char *kind)
{
    struct m2c_tok *t = open_mem(kind);
    int64_t want = m2c_tok_encode(t, any_text, sizeof any_text - 1, NULL, 0);
    for (long i = 0;; i++) {
        fail_at = i;
        int64_t have = m2c_tok_encode(t, any_text, sizeof any_text - 1, NULL, 0);
        bool done = fail_at >= 0;
        fail_at = -1;
        assert_int_equal(have, done ? want : -ENOMEM);
        if (done)
            break;
    }
    m2c_tok_close(t);
}

static void test_no_memory(void **state)
{
    (void)state;
    sample_l2c(&file);
    opening_without_memory("llama2c", true);
    encoding_without_memory("llama2c");
    sample_spm(&file);
    opening_without_memory("spm", true);
    encoding_without_memory("spm");
    put_text(sample_hf_chars);
    opening_without_memory("hf", false);
    encoding_without_memory("hf");
    sample_hf(&file, sample_hf_steps);
    opening_without_memory("hf", false);
    if (M2C_HAVE_PCRE2)
        encoding_without_memory("hf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry),  cmocka_unit_test(test_llama2c),
        cmocka_unit_test(test_spm),       cmocka_unit_test(test_hf_chars),
        cmocka_unit_test(test_hf_bytes),  cmocka_unit_test(test_bad_llama2c),
        cmocka_unit_test(test_cut_spm),   cmocka_unit_test(test_bad_pieces),
        cmocka_unit_test(test_bad_spec),  cmocka_unit_test(test_files),
        cmocka_unit_test(test_beside),    cmocka_unit_test(test_pair),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, remove_files);
}
