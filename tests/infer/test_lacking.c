/* SPDX-License-Identifier: MIT */
/* A device without kernels for a class of the store is refused when the engine
 * opens, by the names of class, layout and device; one that lacks only what the
 * plan does not use is not. The device is the cpu, whose answer to
 * m2c_dev_supports is bent by the linker (--wrap). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct model model;
static enum m2c_type lacking_type; /* M2C_N_TYPES: nothing */
static enum m2c_op lacking_op;

bool __real_m2c_dev_supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type);
bool __wrap_m2c_dev_supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type);

bool __wrap_m2c_dev_supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type)
{
    return (type != lacking_type || op != lacking_op) &&
           __real_m2c_dev_supports(dev, op, type);
}

/* Opens the engine on a device without this op of this type. */
static int open_without(enum m2c_op op, enum m2c_type type, const char *selector,
                        const double share[3], struct m2c_err *err)
{
    struct m2c_engine_cfg cfg;
    struct m2c_engine *e = NULL;
    model_cfg(&model, .5, &cfg);
    cfg.selector = selector;
    cfg.active = 1;
    memcpy(cfg.tier.ratio.share, share, 3 * sizeof(*share));
    lacking_op = op;
    lacking_type = type;
    int r = m2c_engine_open(&e, model.store, &cfg, err);
    lacking_type = M2C_N_TYPES;
    m2c_engine_close(e);
    return r;
}

static void says(const struct m2c_err *err, const char *word)
{
    if (!strstr(err->msg, word))
        fail_msg("'%s' does not say '%s'", err->msg, word);
}

static void test_refused(void **state)
{
    (void)state;
    static const double all[] = {.25, .25, .5}, narrow[] = {0, .5, .5};
    struct m2c_err err = {0};
    assert_int_equal(open_without(M2C_OP_FFN_UP, M2C_P16, "all", all, &err), -ENOTSUP);
    static const char *const words[] = {"i16", "planes", "p16", "cpu", "ffn_up"};
    for (size_t i = 0; i < M2C_COUNTOF(words); i++)
        says(&err, words[i]);
    assert_int_equal(open_without(M2C_OP_FFN_DOWN, M2C_P8, "all", narrow, &err), -ENOTSUP);
    says(&err, "ffn_down");
    says(&err, "p8");
    /* An oracle reads the widest class whatever the ratio. */
    assert_int_equal(open_without(M2C_OP_FFN_UP, M2C_P16, "oracle", narrow, &err), -ENOTSUP);
}

static void test_not_needed(void **state)
{
    (void)state;
    static const double all[] = {.25, .25, .5}, narrow[] = {0, .5, .5};
    struct m2c_err err = {0};
    const struct {
        enum m2c_op op;
        enum m2c_type type;
        const char *selector;
        const double *share;
    } fine[] = {{M2C_OP_FFN_UP, M2C_N_TYPES, "oracle", all},
                {M2C_OP_FFN_UP, M2C_I8, "oracle", all},
                {M2C_OP_FFN_UP, M2C_P16, "all", narrow},
                {M2C_OP_FFN_DOWN, M2C_P16, "oracle", narrow}};
    for (size_t i = 0; i < M2C_COUNTOF(fine); i++)
        if (open_without(fine[i].op, fine[i].type, fine[i].selector, fine[i].share, &err) < 0)
            fail_msg("case %zu: %s", i, err.msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_not_needed)};
    lacking_type = M2C_N_TYPES;
    model_open_as(&model, "lacking", "planes", "part");
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    model_close(&model);
    return r;
}
