/* SPDX-License-Identifier: MIT */
/* Queues and events of the cpu device: order, overlap, waiting, failure.
 * Under ThreadSanitizer the random graphs show that events order memory, too:
 * without them the copies would race. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "dev/dev.h"

enum { QUEUES = 4, BLOCKS = 24, BLOCK = 256, STEPS = 2000 };

static void need(int r, const struct m2c_err *err)
{
    if (r < 0)
        fail_msg("%s", err->msg);
}

static struct m2c_dev *open_cpu(unsigned threads)
{
    struct m2c_err err = {0};
    struct m2c_dev *dev = NULL;
    struct m2c_dev_cfg cfg = {.backend = "cpu", .threads = threads};
    need(m2c_dev_open(&dev, &cfg, &err), &err);
    return dev;
}

static struct m2c_queue *open_queue(struct m2c_dev *dev, const char *name)
{
    struct m2c_err err = {0};
    struct m2c_queue *q = NULL;
    need(m2c_queue_open(dev, name, &q, &err), &err);
    return q;
}

static struct m2c_buf *alloc(struct m2c_dev *dev, size_t bytes)
{
    struct m2c_err err = {0};
    struct m2c_buf *b = NULL;
    need(m2c_dev_alloc(dev, M2C_PLACE_DEVICE, bytes, &b, &err), &err);
    return b;
}

static struct m2c_event *record(struct m2c_queue *q)
{
    struct m2c_err err = {0};
    struct m2c_event *ev = NULL;
    need(m2c_queue_record(q, &ev, &err), &err);
    return ev;
}

static void after(struct m2c_queue *q, struct m2c_event *ev)
{
    struct m2c_err err = {0};
    need(m2c_queue_after(q, ev, &err), &err);
}

static uint64_t wait_for(struct m2c_event *ev)
{
    struct m2c_err err = {0};
    uint64_t ns = 0;
    need(m2c_event_wait(ev, &ns, &err), &err);
    return ns;
}

static void copy(struct m2c_queue *q, struct m2c_buf *dst, size_t doff,
                 struct m2c_buf *src, size_t soff, size_t bytes)
{
    struct m2c_err err = {0};
    struct m2c_copy c = {{dst, doff}, {src, soff}, bytes};
    need(m2c_queue_copy(q, &c, 1, &err), &err);
}

static void fill(struct m2c_queue *q, struct m2c_buf *b, size_t off, uint32_t n,
                 float value)
{
    struct m2c_err err = {0};
    struct m2c_call c = {.op = M2C_OP_FILL, .u.fill = {{b, off}, n, value}};
    need(m2c_queue_launch(q, &c, &err), &err);
}

/* ---- random graphs ---- */

/* Blocks of one buffer, and the events after which each may be read and
 * written; the twin does the same at once, one step after another. */
struct graph {
    struct m2c_rng rng;
    struct m2c_queue *q[QUEUES];
    struct m2c_buf *buf;
    unsigned char twin[BLOCKS][BLOCK];
    struct m2c_event *written[BLOCKS], *read[BLOCKS][QUEUES];
};

/* Makes the queue wait for whoever wrote the block and, before a write, for
 * whoever read it. */
static void wait_block(struct graph *g, struct m2c_queue *q, unsigned b, bool write)
{
    if (g->written[b])
        after(q, g->written[b]);
    for (unsigned k = 0; k < QUEUES && write; k++) {
        if (g->read[b][k])
            after(q, g->read[b][k]);
        m2c_event_free(g->read[b][k]); /* the queue may not have come to it */
        g->read[b][k] = NULL;
    }
    if (write) {
        m2c_event_free(g->written[b]);
        g->written[b] = NULL;
    }
}

static void step_copy(struct graph *g, unsigned q)
{
    enum { MOST = 7 };
    struct m2c_copy batch[MOST];
    unsigned from[MOST], to[MOST];
    struct m2c_err err = {0};
    unsigned n = 1 + m2c_rng_below(&g->rng, MOST), first = m2c_rng_below(&g->rng, BLOCKS);
    for (unsigned i = 0; i < n; i++) {
        to[i] = (first + 2 * i) % BLOCKS; /* no block twice: BLOCKS > 2 MOST */
        from[i] = (first + 2 * i + 1) % BLOCKS;
        size_t off = m2c_rng_below(&g->rng, BLOCK), len = m2c_rng_below(&g->rng, BLOCK);
        len = M2C_MIN(len, BLOCK - off);
        size_t src = m2c_rng_below(&g->rng, (uint32_t)(BLOCK - len + 1));
        wait_block(g, g->q[q], from[i], false);
        wait_block(g, g->q[q], to[i], true);
        batch[i] = (struct m2c_copy){{g->buf, to[i] * (size_t)BLOCK + off},
                                     {g->buf, from[i] * (size_t)BLOCK + src},
                                     len};
        memcpy(g->twin[to[i]] + off, g->twin[from[i]] + src, len);
    }
    need(m2c_queue_copy(g->q[q], batch, n, &err), &err);
    for (unsigned i = 0; i < n; i++) {
        g->written[to[i]] = record(g->q[q]);
        m2c_event_free(g->read[from[i]][q]);
        g->read[from[i]][q] = record(g->q[q]);
    }
}

static void step_fill(struct graph *g, unsigned q)
{
    unsigned b = m2c_rng_below(&g->rng, BLOCKS);
    float value = m2c_rng_normal(&g->rng);
    uint32_t n = m2c_rng_below(&g->rng, BLOCK / 4 + 1);
    wait_block(g, g->q[q], b, true);
    fill(g->q[q], g->buf, b * (size_t)BLOCK, n, value);
    for (uint32_t i = 0; i < n; i++)
        memcpy(g->twin[b] + 4 * i, &value, 4);
    g->written[b] = record(g->q[q]);
}

static void run_graph(uint64_t seed)
{
    struct graph g = {0};
    struct m2c_dev *dev = open_cpu(2);
    m2c_rng_init(&g.rng, seed, 0);
    for (unsigned i = 0; i < QUEUES; i++)
        g.q[i] = open_queue(dev, "graph");
    g.buf = alloc(dev, sizeof g.twin);
    for (size_t i = 0; i < sizeof g.twin; i++)
        ((unsigned char *)g.twin)[i] = (unsigned char)m2c_rng_u32(&g.rng);
    memcpy(g.buf->host, g.twin, sizeof g.twin);
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned q = m2c_rng_below(&g.rng, QUEUES);
        if (m2c_rng_below(&g.rng, 4))
            step_copy(&g, q);
        else
            step_fill(&g, q);
    }
    for (unsigned b = 0; b < BLOCKS; b++) {
        if (g.written[b])
            (void)wait_for(g.written[b]);
    }
    for (unsigned b = 0; b < BLOCKS; b++) {
        if (memcmp((char *)g.buf->host + b * (size_t)BLOCK, g.twin[b], BLOCK) != 0)
            fail_msg("seed %llu: block %u is not the twin's", (unsigned long long)seed,
                     b);
    }
    m2c_dev_close(dev); /* and the events that are left */
}

static void random_graphs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++)
        run_graph(seed);
}

/* ---- order of one queue, a full ring ---- */

/* Each op overwrites what the one before wrote; so many do not fit the ring. */
static void one_queue_is_in_order(void **state)
{
    (void)state;
    enum { N = 3000 };
    struct m2c_dev *dev = open_cpu(2);
    struct m2c_queue *q = open_queue(dev, "q");
    struct m2c_buf *b = alloc(dev, 4), *log = alloc(dev, N * sizeof(float));
    for (unsigned i = 0; i < N; i++) {
        fill(q, b, 0, 1, (float)i);
        copy(q, log, 4 * (size_t)i, b, 0, 4);
    }
    (void)wait_for(record(q));
    for (unsigned i = 0; i < N; i++)
        assert_true(((const float *)log->host)[i] == (float)i);
    m2c_dev_close(dev);
}

/* ---- overlap ---- */

/* While a long op runs on one queue, copies are enqueued on another until the
 * op has passed. On the device's clock several events behind copies must lie
 * inside the op: were copies held up by ops, one could slip in just before the
 * op and one before the event behind it, and the others could not. */
static bool copies_inside(struct m2c_dev *dev, struct m2c_queue *compute,
                          struct m2c_queue *copies, uint32_t rows)
{
    enum { DIM = 512 };
    struct m2c_err err = {0};
    struct m2c_buf *w = alloc(dev, DIM * DIM * 4),
                   *x = alloc(dev, rows * (size_t)DIM * 4);
    struct m2c_buf *y = alloc(dev, rows * (size_t)DIM * 4), *c = alloc(dev, 8192);
    struct m2c_call op = {.op = M2C_OP_MATMUL};
    op.u.matmul = (struct m2c_matmul_args){.x = {x, 0}, .y = {y, 0}, .rows = rows};
    op.u.matmul.w =
        (struct m2c_tensor){.type = M2C_F32, .rows = DIM, .cols = DIM, .codes = {w, 0}};
    struct m2c_event *begin = record(compute);
    need(m2c_queue_launch(compute, &op, &err), &err);
    struct m2c_event *end = record(compute);
    uint64_t from = wait_for(begin), at[64] = {0};
    unsigned n = 0;
    while (!m2c_event_passed(end) && n < M2C_COUNTOF(at)) {
        copy(copies, c, 4096, c, 0, 4096);
        struct m2c_event *ev = record(copies);
        at[n++] = wait_for(ev);
        m2c_event_free(ev);
    }
    uint64_t to = wait_for(end);
    unsigned inside = 0;
    for (unsigned i = 0; i < n; i++)
        inside += at[i] > from && at[i] < to;
    m2c_dev_free(dev, w);
    m2c_dev_free(dev, x);
    m2c_dev_free(dev, y);
    m2c_dev_free(dev, c);
    return inside >= 8;
}

/* A machine that runs other things gets several tries, each with a longer op;
 * one thread, so that ops leave a core to the copies where there are two. */
static void copies_overlap_ops(void **state)
{
    (void)state;
    struct m2c_dev *dev = open_cpu(1);
    struct m2c_queue *compute = open_queue(dev, "compute");
    struct m2c_queue *copies = open_queue(dev, "copy");
    bool found = false;
    for (uint32_t rows = 256; rows <= 8192 && !found; rows *= 2)
        found = copies_inside(dev, compute, copies, rows);
    assert_true(found);
    m2c_dev_close(dev);
}

/* ---- events ---- */

static void many_wait_for_one(void **state)
{
    (void)state;
    struct m2c_dev *dev = open_cpu(2);
    struct m2c_queue *q[6];
    struct m2c_buf *b = alloc(dev, 4096);
    for (unsigned i = 0; i < 6; i++)
        q[i] = open_queue(dev, "a queue with a long name");
    for (int round = 0; round < 50; round++) {
        fill(q[0], b, 0, 1, (float)round);
        struct m2c_event *ev = record(q[0]), *each[6];
        for (unsigned i = 1; i < 6; i++) {
            after(q[i], ev);
            after(q[i], ev); /* twice */
            copy(q[i], b, 64 * (size_t)i, b, 0, 4);
            each[i] = record(q[i]);
        }
        after(q[0], ev); /* its own queue */
        if (round % 2) { /* freed before any of them may have come to it */
            m2c_event_free(ev);
            ev = NULL;
        }
        for (unsigned i = 1; i < 6; i++) {
            uint64_t ns = wait_for(each[i]);
            assert_true(wait_for(each[i]) == ns && m2c_event_passed(each[i]));
            assert_true(*(float *)((char *)b->host + 64 * (size_t)i) == (float)round);
            if (ev)
                assert_true(wait_for(ev) <= ns);
            after(q[0], each[i]); /* the next round writes what this one read */
            m2c_event_free(each[i]);
        }
        m2c_event_free(ev);
    }
    m2c_dev_close(dev);
}

static void events_and_what_they_outlive(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_dev *dev = open_cpu(1), *other = open_cpu(1);
    struct m2c_queue *q = open_queue(dev, "q");
    struct m2c_event *ev = record(q);
    m2c_queue_close(q);
    assert_int_equal(m2c_event_wait(ev, NULL, NULL), 0);
    assert_true(m2c_event_passed(ev));
    assert_int_equal(m2c_queue_after(open_queue(other, "other"), ev, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "another device"));
    m2c_event_free(ev);
    m2c_event_free(NULL);
    m2c_queue_close(NULL);
    m2c_dev_close(other);
    m2c_dev_close(dev);
}

/* Closing waits for what was enqueued: a chain over three queues, closed in
 * several orders, the worst among them. */
static void close_drains(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct m2c_dev *dev = open_cpu(2);
        struct m2c_queue *q[3];
        struct m2c_buf *b = alloc(dev, 1 << 20);
        const float *x = b->host;
        for (unsigned i = 0; i < 3; i++)
            q[i] = open_queue(dev, "q");
        for (unsigned i = 0; i < 200; i++)
            fill(q[0], b, 0, 1 << 16, 1);
        fill(q[0], b, 0, 1, 7);
        for (unsigned i = 1; i < 3; i++) {
            struct m2c_event *ev = record(q[i - 1]);
            after(q[i], ev);
            m2c_event_free(ev);
            copy(q[i], b, 4 * (size_t)i, b, 4 * (size_t)(i - 1), 4);
        }
        if (how < 3) {
            m2c_queue_close(q[how]);
            assert_true(x[how] == 7);
        }
        m2c_dev_close(dev); /* the rest, outstanding */
    }
}

/* ---- failure ---- */

enum { SLOT = 24 }; /* three vectors of four f16 */

static struct m2c_ffn_unit unit_of(struct m2c_buf *slots)
{
    struct m2c_ffn_unit u = {
        .dim = 4, .n_neurons = 100, .n_classes = 2, .has_gate = true};
    u.cls[0] = (struct m2c_ffn_class){
        .type = M2C_F16, .base = {slots, 0}, .stride = SLOT, .code_off = {0, 8, 16}};
    return u; /* class 1 has no slots */
}

struct bad {
    struct m2c_neuron_ref list[2];
    const char *says;
};

static void check_bad(const struct bad *what, bool down)
{
    struct m2c_err err = {0};
    struct m2c_dev *dev = open_cpu(1);
    struct m2c_queue *q = open_queue(dev, "compute");
    struct m2c_buf *list = alloc(dev, 4096), *x = alloc(dev, 4096);
    struct m2c_ffn_unit u = unit_of(alloc(dev, 4 * SLOT));
    memcpy(list->host, what->list, sizeof what->list);
    memset((char *)x->host + 1024, 0x5a, 1024);
    struct m2c_call c = {.op = down ? M2C_OP_FFN_DOWN : M2C_OP_FFN_UP};
    if (down)
        c.u.ffn_down = (struct m2c_ffn_down_args){.unit = &u,
                                                  .list = {list, 0},
                                                  .h = {x, 0},
                                                  .acc = {x, 1024},
                                                  .rows = 1,
                                                  .n = 2,
                                                  .seg_neurons = 64};
    else
        c.u.ffn_up = (struct m2c_ffn_up_args){.unit = &u,
                                              .list = {list, 0},
                                              .x = {x, 0},
                                              .h = {x, 1024},
                                              .rows = 1,
                                              .n = 2,
                                              .pass = M2C_PASS_ANY};
    struct m2c_event *before = record(q), *ev = NULL;
    int r = m2c_queue_launch(q, &c, &err); /* may know already what it did */
    r = r < 0 ? r : m2c_queue_record(q, &ev, &err);
    if (r == 0) {
        assert_int_equal(m2c_event_wait(ev, NULL, &err), -EINVAL);
        r = m2c_event_wait(ev, NULL, &err);
    }
    assert_int_equal(r, -EINVAL);
    if (!strstr(err.msg, what->says) || !strstr(err.msg, "queue compute") ||
        !strstr(err.msg, m2c_op_name(c.op)))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, what->says);
    assert_int_equal(m2c_event_wait(before, NULL, &err), 0);
    for (unsigned k = 0; k < 1024; k++)
        assert_int_equal(((unsigned char *)x->host)[1024 + k], 0x5a);
    m2c_dev_close(dev);
}

static void bad_lists(void **state)
{
    (void)state;
    static const struct bad bad[] = {
        {{{.id = 9}, {.id = 3}}, "entry 1 of 2: neuron 3 after 9"},
        {{{.id = 3}, {.id = 3}}, "entry 1 of 2: neuron 3 after 3"},
        {{{.id = 3}, {.id = 100}}, "entry 1 of 2: neuron 100 of 100"},
        {{{.id = 3, .cls = 2}, {.id = 4}}, "entry 0 of 2: neuron 3, class 2, slot 0"},
        {{{.id = 3, .cls = 1}, {.id = 4}}, "entry 0 of 2: neuron 3, class 1, slot 0"},
        {{{.id = 3}, {.id = 4, .slot = 4}}, "entry 1 of 2: neuron 4, class 0, slot 4"},
        {{{.id = 3}, {.id = 4, .slot = UINT32_MAX}}, "slot 4294967295"},
    };
    for (size_t i = 0; i < M2C_COUNTOF(bad); i++) {
        check_bad(&bad[i], false);
        check_bad(&bad[i], true);
    }
}

/* Entries of the other pass have no slot yet, or one that is being filled. */
static void other_pass_is_not_looked_at(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_dev *dev = open_cpu(1);
    struct m2c_queue *q = open_queue(dev, "compute");
    struct m2c_buf *list = alloc(dev, 64), *x = alloc(dev, 64);
    struct m2c_ffn_unit u =
        unit_of(alloc(dev, SLOT)); /* one slot, whole: the last fits */
    const struct m2c_neuron_ref refs[] = {{.id = 1},
                                          {.id = 2, .pass = 1, .slot = 99, .cls = 9}};
    memcpy(list->host, refs, sizeof refs);
    struct m2c_call c = {.op = M2C_OP_FFN_UP};
    c.u.ffn_up = (struct m2c_ffn_up_args){
        .unit = &u, .list = {list, 0}, .x = {x, 0}, .h = {x, 32}, .rows = 1, .n = 2};
    need(m2c_queue_launch(q, &c, &err), &err);
    (void)wait_for(record(q));
    m2c_dev_close(dev);
}

/* After a failure nothing more runs on the queue, or on one that came after
 * it; others go on; every later call fails alike. */
static void failure_stays(void **state)
{
    (void)state;
    struct m2c_err err = {0};
    struct m2c_dev *dev = open_cpu(1);
    struct m2c_queue *q = open_queue(dev, "first"), *next = open_queue(dev, "next");
    struct m2c_queue *other = open_queue(dev, "other");
    struct m2c_buf *b = alloc(dev, 4096), *ids = alloc(dev, 4096);
    const struct m2c_copy late = {{b, 2048}, {ids, 0}, 4},
                          later = {{b, 2052}, {ids, 0}, 4};
    struct m2c_call wrong = {.op = M2C_OP_EMBED};
    wrong.u.embed = (struct m2c_embed_args){.ids = {ids, 0}, .out = {b, 512}, .rows = 1};
    wrong.u.embed.table =
        (struct m2c_tensor){.type = M2C_F32, .rows = 5, .cols = 4, .codes = {b, 0}};
    *(uint32_t *)ids->host = 5;
    /* The queue is held until all is enqueued, so that nothing knows yet. */
    for (unsigned i = 0; i < 50; i++)
        fill(q, b, 0, 64, 1);
    int r = m2c_queue_launch(q, &wrong, &err);
    r = r < 0 ? r : m2c_queue_copy(q, &late, 1, &err);
    struct m2c_event *ev = NULL;
    if (r == 0 && m2c_queue_record(q, &ev, &err) == 0) {
        r = m2c_queue_after(next, ev, &err); /* on a slow day it is known by now */
        r = r < 0 ? r : m2c_queue_copy(next, &later, 1, &err);
        assert_true(r == 0 || r == -EINVAL);
        assert_int_equal(m2c_event_wait(ev, NULL, &err), -EINVAL);
        assert_non_null(strstr(err.msg, "row 0: id 5 of a table of 5"));
        m2c_queue_close(next);
    }
    while (m2c_queue_copy(q, &late, 1, &err) == 0)
        ;
    assert_non_null(strstr(err.msg, "queue first"));
    assert_int_equal(m2c_queue_copy(q, &late, 1, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "earlier work has failed"));
    assert_int_equal(m2c_queue_launch(q, &wrong, &err), -EINVAL);
    assert_int_equal(m2c_queue_record(q, &ev, &err), -EINVAL);
    assert_int_equal(m2c_queue_after(q, record(other), &err), -EINVAL);
    fill(other, b, 1024, 1, 3);
    m2c_queue_close(other);
    assert_true(((float *)b->host)[256] == 3);
    assert_int_equal(((uint32_t *)b->host)[512], 0);
    assert_int_equal(((uint32_t *)b->host)[513], 0);
    m2c_dev_close(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs),
        cmocka_unit_test(one_queue_is_in_order),
        cmocka_unit_test(copies_overlap_ops),
        cmocka_unit_test(many_wait_for_one),
        cmocka_unit_test(events_and_what_they_outlive),
        cmocka_unit_test(close_drains),
        cmocka_unit_test(bad_lists),
        cmocka_unit_test(other_pass_is_not_looked_at),
        cmocka_unit_test(failure_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
