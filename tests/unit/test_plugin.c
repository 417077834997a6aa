/* SPDX-License-Identifier: MIT */
/* Registries: look-up, suggestions, start-up checks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/plugin.h"

struct ops {
    struct m2c_plugin p;
    int value;
};

static const struct ops atu = {{"atu", "adjacent tokens", 8}, 1};
static const struct ops lru = {{"lru", "least recently used", 8}, 2};
static const void *const registry[] = {&atu, &lru, NULL};
static const void *const empty[] = {NULL};

static void find(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    assert_ptr_equal(m2c_plugin_find(registry, "policy", "lru", &err), &lru);
    assert_null(m2c_plugin_find(registry, "policy", "lur", &err));
    assert_int_equal(err.code, -ENOENT);
    assert_string_equal(err.msg,
                        "unknown policy 'lur', did you mean 'lru'? (have: atu, lru)");
    assert_null(m2c_plugin_find(registry, "policy", "belady", &err));
    assert_string_equal(err.msg, "unknown policy 'belady' (have: atu, lru)");
    assert_null(m2c_plugin_find(empty, "policy", "lru", &err));
    assert_string_equal(err.msg, "unknown policy 'lru' (have: )");
    assert_null(m2c_plugin_find(registry, "policy", "lur", NULL));
}

static void expect_fault(struct m2c_plugin p, const char *message)
{
    const struct ops bad = {p, 3};
    const void *const r[] = {&atu, &bad, NULL};
    struct m2c_err err = {0};
    assert_int_equal(m2c_plugin_check(r, "policy", &err), -EINVAL);
    assert_string_equal(err.msg, message);
}

static void check(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    assert_int_equal(m2c_plugin_check(registry, "policy", &err), 0);
    assert_int_equal(m2c_plugin_check(empty, "policy", &err), 0);
    static const char no_name[] = "policy registry: entry 1 has no proper name";
    expect_fault((struct m2c_plugin){NULL, "d", 0}, no_name);
    expect_fault((struct m2c_plugin){"", "d", 0}, no_name);
    expect_fault((struct m2c_plugin){"LRU", "d", 0}, no_name);
    expect_fault((struct m2c_plugin){"l ru", "d", 0}, no_name);
    expect_fault((struct m2c_plugin){"x", NULL, 0}, "policy 'x': no description");
    expect_fault((struct m2c_plugin){"x", "", 0}, "policy 'x': no description");
    expect_fault((struct m2c_plugin){"atu", "again", 0},
                 "policy 'atu': registered twice");
    const void *many[66];
    for (size_t i = 0; i < 65; i++)
        many[i] = &lru;
    many[65] = NULL;
    assert_int_equal(m2c_plugin_check(many, "policy", &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(find), cmocka_unit_test(check)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
