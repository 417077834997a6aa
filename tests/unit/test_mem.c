/* SPDX-License-Identifier: MIT */
/* Aligned memory and the arena, with sizes that overflow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"

static void pages(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, (8 << 20) + 1};
    for (size_t i = 0; i < M2C_COUNTOF(sizes); i++) {
        unsigned char *p = NULL;
        assert_int_equal(m2c_pages_alloc(sizes[i], (void **)&p), 0);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % M2C_PAGE, 0);
        for (size_t k = 0; k < sizes[i]; k += 512)
            assert_int_equal(p[k], 0);
        memset(p, 0xff, sizes[i]);
        m2c_pages_free(p, sizes[i]);
    }
    m2c_pages_free(NULL, 100);
}

static void pages_overflow(void **state)
{
    (void)state;
    void *p = (void *)1;
    assert_int_equal(m2c_pages_alloc(SIZE_MAX, &p), -ENOMEM);
    assert_int_equal(m2c_pages_alloc(SIZE_MAX - M2C_PAGE + 1, &p), -ENOMEM);
    assert_int_equal(m2c_pages_alloc(SIZE_MAX / 2, &p), -ENOMEM);
    assert_ptr_equal(p, (void *)1);
}

static void arena(void **state)
{
    (void)state;
    struct m2c_arena *a;
    unsigned char *p[400];
    assert_int_equal(m2c_arena_open(&a), 0);
    for (size_t i = 0; i < M2C_COUNTOF(p); i++) {
        size_t n = i * i % 5000; /* 0, small, and past what a block has left */
        p[i] = m2c_arena_alloc(a, n);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % M2C_CACHE_LINE, 0);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(p[i][k], 0);
        memset(p[i], (int)i, n);
    }
    for (size_t i = 0; i < M2C_COUNTOF(p); i++) { /* none overlaps another */
        for (size_t k = 0; k < i * i % 5000; k++)
            assert_int_equal(p[i][k], i & 0xff);
    }
    unsigned char *big = m2c_arena_alloc(a, 1 << 20);
    assert_non_null(big);
    memset(big, 1, 1 << 20);
    assert_string_equal(m2c_arena_strdup(a, "layer.0"), "layer.0");
    assert_string_equal(m2c_arena_strdup(a, ""), "");
    m2c_arena_close(a);
    m2c_arena_close(NULL);
}

static void arena_overflow(void **state)
{
    (void)state;
    struct m2c_arena *a;
    assert_int_equal(m2c_arena_open(&a), 0);
    assert_null(m2c_arena_alloc(a, SIZE_MAX));
    assert_null(m2c_arena_alloc(a, SIZE_MAX - 100000));
    assert_null(m2c_arena_array(a, SIZE_MAX / 2, 3));
    assert_null(m2c_arena_array(a, (size_t)1 << 33, (size_t)1 << 33));
    uint64_t *x = m2c_arena_array(a, 10, sizeof *x);
    assert_non_null(x);
    x[9] = 1;
    m2c_arena_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages),
        cmocka_unit_test(pages_overflow),
        cmocka_unit_test(arena),
        cmocka_unit_test(arena_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
