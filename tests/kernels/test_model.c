/* SPDX-License-Identifier: MIT */
/* Names of ops, and every refusal of a model's shape. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ops/model.h"
#include "ops/ref.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const struct m2c_model_cfg good = {
    .name = "test", .arch = "llama", .dim = 64, .hidden = 172, .layers = 5, .heads = 8,
    .kv_heads = 4, .head_dim = 8, .vocab = 512, .ctx = 512, .experts = 1, .has_gate = true,
    .act = M2C_ACT_SILU, .norm_eps = 1e-5f, .rope = M2C_ROPE_HALF, .rope_theta = 10000,
    .bos = 1, .eos = 2};

static void test_good(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_model_cfg c = good;
    assert_int_equal(m2c_model_cfg_check(&c, &err), 0);
    c.bos = c.eos = -1;
    c.norm_eps = 0;
    assert_int_equal(m2c_model_cfg_check(&c, &err), 0);
    c.layers = 80, c.dim = 8192, c.hidden = 28672, c.heads = 64, c.kv_heads = 8;
    c.head_dim = 128, c.vocab = 128256, c.ctx = 131072;
    assert_int_equal(m2c_model_cfg_check(&c, &err), 0);
}

static void test_refused(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_model_cfg c;
#define REFUSED(word, ...)                                                               \
    do {                                                                                 \
        c = good;                                                                        \
        __VA_ARGS__;                                                                     \
        assert_int_equal(m2c_model_cfg_check(&c, &err), -EINVAL);                        \
        assert_ptr_equal(strstr(err.msg, word), err.msg);                                \
    } while (0)
    REFUSED("dim", c.dim = 0);
    REFUSED("dim", c.dim = UINT32_MAX);
    REFUSED("hidden", c.hidden = 0);
    REFUSED("layers", c.layers = 100000);
    REFUSED("heads", c.heads = 0);
    REFUSED("kv_heads", c.kv_heads = 0);
    REFUSED("heads", c.kv_heads = 3);
    REFUSED("heads", c.heads = 1 << 20, c.kv_heads = 1 << 20, c.head_dim = 1 << 10);
    REFUSED("head_dim", c.head_dim = 7);
    REFUSED("vocab", c.vocab = 0);
    REFUSED("ctx", c.ctx = 0);
    REFUSED("a cache", c.ctx = 1 << 24, c.heads = c.kv_heads = 1 << 10, c.head_dim = 1 << 10);
    REFUSED("experts", c.experts = 0);
    REFUSED("act", c.act = (enum m2c_act)9);
    REFUSED("rope", c.rope = (enum m2c_rope)9);
    REFUSED("act_shift", c.act_shift = NAN);
    REFUSED("input_relu_shift", c.input_relu_shift = INFINITY);
    REFUSED("norm_eps", c.norm_eps = NAN);
    REFUSED("norm_eps", c.norm_eps = -1);
    REFUSED("rope_theta", c.rope_theta = 0);
    REFUSED("rope_theta", c.rope_theta = NAN);
    REFUSED("bos", c.bos = 512);
    REFUSED("eos", c.eos = -2);
    REFUSED("arch", c.arch[0] = 'x');
    REFUSED("arch", memset(c.arch, 'x', sizeof(c.arch)));
    REFUSED("name", memset(c.name, 'x', sizeof(c.name)));
#undef REFUSED
}

static void test_names(void **state)
{
    (void)state;
    for (int op = 0; op < M2C_N_OPS; op++) {
        assert_non_null(m2c_ref((enum m2c_op)op));
        assert_string_not_equal(m2c_op_name((enum m2c_op)op), "?");
    }
    for (int act = 0; act < M2C_N_ACTS; act++)
        assert_string_not_equal(m2c_act_name((enum m2c_act)act), "?");
    assert_string_equal(m2c_op_name(M2C_OP_FFN_UP), "ffn_up");
    assert_string_equal(m2c_op_name((enum m2c_op)99), "?");
    assert_string_equal(m2c_act_name((enum m2c_act)99), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
