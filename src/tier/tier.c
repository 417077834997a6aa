/* SPDX-License-Identifier: MIT */
/* The pass of one token over a layer: waves, lists, copies. Who lies where is
 * decided in unit.c, what is in DRAM in dram.c; this file moves the bytes. */
#include "tier/tier.h"

#include "tier/dram.h"
#include "tier/moves.h"
#include "tier/show.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Lists of neuron refs that the compute queue may still read: one ring entry
 * a layer in flight. Two are enough for a queue that is drained every token;
 * four let selection run ahead. */
enum { LISTS = 4 };

struct list {
    struct m2c_buf *host, *device; /* device is NULL on unified devices */
    struct m2c_event *busy;
};

struct m2c_tier {
    struct m2c_dev *dev;
    struct m2c_queue *compute, *copy;
    const struct m2c_store *store;
    struct m2c_tier_cfg cfg;
    struct m2c_tier_plan plan;
    struct m2c_dram *dram;
    struct m2c_buf **unit_buf; /* [layers], NULL each when unified */
    struct m2c_unit *unit;     /* [layers] */
    uint16_t *pins;            /* [hidden], zero between waves */
    struct m2c_move *moves;    /* [hidden], of the wave at hand */
    uint32_t n_moves;
    struct m2c_mover mover;
    struct m2c_copies copies;
    struct list lists[LISTS];
    struct m2c_tier_counters count;
    uint64_t pass; /* layers begun, for the recency of accesses */
    int failed;    /* sticky: what lies in the slots is unknown after an error */

    /* the layer at hand */
    uint32_t layer, n_wants, done, wave;
    const struct m2c_want *wants;
    struct list *list;
};

static bool unified(const struct m2c_tier *t) { return t->cfg.hbm_bytes == 0; }

/* ---- open and close ---- */

/* Where the slots of each class begin. */
static void slot_bases(const struct m2c_tier *t, uint32_t layer,
                       struct m2c_mem base[M2C_MAX_CLASSES])
{
    size_t off = 0;
    for (unsigned c = 0; c < m2c_store_layout(t->store)->n_classes; c++) {
        base[c] = (struct m2c_mem){t->plan.slots[c] ? t->unit_buf[layer] : NULL, off};
        off += (size_t)t->plan.slots[c] * t->mover.slot[c].bytes;
    }
}

/* The ways in which the unit's classes are read. Unified: each from its
 * records, whose addresses come with every pass. */
static void set_geom(struct m2c_tier *t, uint32_t layer)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(t->store);
    const struct m2c_layout *layout = m2c_store_layout(t->store);
    struct m2c_ffn_unit *g = &t->unit[layer].geom;
    struct m2c_way way[M2C_LAYOUT_WAYS];
    unsigned n_ways = m2c_layout_ways(layout, way);
    struct m2c_mem base[M2C_MAX_CLASSES];
    *g = (struct m2c_ffn_unit){.dim = m->dim,
                               .n_neurons = m->hidden,
                               .has_gate = m->has_gate,
                               .act = m->act,
                               .act_shift = m->act_shift,
                               .n_classes = unified(t) ? layout->n_classes : n_ways};
    slot_bases(t, layer, base);
    for (unsigned i = 0; i < g->n_classes; i++) {
        struct m2c_parts parts;
        m2c_way_slots(layout, way[i].slot, m->dim, m->has_gate,
                      base[way[i].slot], &parts);
        m2c_way_class(layout, way[i].cls, &parts, &g->cls[i]);
    }
}

static int open_units(struct m2c_tier *t, struct m2c_err *err)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(t->store);
    const struct m2c_layout *layout = m2c_store_layout(t->store);
    int r = 0;
    for (uint32_t l = 0; l < m->layers && r == 0; l++) {
        if (!unified(t)) {
            r = m2c_dev_alloc(t->dev, M2C_PLACE_DEVICE, t->plan.unit_bytes,
                              &t->unit_buf[l], err);
            if (r == 0)
                r = m2c_unit_init(&t->unit[l], t->cfg.hbm_policy, m->hidden, layout,
                                  t->plan.slots,
                                  t->cfg.seed + (uint64_t)l * M2C_MAX_CLASSES,
                                  t->cfg.rank ? t->cfg.rank->layer[l].order : NULL, err);
        }
        t->unit[l].at_least = t->cfg.at_least;
        if (r == 0)
            set_geom(t, l);
    }
    return r;
}

uint64_t m2c_tier_list_bytes(const struct m2c_store *store)
{
    return LISTS * sizeof(struct m2c_neuron_ref) * (uint64_t)m2c_store_cfg(store)->hidden;
}

static int open_lists(struct m2c_tier *t, struct m2c_err *err)
{
    size_t bytes = sizeof(struct m2c_neuron_ref) * m2c_store_cfg(t->store)->hidden;
    int r = 0;
    for (int i = 0; i < LISTS && r == 0; i++) {
        r = m2c_dev_alloc(t->dev, M2C_PLACE_PINNED, bytes, &t->lists[i].host, err);
        if (r == 0 && !m2c_dev_info(t->dev)->unified)
            r = m2c_dev_alloc(t->dev, M2C_PLACE_DEVICE, bytes, &t->lists[i].device, err);
    }
    return r;
}

int m2c_tier_open(struct m2c_tier **out, struct m2c_dev *dev, struct m2c_queue *compute,
                  const struct m2c_store *store, const struct m2c_tier_cfg *cfg,
                  struct m2c_err *err)
{
    struct m2c_tier_plan plan;
    int r = m2c_tier_plan(store, cfg, &plan, err);
    if (r < 0)
        return r;
    if (cfg->hbm_bytes == 0 && !m2c_dev_info(dev)->unified)
        return m2c_fail(err, -EINVAL,
                        "hbm.bytes = 0 computes straight from DRAM, which device %s cannot: "
                        "give its neurons memory, as in hbm.bytes = 100%%",
                        m2c_dev_info(dev)->name);
    struct m2c_tier *t = calloc(1, sizeof *t);
    if (!t)
        return m2c_fail(err, -ENOMEM, "tiers: out of memory");
    const struct m2c_model_cfg *m = m2c_store_cfg(store);
    t->dev = dev;
    t->compute = compute;
    t->store = store;
    t->cfg = *cfg;
    t->plan = plan;
    t->copies.timeline = cfg->io.timeline;
    t->unit_buf = calloc(m->layers, sizeof(struct m2c_buf *));
    t->unit = calloc(m->layers, sizeof *t->unit);
    t->pins = calloc(m->hidden, sizeof *t->pins);
    t->moves = calloc(m->hidden, sizeof *t->moves);
    if (!t->unit_buf || !t->unit || !t->pins || !t->moves)
        r = m2c_fail(err, -ENOMEM, "tiers: out of memory");
    if (r == 0)
        r = m2c_queue_open(dev, "copy", &t->copy, err);
    if (r == 0)
        r = m2c_mover_init(&t->mover, dev, t->copy, store, &t->plan, err);
    if (r == 0)
        r = open_units(t, err);
    if (r == 0)
        r = open_lists(t, err);
    if (r == 0)
        r = m2c_dram_open(&t->dram, dev, store, cfg, &plan, err);
    if (r < 0) {
        m2c_tier_close(t);
        return r;
    }
    *out = t;
    return 0;
}

void m2c_tier_close(struct m2c_tier *t)
{
    if (!t)
        return;
    m2c_copies_drop(&t->copies);
    m2c_queue_close(t->copy);
    m2c_dram_close(t->dram);
    for (int i = 0; i < LISTS; i++) {
        m2c_event_free(t->lists[i].busy);
        m2c_dev_free(t->dev, t->lists[i].host);
        m2c_dev_free(t->dev, t->lists[i].device);
    }
    uint32_t layers = m2c_store_cfg(t->store)->layers;
    for (uint32_t l = 0; l < layers; l++) {
        if (t->unit)
            m2c_unit_fini(&t->unit[l]);
        if (t->unit_buf)
            m2c_dev_free(t->dev, t->unit_buf[l]);
    }
    free(t->unit_buf);
    free(t->unit);
    m2c_mover_fini(&t->mover, t->dev);
    free(t->pins);
    free(t->moves);
    free(t);
}

const struct m2c_tier_plan *m2c_tier_planned(const struct m2c_tier *t) { return &t->plan; }

/* ---- the pass ---- */

static int fail(struct m2c_tier *t, int code)
{
    t->failed = code;
    return code;
}

int m2c_tier_begin(struct m2c_tier *t, uint32_t layer, const struct m2c_want *wants,
                   uint32_t n, struct m2c_err *err)
{
    if (t->failed)
        return m2c_fail(err, t->failed, "the tiers failed before and hold nothing usable");
    t->layer = layer;
    t->wants = wants;
    t->n_wants = n;
    t->done = t->wave = 0;
    t->list = &t->lists[t->pass++ % LISTS];
    int r = 0;
    if (t->list->busy) {
        r = m2c_event_wait(t->list->busy, NULL, err);
        m2c_event_free(t->list->busy);
        t->list->busy = NULL;
    }
    if (r == 0)
        r = m2c_dram_reach(t->dram, layer, err);
    return r < 0 ? fail(t, r) : 0;
}

static struct m2c_neuron_ref *wave_refs(const struct m2c_tier *t)
{
    return (struct m2c_neuron_ref *)t->list->host->host + (t->done - t->wave);
}

/* Unified: every wanted record lies in DRAM under its own id. */
static int place_unified(struct m2c_tier *t, struct m2c_neuron_ref *refs,
                         struct m2c_err *err)
{
    const struct m2c_layout *layout = m2c_store_layout(t->store);
    int r = m2c_dram_wait(t->dram, t->layer, err);
    if (r < 0)
        return r;
    struct m2c_parts parts;
    m2c_dram_parts(t->dram, t->layer, &parts);
    for (unsigned c = 0; c < layout->n_classes; c++) {
        if (t->cfg.ratio.share[c] > 0)
            m2c_way_class(layout, c, &parts, &t->unit[t->layer].geom.cls[c]);
    }
    for (uint32_t i = 0; i < t->wave; i++) {
        const struct m2c_want *w = &t->wants[t->done - t->wave + i];
        refs[i] = (struct m2c_neuron_ref){
            .id = w->id, .slot = w->id, .cls = (uint8_t)w->cls, .pass = 0};
        t->count.accesses[w->cls]++;
        t->count.hits[w->cls]++;
    }
    return 0;
}

/* On a device of its own the list travels ahead of the ops that read it. */
static int publish_list(struct m2c_tier *t, struct m2c_mem *out, struct m2c_err *err)
{
    size_t off = (size_t)(t->done - t->wave) * sizeof(struct m2c_neuron_ref);
    struct m2c_mem host = {t->list->host, off};
    *out = host;
    if (!t->list->device)
        return 0;
    *out = (struct m2c_mem){t->list->device, off};
    struct m2c_copy c = {*out, host, (size_t)t->wave * sizeof(struct m2c_neuron_ref)};
    return m2c_queue_copy(t->compute, &c, 1, err);
}

int m2c_tier_wave(struct m2c_tier *t, struct m2c_wave *w, struct m2c_err *err)
{
    if (t->failed)
        return m2c_fail(err, t->failed, "the tiers failed before and hold nothing usable");
    if (t->done == t->n_wants)
        return 0;
    struct m2c_unit *u = &t->unit[t->layer];
    const struct m2c_want *wants = t->wants + t->done;
    uint32_t left = t->n_wants - t->done;
    t->wave = unified(t) ? left : m2c_unit_fit(u, wants, left);
    t->done += t->wave;
    struct m2c_neuron_ref *refs = wave_refs(t);
    int r = unified(t) ? place_unified(t, refs, err)
                       : m2c_unit_place(u, wants, t->wave, t->pass, t->pins, refs,
                                        t->moves, &t->n_moves, &t->count, err);
    *w = (struct m2c_wave){.unit = &u->geom, .n = t->wave};
    for (uint32_t i = 0; i < t->wave && r == 0; i++)
        w->n_hits += refs[i].pass == 0;
    t->count.waves++;
    if (r == 0)
        r = publish_list(t, &w->list, err);
    return r < 0 ? fail(t, r) : 1;
}

/* What the wave's moves miss, in bytes of records. */
static uint64_t missing_bytes(const struct m2c_tier *t)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < t->n_moves; i++) {
        for (uint32_t q = 0; t->moves[i].missing >> q; q++)
            bytes += t->moves[i].missing >> q & 1 ? m2c_store_record(t->store, q)->bytes : 0;
    }
    return bytes;
}

static int move_wave(struct m2c_tier *t, struct m2c_err *err)
{
    struct m2c_unit *u = &t->unit[t->layer];
    struct m2c_mem base[M2C_MAX_CLASSES];
    struct m2c_parts dram;
    uint64_t missing = missing_bytes(t);
    slot_bases(t, t->layer, base);
    /* A slot may still be read by an earlier wave or token. */
    int r = u->last_use ? m2c_queue_after(t->copy, u->last_use, err) : 0;
    if (r == 0)
        r = m2c_copies_begin(&t->copies, t->copy, err);
    if (r == 0)
        r = m2c_mover_carry(&t->mover, t->moves, t->n_moves, base, err);
    if (r == 0 && missing)
        r = m2c_dram_wait(t->dram, t->layer, err);
    if (r < 0)
        return r;
    if (!missing)
        return m2c_copies_end(&t->copies, t->copy, t->layer, 0, err);
    m2c_dram_parts(t->dram, t->layer, &dram);
    t->count.hbm_wanted += missing;
    t->count.hbm_moved += missing;
    r = m2c_mover_bring(&t->mover, t->moves, t->n_moves, base, &dram, err);
    return r < 0 ? r : m2c_copies_end(&t->copies, t->copy, t->layer, missing, err);
}

int m2c_tier_fetch(struct m2c_tier *t, struct m2c_event **arrived, struct m2c_err *err)
{
    struct m2c_event *ev = NULL, *hold = NULL;
    int r = t->failed ? m2c_fail(err, t->failed, "the tiers failed before")
                      : move_wave(t, err);
    if (r == 0)
        r = m2c_queue_record(t->copy, &hold, err);
    if (r == 0)
        r = m2c_queue_record(t->copy, &ev, err);
    if (r < 0) {
        m2c_event_free(hold);
        return fail(t, r);
    }
    m2c_dram_hold(t->dram, t->layer, hold);
    *arrived = ev;
    return 0;
}

int m2c_tier_release(struct m2c_tier *t, struct m2c_err *err)
{
    struct m2c_unit *u = &t->unit[t->layer];
    struct m2c_event *done = NULL, *busy = NULL;
    int r = m2c_queue_record(t->compute, &done, err);
    if (r == 0)
        r = m2c_queue_record(t->compute, &busy, err);
    if (r < 0) {
        m2c_event_free(done);
        return fail(t, r);
    }
    m2c_event_free(t->list->busy);
    t->list->busy = busy;
    if (unified(t)) {
        m2c_dram_hold(t->dram, t->layer, done);
    } else {
        m2c_event_free(u->last_use);
        u->last_use = done;
    }
    return 0;
}

int m2c_tier_show(struct m2c_tier *t, int64_t ahead_ns, struct m2c_err *err)
{
    t->copies.ahead_ns = ahead_ns;
    return m2c_copies_settle(&t->copies, err);
}

/* ---- counters and checks ---- */

void m2c_tier_counters(const struct m2c_tier *t, struct m2c_tier_counters *out)
{
    *out = t->count;
    m2c_dram_counters(t->dram, out);
}

void m2c_tier_counters_reset(struct m2c_tier *t)
{
    memset(&t->count, 0, sizeof t->count);
    m2c_dram_counters_reset(t->dram);
}

int m2c_tier_check(const struct m2c_tier *t, struct m2c_err *err)
{
    uint32_t layers = m2c_store_cfg(t->store)->layers;
    uint64_t bytes = unified(t) ? 0 : t->plan.spare_bytes;
    for (uint32_t l = 0; l < layers && !unified(t); l++) {
        int r = m2c_unit_check(&t->unit[l], err);
        if (r < 0)
            return m2c_fail_in(err, r, "layer %u", l);
        bytes += t->unit_buf[l]->bytes;
    }
    if (bytes > t->cfg.hbm_bytes)
        return m2c_fail(err, -EIO, "units hold %zu bytes, over the budget", (size_t)bytes);
    for (unsigned c = 0; c < M2C_MAX_CLASSES; c++) {
        if (t->count.hits[c] + t->count.misses[c] != t->count.accesses[c])
            return m2c_fail(err, -EIO, "class %u: hits + misses differ from accesses", c);
    }
    return m2c_dram_check(t->dram, err);
}
