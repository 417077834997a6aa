/* SPDX-License-Identifier: MIT */
/* Ini files: items and lines, every refusal with its line, and any value
 * written reads back. */
#define _GNU_SOURCE /* open_memstream, fmemopen */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ini.h"
#include "base/rng.h"
#include "base/text.h"

struct sink {
    FILE *f;
    const char *refuse; /* a key to refuse */
};

static int print_item(void *ctx, const struct m2c_ini_item *item, struct m2c_err *err)
{
    struct sink *s = ctx;
    if (item->key && s->refuse && strcmp(item->key, s->refuse) == 0)
        return m2c_fail(err, -EINVAL, "refused");
    if (item->key)
        fprintf(s->f, "%u:%s.%s=<%s>\n", item->line, item->section, item->key,
                item->value);
    else
        fprintf(s->f, "%u:[%s]\n", item->line, item->section);
    return 0;
}

static int parse(const char *data, size_t n, const char *refuse, char **out,
                 struct m2c_err *err)
{
    size_t size = 0;
    struct sink s = {.f = open_memstream(out, &size), .refuse = refuse};
    FILE *f = fmemopen((void *)(uintptr_t)data, n, "rb");
    assert_non_null(f);
    int rc = m2c_ini_read(f, "x.ini", print_item, &s, err);
    fclose(f);
    fclose(s.f);
    return rc;
}

static void expect(const char *text, const char *items)
{
    char *out;
    struct m2c_err err = {0};
    if (parse(text, strlen(text), NULL, &out, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(out, items);
    free(out);
}

static void expect_error_n(const char *text, size_t n, const char *message)
{
    char *out;
    struct m2c_err err = {0};
    int rc = parse(text, n, NULL, &out, &err);
    free(out);
    assert_string_equal(err.msg, message);
    assert_int_equal(rc, -EINVAL);
    assert_int_equal(err.code, -EINVAL);
}

static void expect_error(const char *text, const char *message)
{
    expect_error_n(text, strlen(text), message);
}

static void items(void **state)
{
    (void)state;
    expect("; head\n# head\n\n[a]\nk = v\n  j=w ; note\n\tx : y z  \n[ b ]\r\nk =\r\n",
           "4:[a]\n5:a.k=<v>\n6:a.j=<w>\n7:a.x=<y z>\n8:[ b ]\n9: b .k=<>\n");
    expect("\xef\xbb\xbf[a]\nk=v;w#x", "1:[a]\n2:a.k=<v;w#x>\n");
    expect("[a]\nk = \xc3\xa4 = b:c [d]\n", "1:[a]\n2:a.k=<\xc3\xa4 = b:c [d]>\n");
    expect("[s]\nk = C:\\dir\\n\n", "1:[s]\n2:s.k=<C:\\dir\\n>\n");
}

static void continuation(void **state)
{
    (void)state;
    expect("[a]\nk = one \\\n   two\\\n three\nj = 1\n",
           "1:[a]\n2:a.k=<one twothree>\n5:a.j=<1>\n");
    expect("[a]\nk = 1 |\\\n ; not 2 |\n 3\n[b]\n", "1:[a]\n2:a.k=<1 |3>\n5:[b]\n");
    expect("[a]\nk = 1\\\n\nj = 2\n", "1:[a]\n2:a.k=<1>\n4:a.j=<2>\n");
    expect("[a]\nk = 1\\\n [b] = c\\", "1:[a]\n2:a.k=<1[b] = c>\n");
    expect("[a]\nk = \\ x\\ \\; y\\#\\\n\\ \\;z\n", "1:[a]\n2:a.k=< x ; y# ;z>\n");
}

static void refusals(void **state)
{
    (void)state;
    static const char expected[] =
        "x.ini:2: expected '[section]', 'key = value' or a comment";
    expect_error("[a]\nnonsense\nk = v\n", expected);
    expect_error("[a]\nnonsense\n[b\n", expected);
    expect_error("k = v\n", "x.ini:1: a key before the first [section]");
    expect_error("[a]\n\n= v\n", "x.ini:3: no key before '='");
    expect_error("[]\n", "x.ini:1: not a section: expected [name]");
    expect_error("\n[a] b\n", "x.ini:2: not a section: expected [name]");
    expect_error("[a\n", "x.ini:1: not a section: expected [name]");
    expect_error("[a]\\\nk = v\n", "x.ini:1: not a section: expected [name]");
    expect_error("[a]\nk = \xff\n", "x.ini:2: not UTF-8");
    expect_error("[a]\n; \xc3\n", "x.ini:2: not UTF-8");
    expect_error("[a]\nk = \x01\n", "x.ini:2: control character in the line");
    expect_error("[a]\nk\\  = v\n", "x.ini:2: backslash in a key");
    expect_error_n("[a]\nk = \0\n", 10, "x.ini:2: NUL byte: not a text file");
}

/* Lines around inih's limit: whole, or an error, never two halves. */
static void long_lines(void **state)
{
    (void)state;
    for (size_t n = 150; n < 260; n++) {
        char text[300] = "[a]\nk=", *out;
        struct m2c_err err = {0};
        memset(text + 6, 'x', n - 2);
        strcpy(text + 4 + n, " \nj=1\n");
        int rc = parse(text, strlen(text), NULL, &out, &err);
        if (n <= 197) {
            assert_int_equal(rc, 0);
            assert_int_equal(strlen(out), strlen("1:[a]\n2:a.k=<>\n3:a.j=<1>\n") + n - 2);
        } else {
            assert_int_equal(rc, -EINVAL);
            assert_ptr_equal(strstr(err.msg, "x.ini:2: line longer than 197 bytes"),
                             err.msg);
        }
        free(out);
    }
    char comment[1000] = "[a]\n;";
    memset(comment + 5, 'c', 900);
    expect(comment, "1:[a]\n");
    static char huge[10000];
    memset(huge, '\n', 9);
    memset(huge + 9, 'k', sizeof huge - 10);
    expect_error(huge, "x.ini:10: line longer than 4096 bytes");
    char section[80] = "[";
    memset(section + 1, 's', 50);
    strcat(section, "]\n");
    expect_error(section, "x.ini:1: section name longer than 49 bytes");
}

static void callers_errors(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    char *out;
    assert_int_equal(parse("[a]\nk=1\nj=2\\\n 3\n\nz=4\n", 22, "j", &out, &err), -EINVAL);
    assert_string_equal(err.msg, "x.ini:3: refused"); /* the key's line, not its end */
    assert_string_equal(out, "1:[a]\n2:a.k=<1>\n");
    free(out);
    struct sink s = {0};
    assert_int_equal(m2c_ini_load("/nonexistent/x.ini", print_item, &s, &err), -ENOENT);
    assert_string_equal(err.msg, "/nonexistent/x.ini: No such file or directory");
    assert_int_equal(m2c_ini_load("/", print_item, &s, &err), -EISDIR);
    assert_string_equal(err.msg, "/: a directory, not a config");
}

static int keep_value(void *ctx, const struct m2c_ini_item *item, struct m2c_err *err)
{
    (void)err;
    if (item->key)
        *(char **)ctx = strdup(item->value);
    return 0;
}

/* Random values of the characters that matter most, short and long. */
static void written_reads_back(void **state)
{
    (void)state;
    static const char *const parts[] = {
        " ", "\t", ";", "#",        "\\",           "|",    "a",
        "=", "[",  "]", "\xc3\xa4", "\xe2\x82\xac", "     "};
    struct m2c_rng rng;
    m2c_rng_init(&rng, 1, 0);
    int tried = 0;
    for (int i = 0; i < 3000; i++) {
        char value[4096] = "";
        size_t n = i % 3 ? m2c_rng_below(&rng, 12) : m2c_rng_below(&rng, 700);
        uint32_t kinds = 1 + m2c_rng_below(&rng, M2C_COUNTOF(parts));
        for (size_t k = 0; k < n; k++)
            strcat(value, parts[m2c_rng_below(&rng, kinds)]);
        if (m2c_ini_value_fault(value))
            continue;
        tried++;
        char *text, *back = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        fputs("[s]\n", f);
        m2c_ini_write(f, "some-key", value);
        fclose(f);
        struct m2c_err err = {0};
        f = fmemopen(text, size, "rb");
        if (m2c_ini_read(f, "w.ini", keep_value, &back, &err))
            fail_msg("%s\n%s", err.msg, text);
        fclose(f);
        assert_non_null(back);
        assert_string_equal(back, value);
        free(back);
        free(text);
    }
    assert_true(tried > 2000);
}

static void value_faults(void **state)
{
    (void)state;
    assert_null(m2c_ini_value_fault(""));
    assert_null(m2c_ini_value_fault(" \t\xf0\x9f\x98\x80 \\n"));
    assert_string_equal(m2c_ini_value_fault("a\nb"),
                        "control characters are not allowed");
    assert_string_equal(m2c_ini_value_fault("\x7f"),
                        "control characters are not allowed");
    assert_string_equal(m2c_ini_value_fault("\x80"), "not UTF-8");
    assert_string_equal(m2c_ini_value_fault("a\\"), "a value cannot end in a backslash");
    char *big = malloc(M2C_INI_VALUE_MAX + 2);
    memset(big, 'x', M2C_INI_VALUE_MAX + 1);
    big[M2C_INI_VALUE_MAX + 1] = 0;
    assert_string_equal(m2c_ini_value_fault(big), "longer than 1 MiB");
    free(big);
}

/* The ranges of RFC 3629, at their ends. */
static void utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2 ",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe1\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf1\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff"};
    for (size_t i = 0; i < M2C_COUNTOF(good); i++)
        assert_true(m2c_utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < M2C_COUNTOF(bad); i++)
        assert_false(m2c_utf8_valid(bad[i], strlen(bad[i])));
    assert_true(m2c_utf8_valid("\0a", 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items),          cmocka_unit_test(continuation),
        cmocka_unit_test(refusals),       cmocka_unit_test(long_lines),
        cmocka_unit_test(callers_errors), cmocka_unit_test(written_reads_back),
        cmocka_unit_test(value_faults),   cmocka_unit_test(utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
