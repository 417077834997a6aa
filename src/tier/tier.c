/* SPDX-License-Identifier: MIT */
/* The pass of one token over a layer: waves, lists, copies. Who lies where is
 * decided in unit.c, what is in DRAM in dram.c; this file moves the bytes. */
#include "tier/tier.h"

#include "tier/dram.h"
#include "tier/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Lists of neuron refs that the compute queue may still read: one ring entry
 * a layer in flight. Two are enough for a queue that is drained every token;
 * four let selection run ahead. */
enum { LISTS = 4, COPY_BATCH = 1024 };

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
    unsigned n_segments[M2C_MAX_CLASSES];
    struct m2c_segment segments[M2C_MAX_CLASSES][2 * M2C_LAYOUT_VECTORS];
    struct m2c_copy *batch; /* [COPY_BATCH] */
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

static void class_geom(struct m2c_ffn_class *k, enum m2c_type type,
                       const struct m2c_geom *g)
{
    k->type = type;
    k->stride = g->bytes;
    memcpy(k->code_off, g->code_off, sizeof k->code_off);
    memcpy(k->scale_off, g->scale_off, sizeof k->scale_off);
}

static void set_geom(struct m2c_tier *t, uint32_t layer)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(t->store);
    const struct m2c_layout *layout = m2c_store_layout(t->store);
    struct m2c_ffn_unit *g = &t->unit[layer].geom;
    *g = (struct m2c_ffn_unit){.dim = m->dim,
                               .n_neurons = m->hidden,
                               .has_gate = m->has_gate,
                               .act = m->act,
                               .act_shift = m->act_shift,
                               .n_classes = layout->n_classes};
    size_t off = 0;
    for (unsigned c = 0; c < layout->n_classes; c++) {
        struct m2c_geom geom;
        if (unified(t))
            m2c_record_geom(layout->cls[c].type, m->dim, m->has_gate, &geom);
        else
            m2c_slot_geom(layout->cls[c].type, m->dim, m->has_gate, &geom);
        class_geom(&g->cls[c], layout->cls[c].type, &geom);
        if (!unified(t) && t->plan.slots[c]) {
            g->cls[c].base = (struct m2c_mem){t->unit_buf[layer], off};
            off += (size_t)t->plan.slots[c] * geom.bytes;
        }
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
                r = m2c_unit_init(&t->unit[l], t->cfg.hbm_policy, m->hidden,
                                  layout->n_classes, t->plan.slots,
                                  t->cfg.seed + (uint64_t)l * M2C_MAX_CLASSES,
                                  t->cfg.rank ? t->cfg.rank->layer[l].order : NULL, err);
        }
        if (r == 0)
            set_geom(t, l);
    }
    for (unsigned c = 0; c < layout->n_classes; c++)
        t->n_segments[c] = m2c_record_to_slot(layout->cls[c].type, m->dim, m->has_gate,
                                              t->segments[c]);
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
    t->unit_buf = calloc(m->layers, sizeof(struct m2c_buf *));
    t->unit = calloc(m->layers, sizeof *t->unit);
    t->pins = calloc(m->hidden, sizeof *t->pins);
    t->batch = calloc(COPY_BATCH, sizeof *t->batch);
    if (!t->unit_buf || !t->unit || !t->pins || !t->batch)
        r = m2c_fail(err, -ENOMEM, "tiers: out of memory");
    if (r == 0)
        r = m2c_queue_open(dev, "copy", &t->copy, err);
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
    free(t->pins);
    free(t->batch);
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
    for (unsigned c = 0; c < layout->n_classes; c++) {
        uint32_t part = (uint32_t)__builtin_ctz(layout->cls[c].parts);
        if (t->cfg.ratio.share[c] > 0)
            t->unit[t->layer].geom.cls[c].base = m2c_dram_part(t->dram, t->layer, part);
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
                                        &t->count, err);
    *w = (struct m2c_wave){.unit = &u->geom, .n = t->wave};
    for (uint32_t i = 0; i < t->wave && r == 0; i++)
        w->n_hits += refs[i].pass == 0;
    t->count.waves++;
    if (r == 0)
        r = publish_list(t, &w->list, err);
    return r < 0 ? fail(t, r) : 1;
}

/* Appends the pieces of one neuron's record to the batch. */
static uint32_t add_copies(const struct m2c_tier *t, const struct m2c_neuron_ref *ref,
                           const struct m2c_mem part[M2C_MAX_CLASSES],
                           const uint32_t stride[M2C_MAX_CLASSES], uint32_t at)
{
    const struct m2c_ffn_class *k = &t->unit[t->layer].geom.cls[ref->cls];
    size_t src = (size_t)ref->id * stride[ref->cls], dst = (size_t)ref->slot * k->stride;
    for (unsigned i = 0; i < t->n_segments[ref->cls]; i++) {
        const struct m2c_segment *s = &t->segments[ref->cls][i];
        t->batch[at++] = (struct m2c_copy){m2c_mem_at(k->base, dst + s->dst),
                                           m2c_mem_at(part[ref->cls], src + s->src),
                                           s->bytes};
    }
    return at;
}

static int copy_misses(struct m2c_tier *t, struct m2c_err *err)
{
    const struct m2c_layout *layout = m2c_store_layout(t->store);
    struct m2c_mem part[M2C_MAX_CLASSES] = {0};
    uint32_t stride[M2C_MAX_CLASSES] = {0}, n = 0;
    for (unsigned c = 0; c < layout->n_classes; c++) {
        uint32_t p = (uint32_t)__builtin_ctz(layout->cls[c].parts);
        stride[c] = m2c_store_record(t->store, p)->bytes;
        if (t->cfg.ratio.share[c] > 0)
            part[c] = m2c_dram_part(t->dram, t->layer, p);
    }
    const struct m2c_neuron_ref *refs = wave_refs(t);
    int r = 0;
    for (uint32_t i = 0; i < t->wave && r == 0; i++) {
        if (refs[i].pass == 0)
            continue;
        if (n + t->n_segments[refs[i].cls] > COPY_BATCH) {
            r = m2c_queue_copy(t->copy, t->batch, n, err);
            n = 0;
        }
        n = add_copies(t, &refs[i], part, stride, n);
        t->count.hbm_wanted += stride[refs[i].cls];
        t->count.hbm_moved += stride[refs[i].cls];
    }
    return r == 0 && n ? m2c_queue_copy(t->copy, t->batch, n, err) : r;
}

int m2c_tier_fetch(struct m2c_tier *t, struct m2c_event **arrived, struct m2c_err *err)
{
    struct m2c_unit *u = &t->unit[t->layer];
    struct m2c_event *ev = NULL, *hold = NULL;
    int r = t->failed ? m2c_fail(err, t->failed, "the tiers failed before")
                      : m2c_dram_wait(t->dram, t->layer, err);
    /* A victim's slot may still be read by an earlier wave or token. */
    if (r == 0 && u->last_use)
        r = m2c_queue_after(t->copy, u->last_use, err);
    if (r == 0)
        r = copy_misses(t, err);
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
    uint64_t bytes = 0;
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
