/* SPDX-License-Identifier: MIT */
/* Element types. Half precision is checked against a definition of its
 * own: all 65,536 values in double, and rounding by search for the nearest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "base/type.h"

static void names(void **state)
{
    (void)state;
    static const char *const want[] = {"f32", "f16", "bf16", "i8", "i4",
                                       "p16", "p8",  "d4",   "d8"};
    enum m2c_type t;
    for (unsigned i = 0; i < M2C_N_TYPES; i++) {
        assert_string_equal(m2c_type_name((enum m2c_type)i), want[i]);
        assert_int_equal(m2c_type_parse(want[i], &t), 0);
        assert_int_equal(t, i);
        assert_int_equal(m2c_type_digits(t), i >= M2C_D4);
        assert_int_equal(m2c_type_grouped(t), i >= M2C_I8 && i < M2C_D4);
        assert_int_equal(m2c_type_planes(t), t == M2C_P16 ? 3 : t == M2C_P8 ? 2 : 1);
    }
    assert_string_equal(m2c_type_name(M2C_N_TYPES), "?");
    assert_int_equal(m2c_type_parse("f64", &t), -EINVAL);
    assert_int_equal(m2c_type_parse("", &t), -EINVAL);
}

static void sizes(void **state)
{
    (void)state;
    assert_int_equal(m2c_code_bytes(M2C_F32, 100), 400);
    assert_int_equal(m2c_code_bytes(M2C_F16, 100), 200);
    assert_int_equal(m2c_code_bytes(M2C_BF16, 3), 6);
    assert_int_equal(m2c_code_bytes(M2C_I8, 100), 100);
    assert_int_equal(m2c_code_bytes(M2C_I4, 100), 50);
    assert_int_equal(m2c_code_bytes(M2C_I4, 101), 51);
    assert_int_equal(m2c_code_bytes(M2C_I4, 0), 0);
    assert_int_equal(m2c_code_bytes(M2C_P16, 101), 51 + 51 + 101);
    assert_int_equal(m2c_code_bytes(M2C_P8, 101), 51 + 51);
    assert_int_equal(m2c_code_bytes(M2C_D4, 101), 51);
    assert_int_equal(m2c_code_bytes(M2C_D8, 101), 101);
    assert_int_equal(m2c_plane_off(M2C_P16, 2, 101), 102);
    assert_int_equal(m2c_plane_off(M2C_P8, 1, 101), 51);
    assert_int_equal(m2c_plane_off(M2C_I8, 0, 101), 0);
    assert_int_equal(m2c_scale_bytes(M2C_P16, 33), 4);
    assert_int_equal(m2c_scale_bytes(M2C_D4, 33), 0);
    assert_int_equal(m2c_scale_bytes(M2C_F16, 100), 0);
    assert_int_equal(m2c_scale_bytes(M2C_I8, 0), 0);
    assert_int_equal(m2c_scale_bytes(M2C_I8, 1), 2);
    assert_int_equal(m2c_scale_bytes(M2C_I4, 32), 2);
    assert_int_equal(m2c_scale_bytes(M2C_I4, 33), 4);
    assert_int_equal(m2c_scale_bytes(M2C_I8, 100), 8);
}

/* A format of 16 bits by its definition (IEEE 754): `man` bits of mantissa,
 * exponent bias `bias`. Infinity at the all-ones exponent counts as the next
 * power of two, which is what round-to-nearest compares with. */
struct format {
    int man, bias;
    uint16_t (*round)(float);
    float (*widen)(uint16_t);
};

static const struct format formats[] = {
    {10, 15, m2c_f32_to_f16, m2c_f16_to_f32},
    {7, 127, m2c_f32_to_bf16, m2c_bf16_to_f32},
};

static double value_of(const struct format *f, unsigned h)
{
    unsigned man = h & ((1u << f->man) - 1), e = (h & 0x7fffu) >> f->man;
    double x = e ? ldexp(man + (double)(1u << f->man), (int)e - f->bias - f->man)
                 : ldexp(man, 1 - f->bias - f->man);
    return h & 0x8000u ? -x : x;
}

static bool is_nan16(const struct format *f, unsigned h)
{
    return (h & 0x7fffu) > (0x7fffu >> f->man) << f->man;
}

static unsigned infinity16(const struct format *f)
{
    return (0x7fffu >> f->man) << f->man;
}

static void all_values(void **state)
{
    (void)state;
    for (size_t k = 0; k < M2C_COUNTOF(formats); k++) {
        const struct format *f = &formats[k];
        for (unsigned h = 0; h < 65536; h++) {
            float x = f->widen((uint16_t)h);
            if (is_nan16(f, h)) {
                assert_true(isnan(x));
                assert_true(is_nan16(f, f->round(x)));
                continue;
            }
            if ((h & 0x7fffu) == infinity16(f))
                assert_true(isinf(x) && !signbit(x) == !(h >> 15));
            else
                assert_true((double)x == value_of(f, h) && !signbit(x) == !(h >> 15));
            assert_int_equal(f->round(x), h);
        }
    }
}

/* The nearest magnitude by bisection over the codes, ties to the even one. */
static unsigned nearest_code(const struct format *f, double mag)
{
    unsigned lo = 0, hi = infinity16(f);
    if (mag >= value_of(f, hi))
        return hi;
    while (hi - lo > 1) {
        unsigned mid = (lo + hi) / 2;
        if (value_of(f, mid) <= mag)
            lo = mid;
        else
            hi = mid;
    }
    double down = mag - value_of(f, lo), up = value_of(f, hi) - mag;
    if (down == up)
        return lo & 1 ? hi : lo;
    return down < up ? lo : hi;
}

static void expect_rounding(const struct format *f, float x)
{
    if (isnan(x)) {
        assert_true(is_nan16(f, f->round(x)));
        return;
    }
    unsigned want = isinf(x) ? infinity16(f) : nearest_code(f, fabs((double)x));
    assert_int_equal(f->round(x), want | (signbit(x) ? 0x8000u : 0));
}

static float from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* Around every value and every midpoint between two, and random floats. */
static void rounding(void **state)
{
    (void)state;
    for (size_t k = 0; k < M2C_COUNTOF(formats); k++) {
        const struct format *f = &formats[k];
        for (unsigned h = 0; h < infinity16(f); h++) {
            float mid = (float)((value_of(f, h) + value_of(f, h + 1)) / 2);
            float x = f->widen((uint16_t)h);
            const float near[] = {x,
                                  mid,
                                  nextafterf(mid, 0),
                                  nextafterf(mid, INFINITY),
                                  nextafterf(x, 0),
                                  nextafterf(x, INFINITY)};
            for (size_t i = 0; i < M2C_COUNTOF(near); i++) {
                expect_rounding(f, near[i]);
                expect_rounding(f, -near[i]);
            }
        }
        struct m2c_rng r;
        m2c_rng_init(&r, 1, k);
        for (int i = 0; i < 500000; i++)
            expect_rounding(f, from_bits(m2c_rng_u32(&r)));
        expect_rounding(f, 65519.996f);
        expect_rounding(f, 65520.0f);
        expect_rounding(f, INFINITY);
        expect_rounding(f, from_bits(0x7f800001)); /* a NaN whose bits vanish */
        expect_rounding(f, from_bits(0xffffffff));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(sizes),
        cmocka_unit_test(all_values),
        cmocka_unit_test(rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
