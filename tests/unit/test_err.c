/* SPDX-License-Identifier: MIT */
/* Error detail and suggestions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/base.h"

static void messages(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    assert_int_equal(m2c_fail(NULL, -EIO, "unseen"), -EIO);
    assert_int_equal(m2c_fail_in(NULL, -EIO, "unseen"), -EIO);
    assert_int_equal(m2c_fail(&err, -EINVAL, "layer %d", 3), -EINVAL);
    assert_int_equal(err.code, -EINVAL);
    assert_string_equal(err.msg, "layer 3");
    /* The code stays the first one: the outer caller knows less. */
    assert_int_equal(m2c_fail_in(&err, -EIO, "%s", "m.h5"), -EINVAL);
    assert_string_equal(err.msg, "m.h5: layer 3");
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    char text[2000];
    struct m2c_err err = {0};
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    m2c_fail(&err, -EINVAL, "%s", text);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    m2c_fail_in(&err, -EINVAL, "head");
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    assert_memory_equal(err.msg, "head: xxx", 9);
    m2c_fail_in(&err, -EINVAL, "%s", text);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
}

static void nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"policy", "bytes", "queue_depth", "lookahead",
                                        NULL};
    static const char *const none[] = {NULL};
    assert_string_equal(m2c_nearest("polcy", names), "policy");
    assert_string_equal(m2c_nearest("byets", names), "bytes"); /* one swap */
    assert_string_equal(m2c_nearest("lookahed", names), "lookahead");
    assert_string_equal(m2c_nearest("queue-depht", names), "queue_depth");
    assert_null(m2c_nearest("zzzz", names));
    assert_null(m2c_nearest("", names));
    assert_null(m2c_nearest("x", none));
    char word[300];
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = 0;
    assert_null(m2c_nearest(word, names));
}

static void checked_sizes(void **state)
{
    (void)state;
    size_t out = 7;
    assert_true(m2c_mul_size(0, SIZE_MAX, &out) && out == 0);
    assert_true(m2c_mul_size(SIZE_MAX, 0, &out) && out == 0);
    assert_true(m2c_mul_size(SIZE_MAX / 3, 3, &out) && out == SIZE_MAX / 3 * 3);
    out = 7;
    assert_false(m2c_mul_size(SIZE_MAX / 2 + 1, 2, &out));
    assert_false(m2c_add_size(SIZE_MAX, 1, &out));
    assert_int_equal(out, 7);
    assert_true(m2c_add_size(SIZE_MAX, 0, &out));
    assert_true(m2c_range_ok(0, 0, 0) && m2c_range_ok(5, 5, 10) &&
                m2c_range_ok(10, 0, 10));
    assert_false(m2c_range_ok(11, 0, 10));
    assert_false(m2c_range_ok(5, 6, 10));
    assert_false(m2c_range_ok(UINT64_MAX, 2, 10));
    assert_false(m2c_range_ok(2, UINT64_MAX, 10));
    assert_int_equal(m2c_align_up(0, 64), 0);
    assert_int_equal(m2c_align_up(1, 64), 64);
    assert_int_equal(m2c_align_up(64, 64), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(nearest),
        cmocka_unit_test(checked_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
