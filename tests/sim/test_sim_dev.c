/* SPDX-License-Identifier: MIT */
/* The simulated device: what copies and ops take, alone, side by side and behind
 * each other, and that its memory is no larger than it says. Times are computed by
 * hand from tests/sim/machine.ini, to the nanosecond. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev/dev.h"

enum { CALL = 1000, LAUNCH = 2000, COPY = 10000 }; /* ns: host's, kernel's, copy's */

static char profile[512];

struct bench {
    struct m2c_dev *dev;
    struct m2c_queue *compute, *copy, *out;
    struct m2c_buf *device, *pinned;
};

static void need(int r, const struct m2c_err *err)
{
    if (r < 0)
        fail_msg("%s", err->msg);
}

static struct bench open_bench(const char *copies)
{
    struct m2c_err err = {0};
    struct bench b = {0};
    struct m2c_dev_cfg cfg = {.backend = "sim", .profile = profile, .copy = copies};
    need(m2c_dev_open(&b.dev, &cfg, &err), &err);
    need(m2c_queue_open(b.dev, "compute", &b.compute, &err), &err);
    need(m2c_queue_open(b.dev, "copy", &b.copy, &err), &err);
    need(m2c_queue_open(b.dev, "out", &b.out, &err), &err);
    need(m2c_dev_alloc(b.dev, M2C_PLACE_DEVICE, 3 << 20, &b.device, &err), &err);
    need(m2c_dev_alloc(b.dev, M2C_PLACE_PINNED, 8 << 20, &b.pinned, &err), &err);
    return b;
}

static uint64_t now(const struct bench *b) { return m2c_dev_now_ns(b->dev); }

static void copy(struct bench *b, struct m2c_queue *q, size_t n, size_t bytes, bool in)
{
    struct m2c_copy batch[8];
    struct m2c_err err = {0};
    for (size_t i = 0; i < n; i++) {
        struct m2c_mem d = {b->device, i * bytes}, h = {b->pinned, i * bytes};
        batch[i] = (struct m2c_copy){in ? d : h, in ? h : d, bytes};
    }
    need(m2c_queue_copy(q, batch, n, &err), &err);
}

/* 1,000,000 bytes at half of 100 a ns: 20 us and the launch. */
enum { FILL_FLOATS = 250000, FILL = LAUNCH + 20000 };
static void fill(struct bench *b)
{
    struct m2c_err err = {0};
    struct m2c_call c = {.op = M2C_OP_FILL};
    c.u.fill = (struct m2c_fill_args){.dst = {b->device, 0}, .n = FILL_FLOATS};
    need(m2c_queue_launch(b->compute, &c, &err), &err);
}

static struct m2c_event *record(struct m2c_queue *q)
{
    struct m2c_err err = {0};
    struct m2c_event *ev = NULL;
    need(m2c_queue_record(q, &ev, &err), &err);
    return ev;
}

/* When all that is on the queue has run; the host waits for it. */
static uint64_t end_of(struct m2c_queue *q)
{
    struct m2c_err err = {0};
    struct m2c_event *ev = record(q);
    uint64_t at = 0;
    need(m2c_event_wait(ev, &at, &err), &err);
    assert_true(m2c_event_passed(ev));
    m2c_event_free(ev);
    return at;
}

static void test_copy(void **state)
{
    struct bench b = open_bench("each");
    (void)state;
    copy(&b, b.copy, 1, 1000000, true);
    assert_int_equal(now(&b), CALL); /* the host goes on at once */
    assert_int_equal(end_of(b.copy), CALL + COPY + 1000000);
    assert_int_equal(now(&b), CALL + COPY + 1000000);
    m2c_dev_close(b.dev);
}

static void test_many_small(void **state)
{
    (void)state;
    struct bench b = open_bench("each");
    copy(&b, b.copy, 8, 4096, true);
    assert_int_equal(end_of(b.copy), 8 * CALL + 8 * COPY + 8 * 4096);
    m2c_dev_close(b.dev);
    b = open_bench("gather"); /* one launch, 100 ns a piece, half the link */
    copy(&b, b.copy, 8, 4096, true);
    assert_int_equal(end_of(b.copy), CALL + LAUNCH + 800 + 2 * 8 * 4096);
    m2c_dev_close(b.dev);
    b = open_bench(NULL); /* whichever is shorter: here the one, there the other */
    copy(&b, b.copy, 8, 4096, true);
    assert_int_equal(end_of(b.copy), CALL + LAUNCH + 800 + 2 * 8 * 4096);
    uint64_t t0 = now(&b);
    copy(&b, b.copy, 1, 1000000, true);
    assert_int_equal(end_of(b.copy), t0 + CALL + COPY + 1000000);
    m2c_dev_close(b.dev);
}

static void test_side_by_side(void **state)
{
    struct bench b = open_bench("each");
    (void)state;
    copy(&b, b.copy, 1, 1000000, true);
    fill(&b);
    fill(&b);
    /* the first begins when it is enqueued, the second behind it */
    assert_int_equal(end_of(b.compute), 2 * CALL + 2 * FILL);
    assert_int_equal(end_of(b.copy), CALL + COPY + 1000000);
    /* two directions at once, but two copies of one direction in turn */
    uint64_t t0 = now(&b);
    copy(&b, b.copy, 1, 100000, true);
    copy(&b, b.out, 1, 100000, false);
    assert_int_equal(end_of(b.copy), t0 + CALL + COPY + 100000);
    assert_int_equal(end_of(b.out), t0 + 2 * CALL + COPY + 100000);
    t0 = now(&b);
    copy(&b, b.copy, 1, 100000, true);
    copy(&b, b.out, 1, 100000, true);
    assert_int_equal(end_of(b.out), t0 + CALL + 2 * (COPY + 100000));
    m2c_dev_close(b.dev);
}

/* A barrier: what comes after an event of another queue waits for it. */
static void test_barrier(void **state)
{
    struct bench b = open_bench("each");
    struct m2c_err err = {0};
    (void)state;
    fill(&b);
    copy(&b, b.copy, 1, 100000, true);
    struct m2c_event *there = record(b.copy);
    need(m2c_queue_after(b.compute, there, &err), &err);
    m2c_event_free(there); /* before the queue has reached it */
    fill(&b);
    struct m2c_event *done = record(b.compute);
    assert_false(m2c_event_passed(done));
    uint64_t arrived = 2 * CALL + COPY + 100000;
    assert_int_equal(end_of(b.copy), arrived);
    assert_int_equal(end_of(b.compute), arrived + FILL);
    assert_true(m2c_event_passed(done));
    m2c_event_free(done);
    /* an event that has passed holds nobody up */
    uint64_t t0 = now(&b);
    done = record(b.copy);
    assert_true(m2c_event_passed(done));
    need(m2c_queue_after(b.compute, done, &err), &err);
    fill(&b);
    assert_int_equal(end_of(b.compute), t0 + CALL + FILL);
    m2c_event_free(done);
    m2c_dev_close(b.dev);
}

static uint64_t launch(struct bench *b, const struct m2c_call *c)
{
    struct m2c_err err = {0};
    uint64_t t0 = now(b);
    need(m2c_queue_launch(b->compute, c, &err), &err);
    return end_of(b->compute) - t0 - CALL - LAUNCH;
}

static void test_roofline(void **state)
{
    struct bench b = open_bench("each");
    struct m2c_call c = {.op = M2C_OP_MATMUL};
    (void)state;
    c.u.matmul = (struct m2c_matmul_args){
        .w = {.type = M2C_F16, .rows = 1000, .cols = 500, .codes = {b.device, 0}},
        .x = {b.device, 1 << 20},
        .y = {b.device, (1 << 20) + (1 << 19)},
        .rows = 1};
    /* 10^6 bytes of weights and 6000 of x and y, at 50 a ns; 10^6 operations take 2 us */
    assert_int_equal(launch(&b, &c), 20120);
    c.u.matmul.rows = 15; /* 15 · 10^6 operations at 500 a ns */
    assert_int_equal(launch(&b, &c), 30000);
    c.u.matmul.rows = 64; /* from 16 rows on at 5000 a ns: 12.8 us; now bytes rule */
    assert_int_equal(launch(&b, &c), 20000 + 64 * 120);
    m2c_dev_close(b.dev);
}

/* A neuron costs by its class; the list says which, and in which pass. */
static void test_list(void **state)
{
    struct bench b = open_bench("each");
    struct m2c_err err = {0};
    struct m2c_buf *lists;
    (void)state;
    need(m2c_dev_alloc(b.dev, M2C_PLACE_DEVICE, 4096, &lists, &err), &err);
    struct m2c_neuron_ref *l = b.pinned->host;
    for (uint32_t i = 0; i < 3; i++)
        l[i] = (struct m2c_neuron_ref){.id = i, .slot = i, .cls = i == 2, .pass = i == 2};
    struct m2c_copy list = {{lists, 0}, {b.pinned, 0}, 3 * sizeof *l};
    need(m2c_queue_copy(b.compute, &list, 1, &err), &err);
    end_of(b.compute);
    struct m2c_ffn_unit u = {.dim = 1280, .n_neurons = 64, .has_gate = true, .n_classes = 2};
    u.cls[0] = (struct m2c_ffn_class){.type = M2C_F16, .base = {b.device, 0}, .stride = 8192};
    u.cls[1] = (struct m2c_ffn_class){.type = M2C_I8, .base = {b.device, 0}, .stride = 8192};
    struct m2c_call c = {.op = M2C_OP_FFN_UP};
    c.u.ffn_up = (struct m2c_ffn_up_args){.unit = &u,
                                          .x = {b.device, 1 << 20},
                                          .list = {lists, 0},
                                          .h = {b.device, (1 << 20) + 65536},
                                          .rows = 1,
                                          .n = 3};
    /* two neurons of two vectors of 2560 bytes at 50 a ns; list and h: 60 bytes more */
    assert_int_equal(launch(&b, &c), 206); /* 204.8 + 1.2 */
    c.u.ffn_up.pass = 1; /* one of two vectors of 1280 + 80 bytes at 25 a ns */
    assert_int_equal(launch(&b, &c), 110); /* 108.8 + 1.2 */
    c.u.ffn_up.pass = M2C_PASS_ANY;
    assert_int_equal(launch(&b, &c), 315); /* 204.8 + 108.8 + 1.2 */
    m2c_dev_close(b.dev);
}

static void test_memory(void **state)
{
    struct bench b = open_bench("each"); /* has taken 3 of 4 MiB, and 8 of 64 */
    struct m2c_err err = {0};
    struct m2c_buf *buf = NULL;
    (void)state;
    assert_int_equal(m2c_dev_info(b.dev)->mem_bytes, 4 << 20);
    assert_true(m2c_dev_info(b.dev)->simulated && !m2c_dev_info(b.dev)->unified);
    assert_null(b.device->host);
    assert_int_equal(m2c_dev_alloc(b.dev, M2C_PLACE_DEVICE, (1 << 20) + 1, &buf, &err), -ENOMEM);
    need(m2c_dev_alloc(b.dev, M2C_PLACE_DEVICE, 1 << 20, &buf, &err), &err);
    assert_int_equal(m2c_dev_alloc(b.dev, M2C_PLACE_DEVICE, 1, &buf, &err), -ENOMEM);
    need(m2c_dev_alloc(b.dev, M2C_PLACE_PINNED, 40 << 20, &buf, &err), &err);
    assert_int_equal(m2c_dev_alloc(b.dev, M2C_PLACE_PINNED, (16 << 20) + 1, &buf, &err), -ENOMEM);
    assert_non_null(strstr(err.msg, "simulated host"));
    need(m2c_dev_alloc(b.dev, M2C_PLACE_HOST, 16 << 20, &buf, &err), &err);
    m2c_dev_close(b.dev);
}

static void test_refused(void **state)
{
    struct m2c_dev *dev;
    struct m2c_err err = {0};
    (void)state;
    assert_int_equal(m2c_dev_open(&dev, &(struct m2c_dev_cfg){.backend = "sim"}, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "device.profile"));
    struct m2c_dev_cfg cfg = {.backend = "sim", .profile = profile, .index = 1};
    assert_int_equal(m2c_dev_open(&dev, &cfg, &err), -ENODEV);
    cfg = (struct m2c_dev_cfg){.backend = "sim", .profile = "/nowhere.ini"};
    assert_int_equal(m2c_dev_open(&dev, &cfg, &err), -ENOENT);
    cfg = (struct m2c_dev_cfg){.backend = "sim", .profile = profile, .copy = "batch"};
    assert_int_equal(m2c_dev_open(&dev, &cfg, &err), -ENOTSUP);
    struct bench b = open_bench("each");
    assert_int_equal(m2c_dev_selftest(b.dev, &err), -ENOTSUP);
    /* closing with work under way drains it */
    copy(&b, b.copy, 8, 65536, true);
    fill(&b);
    m2c_dev_close(b.dev);
}

int main(void)
{
    snprintf(profile, sizeof profile, "%s/tests/sim/machine.ini", getenv("M2C_SOURCE"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy),         cmocka_unit_test(test_many_small),
        cmocka_unit_test(test_side_by_side), cmocka_unit_test(test_barrier),
        cmocka_unit_test(test_roofline),     cmocka_unit_test(test_list),
        cmocka_unit_test(test_memory),       cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("sim device", tests, NULL, NULL);
}
