/* SPDX-License-Identifier: MIT */
/* Copies of a wave, in an order that loses nothing.
 *
 * A slot that one neuron leaves may be another's target in the same wave. A
 * slot has at most one that leaves and one that comes, so moves form chains,
 * which are copied from their free end, and rings, of which one neuron waits
 * in a spare slot. Copies of one batch may run in any order; batches of a
 * queue do not. */
#include "tier/moves.h"

#include <errno.h>
#include <stdlib.h>

#define NO_MOVE UINT32_MAX
enum { OPEN = 0, ON_PATH = 1, DONE = 2, FIRST_LEVEL = 3 };

int m2c_mover_init(struct m2c_mover *v, struct m2c_dev *dev, struct m2c_queue *queue,
                   const struct m2c_store *store, const struct m2c_tier_plan *plan,
                   struct m2c_err *err)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(store);
    const struct m2c_layout *l = m2c_store_layout(store);
    uint32_t slots = 0;
    v->queue = queue;
    v->layout = l;
    for (uint32_t c = 0; c < l->n_classes; c++) {
        m2c_class_slot(l, c, m->dim, m->has_gate, &v->slot[c]);
        v->first[c] = slots;
        slots += plan->slots[c];
    }
    for (uint32_t q = 0; q < l->n_parts; q++) {
        struct m2c_geom g;
        m2c_slot_geom(l->part[q].type, m->dim, m->has_gate, &g);
        v->slot_bytes[q] = g.bytes;
        v->n_segments[q] =
            m2c_record_to_slot(l->part[q].type, m->dim, m->has_gate, v->segments[q]);
    }
    v->leaver = calloc(slots ? slots : 1, sizeof *v->leaver);
    v->depth = calloc(m->hidden, sizeof *v->depth);
    v->path = calloc(m->hidden, sizeof *v->path);
    v->batch = calloc(M2C_COPY_BATCH, sizeof *v->batch);
    if (!v->leaver || !v->depth || !v->path || !v->batch)
        return m2c_fail(err, -ENOMEM, "tiers: out of memory");
    return plan->spare_bytes ? m2c_dev_alloc(dev, M2C_PLACE_DEVICE, plan->spare_bytes,
                                             &v->spare, err)
                             : 0;
}

void m2c_mover_fini(struct m2c_mover *v, struct m2c_dev *dev)
{
    m2c_dev_free(dev, v->spare);
    free(v->leaver);
    free(v->depth);
    free(v->path);
    free(v->batch);
}

static int flush(struct m2c_mover *v, struct m2c_err *err)
{
    uint32_t n = v->n_batch;
    v->n_batch = 0;
    return n ? m2c_queue_copy(v->queue, v->batch, n, err) : 0;
}

static int add(struct m2c_mover *v, struct m2c_mem dst, struct m2c_mem src, size_t bytes,
               struct m2c_err *err)
{
    int r = v->n_batch == M2C_COPY_BATCH ? flush(v, err) : 0;
    if (r == 0)
        v->batch[v->n_batch++] = (struct m2c_copy){dst, src, bytes};
    return r;
}

static struct m2c_mem slot_at(const struct m2c_mover *v, const struct m2c_mem *base,
                              unsigned cls, uint32_t slot)
{
    return m2c_mem_at(base[cls], (size_t)slot * v->slot[cls].bytes);
}

/* The parts `mask` from one slot to another; each part is one piece. */
static int copy_parts(struct m2c_mover *v, uint32_t mask, struct m2c_mem dst,
                      unsigned dst_cls, struct m2c_mem src, unsigned src_cls,
                      struct m2c_err *err)
{
    int r = 0;
    for (uint32_t q = 0; q < v->layout->n_parts && r == 0; q++) {
        if (mask & (1u << q))
            r = add(v, m2c_mem_at(dst, v->slot[dst_cls].part_off[q]),
                    m2c_mem_at(src, v->slot[src_cls].part_off[q]), v->slot_bytes[q], err);
    }
    return r;
}

static int carry_one(struct m2c_mover *v, const struct m2c_move *m,
                     const struct m2c_mem *base, struct m2c_err *err)
{
    return copy_parts(v, m->carried, slot_at(v, base, m->to, m->to_slot), m->to,
                      slot_at(v, base, m->from, m->from_slot), m->from, err);
}

/* The move that must be made before move i, or NO_MOVE. */
static uint32_t before(const struct m2c_mover *v, const struct m2c_move *m)
{
    uint32_t k = v->leaver[v->first[m->to] + m->to_slot];
    return k ? k - 1 : NO_MOVE;
}

/* path[0] waits for path[1], and so on; the last waits for path[0]. */
static int turn_ring(struct m2c_mover *v, const struct m2c_move *moves, uint32_t n,
                     const struct m2c_mem *base, struct m2c_err *err)
{
    const struct m2c_move *m = &moves[v->path[0]];
    struct m2c_mem spare = {v->spare, 0};
    int r = flush(v, err);
    if (r == 0)
        r = copy_parts(v, m->carried, spare, m->from,
                       slot_at(v, base, m->from, m->from_slot), m->from, err);
    for (uint32_t i = n; i-- > 1 && r == 0;) {
        r = flush(v, err);
        if (r == 0)
            r = carry_one(v, &moves[v->path[i]], base, err);
    }
    if (r == 0)
        r = flush(v, err);
    if (r == 0)
        r = copy_parts(v, m->carried, slot_at(v, base, m->to, m->to_slot), m->to, spare,
                       m->from, err);
    return r < 0 ? r : flush(v, err);
}

/* Gives the moves that hang on move i their levels: a move's is one above that
 * of the move that it waits for. Rings are made at once. */
static int find_levels(struct m2c_mover *v, const struct m2c_move *moves, uint32_t i,
                       uint32_t *levels, const struct m2c_mem *base, struct m2c_err *err)
{
    uint32_t n = 0, at = i;
    while (at != NO_MOVE && v->depth[at] == OPEN) {
        v->depth[at] = ON_PATH;
        v->path[n++] = at;
        at = before(v, &moves[at]);
    }
    bool ring = at != NO_MOVE && v->depth[at] == ON_PATH;
    uint32_t level = at != NO_MOVE && v->depth[at] >= FIRST_LEVEL ? v->depth[at] + 1
                                                                  : FIRST_LEVEL;
    int r = ring ? turn_ring(v, moves, n, base, err) : 0;
    for (uint32_t k = n; k-- > 0;)
        v->depth[v->path[k]] = ring ? DONE : level++;
    if (!ring && n)
        *levels = M2C_MAX(*levels, level);
    return r;
}

int m2c_mover_carry(struct m2c_mover *v, const struct m2c_move *moves, uint32_t n,
                    const struct m2c_mem *base, struct m2c_err *err)
{
    uint32_t levels = FIRST_LEVEL;
    int r = 0;
    for (uint32_t i = 0; i < n; i++) {
        v->depth[i] = moves[i].from == M2C_NO_CLASS ? DONE : OPEN;
        if (moves[i].from != M2C_NO_CLASS)
            v->leaver[v->first[moves[i].from] + moves[i].from_slot] = i + 1;
    }
    for (uint32_t i = 0; i < n && r == 0; i++) {
        if (v->depth[i] == OPEN)
            r = find_levels(v, moves, i, &levels, base, err);
    }
    for (uint32_t level = FIRST_LEVEL; level < levels && r == 0; level++) {
        for (uint32_t i = 0; i < n && r == 0; i++) {
            if (v->depth[i] == level)
                r = carry_one(v, &moves[i], base, err);
        }
        if (r == 0)
            r = flush(v, err);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (moves[i].from != M2C_NO_CLASS)
            v->leaver[v->first[moves[i].from] + moves[i].from_slot] = 0;
    }
    return r;
}

int m2c_mover_bring(struct m2c_mover *v, const struct m2c_move *moves, uint32_t n,
                    const struct m2c_mem *base, const struct m2c_parts *dram,
                    struct m2c_err *err)
{
    int r = 0;
    for (uint32_t i = 0; i < n && r == 0; i++) {
        const struct m2c_move *m = &moves[i];
        struct m2c_mem slot = slot_at(v, base, m->to, m->to_slot);
        for (uint32_t q = 0; q < v->layout->n_parts && r == 0; q++) {
            if (!(m->missing & (1u << q)))
                continue;
            struct m2c_mem dst = m2c_mem_at(slot, v->slot[m->to].part_off[q]);
            struct m2c_mem src = m2c_mem_at(dram->base[q], m->id * dram->stride[q]);
            for (unsigned k = 0; k < v->n_segments[q] && r == 0; k++) {
                const struct m2c_segment *s = &v->segments[q][k];
                r = add(v, m2c_mem_at(dst, s->dst), m2c_mem_at(src, s->src), s->bytes, err);
            }
        }
    }
    return r < 0 ? r : flush(v, err);
}
