/* SPDX-License-Identifier: MIT */
/* Neurons that change slots in one wave, in every knot that targets and sources
 * can make, on a device: what a neuron carries must arrive, whoever else leaves
 * or takes the slots. The twin is a copy of the unit from before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "infer/model.h"
#include "tier/moves.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 7, ROUNDS = 3000, MAX_MOVES = 3 * SLOTS };

static struct model model;

struct bench {
    struct m2c_dev *dev;
    struct m2c_queue *queue;
    struct m2c_mover mover;
    struct m2c_buf *unit, *host;
    struct m2c_mem base[M2C_MAX_CLASSES];
    size_t bytes;
};

static void need(int r, const struct m2c_err *err)
{
    if (r < 0)
        fail_msg("%s", err->msg);
}

static void set_up(struct bench *b)
{
    struct m2c_err err = {0};
    struct m2c_dev_cfg cfg = {.backend = "cpu", .isa = "auto", .threads = 1};
    struct m2c_tier_plan plan = {0};
    need(m2c_dev_open(&b->dev, &cfg, &err), &err);
    need(m2c_queue_open(b->dev, "copy", &b->queue, &err), &err);
    for (unsigned c = 0; c < 3; c++)
        plan.slots[c] = SLOTS;
    struct m2c_slot widest;
    const struct m2c_model_cfg *m = m2c_store_cfg(model.store);
    m2c_class_slot(m2c_store_layout(model.store), 0, m->dim, m->has_gate, &widest);
    plan.spare_bytes = widest.bytes;
    need(m2c_mover_init(&b->mover, b->dev, b->queue, model.store, &plan, &err), &err);
    for (unsigned c = 0; c < 3; c++)
        b->bytes += (size_t)SLOTS * b->mover.slot[c].bytes;
    need(m2c_dev_alloc(b->dev, M2C_PLACE_DEVICE, b->bytes, &b->unit, &err), &err);
    size_t off = 0;
    for (unsigned c = 0; c < 3; c++) {
        b->base[c] = (struct m2c_mem){b->unit, off};
        off += (size_t)SLOTS * b->mover.slot[c].bytes;
    }
}

static void tear_down(struct bench *b)
{
    m2c_queue_close(b->queue);
    m2c_mover_fini(&b->mover, b->dev);
    m2c_dev_free(b->dev, b->unit);
    m2c_dev_close(b->dev);
}

/* Some of all slots are left, each by one neuron; they and others not in use are
 * targets, each of one. */
static uint32_t random_moves(struct m2c_rng *rng, const struct m2c_layout *l,
                             struct m2c_move *out)
{
    uint32_t source[MAX_MOVES], n = 1 + m2c_rng_below(rng, MAX_MOVES);
    for (uint32_t i = 0; i < MAX_MOVES; i++)
        source[i] = i;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = i + m2c_rng_below(rng, MAX_MOVES - i), s = source[j];
        source[j] = source[i];
        source[i] = s;
    }
    bool taken[MAX_MOVES] = {0};
    uint32_t m = 0;
    for (uint32_t i = 0; i < n; i++) {
        /* mostly among the sources: chains, rings and what hangs on them */
        uint32_t t = m2c_rng_below(rng, 4) ? source[m2c_rng_below(rng, n)]
                                           : m2c_rng_below(rng, MAX_MOVES);
        if (taken[t])
            continue;
        taken[t] = true;
        struct m2c_move *v = &out[m++];
        *v = (struct m2c_move){.id = i,
                               .from = (uint8_t)(source[i] / SLOTS),
                               .from_slot = source[i] % SLOTS,
                               .to = (uint8_t)(t / SLOTS),
                               .to_slot = t % SLOTS};
        v->carried = l->cls[v->from].parts & l->cls[v->to].parts;
        if (m2c_rng_below(rng, 8) == 0)
            v->from = M2C_NO_CLASS;
    }
    return m;
}

static const uint8_t *part_at(const struct bench *b, const uint8_t *unit, unsigned cls,
                              uint32_t slot, uint32_t part)
{
    return unit + b->base[cls].off + (size_t)slot * b->mover.slot[cls].bytes +
           b->mover.slot[cls].part_off[part];
}

static void knots(void **state)
{
    (void)state;
    struct bench b = {0};
    struct m2c_rng rng;
    struct m2c_err err = {0};
    struct m2c_event *ev;
    const struct m2c_layout *l = m2c_store_layout(model.store);
    m2c_rng_init(&rng, 5, 0);
    set_up(&b);
    uint8_t *before = malloc(b.bytes), *after = b.unit->host;
    assert_non_null(before);
    for (int round = 0; round < ROUNDS; round++) {
        struct m2c_move moves[MAX_MOVES];
        uint32_t n = random_moves(&rng, l, moves);
        for (size_t i = 0; i < b.bytes; i += 4) {
            uint32_t word = m2c_rng_u32(&rng);
            memcpy(after + i, &word, 4);
        }
        memcpy(before, after, b.bytes);
        need(m2c_mover_carry(&b.mover, moves, n, b.base, &err), &err);
        need(m2c_queue_record(b.queue, &ev, &err), &err);
        need(m2c_event_wait(ev, NULL, &err), &err);
        m2c_event_free(ev);
        for (uint32_t i = 0; i < n; i++) {
            const struct m2c_move *m = &moves[i];
            for (uint32_t q = 0; q < l->n_parts && m->from != M2C_NO_CLASS; q++) {
                if (m->carried >> q & 1)
                    assert_memory_equal(part_at(&b, after, m->to, m->to_slot, q),
                                        part_at(&b, before, m->from, m->from_slot, q),
                                        b.mover.slot_bytes[q]);
            }
        }
        for (uint32_t i = 0; i < MAX_MOVES; i++)
            assert_int_equal(b.mover.leaver[i], 0);
    }
    free(before);
    tear_down(&b);
}

int main(void)
{
    model_open_as(&model, "moves", "planes", "part");
    const struct CMUnitTest tests[] = {cmocka_unit_test(knots)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    model_close(&model);
    return failed;
}
