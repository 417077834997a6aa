/* SPDX-License-Identifier: MIT */
/* One layer's unit in device memory: slots by class, who lies in them, and a
 * policy a class. Inside the module. The unit decides; tier.c moves bytes.
 *
 * A neuron lies in one slot. It is a hit where that slot has the parts of the
 * wanted class: held wider, it stays and is computed narrower (at_least: as it is
 * held, also where the layout has no parts in common). Held with some
 * of the parts only it moves to a slot of the wanted class, takes along what
 * it has, and misses the rest. */
#ifndef M2C_TIER_UNIT_H
#define M2C_TIER_UNIT_H

#include "quant/layout.h"
#include "tier/tier.h"

enum { M2C_NO_CLASS = 0xff };

struct m2c_pool_class {
    struct m2c_policy *policy; /* NULL: the class is not in use */
    uint32_t n_slots, n_free;
    uint32_t *free_slots; /* [n_slots], a stack */
};

struct m2c_unit {
    uint32_t n; /* neurons of the layer */
    uint32_t n_classes;
    bool at_least; /* compute at the class of the slot, where that is wider */
    uint32_t parts[M2C_MAX_CLASSES]; /* of each class */
    /* geom's entry for class [0] from slots of class [1]; M2C_NO_CLASS: none */
    uint8_t way[M2C_MAX_CLASSES][M2C_MAX_CLASSES];
    struct m2c_pool_class cls[M2C_MAX_CLASSES];
    uint8_t *held;  /* [n] class of the slot that a neuron lies in, or M2C_NO_CLASS */
    uint32_t *slot; /* [n] its slot there */
    struct m2c_ffn_unit geom;
    struct m2c_event *last_use; /* of the compute queue, or NULL */
};

/* A neuron on its way to slot `to_slot` of class `to`. */
struct m2c_move {
    uint32_t id;
    uint8_t from, to; /* classes of slots; from: M2C_NO_CLASS where nothing is carried */
    uint32_t from_slot, to_slot;
    uint32_t carried, missing; /* parts: from the old slot, and from DRAM */
};

/* Geometry must be set by the caller. `seed` differs for every unit; `order`
 * u32[n], hottest first, borrowed, or NULL. */
M2C_MUST_USE int m2c_unit_init(struct m2c_unit *u, const char *policy, uint32_t n,
                               const struct m2c_layout *layout, const uint32_t *slots,
                               uint64_t seed, const uint32_t *order,
                               struct m2c_err *err);
void m2c_unit_fini(struct m2c_unit *u); /* zeroed or half-built is fine */

/* Longest prefix of wants whose classes fit the slots. */
uint32_t m2c_unit_fit(const struct m2c_unit *u, const struct m2c_want *wants, uint32_t n);

/* Makes all n wants (which fit) resident or coming, as one pinned set:
 * refs[i] names the slot of wants[i], pass 0 where it lies there, 1 where it
 * moves or must be copied; *n_moves of them are listed in `moves`, by id.
 * `pins` u16[neurons], zero before and after. */
M2C_MUST_USE int m2c_unit_place(struct m2c_unit *u, const struct m2c_want *wants,
                                uint32_t n, uint64_t now, uint16_t *pins,
                                struct m2c_neuron_ref *refs, struct m2c_move *moves,
                                uint32_t *n_moves, struct m2c_tier_counters *count,
                                struct m2c_err *err);
M2C_MUST_USE int m2c_unit_check(const struct m2c_unit *u, struct m2c_err *err);

#endif
