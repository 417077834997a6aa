/* SPDX-License-Identifier: MIT */
/* Hashes: any split of a stream gives the hash of the block. The published
 * values are those of xxhsum 0.8 for the empty input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"

static void published(void **state)
{
    (void)state;
    char hex[33];
    assert_true(m2c_hash64("", 0) == UINT64_C(0x2d06800538d394c2));
    m2c_hash_hex(m2c_hash128("", 0), hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
}

static void stream_is_block(void **state)
{
    (void)state;
    enum { MAX = 1100 }; /* past XXH3's stripes, blocks and inner buffer */
    unsigned char data[MAX];
    struct m2c_rng rng;
    m2c_rng_init(&rng, 1, 0);
    for (size_t i = 0; i < MAX; i++)
        data[i] = (unsigned char)m2c_rng_u32(&rng);
    for (size_t n = 0; n <= MAX; n = n < 300 ? n + 1 : n + 97) {
        struct m2c_hash128 whole = m2c_hash128(data, n);
        for (size_t cut = 0; cut <= n; cut++) {
            struct m2c_hasher *h;
            assert_int_equal(m2c_hasher_open(&h), 0);
            m2c_hasher_add(h, data, cut);
            m2c_hasher_add(h, NULL, 0);
            m2c_hasher_add(h, data + cut, n - cut);
            assert_true(m2c_hash_equal(m2c_hasher_end(h), whole));
            m2c_hasher_close(h);
        }
    }
    m2c_hasher_close(NULL);
}

static void every_byte_counts(void **state)
{
    (void)state;
    unsigned char data[300] = {0};
    struct m2c_hash128 zero = m2c_hash128(data, sizeof data);
    uint64_t zero64 = m2c_hash64(data, sizeof data);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = 1;
        assert_false(m2c_hash_equal(m2c_hash128(data, sizeof data), zero));
        assert_true(m2c_hash64(data, sizeof data) != zero64);
        data[i] = 0;
    }
}

static void hex(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "0123456789abcdef0123456789abcde",
                                      "0123456789abcdef0123456789abcdef0",
                                      "0123456789ABCDEF0123456789abcdef",
                                      "0123456789abcdef 123456789abcdef",
                                      "0x23456789abcdef0123456789abcdef"};
    struct m2c_hash128 h = {0, 0};
    char text[33];
    assert_int_equal(m2c_hash_parse("0123456789abcdeffedcba9876543210", &h), 0);
    assert_true(h.hi == UINT64_C(0x0123456789abcdef) &&
                h.lo == UINT64_C(0xfedcba9876543210));
    m2c_hash_hex(h, text);
    assert_string_equal(text, "0123456789abcdeffedcba9876543210");
    for (size_t i = 0; i < M2C_COUNTOF(bad); i++)
        assert_int_equal(m2c_hash_parse(bad[i], &h), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published),
        cmocka_unit_test(stream_is_block),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
