/* SPDX-License-Identifier: MIT */
/* What is refused before it runs: operands of every op one byte too large,
 * misaligned, absent, sharing memory with the result, in the wrong place;
 * numbers whose product overflows; copies out of bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "calls.h"
#include "dev/dev_impl.h"

static struct m2c_dev dev = {.info = {.name = "test", .unified = true}};

/* Whether the call is refused as it should be, naming the operand. */
static void refused(const struct example *e, const struct operand *o)
{
    struct m2c_err err = {0};
    int r = m2c_call_check(&dev, &e->call, &err);
    if (r != -EINVAL)
        fail_msg("%s, operand %s: %d", e->what, o->name, r);
    if (!strstr(err.msg, o->name) || !strstr(err.msg, m2c_op_name(e->call.op)))
        fail_msg("%s, operand %s: \"%s\"", e->what, o->name, err.msg);
}

static void accepted(const struct example *e)
{
    struct m2c_err err = {0};
    if (m2c_call_check(&dev, &e->call, &err) != 0)
        fail_msg("%s: \"%s\"", e->what, err.msg);
}

static void every_op_has_an_example(void **state)
{
    (void)state;
    bool seen[M2C_N_OPS] = {false};
    for (unsigned i = 0; i < n_examples(); i++) {
        struct example e;
        make_example(&e, i);
        accepted(&e);
        seen[e.call.op] = true;
    }
    for (int op = 0; op < M2C_N_OPS; op++)
        assert_true(seen[op]);
}

static void bounds(void **state)
{
    (void)state;
    for (unsigned i = 0; i < n_examples(); i++) {
        struct example e;
        make_example(&e, i);
        for (unsigned k = 0; k < e.n; k++) {
            struct operand *o = &e.operand[k];
            struct m2c_mem m = *o->mem;
            struct m2c_buf *b = &e.buf[k];
            b->bytes--;
            refused(&e, o);
            b->bytes++;
            o->mem->off = o->align;
            refused(&e, o);
            b->bytes += o->align;
            accepted(&e);
            o->mem->off = SIZE_MAX / o->align * o->align;
            refused(&e, o);
            *o->mem = (struct m2c_mem){NULL, 0};
            refused(&e, o);
            *o->mem = m;
        }
    }
}

static void alignment(void **state)
{
    (void)state;
    for (unsigned i = 0; i < n_examples(); i++) {
        struct example e;
        make_example(&e, i);
        for (unsigned k = 0; k < e.n; k++) {
            struct operand *o = &e.operand[k];
            e.buf[k].bytes += 8;
            for (o->mem->off = 1; o->mem->off < 8; o->mem->off++) {
                if (o->mem->off % o->align)
                    refused(&e, o);
                else
                    accepted(&e);
            }
            o->mem->off = 0;
        }
    }
}

/* The result must not share a byte with anything else that the op reads, but
 * it may lie right behind it; norm alone may have y = x, exactly. */
static void separation(void **state)
{
    (void)state;
    for (unsigned i = 0; i < n_examples(); i++) {
        struct example e;
        make_example(&e, i);
        struct m2c_buf big = {.bytes = 1 << 20, .place = M2C_PLACE_DEVICE};
        for (unsigned w = 0; w < e.n; w++) {
            for (unsigned k = 0; k < e.n; k++) {
                if (!e.operand[w].written || k == w)
                    continue;
                const struct operand *out = &e.operand[w], *in = &e.operand[k];
                struct m2c_mem a = *out->mem, b = *in->mem;
                *out->mem = (struct m2c_mem){&big, 4096};
                *in->mem = (struct m2c_mem){&big, 4096 + (out->bytes - 1) / 4 * 4};
                refused(&e, out);
                *in->mem = (struct m2c_mem){&big, 4096 - (in->bytes - 1) / 4 * 4};
                refused(&e, out);
                *in->mem = (struct m2c_mem){&big, 4096 + (out->bytes + 3) / 4 * 4};
                accepted(&e);
                *in->mem = (struct m2c_mem){&big, 4096 - (in->bytes + 3) / 4 * 4};
                accepted(&e);
                *in->mem = *out->mem;
                if (e.call.op == M2C_OP_NORM && strcmp(in->name, "x") == 0)
                    accepted(&e);
                else
                    refused(&e, out);
                *out->mem = a;
                *in->mem = b;
            }
        }
    }
}

static void place(void **state)
{
    (void)state;
    for (unsigned i = 0; i < n_examples(); i++) {
        struct example e;
        make_example(&e, i);
        for (unsigned k = 0; k < e.n; k++) {
            e.buf[k].place = M2C_PLACE_PINNED;
            accepted(&e);
            dev.info.unified = false;
            refused(&e, &e.operand[k]);
            dev.info.unified = true;
            e.buf[k].place = M2C_PLACE_DEVICE;
        }
    }
}

/* Each number at its most: sizes that wrap would fit the small buffers. */
static void overflow(void **state)
{
    (void)state;
    struct {
        unsigned example;
        size_t at;
    } numbers[] = {
        {0, offsetof(struct m2c_call, u.fill.n)},
        {1, offsetof(struct m2c_call, u.embed.rows)},
        {1, offsetof(struct m2c_call, u.embed.table.rows)},
        {2, offsetof(struct m2c_call, u.embed.table.cols)},
        {3, offsetof(struct m2c_call, u.norm.n)},
        {3, offsetof(struct m2c_call, u.norm.rows)},
        {4, offsetof(struct m2c_call, u.matmul.rows)},
        {4, offsetof(struct m2c_call, u.matmul.w.rows)},
        {5, offsetof(struct m2c_call, u.matmul.w.cols)},
        {6, offsetof(struct m2c_call, u.rope.heads)},
        {6, offsetof(struct m2c_call, u.rope.pos)},
        {7, offsetof(struct m2c_call, u.kv_append.pos)},
        {7, offsetof(struct m2c_call, u.kv_append.n)},
        {9, offsetof(struct m2c_call, u.attention.pos)},
        {9, offsetof(struct m2c_call, u.attention.head_dim)},
        {10, offsetof(struct m2c_call, u.ffn_up.rows)},
        {11, offsetof(struct m2c_call, u.ffn_down.n)},
        {12, offsetof(struct m2c_call, u.ffn_sum.segments)},
        {12, offsetof(struct m2c_call, u.ffn_sum.dim)},
    };
    for (size_t i = 0; i < M2C_COUNTOF(numbers); i++) {
        for (uint32_t v = 0; v < 2; v++) {
            struct example e;
            struct m2c_err err = {0};
            uint32_t most = v ? UINT32_MAX : 1u << 31;
            make_example(&e, numbers[i].example);
            memcpy((char *)&e.call + numbers[i].at, &most, sizeof most);
            int r = m2c_call_check(&dev, &e.call, &err);
            if (r != -EINVAL &&
                !(numbers[i].at == offsetof(struct m2c_call, u.rope.pos) && !v))
                fail_msg("%s, number %zu: %d", e.what, i, r);
        }
    }
    /* 2^64 bytes are 0 to who multiplies carelessly, and need no buffer then. */
    struct example e;
    make_example(&e, 4);
    e.call.u.matmul.rows = 1;
    e.call.u.matmul.w.rows = e.call.u.matmul.w.cols = 1u << 31;
    for (unsigned k = 1; k < e.n; k++)
        e.buf[k].bytes = (size_t)1 << 50;
    refused(&e, &e.operand[0]);
    make_example(&e, 9);
    e.call.u.attention.rows = e.call.u.attention.head_dim = 1u << 20;
    e.call.u.attention.heads = 1u << 22;
    e.call.u.attention.kv_heads = 1;
    e.buf[1].bytes = e.buf[2].bytes = (size_t)1 << 50;
    refused(&e, &e.operand[0]);
}

static void senseless(void **state)
{
    (void)state;
    struct example e;
    struct m2c_err err = {0};
    make_example(&e, 9);
    e.call.u.attention.kv_heads = 4; /* of 6 */
    assert_int_equal(m2c_call_check(&dev, &e.call, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "6 heads over 4"));
    e.call.u.attention.kv_heads = 0;
    assert_int_equal(m2c_call_check(&dev, &e.call, NULL), -EINVAL);
    e.call.u.attention.kv_heads = 3;
    e.call.u.attention.type = M2C_I8;
    assert_int_equal(m2c_call_check(&dev, &e.call, NULL), -EINVAL);
    make_example(&e, 6);
    e.call.u.rope.head_dim = 7;
    assert_int_equal(m2c_call_check(&dev, &e.call, NULL), -EINVAL);
    make_example(&e, 4);
    e.call.u.matmul.w.type = M2C_N_TYPES;
    assert_int_equal(m2c_call_check(&dev, &e.call, NULL), -EINVAL);
    make_example(&e, 10);
    e.unit.n_classes = M2C_FFN_CLASSES + 1;
    assert_int_equal(m2c_call_check(&dev, &e.call, NULL), -EINVAL);
    e.unit.n_classes = 0;
    assert_int_equal(m2c_call_check(&dev, &e.call, NULL), -EINVAL);
    e.unit.n_classes = 1;
    struct m2c_buf slots = {.bytes = 4096};
    e.unit.cls[0] = (struct m2c_ffn_class){.type = M2C_P16, .base = {&slots, 0}};
    e.unit.cls[0].plane[0].base.buf = &slots;
    assert_int_equal(m2c_call_check(&dev, &e.call, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "p16 without its plane 2"));
    e.unit.cls[0].type = M2C_P8;
    assert_int_equal(m2c_call_check(&dev, &e.call, NULL), 0);
    e.unit.cls[0].type = (enum m2c_type)77;
    assert_int_equal(m2c_call_check(&dev, &e.call, NULL), -EINVAL);
    e.call.u.ffn_up.unit = NULL;
    assert_int_equal(m2c_call_check(&dev, &e.call, NULL), -EINVAL);
    make_example(&e, 11);
    e.call.u.ffn_down.seg_neurons = 0;
    assert_int_equal(m2c_call_check(&dev, &e.call, NULL), -EINVAL);
    e.call.op = M2C_N_OPS;
    assert_int_equal(m2c_call_check(&dev, &e.call, NULL), -EINVAL);
}

/* Nothing to do needs no memory. */
static void empty(void **state)
{
    (void)state;
    struct example e;
    make_example(&e, 0);
    e.call.u.fill.n = 0;
    e.call.u.fill.dst.buf = NULL;
    accepted(&e);
    make_example(&e, 10);
    e.call.u.ffn_up.n = 0;
    e.call.u.ffn_up.list.buf = e.call.u.ffn_up.h.buf = NULL;
    accepted(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_has_an_example),
        cmocka_unit_test(bounds),
        cmocka_unit_test(alignment),
        cmocka_unit_test(separation),
        cmocka_unit_test(place),
        cmocka_unit_test(overflow),
        cmocka_unit_test(senseless),
        cmocka_unit_test(empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
