/* SPDX-License-Identifier: MIT */
/* The shapes of known models against the sizes that their makers publish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ops/preset.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Parameters of a model of m2c's architecture. */
static uint64_t params(const struct m2c_model_cfg *c)
{
    uint64_t d = c->dim, q = (uint64_t)c->heads * c->head_dim;
    uint64_t kv = (uint64_t)c->kv_heads * c->head_dim;
    uint64_t layer =
        d * q * 2 + d * kv * 2 + d * c->hidden * (c->has_gate ? 3 : 2) + 2 * d;
    return layer * c->layers + d * c->vocab * (c->tied_head ? 1 : 2) + d;
}

static void test_sizes(void **state)
{
    (void)state;
    /* Exact counts of the public checkpoints; Falcon's has two layer norms with
     * bias a layer and a final one, where the shape has RMS norms. */
    static const struct {
        const char *name;
        uint64_t params;
    } known[] = {
        {"1b", UINT64_C(1100048384)},
        {"7b", UINT64_C(6738415616)},
        {"13b", UINT64_C(13015864320)},
        {"70b", UINT64_C(68976648192)},
        {"40b-falcon", UINT64_C(41303293952) - UINT64_C(8192) * (2 * 60 + 1)},
        {"7b-relu", UINT64_C(6738415616)},
        {"13b-relu", UINT64_C(13015864320)},
        {"70b-relu", UINT64_C(68976648192)},
    };
    for (size_t i = 0; i < M2C_COUNTOF(known); i++) {
        const struct m2c_preset *p = m2c_preset_find(known[i].name, NULL);
        assert_non_null(p);
        assert_int_equal(params(&p->cfg), known[i].params);
    }
}

static void test_all(void **state)
{
    (void)state;
    size_t n;
    const struct m2c_preset *p = m2c_preset_list(&n);
    assert_true(n >= 6);
    for (size_t i = 0; i < n; i++) {
        struct m2c_err err = {0};
        assert_int_equal(m2c_model_cfg_check(&p[i].cfg, &err), 0);
        assert_ptr_equal(m2c_preset_find(p[i].name, &err), &p[i]);
        assert_ptr_equal(strstr(p[i].cfg.name, p[i].name), p[i].cfg.name);
        assert_true(isnan(p[i].density) || (p[i].density > 0 && p[i].density < 1));
    }
    struct m2c_err err = {0};
    assert_null(m2c_preset_find("7b-rleu", &err));
    assert_int_equal(err.code, -EINVAL);
    assert_non_null(strstr(err.msg, "did you mean '7b-relu'"));
    assert_non_null(strstr(err.msg, "70b-relu"));
    assert_null(m2c_preset_find("", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
