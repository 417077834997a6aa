/* SPDX-License-Identifier: MIT */
/* What a tokenizer.json is refused for, each with the JSON path; and patterns:
 * what goes to PCRE2 in which words, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "m2c_config.h"
#include "samples.h"
#include "token/hf_impl.h"

static struct sample file; /* the one at hand */

/* Refused in one line that holds `words`. */
static void refused(int code, const char *words)
{
    struct m2c_tok *t = NULL;
    struct m2c_err err = {0};
    int r = m2c_tok_open_mem(&t, "hf", file.b, file.n, &err);
    if (r != code || err.code != code || t || !strstr(err.msg, words) ||
        strchr(err.msg, '\n'))
        fail_msg("%d '%s', expected %d '%s'", r, err.msg, code, words);
}

static void opens(void)
{
    struct m2c_tok *t = NULL;
    struct m2c_err err = {0};
    if (m2c_tok_open_mem(&t, "hf", file.b, file.n, &err) < 0)
        fail_msg("%s", err.msg);
    m2c_tok_close(t);
}

static void put_text(const char *text)
{
    file.n = 0;
    sample_text(&file, text);
}

/* Replaces the first `from` in the sample. */
static void change(const char *from, const char *to)
{
    size_t nf = strlen(from), nt = strlen(to);
    for (size_t i = 0; i + nf <= file.n; i++) {
        if (memcmp(file.b + i, from, nf) != 0)
            continue;
        memmove(file.b + i + nt, file.b + i + nf, file.n - i - nf);
        memcpy(file.b + i, to, nt);
        file.n += nt - nf;
        return;
    }
    fail_msg("the sample has no '%s'", from);
}

/* Changes of the sample of characters, and what is said. */
static const struct {
    const char *from, *to, *words;
    int code;
} changes[] = {
    {"\"a\": 2", "\"a\": \"2\"", "/model/vocab: 'a' has no id", -EINVAL},
    {"\"a\": 2", "\"a\": 3", "/model/vocab: 'b' has the id 3 of another token", -EINVAL},
    {"\"a\": 2", "\"a\": 1000000", "/model/vocab: no id that fits 10 tokens", -EINVAL},
    {"\"a\": 2", "\"a\": 1152921504606846976", "/model/vocab: no id that fits", -EINVAL},
    {"\"id\": 7", "\"id\": -7", "/added_tokens/2/id: no id that fits", -EINVAL},
    {"\"id\": 7", "\"id\": 2", "/added_tokens/2: 'a b' has the id 2 of another", -EINVAL},
    {"\"id\": 1, \"content\": \"<s>\"", "\"id\": 7, \"content\": \"<s>\"",
     "/added_tokens/1: '<s>' has the id 7 of another token", -EINVAL},
    {"\"normalized\": true", "\"single_word\": true", "/added_tokens/2/single_word",
     -ENOTSUP},
    {"\"normalized\": true", "\"lstrip\": 1", "/added_tokens/2/lstrip: expected true or",
     -EINVAL},
    {"\"a b\"", "7", "/added_tokens/2/content: expected a string", -EINVAL},
    {"[{\"id\": 0", "{\"x\": [{\"id\": 0", "line 1", -EINVAL},
    {"\"BPE\"", "\"WordPiece\"", "/model/type: 'WordPiece' is not supported", -ENOTSUP},
    {"\"unk_token\"", "\"unc_token\"", "no token for byte 0x00 and no unk_token",
     -ENOTSUP},
    {"\"fuse_unk\": true", "\"dropout\": 0.1", "/model/dropout", -ENOTSUP},
    {"\"fuse_unk\": true", "\"end_of_word_suffix\": \"w\"", "/model/end_of_word_suffix",
     -ENOTSUP},
    {"\"fuse_unk\"", "\"unk_token\"", "line 1", -EINVAL},
    {"\"_\": 4,", "\"_\": 4, \"<0x0A>\": 9,", "/model/vocab has 1 of 256 bytes",
     -ENOTSUP},
    {"\"a b\"]", "\"ab b\"]",
     "/model/merges/1: 'ab' and 'b': what they merge into is not", -EINVAL},
    {"\"a b\"]", "\"c b\"]", "/model/merges/1: 'c' and 'b': the first is not in",
     -EINVAL},
    {"\"a b\"]", "\"a  b\"]", "/model/merges/1: expected two tokens", -EINVAL},
    {"\"a b\"]", "[\"a\", 1]]", "/model/merges/1: expected two tokens", -EINVAL},
    {"[\"_ a\", \"a b\"]", "7", "/model/merges: expected a list", -EINVAL},
    {"\"Prepend\"", "\"NFC\"", "/normalizer/normalizers/0: 'NFC' is not supported",
     -ENOTSUP},
    {"\"String\": \" \"}, \"content\": \"_\"", "\"Regex\": \" \"}, \"content\": \"_\"",
     "/normalizer/normalizers/1/pattern: 'Regex' is not supported", -ENOTSUP},
    {"\"String\": \" \"}, \"content\": \"_\"", "\"String\": \"\"}, \"content\": \"_\"",
     "/normalizer/normalizers/1/pattern/String", -EINVAL},
    {"\"Fuse\"", "\"WordPiece\"", "/decoder/decoders/2: 'WordPiece' is not supported",
     -ENOTSUP},
    {"{\"type\": \"Fuse\"}, ", "",
     "/decoder/decoders/2: only one space at the start, after", -ENOTSUP},
    {"\"start\": 1", "\"start\": 2", "/decoder/decoders/3: only one space", -ENOTSUP},
    {"\"pre_tokenizer\": null", "\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}",
     "/pre_tokenizer: 'BertPreTokenizer' is not supported", -ENOTSUP},
    {"\"pre_tokenizer\": null", "\"pre_tokenizer\": 7",
     "/pre_tokenizer: expected an object", -EINVAL},
};

static void test_changes(void **state)
{
    (void)state;
    put_text(sample_hf_chars);
    opens();
    for (size_t i = 0; i < M2C_COUNTOF(changes); i++) {
        put_text(sample_hf_chars);
        change(changes[i].from, changes[i].to);
        refused(changes[i].code, changes[i].words);
    }
    put_text(sample_hf_chars);
    while (file.n-- > 0)
        refused(-EINVAL, "line 1");
    put_text("{}");
    refused(-EINVAL, "/model: expected an object");
    put_text("[1]");
    refused(-EINVAL, "/model: expected an object");
}

/* Pre-tokenizers of the byte-level sample. */
static const struct {
    const char *pre, *words;
    int code;
} steps[] = {
    {"{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"ByteLevel\", "
     "\"use_regex\": false}, {\"type\": \"Digits\"}]}",
     "/pre_tokenizer/pretokenizers/1: nothing is supported after ByteLevel", -ENOTSUP},
    {"{\"type\": \"Split\", \"pattern\": {\"Regex\": \"a\", \"String\": \"a\"}, "
     "\"behavior\": \"Isolated\"}",
     "/pre_tokenizer/pattern: expected a String or a Regex", -EINVAL},
    {"{\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, \"behavior\": \"Odd\"}",
     "/pre_tokenizer/behavior: 'Odd' is not supported", -ENOTSUP},
    {"{\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, \"behavior\": "
     "\"Isolated\", "
     "\"invert\": 1}",
     "/pre_tokenizer/invert: expected true or false", -EINVAL},
    {"{\"type\": \"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": \"odd\"}",
     "/pre_tokenizer/prepend_scheme: 'odd' is not supported", -ENOTSUP},
    {"{\"type\": \"ByteLevel\", \"add_prefix_space\": \"yes\"}",
     "/pre_tokenizer/add_prefix_space: expected true or false", -EINVAL},
};
static const char no_regex[] = "{\"type\": \"ByteLevel\", \"use_regex\": false}";

static void test_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < M2C_COUNTOF(steps); i++) {
        sample_hf(&file, steps[i].pre);
        refused(steps[i].code, steps[i].words);
    }
    sample_hf(&file, no_regex);
    opens();
    change("\"ByteLevel\"}, \"model\"", "\"ByteFallback\"}, \"model\"");
    refused(-ENOTSUP, "/decoder: expected ByteLevel");
    sample_hf(&file, no_regex);
    change("\"\\u0021\"", "\"\\u0021!!\"");
    refused(-ENOTSUP, "/model/vocab: no token for byte 0x21 and no unk_token");
}

/* Lists that nest, or have more steps than there is room for. */
static void test_many_steps(void **state)
{
    (void)state;
    static char pre[SAMPLE_ROOM / 2];
    for (int nested = 0; nested < 2; nested++) {
        int depth = nested ? 100 : 1;
        pre[0] = '\0';
        for (int i = 0; i < depth; i++)
            strcat(pre, "{\"type\":\"Sequence\",\"pretokenizers\":[");
        for (int i = 0; i < 17 && !nested; i++)
            strcat(pre, "{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":"
                        "\"Isolated\"},");
        strcat(pre, no_regex);
        for (int i = 0; i < depth; i++)
            strcat(pre, "]}");
        sample_hf(&file, pre);
        refused(-ENOTSUP, nested ? "'Sequence' is not supported" : "more than 16 steps");
    }
}

/* ---- patterns ---- */

static const struct {
    const char *from, *to; /* to NULL: refused */
} patterns[] = {
    {"'s| ?\\p{L}+", "'s| ?\\p{L}+"},
    {"[^\\r\\n\\p{L}\\p{N}]?+", "[^\\r\\n\\p{L}\\p{N}]?+"},
    {"\\p{N}{1,3}", "\\p{N}{1,3}"},
    {"(?i)a|(?i:b)(?=c)(?<!d)(e)", "(?i)a|(?i:b)(?=c)(?<!d)(e)"},
    {"\\d\\D.\\v", "\\p{Nd}\\P{Nd}[^\\n]\\x{b}"},
    {"\\x41\\x{1F600}\\u3040", "\\x{41}\\x{1F600}\\x{3040}"},
    {"\\p{^Lu}\\[\\-\xc3\xa9\\\xc3\xa9", "\\p{^Lu}\\[\\-\xc3\xa9\xc3\xa9"},
    {"[\\S]", "[\\S\\x{180e}]"},
    {"\\w", NULL},
    {"a\\b", NULL},
    {"\\h", NULL},
    {"\\1", NULL},
    {"\\", NULL},
    {"^a", NULL},
    {"a$", NULL},
    {"[a&&b]", NULL},
    {"[[:alpha:]]", NULL},
    {"[]a]", NULL},
    {"[a", NULL},
    {"a{2}+", NULL},
    {"a{,2}", NULL},
    {"a{x", NULL},
    {"a(?i)b", NULL},
    {"(?m:a)", NULL},
    {"(*UCP)a", NULL},
    {"\\p{Han}", NULL},
    {"\\p{L", NULL},
    {"\\p{", NULL},
    {"\\p", NULL},
    {"\\pL", NULL},
    {"\\xff", NULL},
    {"\\x{}", NULL},
    {"\\x", NULL},
    {"\\u12", NULL},
};

static void test_patterns(void **state)
{
    (void)state;
    for (size_t i = 0; i < M2C_COUNTOF(patterns); i++) {
        struct m2c_err err = {0};
        char *out = NULL, *from = strdup(patterns[i].from); /* of the exact size */
        assert_non_null(from);
        int r = m2c_regex_translate(from, "/x", &out, &err);
        if (patterns[i].to) {
            assert_int_equal(r, 0);
            assert_string_equal(out, patterns[i].to);
        } else if (r != -ENOTSUP || !strstr(err.msg, "/x: '")) {
            fail_msg("%s: %d %s", patterns[i].from, r, err.msg);
        }
        free(out);
        free(from);
    }
}

/* A pattern that would backtrack for ever ends in an error, not in a wait. */
static void test_endless_pattern(void **state)
{
    (void)state;
    char text[80];
    struct m2c_tok *t = NULL;
    if (!M2C_HAVE_PCRE2)
        skip();
    sample_hf(&file, "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", "
                     "\"pattern\": {\"Regex\": \"(?:a|aa)+(?=[xy])\"}, \"behavior\": "
                     "\"Isolated\"}, {\"type\": \"ByteLevel\", \"use_regex\": false}]}");
    assert_int_equal(m2c_tok_open_mem(&t, "hf", file.b, file.n, NULL), 0);
    memset(text, 'a', sizeof text);
    assert_int_equal(m2c_tok_encode(t, text, sizeof text, NULL, 0), -EINVAL);
    m2c_tok_close(t);
    sample_hf(&file, "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"a)\"}, "
                     "\"behavior\": \"Isolated\"}");
    refused(-EINVAL, "/pre_tokenizer: the pattern does not compile");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),         cmocka_unit_test(test_steps),
        cmocka_unit_test(test_many_steps),      cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_endless_pattern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
