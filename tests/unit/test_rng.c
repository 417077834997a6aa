/* SPDX-License-Identifier: MIT */
/* Philox against the vectors that its authors publish (Random123,
 * kat_vectors), streams, and what the distributions promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"

static void published_vectors(void **state)
{
    (void)state;
    static const struct {
        uint32_t ctr[4], key[2], out[4];
    } v[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < M2C_COUNTOF(v); i++) {
        uint32_t out[4];
        m2c_philox4x32_10(v[i].ctr, v[i].key, out);
        assert_memory_equal(out, v[i].out, sizeof out);
    }
}

/* The stream is the block function over its counter, low words first. */
static void stream(void **state)
{
    (void)state;
    struct m2c_rng r;
    m2c_rng_init(&r, UINT64_C(0x299f31d0a4093822), UINT64_C(0x0370734413198a2e));
    const uint32_t key[2] = {0xa4093822, 0x299f31d0};
    for (uint32_t block = 0; block < 3; block++) {
        const uint32_t ctr[4] = {block, 0, 0x13198a2e, 0x03707344};
        uint32_t want[4];
        m2c_philox4x32_10(ctr, key, want);
        for (int i = 0; i < 4; i++)
            assert_int_equal(m2c_rng_u32(&r), want[i]);
    }
    struct m2c_rng a, b;
    m2c_rng_init(&a, 1, 2);
    m2c_rng_init(&b, 1, 2);
    uint64_t lo = m2c_rng_u32(&a), hi = m2c_rng_u32(&a);
    assert_true(m2c_rng_u64(&b) == (lo | hi << 32));
    m2c_rng_init(&b, 1, 3);
    m2c_rng_init(&a, 1, 2);
    assert_true(m2c_rng_u64(&a) != m2c_rng_u64(&b));
}

/* Chi-square of n bins; the bound is 5 standard deviations above its mean. */
static void expect_even(const uint32_t *bins, uint32_t n, double draws)
{
    double chi2 = 0, want = draws / n;
    for (uint32_t i = 0; i < n; i++)
        chi2 += (bins[i] - want) * (bins[i] - want) / want;
    assert_true(chi2 < (n - 1) + 5 * sqrt(2.0 * (n - 1)) + 1);
}

static void below(void **state)
{
    (void)state;
    static const uint32_t ns[] = {1, 2, 3, 7, 10, 64, 100};
    struct m2c_rng r;
    m2c_rng_init(&r, 5, 0);
    for (size_t k = 0; k < M2C_COUNTOF(ns); k++) {
        uint32_t bins[100] = {0};
        for (int i = 0; i < 20000; i++) {
            uint32_t x = m2c_rng_below(&r, ns[k]);
            assert_true(x < ns[k]);
            bins[x]++;
        }
        expect_even(bins, ns[k], 20000);
    }
    /* Where n is two thirds of 2^32 a plain remainder would give every value
     * below 2^32 - n twice as often: three quarters of all instead of half. */
    const uint32_t n = 0xaaaaaaaau;
    int low = 0;
    for (int i = 0; i < 20000; i++)
        low += m2c_rng_below(&r, n) < n / 2;
    assert_true(abs(low - 10000) < 5 * 71); /* 71: sqrt(20000 / 4) */
    for (int i = 0; i < 1000; i++)
        assert_true(m2c_rng_below(&r, UINT32_MAX) < UINT32_MAX);
}

static void doubles(void **state)
{
    (void)state;
    struct m2c_rng r;
    uint32_t bins[64] = {0};
    double sum = 0;
    m2c_rng_init(&r, 6, 0);
    for (int i = 0; i < 50000; i++) {
        double x = m2c_rng_double(&r);
        assert_true(x >= 0 && x < 1);
        assert_true(x * 0x1p53 == floor(x * 0x1p53)); /* a multiple of 2^-53 */
        bins[(int)(x * 64)]++;
        sum += x;
    }
    expect_even(bins, 64, 50000);
    assert_true(fabs(sum / 50000 - 0.5) < 5 * sqrt(1.0 / 12 / 50000));
}

static void normals(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct m2c_rng r;
    double s1 = 0, s2 = 0, s3 = 0, s4 = 0;
    int within1 = 0, beyond3 = 0;
    m2c_rng_init(&r, 7, 0);
    for (int i = 0; i < N; i++) {
        double x = m2c_rng_normal(&r);
        assert_true(isfinite(x));
        s1 += x;
        s2 += x * x;
        s3 += x * x * x;
        s4 += x * x * x * x;
        within1 += fabs(x) < 1;
        beyond3 += fabs(x) > 3;
    }
    /* Each within 5 of its own standard deviations: moments 0, 1, 0, 3 with
     * variances 1, 2, 15, 96 over N. */
    assert_true(fabs(s1 / N) < 5 * sqrt(1.0 / N));
    assert_true(fabs(s2 / N - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(s3 / N) < 5 * sqrt(15.0 / N));
    assert_true(fabs(s4 / N - 3) < 5 * sqrt(96.0 / N));
    assert_true(fabs(within1 / (double)N - 0.682689) < 5 * sqrt(0.2166 / N));
    assert_true(fabs(beyond3 / (double)N - 0.0026998) < 5 * sqrt(0.0026925 / N));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(stream),
        cmocka_unit_test(below),
        cmocka_unit_test(doubles),
        cmocka_unit_test(normals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
