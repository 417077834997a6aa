/* SPDX-License-Identifier: MIT */
/* The ops that choose, chained as decode chains them, without the host between:
 * scores, wants, slots, phase A on the hits; then the misses, phase A on them,
 * phase B. The result is that of the list written by hand. And what of these
 * ops is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "dev/dev_impl.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { DIM = 24, NEURONS = 90, K = 40, CLASSES = 2, SEG = 32, SEGMENTS = 3 };

struct rig {
    struct m2c_dev *dev;
    struct m2c_queue *q;
    struct m2c_err err;
    struct m2c_buf *buf;
    size_t used;
    struct m2c_ffn_unit unit;
    struct m2c_mem x, scores, splits, wants, counts, table, list, misses, found, h, acc;
};

static struct m2c_mem room(struct rig *g, size_t bytes)
{
    struct m2c_mem m = {g->buf, g->used};
    g->used += (bytes + 63) / 64 * 64;
    assert_true(g->used <= g->buf->bytes);
    return m;
}

static struct m2c_mem floats(struct rig *g, struct m2c_rng *r, size_t n)
{
    struct m2c_mem m = room(g, n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        ((float *)m2c_mem_host(m))[i] = m2c_rng_normal(r);
    return m;
}

static int set_up(void **state)
{
    static struct rig g;
    struct m2c_rng r;
    struct m2c_dev_cfg cfg = {.backend = "cpu", .threads = 2};
    m2c_rng_init(&r, 3, 0);
    g = (struct rig){0};
    assert_int_equal(m2c_dev_open(&g.dev, &cfg, &g.err), 0);
    assert_int_equal(m2c_queue_open(g.dev, "test", &g.q, &g.err), 0);
    assert_int_equal(m2c_dev_alloc(g.dev, M2C_PLACE_DEVICE, 1 << 20, &g.buf, &g.err), 0);
    g.unit = (struct m2c_ffn_unit){
        .dim = DIM, .n_neurons = NEURONS, .has_gate = true, .n_classes = CLASSES};
    for (unsigned c = 0; c < CLASSES; c++) /* slots of f32: gate, up, down */
        g.unit.cls[c] = (struct m2c_ffn_class){.type = M2C_F32,
                                               .base = floats(&g, &r, 3 * DIM * NEURONS),
                                               .stride = 3 * DIM * sizeof(float),
                                               .code_off = {0, 4 * DIM, 8 * DIM}};
    g.x = floats(&g, &r, DIM);
    g.scores = floats(&g, &r, NEURONS);
    g.splits = room(&g, (K + 1) * CLASSES * 4);
    for (uint32_t m = 0; m <= K; m++) {
        uint32_t *row = (uint32_t *)m2c_mem_host(g.splits) + m * CLASSES;
        row[0] = m / 3;
        row[1] = m;
    }
    g.wants = room(&g, K * sizeof(struct m2c_want));
    g.misses = room(&g, K * sizeof(struct m2c_want));
    g.counts = room(&g, (1 + CLASSES) * 4);
    g.found = room(&g, 16);
    g.table = room(&g, CLASSES * NEURONS * 4);
    g.list = room(&g, K * sizeof(struct m2c_neuron_ref));
    g.h = room(&g, K * 4);
    g.acc = room(&g, SEGMENTS * DIM * 4);
    *state = &g;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *g = *state;
    m2c_queue_close(g->q);
    m2c_dev_close(g->dev);
    return 0;
}

static void launch(struct rig *g, const struct m2c_call *c)
{
    if (m2c_queue_launch(g->q, c, &g->err) < 0)
        fail_msg("%s", g->err.msg);
}

static int finish(struct rig *g)
{
    struct m2c_event *ev;
    int r = m2c_queue_record(g->q, &ev, &g->err);
    if (r < 0)
        return r;
    r = m2c_event_wait(ev, NULL, &g->err);
    m2c_event_free(ev);
    return r;
}

static struct m2c_call select_call(const struct rig *g, bool positive)
{
    struct m2c_call c = {.op = M2C_OP_SELECT};
    c.u.select = (struct m2c_select_args){.scores = g->scores,
                                          .splits = g->splits,
                                          .wants = g->wants,
                                          .counts = g->counts,
                                          .n = NEURONS,
                                          .k = K,
                                          .n_classes = CLASSES,
                                          .positive_only = positive};
    return c;
}

static struct m2c_call lookup_call(const struct rig *g)
{
    struct m2c_call c = {.op = M2C_OP_LOOKUP};
    c.u.lookup = (struct m2c_lookup_args){.wants = g->wants,
                                          .n_wants = g->counts,
                                          .table = g->table,
                                          .list = g->list,
                                          .misses = g->misses,
                                          .counts = g->found,
                                          .k = K,
                                          .n_classes = CLASSES,
                                          .n_neurons = NEURONS};
    return c;
}

static struct m2c_call up_call(const struct rig *g, uint32_t n, uint8_t pass)
{
    struct m2c_call c = {.op = M2C_OP_FFN_UP};
    c.u.ffn_up = (struct m2c_ffn_up_args){.unit = &g->unit,
                                          .x = g->x,
                                          .list = g->list,
                                          .h = g->h,
                                          .rows = 1,
                                          .n = n,
                                          .pass = pass};
    return c;
}

static void down(struct rig *g, uint32_t n)
{
    struct m2c_call c = {.op = M2C_OP_FILL};
    c.u.fill = (struct m2c_fill_args){.dst = g->acc, .n = SEGMENTS * DIM};
    launch(g, &c);
    c.op = M2C_OP_FFN_DOWN;
    c.u.ffn_down = (struct m2c_ffn_down_args){.unit = &g->unit,
                                              .list = g->list,
                                              .h = g->h,
                                              .acc = g->acc,
                                              .rows = 1,
                                              .n = n,
                                              .seg_neurons = SEG};
    launch(g, &c);
    assert_int_equal(finish(g), 0);
}

static uint32_t slot_of(uint32_t id) { return (id * 7 + 3) % NEURONS; }

static void chain(struct rig *g, bool positive)
{
    uint32_t *table = m2c_mem_host(g->table), *found = m2c_mem_host(g->found);
    const struct m2c_want *miss = m2c_mem_host(g->misses);
    for (uint32_t i = 0; i < CLASSES * NEURONS; i++)
        table[i] = i % 3 ? m2c_slot_entry(slot_of(i % NEURONS), i / NEURONS, 0) : M2C_NO_SLOT;
    struct m2c_call select = select_call(g, positive), look = lookup_call(g);
    struct m2c_call hits = up_call(g, K, 0);
    launch(g, &select);
    launch(g, &look);
    launch(g, &hits); /* all K entries: the host does not know how many there are */
    assert_int_equal(finish(g), 0);
    uint32_t n = found[0];
    assert_true(positive ? n < K : n == K);
    assert_true(found[1] > 0 && found[3] > 0 && found[1] + found[3] == n);
    for (uint32_t i = 0; i < found[3]; i++)
        table[miss[i].cls * NEURONS + miss[i].id] =
            m2c_slot_entry(slot_of(miss[i].id), miss[i].cls, 1);
    uint32_t missed = found[3];
    struct m2c_call rest = up_call(g, K, 1);
    launch(g, &look);
    launch(g, &rest);
    assert_int_equal(finish(g), 0);
    assert_true(found[2] == missed && found[3] == 0);
    down(g, n);
    float got[SEGMENTS * DIM];
    memcpy(got, m2c_mem_host(g->acc), sizeof(got));

    struct m2c_neuron_ref *list = m2c_mem_host(g->list);
    const struct m2c_want *want = m2c_mem_host(g->wants);
    for (uint32_t i = 0; i < n; i++)
        list[i] = (struct m2c_neuron_ref){
            .id = want[i].id, .slot = slot_of(want[i].id), .cls = (uint8_t)want[i].cls};
    struct m2c_call all = up_call(g, n, M2C_PASS_ANY);
    memset(m2c_mem_host(g->h), 0xff, K * 4); /* NaNs */
    launch(g, &all);
    down(g, n);
    assert_memory_equal(got, m2c_mem_host(g->acc), sizeof(got));
    assert_true(isfinite(got[0]) && isfinite(got[SEGMENTS * DIM - 1]));
}

static void hits_start_without_the_host(void **state)
{
    chain(*state, false);
}

/* Fewer are positive than k: the list ends in entries that name no neuron. */
static void fewer_than_k(void **state)
{
    struct rig *g = *state;
    float *s = m2c_mem_host(g->scores);
    for (uint32_t i = 0; i < NEURONS; i++)
        s[i] = i % 4 ? -s[i] * s[i] : s[i] * s[i] + 1;
    chain(g, true);
}

/* A NaN goes down the chain as "none", and says which it was. */
static void nan_selects_nothing(void **state)
{
    struct rig *g = *state;
    ((float *)m2c_mem_host(g->scores))[17] = NAN;
    struct m2c_call select = select_call(g, false), look = lookup_call(g);
    struct m2c_call hits = up_call(g, K, 0);
    launch(g, &select);
    launch(g, &look);
    launch(g, &hits);
    assert_int_equal(finish(g), 0);
    const uint32_t *counts = m2c_mem_host(g->counts), *found = m2c_mem_host(g->found);
    assert_true(counts[0] == M2C_NO_ID && counts[1] == 17);
    assert_true(found[0] == M2C_NO_ID && found[1] == 0 && found[2] == 0 && found[3] == 0);
}

static void refused(struct rig *g, const struct m2c_call *c, const char *word)
{
    assert_int_equal(m2c_queue_launch(g->q, c, &g->err), -EINVAL);
    if (!strstr(g->err.msg, word) || !strstr(g->err.msg, m2c_op_name(c->op)))
        fail_msg("\"%s\" without \"%s\"", g->err.msg, word);
    g->err = (struct m2c_err){0};
}

static void calls_are_refused(void **state)
{
    struct rig *g = *state;
    struct m2c_call c = select_call(g, false);
    c.u.select.k = NEURONS + 1;
    refused(g, &c, "91 of 90 scores");
    c = select_call(g, false);
    c.u.select.n_classes = 0;
    refused(g, &c, "in 0 classes");
    c.u.select.n_classes = M2C_FFN_CLASSES + 1;
    refused(g, &c, "in 9 classes");
    c = select_call(g, false);
    c.u.select.wants = g->scores;
    refused(g, &c, "share memory");
    c = select_call(g, false);
    c.u.select.splits.off = g->buf->bytes - K * CLASSES * 4;
    refused(g, &c, "operand splits");
    c = lookup_call(g);
    c.u.lookup.n_classes = M2C_FFN_CLASSES + 1;
    refused(g, &c, "9 classes");
    c = lookup_call(g);
    c.u.lookup.misses = g->wants;
    refused(g, &c, "share memory");
    c = lookup_call(g);
    c.u.lookup.n_wants.off += 2;
    refused(g, &c, "operand n_wants");
    c = (struct m2c_call){.op = M2C_OP_ARGMAX, .u.argmax = {g->x, g->h, 1, 0}};
    refused(g, &c, "no elements");
}

/* Wants that earlier work has left out of order: the queue fails. */
static void wants_are_checked(void **state)
{
    struct rig *g = *state;
    struct m2c_want *w = m2c_mem_host(g->wants);
    uint32_t *n = m2c_mem_host(g->counts);
    *n = 2;
    w[0] = (struct m2c_want){.id = 5};
    w[1] = (struct m2c_want){.id = 5};
    struct m2c_call c = lookup_call(g);
    int r = m2c_queue_launch(g->q, &c, &g->err); /* which may have run it already */
    assert_int_equal(r == 0 ? finish(g) : r, -EINVAL);
    assert_non_null(strstr(g->err.msg, "want 1 of 2: neuron 5 after 5"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hits_start_without_the_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fewer_than_k, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nan_selects_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(calls_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wants_are_checked, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
