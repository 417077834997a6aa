/* SPDX-License-Identifier: MIT */
/* Devices: tables, opening, memory and its budget, support, counters, the
 * self-test of right and of wrong devices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#include "dev/dev_impl.h"

static struct m2c_dev *open_cpu(uint64_t bytes)
{
    struct m2c_err err = {0};
    struct m2c_dev *dev = NULL;
    struct m2c_dev_cfg cfg = {.backend = "cpu", .threads = 2, .bytes = bytes};
    if (m2c_dev_open(&dev, &cfg, &err) < 0)
        fail_msg("%s", err.msg);
    return dev;
}

/* ---- tables ---- */

/* All hooks but close, queue_close and event_free: mandatory, and asked for
 * by name. */
static void tables(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_dev *dev = NULL;
    struct m2c_dev_cfg cfg = {.backend = "cpu"};
    const struct m2c_dev_ops empty = {.p = {.name = "empty", .desc = "nothing"}};
    assert_int_equal(m2c_dev_ops_check(&empty, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "'empty' lacks the mandatory hook 'open'"));
    const struct m2c_dev_ops nameless = {.p = {.desc = "nothing"}};
    assert_int_equal(m2c_dev_ops_check(&nameless, &err), -EINVAL);
#define WITHOUT(hook)                                                                    \
    do {                                                                                 \
        struct m2c_dev_ops ops = m2c_dev_cpu;                                            \
        ops.hook = NULL;                                                                 \
        assert_int_equal(m2c_dev_ops_check(&ops, &err), -EINVAL);                        \
        assert_non_null(strstr(err.msg, "'" #hook "'"));                                 \
        assert_int_equal(m2c_dev_open_ops(&dev, &ops, &cfg, &err), -EINVAL);             \
    } while (0)
    WITHOUT(open);
    WITHOUT(alloc);
    WITHOUT(free);
    WITHOUT(queue_open);
    WITHOUT(copy);
    WITHOUT(launch);
    WITHOUT(record);
    WITHOUT(after);
    WITHOUT(event_wait);
    WITHOUT(event_passed);
    WITHOUT(supports);
    WITHOUT(seg_neurons);
#undef WITHOUT
    for (const struct m2c_plugin *const *b = m2c_dev_backends(); *b; b++)
        assert_int_equal(m2c_dev_ops_check((const struct m2c_dev_ops *)*b, &err), 0);
}

static void open_fails(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_dev *dev = NULL;
    assert_int_equal(m2c_dev_open(&dev, &(struct m2c_dev_cfg){.backend = "cpuu"}, &err),
                     -ENOENT);
    assert_non_null(strstr(err.msg, "did you mean 'cpu'"));
    assert_int_equal(
        m2c_dev_open(&dev, &(struct m2c_dev_cfg){.backend = "cpu", .index = 1}, &err),
        -ENODEV);
    assert_int_equal(
        m2c_dev_open(&dev, &(struct m2c_dev_cfg){.backend = "cpu", .isa = "avx"}, &err),
        -ENODEV);
    assert_int_equal(
        m2c_dev_open(&dev, &(struct m2c_dev_cfg){.backend = "cpu", .bytes = UINT64_MAX},
                     &err),
        -ENOMEM);
    assert_non_null(strstr(err.msg, "device.bytes is 18446744073709551615"));
    assert_int_equal(
        m2c_dev_open(&dev, &(struct m2c_dev_cfg){.backend = "cpu", .threads = 5000},
                     &err),
        -EINVAL);
    assert_null(dev);
    m2c_dev_close(NULL);
}

static void info(void **state)
{
    (void)state;
    struct m2c_dev *dev = open_cpu(0);
    const struct m2c_dev_info *i = m2c_dev_info(dev);
    assert_string_equal(i->backend, "cpu");
    assert_true(i->name[0] && i->isa[0]);
    assert_true(i->mem_bytes > 64 << 20 && i->max_alloc <= i->mem_bytes);
    assert_int_equal(i->threads, 2);
    assert_true(i->unified);
    const uint32_t sizes[] = {1, 31, 64, 768, 11008, 28672, UINT32_MAX};
    for (size_t k = 0; k < M2C_COUNTOF(sizes); k++) {
        uint32_t seg = m2c_dev_seg_neurons(dev, sizes[k]);
        assert_true(seg > 0 && seg % i->ffn_seg_neurons_min == 0);
        assert_true(m2c_ffn_segments(sizes[k], seg) <= 32);
    }
    m2c_dev_close(dev);
}

/* ---- memory ---- */

static void budget(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_dev *dev = open_cpu(10000);
    struct m2c_buf *a, *b, *c = NULL;
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_DEVICE, 6000, &a, &err), 0);
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_DEVICE, 4001, &c, &err), -ENOMEM);
    assert_non_null(strstr(err.msg, "4001 bytes of device memory"));
    assert_non_null(strstr(err.msg, "6000 of 10000 in use"));
    assert_non_null(strstr(err.msg, "device.bytes"));
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_DEVICE, SIZE_MAX, &c, &err), -ENOMEM);
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_DEVICE, 4000, &b, &err), 0);
    assert_int_equal(m2c_dev_used(dev, M2C_PLACE_DEVICE), 10000);
    m2c_dev_free(dev, a);
    assert_int_equal(m2c_dev_used(dev, M2C_PLACE_DEVICE), 4000);
    assert_int_equal(m2c_dev_peak(dev, M2C_PLACE_DEVICE), 10000);
    /* Other places have no part in it. */
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_PINNED, 50000, &a, &err), 0);
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_HOST, 70000, &c, &err), 0);
    assert_int_equal(m2c_dev_used(dev, M2C_PLACE_PINNED), 50000);
    assert_int_equal(m2c_dev_peak(dev, M2C_PLACE_HOST), 70000);
    m2c_dev_free(dev, c);
    assert_int_equal(m2c_dev_used(dev, M2C_PLACE_HOST), 0);
    m2c_dev_free(dev, NULL);
    c = NULL;
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_HOST, SIZE_MAX, &c, &err), -ENOMEM);
    assert_non_null(strstr(err.msg, "at once"));
    assert_int_equal(m2c_dev_alloc(dev, (enum m2c_place)9, 1, &c, &err), -EINVAL);
    assert_null(c);
    m2c_dev_close(dev); /* with a and b alive */
}

static void zeroed_and_aligned(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_dev *dev = open_cpu(0);
    for (int place = 0; place < M2C_N_PLACES; place++) {
        for (size_t n = 0; n < 20000; n = n * 3 + 1) {
            struct m2c_buf *b;
            assert_int_equal(m2c_dev_alloc(dev, (enum m2c_place)place, n, &b, &err), 0);
            assert_int_equal((uintptr_t)b->host % 4096, 0);
            assert_true(b->bytes == n && b->place == place);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(((unsigned char *)b->host)[i], 0);
            if (n)
                memset(b->host, 1, n);
            if (n % 2)
                m2c_dev_free(dev, b);
        }
    }
    m2c_dev_close(dev);
}

/* ---- support, counters ---- */

static bool no_i8(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type)
{
    (void)dev;
    (void)op;
    return type != M2C_I8;
}

static void unsupported(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_dev *dev;
    struct m2c_queue *q;
    struct m2c_buf *b;
    struct m2c_dev_ops ops = m2c_dev_cpu;
    ops.supports = no_i8;
    assert_int_equal(
        m2c_dev_open_ops(&dev, &ops, &(struct m2c_dev_cfg){.threads = 1}, &err), 0);
    assert_int_equal(m2c_queue_open(dev, "q", &q, &err), 0);
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_DEVICE, 4096, &b, &err), 0);
    struct m2c_call c = {.op = M2C_OP_MATMUL,
                         .u.matmul = {.w = {.type = M2C_I8,
                                            .rows = 4,
                                            .cols = 32,
                                            .codes = {b, 0},
                                            .scales = {b, 512}},
                                      .x = {b, 1024},
                                      .y = {b, 2048},
                                      .rows = 1}};
    assert_int_equal(m2c_queue_launch(q, &c, &err), -ENOTSUP);
    assert_non_null(strstr(err.msg, "matmul on i8"));
    struct m2c_ffn_unit u = {.dim = 32, .n_neurons = 4, .n_classes = 2};
    u.cls[0].type = M2C_F16;
    u.cls[1].type = M2C_I8;
    c = (struct m2c_call){
        .op = M2C_OP_FFN_UP,
        .u.ffn_up = {
            .unit = &u, .list = {b, 0}, .x = {b, 512}, .h = {b, 1024}, .rows = 1}};
    assert_int_equal(m2c_queue_launch(q, &c, &err), 0); /* a class without slots */
    u.cls[1].base.buf = b;
    assert_int_equal(m2c_queue_launch(q, &c, &err), -ENOTSUP);
    assert_non_null(strstr(err.msg, "ffn_up on i8"));
    m2c_dev_close(dev);
}

static void counters(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_dev_counters n;
    struct m2c_dev *dev = open_cpu(0);
    struct m2c_queue *q;
    struct m2c_event *ev;
    struct m2c_buf *b;
    assert_int_equal(m2c_queue_open(dev, "q", &q, &err), 0);
    assert_int_equal(m2c_dev_alloc(dev, M2C_PLACE_DEVICE, 4096, &b, &err), 0);
    struct m2c_copy copy[3] = {
        {{b, 0}, {b, 100}, 10}, {{b, 50}, {b, 60}, 7}, {{b, 0}, {b, 0}, 0}};
    assert_int_equal(m2c_queue_copy(q, copy, 3, &err), 0);
    assert_int_equal(m2c_queue_copy(q, copy, 0, &err), 0);
    copy[2] = (struct m2c_copy){{b, 0}, {b, 4090}, 7};
    assert_int_equal(m2c_queue_copy(q, copy, 3, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "copy 3 of 3"));
    copy[2] = (struct m2c_copy){{b, 4090}, {b, 0}, 7};
    assert_int_equal(m2c_queue_copy(q, copy, 3, &err), -EINVAL);
    copy[2] = (struct m2c_copy){{b, SIZE_MAX}, {b, 0}, 7};
    assert_int_equal(m2c_queue_copy(q, copy, 3, &err), -EINVAL);
    copy[2] = (struct m2c_copy){{b, 10}, {b, 16}, 7};
    assert_int_equal(m2c_queue_copy(q, copy, 3, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "overlap"));
    copy[2] = (struct m2c_copy){{NULL, 0}, {b, 16}, 7};
    assert_int_equal(m2c_queue_copy(q, copy, 3, &err), -EINVAL);
    struct m2c_call c = {.op = M2C_OP_FILL, .u.fill = {{b, 0}, 4, 1}};
    assert_int_equal(m2c_queue_launch(q, &c, &err), 0);
    c.u.fill.n = 2000;
    assert_int_equal(m2c_queue_launch(q, &c, &err), -EINVAL);
    assert_int_equal(m2c_queue_record(q, &ev, &err), 0);
    m2c_dev_counters(dev, &n);
    assert_true(n.copies == 3 && n.copy_bytes == 17 && n.launches == 1 && n.events == 1);
    assert_true(n.copy_batches == 1 && n.host_ns > 0);
    const uint64_t host_ns = n.host_ns;
    assert_int_equal(m2c_dev_selftest(dev, &err), 0);
    m2c_dev_counters(dev, &n);
    assert_true(n.copies == 3 && n.copy_bytes == 17 && n.launches == 1 && n.events == 1);
    assert_true(n.copy_batches == 1 && n.host_ns == host_ns);
    assert_int_equal(m2c_dev_peak(dev, M2C_PLACE_DEVICE), 4096);
    m2c_dev_close(dev); /* with the queue and the event alive */
}

/* ---- the self-test ---- */

static void selftest_passes(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    const char *const isas[] = {"c", "avx2", "avx512"};
    for (size_t i = 0; i < M2C_COUNTOF(isas); i++) {
        struct m2c_dev *dev;
        struct m2c_dev_cfg cfg = {.backend = "cpu", .isa = isas[i], .threads = 2};
        if (m2c_dev_open(&dev, &cfg, &err) < 0)
            continue; /* not on this machine; "c" is on every one */
        if (m2c_dev_selftest(dev, &err) < 0)
            fail_msg("%s", err.msg);
        assert_int_equal(m2c_dev_used(dev, M2C_PLACE_DEVICE), 0);
        assert_int_equal(m2c_dev_used(dev, M2C_PLACE_PINNED), 0);
        m2c_dev_close(dev);
    }
    struct m2c_dev *dev;
    assert_int_equal(m2c_dev_open(&dev, &(struct m2c_dev_cfg){.backend = "null"}, &err),
                     0);
    assert_int_equal(m2c_dev_selftest(dev, &err), -ENOTSUP);
    m2c_dev_close(dev);
    dev = open_cpu(1000); /* too small for the test itself */
    assert_int_equal(m2c_dev_selftest(dev, &err), -ENOMEM);
    m2c_dev_close(dev);
}

/* How the device below is wrong, and with which op. */
static enum { SKIPS, ONE_ELEMENT, OVERRUNS, NOT_A_NUMBER } wrong;
static enum m2c_op wrong_op;

static struct m2c_mem result_of(const struct m2c_call *c, uint32_t *n)
{
    switch (c->op) {
    case M2C_OP_FILL:
        *n = c->u.fill.n;
        return c->u.fill.dst;
    case M2C_OP_EMBED:
        *n = c->u.embed.rows * c->u.embed.table.cols;
        return c->u.embed.out;
    case M2C_OP_NORM:
        *n = c->u.norm.rows * c->u.norm.n;
        return c->u.norm.y;
    case M2C_OP_MATMUL:
        *n = c->u.matmul.rows * c->u.matmul.w.rows;
        return c->u.matmul.y;
    case M2C_OP_ROPE:
        *n = c->u.rope.rows * c->u.rope.heads * c->u.rope.head_dim;
        return c->u.rope.x;
    case M2C_OP_KV_APPEND: {
        size_t width = c->u.kv_append.type == M2C_F16 ? 2 : 4;
        *n = c->u.kv_append.rows * c->u.kv_append.n * (uint32_t)width / 4;
        return m2c_mem_at(c->u.kv_append.cache,
                          c->u.kv_append.pos * c->u.kv_append.n * width);
    }
    case M2C_OP_ATTENTION:
        *n = c->u.attention.rows * c->u.attention.heads * c->u.attention.head_dim;
        return c->u.attention.out;
    case M2C_OP_FFN_UP:
        *n = c->u.ffn_up.rows * c->u.ffn_up.n;
        return c->u.ffn_up.h;
    case M2C_OP_FFN_DOWN:
        *n = c->u.ffn_down.rows * c->u.ffn_down.unit->dim *
             m2c_ffn_segments(c->u.ffn_down.unit->n_neurons, c->u.ffn_down.seg_neurons);
        return c->u.ffn_down.acc;
    case M2C_OP_FFN_SUM:
        *n = c->u.ffn_sum.rows * c->u.ffn_sum.dim;
        return c->u.ffn_sum.y;
    case M2C_OP_ARGMAX:
        *n = c->u.argmax.rows;
        return c->u.argmax.out;
    case M2C_OP_SELECT:
        *n = 1 + c->u.select.n_classes;
        return c->u.select.counts;
    case M2C_OP_LOOKUP:
        *n = 4;
        return c->u.lookup.counts;
    case M2C_N_OPS:
        break;
    }
    return (struct m2c_mem){0};
}

/* The right device, then a FILL of one element that spoils its result. */
static int wrong_launch(struct m2c_queue *q, const struct m2c_call *call,
                        struct m2c_err *err)
{
    uint32_t n = 0;
    struct m2c_mem out = result_of(call, &n);
    if (call->op != wrong_op)
        return m2c_dev_cpu.launch(q, call, err);
    if (wrong == SKIPS)
        return 0;
    struct m2c_call spoil = {.op = M2C_OP_FILL, .u.fill = {.n = 1}};
    uint32_t at = wrong == OVERRUNS ? n : n - 1;
    spoil.u.fill.dst = m2c_mem_at(out, 4 * (size_t)at);
    spoil.u.fill.value = wrong == NOT_A_NUMBER ? NAN : 3.25f;
    int r = m2c_dev_cpu.launch(q, call, err);
    return r < 0 ? r : m2c_dev_cpu.launch(q, &spoil, err);
}

static void selftest_finds(void **state)
{
    (void)state;
    struct m2c_dev_ops ops = m2c_dev_cpu;
    ops.launch = wrong_launch;
    for (int op = 0; op < M2C_N_OPS; op++) {
        for (int how = SKIPS; how <= NOT_A_NUMBER; how++) {
            struct m2c_err err = {0};
            struct m2c_dev *dev;
            wrong = how;
            wrong_op = (enum m2c_op)op;
            assert_int_equal(
                m2c_dev_open_ops(&dev, &ops, &(struct m2c_dev_cfg){.threads = 1}, &err),
                0);
            int r = m2c_dev_selftest(dev, &err);
            if (r != -EIO || !strstr(err.msg, m2c_op_name(wrong_op)))
                fail_msg("%s, fault %d: %d \"%s\"", m2c_op_name(wrong_op), how, r,
                         err.msg);
            assert_int_equal(m2c_dev_used(dev, M2C_PLACE_DEVICE), 0);
            m2c_dev_close(dev);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(open_fails),
        cmocka_unit_test(info),
        cmocka_unit_test(budget),
        cmocka_unit_test(zeroed_and_aligned),
        cmocka_unit_test(unsupported),
        cmocka_unit_test(counters),
        cmocka_unit_test(selftest_passes),
        cmocka_unit_test(selftest_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
