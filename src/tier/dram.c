/* SPDX-License-Identifier: MIT */
/* Whole layers in DRAM: the first `fixed` stay once loaded, the others share
 * a dynamic area in FIFO order, read ahead of the pass.
 *
 * A block holds the extents of one layer that have a part in use, each from a
 * page boundary on, as direct reads want it. All blocks are allocated at open: the budget holds
 * by construction. */
#include "tier/dram.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

enum { NO_BLOCK = -1 };

/* One extent of one layer on its way or there. */
struct extent_read {
    struct m2c_io_range range; /* first: reaped ranges are cast back */
    uint32_t layer, extent;
    struct m2c_store_range where;
    bool pending;
};

struct block {
    struct m2c_buf *buf;
    int64_t layer; /* whose bytes it holds or awaits, or NO_BLOCK */
    uint32_t n_pending;
    struct m2c_event *hold; /* last reader */
    struct extent_read reads[M2C_LAYOUT_PARTS];
};

struct m2c_dram {
    struct m2c_dev *dev;
    const struct m2c_store *store;
    struct m2c_io *io;
    uint32_t layers, n_blocks, fixed, lookahead, parts, extents;
    enum m2c_verify verify;
    size_t extent_off[M2C_LAYOUT_PARTS]; /* in a block */
    uint64_t block_bytes;
    struct block *blocks;
    int32_t *block_of;  /* [layers], or NO_BLOCK */
    uint8_t *verified;  /* [layers]: checked at least once */
    uint32_t *fifo;     /* ring of dynamic blocks in order of insertion */
    uint32_t fifo_head, n_dynamic, n_fifo;
    uint32_t reached;   /* the pass's current layer */
    struct m2c_tier_counters count;
    struct m2c_io_counters io_base;
    uint64_t registered; /* bytes of the blocks that the engine has pinned */
};

static int open_blocks(struct m2c_dram *d, struct m2c_err *err)
{
    int r = 0;
    for (uint32_t b = 0; b < d->n_blocks && r == 0; b++) {
        d->blocks[b].layer = NO_BLOCK;
        r = m2c_dev_alloc(d->dev, M2C_PLACE_PINNED, d->block_bytes, &d->blocks[b].buf, err);
    }
    return r;
}

/* Tells the engine where all of its reads will go. */
static int name_blocks(struct m2c_dram *d, struct m2c_err *err)
{
    struct m2c_io_mem *mem = calloc(d->n_blocks, sizeof *mem);
    if (!mem)
        return m2c_fail(err, -ENOMEM, "DRAM tier: out of memory");
    for (uint32_t b = 0; b < d->n_blocks; b++)
        mem[b] = (struct m2c_io_mem){d->blocks[b].buf->host, d->block_bytes};
    d->registered = m2c_io_use_memory(d->io, mem, d->n_blocks);
    free(mem);
    return 0;
}

int m2c_dram_open(struct m2c_dram **out, struct m2c_dev *dev,
                  const struct m2c_store *store, const struct m2c_tier_cfg *cfg,
                  const struct m2c_tier_plan *plan, struct m2c_err *err)
{
    struct m2c_dram *d = calloc(1, sizeof *d);
    if (!d)
        return m2c_fail(err, -ENOMEM, "DRAM tier: out of memory");
    d->dev = dev;
    d->store = store;
    d->layers = m2c_store_cfg(store)->layers;
    d->n_blocks = plan->blocks;
    d->fixed = plan->fixed;
    d->n_dynamic = plan->blocks - plan->fixed;
    d->lookahead = cfg->lookahead;
    d->parts = plan->parts;
    d->extents = m2c_tier_extents(store, plan->parts);
    d->block_bytes = plan->block_bytes;
    d->verify = cfg->io.machine ? M2C_VERIFY_NEVER : cfg->verify; /* no bytes come */
    size_t off = 0;
    for (uint32_t x = 0; x < m2c_store_extents(store); x++) {
        struct m2c_store_range r;
        m2c_store_extent(store, 0, x, &r);
        d->extent_off[x] = off;
        if (d->extents & (1u << x))
            off += m2c_align_up(r.bytes, M2C_PAGE);
    }
    d->blocks = calloc(d->n_blocks, sizeof *d->blocks);
    d->block_of = calloc(d->layers, sizeof *d->block_of);
    d->verified = calloc(d->layers, 1);
    d->fifo = calloc(d->n_dynamic + 1, sizeof *d->fifo);
    int r = d->blocks && d->block_of && d->verified && d->fifo
                ? 0
                : m2c_fail(err, -ENOMEM, "DRAM tier: out of memory");
    for (uint32_t l = 0; l < d->layers && r == 0; l++)
        d->block_of[l] = NO_BLOCK;
    if (r == 0)
        r = open_blocks(d, err);
    if (r == 0)
        r = m2c_io_open(&d->io, cfg->engine, m2c_store_path(store), &cfg->io, err);
    if (r == 0)
        r = name_blocks(d, err);
    if (r < 0) {
        m2c_dram_close(d);
        return r;
    }
    *out = d;
    return 0;
}

void m2c_dram_close(struct m2c_dram *d)
{
    if (!d)
        return;
    m2c_io_close(d->io); /* drains: no read lands in freed memory */
    for (uint32_t b = 0; d->blocks && b < d->n_blocks; b++) {
        m2c_event_free(d->blocks[b].hold);
        m2c_dev_free(d->dev, d->blocks[b].buf);
    }
    free(d->blocks);
    free(d->block_of);
    free(d->verified);
    free(d->fifo);
    free(d);
}

/* ---- reads ---- */

static int arrived(struct m2c_dram *d, struct extent_read *p, struct m2c_err *err)
{
    struct block *b = &d->blocks[d->block_of[p->layer]];
    p->pending = false;
    b->n_pending--;
    if (p->range.res < 0) {
        m2c_io_range_fail(d->io, &p->range, err);
        const char *name = m2c_store_arrange(d->store) == M2C_ARRANGE_PART
                               ? m2c_store_layout(d->store)->part[p->extent].name
                               : "neurons";
        return m2c_fail_in(err, p->range.res, "/ffn/%u/%s", p->layer, name);
    }
    bool check = d->verify == M2C_VERIFY_ALWAYS ||
                 (d->verify == M2C_VERIFY_FIRST && !d->verified[p->layer]);
    if (check) {
        uint32_t n = (uint32_t)(p->where.bytes / p->where.stride);
        int r = m2c_store_check(d->store, p->layer, p->extent, 0, n, p->range.buf, err);
        if (r < 0)
            return r;
    }
    if (b->n_pending == 0)
        d->verified[p->layer] = 1;
    return 0;
}

/* Takes what has come; with `block`, waits for at least one. */
static int reap(struct m2c_dram *d, bool block, struct m2c_err *err)
{
    struct m2c_io_range *done[16];
    int n = m2c_io_reap_ranges(d->io, done, block ? 1 : 0, 16, M2C_IO_FOREVER, err);
    int r = M2C_MIN(n, 0);
    for (int i = 0; i < n; i++) {
        int one = arrived(d, (struct extent_read *)done[i]->user, r == 0 ? err : NULL);
        r = r < 0 ? r : one;
    }
    return r;
}

static int start_reads(struct m2c_dram *d, uint32_t b, uint32_t layer,
                       struct m2c_err *err)
{
    struct block *blk = &d->blocks[b];
    blk->layer = layer;
    d->block_of[layer] = (int32_t)b;
    d->count.layer_loads++;
    int r = 0;
    for (uint32_t x = 0; x < m2c_store_extents(d->store) && r == 0; x++) {
        if (!(d->extents & (1u << x)))
            continue;
        struct extent_read *pr = &blk->reads[x];
        *pr = (struct extent_read){.layer = layer, .extent = x, .pending = true};
        m2c_store_extent(d->store, layer, x, &pr->where);
        pr->range = (struct m2c_io_range){.off = pr->where.offset,
                                          .bytes = pr->where.bytes,
                                          .buf = (unsigned char *)blk->buf->host +
                                                 d->extent_off[x],
                                          .room = m2c_align_up(pr->where.bytes, M2C_PAGE),
                                          .user = pr,
                                          .layer = layer};
        blk->n_pending++;
        r = m2c_io_start_range(d->io, &pr->range, err);
    }
    return r;
}

/* The block's last reader and its own reads are done. */
static int vacate(struct m2c_dram *d, uint32_t b, struct m2c_err *err)
{
    struct block *blk = &d->blocks[b];
    int r = 0;
    while (blk->n_pending && r == 0)
        r = reap(d, true, err);
    if (r == 0 && blk->hold)
        r = m2c_event_wait(blk->hold, NULL, err);
    m2c_event_free(blk->hold);
    blk->hold = NULL;
    if (blk->layer != NO_BLOCK)
        d->block_of[blk->layer] = NO_BLOCK;
    blk->layer = NO_BLOCK;
    return r;
}

/* ---- who stays ---- */

/* Layers from the current one on, in the order in which the pass will come to
 * them: a smaller number is needed sooner. */
static uint32_t distance(const struct m2c_dram *d, uint32_t layer)
{
    return (layer + d->layers - d->reached) % d->layers;
}

/* Loads `layer` if room can be made without giving up a layer that is needed
 * sooner. 1: loading; 0: no room. */
static int load(struct m2c_dram *d, uint32_t layer, struct m2c_err *err)
{
    uint32_t b;
    if (layer < d->fixed) {
        b = layer;
    } else if (d->n_fifo < d->n_dynamic) {
        b = d->fixed + d->n_fifo;
        d->fifo[(d->fifo_head + d->n_fifo++) % d->n_dynamic] = b;
    } else {
        b = d->fifo[d->fifo_head];
        uint32_t victim = (uint32_t)d->blocks[b].layer;
        if (distance(d, victim) <= d->lookahead && distance(d, victim) < distance(d, layer))
            return 0;
        d->fifo_head = (d->fifo_head + 1) % d->n_dynamic;
        d->fifo[(d->fifo_head + d->n_dynamic - 1) % d->n_dynamic] = b;
        int r = vacate(d, b, err);
        if (r < 0)
            return r;
    }
    int r = start_reads(d, b, layer, err);
    return r < 0 ? r : 1;
}

int m2c_dram_reach(struct m2c_dram *d, uint32_t layer, struct m2c_err *err)
{
    d->reached = layer;
    d->count.layer_accesses++;
    bool hit = d->block_of[layer] != NO_BLOCK;
    d->count.layer_hits += hit;
    d->count.layer_misses += !hit;
    int r = hit ? 1 : load(d, layer, err);
    for (uint32_t a = 1; a <= M2C_MIN(d->lookahead, d->layers - 1) && r > 0; a++) {
        uint32_t next = (layer + a) % d->layers;
        if (d->block_of[next] == NO_BLOCK)
            r = load(d, next, err);
    }
    if (r >= 0)
        r = reap(d, false, err);
    return M2C_MIN(r, 0);
}

int m2c_dram_wait(struct m2c_dram *d, uint32_t layer, struct m2c_err *err)
{
    int32_t b = d->block_of[layer];
    if (b == NO_BLOCK)
        return m2c_fail(err, -EINVAL, "layer %u is waited for before it was reached", layer);
    int r = 0;
    while (d->blocks[b].n_pending && r == 0)
        r = reap(d, true, err);
    return r;
}

void m2c_dram_parts(const struct m2c_dram *d, uint32_t layer, struct m2c_parts *out)
{
    const struct block *b = &d->blocks[d->block_of[layer]];
    for (uint32_t p = 0; p < m2c_store_layout(d->store)->n_parts; p++) {
        if (!(d->parts & (1u << p)))
            continue;
        uint32_t off, x = m2c_store_part_at(d->store, p, &off);
        out->base[p] = (struct m2c_mem){b->buf, d->extent_off[x] + off};
        out->stride[p] = b->reads[x].where.stride;
        out->geom[p] = *m2c_store_record(d->store, p);
    }
}

void m2c_dram_hold(struct m2c_dram *d, uint32_t layer, struct m2c_event *ev)
{
    struct block *b = &d->blocks[d->block_of[layer]];
    m2c_event_free(b->hold);
    b->hold = ev;
}

void m2c_dram_counters(const struct m2c_dram *d, struct m2c_tier_counters *out)
{
    struct m2c_io_counters now;
    m2c_io_counters(d->io, &now);
    out->layer_accesses = d->count.layer_accesses;
    out->layer_hits = d->count.layer_hits;
    out->layer_misses = d->count.layer_misses;
    out->layer_loads = d->count.layer_loads;
    out->ssd_wanted = now.bytes_wanted - d->io_base.bytes_wanted;
    out->ssd_moved = now.bytes_moved - d->io_base.bytes_moved;
    out->ssd_requests = now.requests - d->io_base.requests;
    out->ssd_wait_ns = now.wait_ns - d->io_base.wait_ns;
    out->ssd_registered = d->registered;
}

void m2c_dram_counters_reset(struct m2c_dram *d)
{
    d->count = (struct m2c_tier_counters){0};
    m2c_io_counters(d->io, &d->io_base);
}

int m2c_dram_check(const struct m2c_dram *d, struct m2c_err *err)
{
    uint32_t held = 0;
    for (uint32_t l = 0; l < d->layers; l++) {
        if (d->block_of[l] == NO_BLOCK)
            continue;
        held++;
        if ((uint32_t)d->block_of[l] >= d->n_blocks || d->blocks[d->block_of[l]].layer != l ||
            (l < d->fixed && d->block_of[l] != (int32_t)l))
            return m2c_fail(err, -EIO, "DRAM: layer %u's block is not its own", l);
    }
    if (held > d->n_blocks || d->n_fifo > d->n_dynamic ||
        d->count.layer_hits + d->count.layer_misses != d->count.layer_accesses)
        return m2c_fail(err, -EIO, "DRAM: counts disagree");
    return 0;
}
