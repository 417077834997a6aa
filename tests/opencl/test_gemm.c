/* SPDX-License-Identifier: MIT */
/* Products of many rows on OpenCL: which way device.gemm chooses, and a matrix
 * with more rows than the library is given at once, which the kernel program's
 * shapes do not reach. Exit 77 without a driver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "dev/opencl_impl.h"
#include "m2c_config.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { OUTS = 8192 + 7, COLS = 5, ROWS = 32 + 3 };

static int open_with(const char *gemm, struct m2c_dev **dev, struct m2c_err *err)
{
    struct m2c_dev_cfg cfg = {.backend = "opencl", .gemm = gemm};
    return m2c_dev_open(dev, &cfg, err);
}

static uint32_t rows_with(const char *gemm, bool *processor)
{
    struct m2c_dev *dev;
    struct m2c_err err = {0};
    if (open_with(gemm, &dev, &err) < 0)
        fail_msg("%s: %s", gemm ? gemm : "no word", err.msg);
    uint32_t rows = m2c_dev_info(dev)->gemm_rows;
    *processor = m2c_dev_info(dev)->processor;
    m2c_dev_close(dev);
    return rows;
}

static void chosen(void **state)
{
    struct m2c_dev *dev;
    struct m2c_err err = {0};
    bool processor;
    (void)state;
    assert_int_equal(rows_with("own", &processor), UINT32_MAX);
    const bool library = M2C_HAVE_CLBLAST && !processor;
    assert_int_equal(rows_with("auto", &processor) != UINT32_MAX, library);
    assert_int_equal(rows_with(NULL, &processor) != UINT32_MAX, library);
    assert_int_equal(open_with("cublas", &dev, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "device.gemm = cublas: it is auto, own or blas"));
    if (M2C_HAVE_CLBLAST) {
        assert_true(rows_with("blas", &processor) <= ROWS);
    } else {
        assert_int_equal(open_with("blas", &dev, &err), -ENOTSUP);
        assert_non_null(strstr(err.msg, "without CLBlast"));
    }
}

/* Operands in one buffer each, and the host's in another. */
struct product {
    struct m2c_dev *dev;
    struct m2c_queue *queue;
    struct m2c_buf *dev_buf, *host_buf;
    float *w, *x, *y;
    size_t w_at, x_at, y_at, bytes;
};

static void make(struct product *p)
{
    struct m2c_err err = {0};
    struct m2c_rng rng;
    if (open_with("blas", &p->dev, &err) < 0 ||
        m2c_queue_open(p->dev, "test", &p->queue, &err) < 0)
        fail_msg("%s", err.msg);
    p->w_at = 0;
    p->x_at = p->w_at + sizeof(float) * OUTS * COLS;
    p->y_at = p->x_at + sizeof(float) * ROWS * COLS;
    p->bytes = p->y_at + sizeof(float) * ROWS * OUTS;
    assert_int_equal(m2c_dev_alloc(p->dev, M2C_PLACE_DEVICE, p->bytes, &p->dev_buf, &err), 0);
    assert_int_equal(m2c_dev_alloc(p->dev, M2C_PLACE_PINNED, p->bytes, &p->host_buf, &err), 0);
    p->w = p->host_buf->host;
    p->x = p->w + p->x_at / sizeof(float);
    p->y = p->w + p->y_at / sizeof(float);
    m2c_rng_init(&rng, 3, 0);
    for (size_t i = 0; i < p->bytes / sizeof(float); i++)
        p->w[i] = m2c_rng_normal(&rng);
}

static void copy(struct product *p, bool back)
{
    struct m2c_event *ev = NULL;
    struct m2c_err err = {0};
    struct m2c_mem host = {p->host_buf, 0}, dev = {p->dev_buf, 0};
    struct m2c_copy c = {back ? host : dev, back ? dev : host, p->bytes};
    if (m2c_queue_copy(p->queue, &c, 1, &err) < 0 ||
        m2c_queue_record(p->queue, &ev, &err) < 0 || m2c_event_wait(ev, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    m2c_event_free(ev);
}

static void many_outs(void **state)
{
    static float before[ROWS * OUTS];
    struct product p = {0};
    struct m2c_err err = {0};
    (void)state;
    if (!M2C_HAVE_CLBLAST)
        skip();
    make(&p);
    memcpy(before, p.y, sizeof(before));
    copy(&p, false);
    struct m2c_call call = {M2C_OP_MATMUL,
                            .u.matmul = {.w = {M2C_F32, OUTS, COLS, {p.dev_buf, p.w_at}, {0}},
                                         .x = {p.dev_buf, p.x_at},
                                         .y = {p.dev_buf, p.y_at},
                                         .rows = ROWS,
                                         .add = true}};
    if (m2c_queue_launch(p.queue, &call, &err) < 0)
        fail_msg("%s", err.msg);
    copy(&p, true);
    for (uint32_t r = 0; r < ROWS; r++) {
        for (uint32_t o = 0; o < OUTS; o++) {
            double want = before[r * OUTS + o], size = fabs(want);
            for (uint32_t i = 0; i < COLS; i++) {
                double t = (double)p.w[o * COLS + i] * p.x[r * COLS + i];
                want += t;
                size += fabs(t);
            }
            /* COLS products and as many sums, each off by half a unit */
            if (!(fabs(p.y[r * OUTS + o] - want) <= 2 * COLS * 0x1p-24 * size))
                fail_msg("row %u, out %u: %g, not %g", r, o, (double)p.y[r * OUTS + o], want);
        }
    }
    m2c_dev_close(p.dev);
}

int main(void)
{
    struct m2c_dev *dev;
    struct m2c_err err = {0};
    int r = open_with("own", &dev, &err);
    if (r < 0) {
        printf("%s\n", err.msg);
        return r == -ENODEV ? 77 : 1;
    }
    m2c_dev_close(dev);
    const struct CMUnitTest tests[] = {cmocka_unit_test(chosen), cmocka_unit_test(many_outs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
