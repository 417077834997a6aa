/* SPDX-License-Identifier: MIT */
/* The bytes of a wave's moves: parts that a neuron takes along, from slot to
 * slot, and parts that it misses, from DRAM. Inside the module. */
#ifndef M2C_TIER_MOVES_H
#define M2C_TIER_MOVES_H

#include "tier/unit.h"
#include "tier/way.h"

enum { M2C_COPY_BATCH = 1024 };

struct m2c_mover {
    struct m2c_queue *queue;
    const struct m2c_layout *layout;
    struct m2c_slot slot[M2C_MAX_CLASSES]; /* of each class */
    uint32_t slot_bytes[M2C_LAYOUT_PARTS]; /* of each part in a slot */
    unsigned n_segments[M2C_LAYOUT_PARTS];
    struct m2c_segment segments[M2C_LAYOUT_PARTS][2 * M2C_LAYOUT_VECTORS];
    uint32_t first[M2C_MAX_CLASSES]; /* number of a class's first slot in a unit */
    uint32_t *leaver; /* [slots of a unit]: the move that leaves a slot, plus 1 */
    uint32_t *depth, *path; /* [neurons] */
    struct m2c_buf *spare;  /* one slot; NULL in layouts whose moves carry nothing */
    struct m2c_copy *batch; /* [M2C_COPY_BATCH] */
    uint32_t n_batch;
};

M2C_MUST_USE int m2c_mover_init(struct m2c_mover *v, struct m2c_dev *dev,
                                struct m2c_queue *queue, const struct m2c_store *store,
                                const struct m2c_tier_plan *plan, struct m2c_err *err);
void m2c_mover_fini(struct m2c_mover *v, struct m2c_dev *dev); /* zeroed is fine */

/* Queues what moves[0 .. n) carry, so that no slot is overwritten before what
 * lies in it has left. base[c]: slot 0 of class c of this unit. */
M2C_MUST_USE int m2c_mover_carry(struct m2c_mover *v, const struct m2c_move *moves,
                                 uint32_t n, const struct m2c_mem *base,
                                 struct m2c_err *err);
/* Queues what they miss; to be called after m2c_mover_carry. */
M2C_MUST_USE int m2c_mover_bring(struct m2c_mover *v, const struct m2c_move *moves,
                                 uint32_t n, const struct m2c_mem *base,
                                 const struct m2c_parts *dram, struct m2c_err *err);

#endif
