/* SPDX-License-Identifier: MIT */
/* A store that rots or shrinks under a running engine: `verify = always` sees it
 * whenever a block arrives, `first` the first time, `never` not at all, and what
 * is seen never reaches a logit. Argument: the I/O engine; exits 77 where there
 * is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct model model;
static const char *engine;

enum { LAYER = 4, TOKENS = 3 }; /* of 6, three of which fit: it comes anew each token */

static struct m2c_engine *open_engine(enum m2c_verify verify)
{
    struct m2c_engine_cfg cfg;
    struct m2c_engine *e = NULL;
    struct m2c_err err = {0};
    model_cfg(&model, .3, &cfg);
    cfg.active = 1; /* whatever is damaged is wanted */
    cfg.selector = "all";
    cfg.tier.engine = engine;
    cfg.tier.io.direct = strstr("libaio io_uring", engine) != NULL;
    cfg.tier.verify = verify;
    if (m2c_engine_open(&e, model.store, &cfg, &err) < 0)
        fail_msg("%s", err.msg);
    return e;
}

/* 0, or the failure of the first token that fails. The sum of all logits tells
 * whether they are the same. */
static int decode(struct m2c_engine *e, int n, double *sum, struct m2c_err *err)
{
    int r = 0;
    *sum = 0;
    for (int i = 0; i < n && r == 0; i++) {
        const float *logits;
        r = m2c_engine_decode(e, (int32_t)model.text.piece[0].ids[i], &logits, err);
        for (uint32_t k = 0; r == 0 && k < m2c_engine_vocab(e); k++)
            *sum += (double)logits[k] * (k % 7 + 1);
    }
    return r;
}

/* One byte of each part of the layer's neuron 5; flipping twice mends. */
static void flip(void)
{
    int fd = open(model.path, O_RDWR);
    assert_true(fd >= 0);
    for (uint32_t x = 0; x < m2c_store_extents(model.store); x++) {
        struct m2c_store_range r;
        unsigned char byte;
        m2c_store_extent(model.store, LAYER, x, &r);
        off_t at = (off_t)(r.offset + 5 * (uint64_t)r.stride + 3);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 1 << 4;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    assert_int_equal(fsync(fd) | close(fd), 0);
}

static double truth;

static void expect_right(int r, double sum, const struct m2c_err *err)
{
    if (r < 0)
        fail_msg("%s", err->msg);
    assert_true(sum == truth);
}

/* -EIO, naming file and dataset; the engine then stays shut. */
static void expect_found(struct m2c_engine *e, int r, struct m2c_err *err)
{
    double sum;
    assert_int_equal(r, -EIO);
    assert_non_null(strstr(err->msg, model.path));
    assert_non_null(strstr(err->msg, "/ffn/4/"));
    assert_true(decode(e, 1, &sum, err) < 0);
}

static void before_it_is_read(void **state)
{
    static const enum m2c_verify all[] = {M2C_VERIFY_ALWAYS, M2C_VERIFY_FIRST,
                                          M2C_VERIFY_NEVER};
    (void)state;
    for (size_t i = 0; i < M2C_COUNTOF(all); i++) {
        struct m2c_err err = {0};
        double sum;
        struct m2c_engine *e = open_engine(all[i]);
        flip();
        int r = decode(e, TOKENS, &sum, &err);
        if (all[i] == M2C_VERIFY_NEVER)
            assert_true(r == 0 && sum != truth);
        else
            expect_found(e, r, &err);
        m2c_engine_close(e);
        flip();
    }
}

static void after_it_was_read(void **state)
{
    static const enum m2c_verify all[] = {M2C_VERIFY_ALWAYS, M2C_VERIFY_FIRST,
                                          M2C_VERIFY_NEVER};
    (void)state;
    for (size_t i = 0; i < M2C_COUNTOF(all); i++) {
        struct m2c_err err = {0};
        double sum;
        struct m2c_engine *e = open_engine(all[i]);
        int r = decode(e, TOKENS, &sum, &err);
        expect_right(r, sum, &err);
        flip();
        r = decode(e, 1, &sum, &err);
        if (all[i] == M2C_VERIFY_ALWAYS)
            expect_found(e, r, &err);
        else
            assert_int_equal(r, 0);
        m2c_engine_close(e);
        flip();
    }
}

/* Without checksums, too: what is not there is not computed with. */
static void shrunk(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    double sum;
    struct m2c_store_range at;
    struct m2c_engine *e = open_engine(M2C_VERIFY_NEVER);
    int r = decode(e, TOKENS, &sum, &err);
    expect_right(r, sum, &err);
    m2c_store_extent(model.store, LAYER, 0, &at);
    assert_int_equal(truncate(model.path, (off_t)(at.offset + at.bytes / 2)), 0);
    assert_int_equal(decode(e, 1, &sum, &err), -ENODATA);
    assert_non_null(strstr(err.msg, model.path));
    assert_non_null(strstr(err.msg, "/ffn/"));
    assert_non_null(strstr(err.msg, "the file ends early"));
    assert_true(decode(e, 1, &sum, &err) < 0);
    m2c_engine_close(e);
}

int main(int argc, char **argv)
{
    struct m2c_err err = {0};
    if (argc != 2)
        return 1;
    engine = argv[1];
    if (m2c_io_probe(engine, &err) < 0) {
        printf("skipped: %s\n", err.msg);
        return 77;
    }
    char name[64];
    snprintf(name, sizeof name, "damage-%s", engine);
    model_open(&model, name);
    struct m2c_engine *e = open_engine(M2C_VERIFY_ALWAYS);
    int r = decode(e, TOKENS, &truth, &err);
    m2c_engine_close(e);
    if (r < 0) {
        printf("%s\n", err.msg);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_it_is_read), cmocka_unit_test(after_it_was_read),
        cmocka_unit_test(shrunk), /* last: the file is gone then */
    };
    r = cmocka_run_group_tests(tests, NULL, NULL);
    model_close(&model);
    return r;
}
