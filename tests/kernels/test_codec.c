/* SPDX-License-Identifier: MIT */
/* Codecs against their definition, on groups made to hurt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "quant/codec.h"
#include "quant/quant.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { MAX = 4096 };

static float scale_of(const uint8_t *scales, size_t group)
{
    uint16_t h;
    memcpy(&h, scales + 2 * group, 2);
    return m2c_f16_to_f32(h);
}

/* A nested code by its definition in DESIGN's words, each step in double. */
static void check_nested(const float *x, size_t n)
{
    static uint8_t codes[4 * MAX], scales[MAX];
    static float y16[MAX], y8[MAX], y4[MAX];
    struct m2c_coded in = {.plane = {codes, codes + (n + 1) / 2, codes + (n + 1) / 2 * 2},
                           .scales = scales};
    assert_int_equal(m2c_encode(M2C_P16, x, n, codes, scales, NULL), 0);
    m2c_decode_planes(M2C_P16, &in, n, y16);
    m2c_decode_planes(M2C_P8, &in, n, y8);
    m2c_decode_planes(M2C_I4, &in, n, y4);
    for (size_t i = 0; i < n; i++) {
        double s = (double)scale_of(scales, i / M2C_GROUP);
        float amax = 0;
        for (size_t k = i / 32 * 32; k < M2C_MIN(n, i / 32 * 32 + 32); k++)
            amax = fmaxf(amax, fabsf(x[k]));
        assert_true(7 * s >= (double)amax); /* rounded up, and no further */
        uint16_t below = (uint16_t)(m2c_f32_to_f16((float)s) - 1);
        assert_true(s == 0 || 7 * (double)m2c_f16_to_f32(below) < (double)amax);
        if (s == 0) {
            assert_true(x[i] == 0 && y16[i] == 0 && y8[i] == 0 && y4[i] == 0);
            continue;
        }
        double q16 = rint(4096 * ((double)x[i] / s)), q8 = floor((q16 + 128) / 256);
        double q4 = floor((q8 + 8) / 16);
        assert_true(y16[i] == (float)(q16 * (s / 4096)));
        assert_true((double)y8[i] == q8 * (s / 16));
        assert_true((double)y4[i] == q4 * s);
        double w = (double)x[i], slack = fabs(w) * 0x1p-50;
        assert_true(fabs(q16 * (s / 4096) - w) <= s / 8192 + slack);
        assert_true(fabs((double)y8[i] - w) <= s / 32 + s / 8192 + slack);
        assert_true(fabs((double)y4[i] - w) <= s / 2 + s / 32 + s / 8192 + slack);
        assert_true(fabsf(y4[i] - x[i]) <= m2c_plane_bound(M2C_I4, amax));
    }
}

/* Encodes, decodes and holds every element to m2c_code_bound of its group,
 * every scale and code to the definition in quant/codec.h. */
static void check(enum m2c_type type, const float *x, size_t n)
{
    static uint8_t codes[4 * MAX + 1], scales[MAX];
    static float y[MAX];
    struct m2c_err err = {0};
    memset(codes, 0xee, sizeof(codes));
    memset(scales, 0xee, sizeof(scales));
    assert_int_equal(m2c_encode(type, x, n, codes, scales, &err), 0);
    assert_int_equal(codes[m2c_code_bytes(type, n)], 0xee); /* nothing past the end */
    assert_int_equal(scales[m2c_scale_bytes(type, n)], 0xee);
    m2c_decode(type, codes, scales, n, y);
    for (size_t g = 0; g * M2C_GROUP < n; g++) {
        size_t end = M2C_MIN(n, (g + 1) * M2C_GROUP);
        float amax = 0;
        for (size_t i = g * M2C_GROUP; i < end; i++)
            amax = fmaxf(amax, fabsf(x[i]));
        for (size_t i = g * M2C_GROUP; i < end; i++) {
            float bound = m2c_code_bound(type, m2c_type_grouped(type) ? amax : fabsf(x[i]));
            if (!(fabsf(x[i] - y[i]) <= bound))
                fail_msg("%s: %a became %a, bound %a", m2c_type_name(type), (double)x[i],
                         (double)y[i], (double)bound);
        }
        if (type != M2C_I8 && type != M2C_I4)
            continue;
        /* The scale is the nearest f16 to amax / qmax, or the next above it. */
        float want = amax / (type == M2C_I8 ? 127 : 7);
        float least = m2c_f16_to_f32(m2c_f32_to_f16(want)), s = scale_of(scales, g);
        assert_true(s == least || s == m2c_f16_to_f32((uint16_t)(m2c_f32_to_f16(want) + 1)));
        assert_true(amax > 0 || s == 0);
        for (size_t i = g * M2C_GROUP; i < end && s > 0; i++) /* codes: to nearest even */
            assert_true(y[i] == (float)rint((double)x[i] / (double)s) * s);
    }
}

static void check_all(const float *x, size_t n)
{
    for (int t = 0; t < M2C_N_TYPES; t++)
        if (!m2c_type_digits((enum m2c_type)t))
            check((enum m2c_type)t, x, n);
    check_nested(x, n);
}

static void test_random(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 2, 31, 32, 33, 64, 100, 1000, MAX};
    static float x[MAX];
    struct m2c_rng rng;
    for (unsigned k = 0; k < 200; k++) {
        size_t n = lengths[k % M2C_COUNTOF(lengths)];
        m2c_rng_init(&rng, 7, k);
        float size = ldexpf(1, (int)m2c_rng_below(&rng, 24) - 14);
        for (size_t i = 0; i < n; i++)
            x[i] = m2c_rng_normal(&rng) * size;
        check_all(x, n);
    }
}

static void test_zeros(void **state)
{
    (void)state;
    static const float x[100];
    uint8_t codes[400], scales[8];
    check_all(x, 100);
    assert_int_equal(m2c_encode(M2C_I4, x, 100, codes, scales, NULL), 0);
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(codes[i], 0);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(scales[i], 0);
}

static void test_outlier(void **state)
{
    (void)state;
    float x[64];
    for (size_t i = 0; i < 64; i++)
        x[i] = (i % 2 ? 1e-3f : -1e-3f);
    x[5] = -60000;
    x[40] = 1;
    check_all(x, 64);
    x[5] = 0.4999f; /* ties and near-ties of i4 codes */
    x[6] = 3.5f / 7, x[7] = 2.5f / 7, x[8] = -1.5f / 7;
    check_all(x, 64);
}

/* Scales that f16 holds badly or not at all. */
/* Values where the roundings of a nested code add up: ties of q8 and q4. */
static void test_nested_ties(void **state)
{
    (void)state;
    float x[M2C_GROUP] = {7};
    double worst = 0;
    for (int q4 = -7; q4 < 7; q4++) {
        for (int d = -2; d <= 2; d++) {
            for (int i = 1; i < M2C_GROUP; i++)
                x[i] = (float)(4096 * q4 + 2048 - 128 + d) / 4096 + (float)(i - 16) * 0x1p-16f;
            float y[M2C_GROUP];
            uint8_t codes[64], scales[2];
            check_nested(x, M2C_GROUP);
            assert_int_equal(m2c_encode(M2C_P16, x, M2C_GROUP, codes, scales, NULL), 0);
            m2c_decode(M2C_I4, codes, scales, M2C_GROUP, y);
            for (int i = 0; i < M2C_GROUP; i++)
                worst = fmax(worst, fabs((double)y[i] - (double)x[i]));
        }
    }
    assert_true(worst > 0.53125); /* the bound is no larger than it must be */
}

static void test_tiny(void **state)
{
    (void)state;
    float x[M2C_GROUP];
    for (int e = -149; e < -8; e++) {
        for (size_t i = 0; i < M2C_GROUP; i++)
            x[i] = ldexpf((float)(i + 1) / M2C_GROUP, e) * (i % 3 ? 1 : -1);
        check_all(x, M2C_GROUP);
        for (size_t i = 0; i < M2C_GROUP; i++) /* all at the clipping edge */
            x[i] = ldexpf(1.9f, e);
        check_all(x, M2C_GROUP);
    }
}

static void test_extremes(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    uint8_t codes[16], scales[4];
    const float f16_top[] = {65504, -65504}, above[] = {0, 65505, 1};
    check(M2C_F16, f16_top, 2);
    assert_int_equal(m2c_encode(M2C_F16, above, 3, codes, scales, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "element 1 "));
    const float i8_top[] = {65504.0f * 127, -65504.0f * 127};
    check(M2C_I8, i8_top, 2);
    const float i8_above[] = {65504.0f * 128};
    assert_int_equal(m2c_encode(M2C_I8, i8_above, 1, codes, scales, &err), -EINVAL);
    const float i4_top[] = {65504.0f * 7}, i4_above[] = {65504.0f * 8};
    check(M2C_I4, i4_top, 1);
    assert_int_equal(m2c_encode(M2C_I4, i4_above, 1, codes, scales, &err), -EINVAL);
    check_nested(i4_top, 1);
    assert_int_equal(m2c_encode(M2C_P16, i4_above, 1, codes, scales, &err), -EINVAL);
    assert_int_equal(m2c_encode(M2C_D4, f16_top, 1, codes, scales, &err), -EINVAL);
    const float bf16_above[] = {3.4e38f}; /* finite, but rounds to infinity */
    assert_int_equal(m2c_encode(M2C_BF16, bf16_above, 1, codes, scales, &err), -EINVAL);
}

static void test_not_finite(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    uint8_t codes[4 * 40], scales[4];
    for (size_t b = 0; b < M2C_COUNTOF(bad); b++) {
        for (int t = 0; t < M2C_D4; t++) {
            struct m2c_err err = {0};
            float x[40] = {1, 2, 3};
            x[37] = bad[b];
            assert_int_equal(m2c_encode((enum m2c_type)t, x, 40, codes, scales, &err),
                             -EINVAL);
            assert_non_null(strstr(err.msg, "element 37 "));
        }
    }
}

/* Known bytes, so that the format cannot drift: the packing of nibbles, the
 * order of f16 bytes. */
static void test_bytes(void **state)
{
    (void)state;
    const float x[] = {7, -7, 1, 0, -1};
    uint8_t codes[20], scales[2];
    assert_int_equal(m2c_encode(M2C_I4, x, 5, codes, scales, NULL), 0);
    const uint8_t i4[] = {0x97, 0x01, 0x0f}, one[] = {0x00, 0x3c};
    assert_memory_equal(codes, i4, 3);
    assert_memory_equal(scales, one, 2);
    const float y[] = {127, -127, 1, 0, -1};
    assert_int_equal(m2c_encode(M2C_I8, y, 5, codes, scales, NULL), 0);
    const uint8_t i8[] = {0x7f, 0x81, 0x01, 0x00, 0xff};
    assert_memory_equal(codes, i8, 5);
    assert_memory_equal(scales, one, 2);
    /* 4096·w: 28672, -4096 - 255, 2047, -2048 - 128: q8 112, -17, 8, -8 (twice a
     * tie, up), q4 7, -1, 1, 0. */
    const float p[] = {7, -4351 / 4096.0f, 2047 / 4096.0f, -2176 / 4096.0f};
    assert_int_equal(m2c_encode(M2C_P16, p, 4, codes, scales, NULL), 0);
    const uint8_t p16[] = {0xf7, 0x01, 0xf0, 0x88, 0x00, 0x01, 0xff, 0x80};
    assert_memory_equal(codes, p16, 8);
    assert_memory_equal(scales, one, 2);
    const float z[] = {1, -2};
    assert_int_equal(m2c_encode(M2C_F16, z, 2, codes, NULL, NULL), 0);
    const uint8_t f16[] = {0x00, 0x3c, 0x00, 0xc0};
    assert_memory_equal(codes, f16, 4);
}

static double loss(enum m2c_type type, const struct m2c_quant *q, const float *x,
                   const float *w, size_t n)
{
    uint8_t codes[4 * 128], scales[16];
    float y[128];
    struct m2c_coded out = {.plane = {codes, codes + 128, codes + 256}, .scales = scales};
    assert_int_equal(m2c_encode_with(q, type, x, w, n, &out, NULL), 0);
    /* of nested codes the 4-bit reading */
    m2c_decode_planes(type == M2C_P16 ? M2C_I4 : type, &out, n, y);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)w[i] * pow((double)x[i] - (double)y[i], 2);
    if (type == M2C_P16) { /* and its 16-bit one loses nothing by it */
        m2c_decode_planes(type, &out, n, y);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs((double)(x[i] - y[i])) <=
                        (double)scale_of(scales, i / 32) / 8192 + fabs((double)x[i]) * 0x1p-22);
    }
    return sum;
}

/* The calibrated quantiser: never worse by its own measure, often better; what
 * does not matter does not count. */
static void test_moment(void **state)
{
    (void)state;
    static const enum m2c_type types[] = {M2C_I8, M2C_I4, M2C_P16};
    struct m2c_err err = {0};
    const struct m2c_quant *rtn = m2c_quant_find("rtn", &err);
    const struct m2c_quant *moment = m2c_quant_find("moment", &err);
    assert_non_null(rtn);
    assert_non_null(moment);
    assert_true(moment->calibrated && !rtn->calibrated);
    for (size_t t = 0; t < M2C_COUNTOF(types); t++) {
        unsigned better = 0;
        double before = 0, after = 0;
        for (unsigned k = 0; k < 300; k++) {
            struct m2c_rng rng;
            float x[100], w[100];
            m2c_rng_init(&rng, 11, k);
            for (size_t i = 0; i < 100; i++) {
                x[i] = m2c_rng_normal(&rng) * (k % 3 ? 1 : 1e-6f);
                w[i] = k % 2 ? expf(3 * m2c_rng_normal(&rng)) : 1;
            }
            double a = loss(types[t], rtn, x, w, 100), b = loss(types[t], moment, x, w, 100);
            assert_true(b <= a * (1 + 1e-9));
            better += b < a;
            before += k % 3 ? a : 0;
            after += k % 3 ? b : 0;
        }
        print_message("moment, %s: weighted error %.3f of that of rtn, less in %u of 300\n",
                      m2c_type_name(types[t]), after / before, better);
        assert_true(better > 150 && after < 0.99 * before);
    }
    /* one large value of an input that is always zero is cut off */
    float x[32], w[32], y[32];
    uint8_t codes[32], scales[2];
    struct m2c_coded out = {.plane = {codes}, .scales = scales};
    for (size_t i = 0; i < 32; i++) {
        x[i] = (i % 2 ? 1 : -0.4f);
        w[i] = 1;
    }
    x[9] = 1.9f;
    w[9] = 0;
    assert_int_equal(m2c_encode_with(moment, M2C_I4, x, w, 32, &out, &err), 0);
    m2c_decode(M2C_I4, codes, scales, 32, y);
    assert_true(y[9] < 1.9f * 0.8f);
    assert_null(m2c_quant_find("moments", &err));
    assert_non_null(strstr(err.msg, "did you mean 'moment'?"));
    assert_int_equal(m2c_plugin_check((const void *const *)m2c_quant_list(), "quantiser", &err),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),     cmocka_unit_test(test_zeros),
        cmocka_unit_test(test_outlier),    cmocka_unit_test(test_tiny),
        cmocka_unit_test(test_extremes),   cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_bytes),      cmocka_unit_test(test_nested_ties),
        cmocka_unit_test(test_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
