/* SPDX-License-Identifier: MIT */
/* A class of a layout as the ops want it, from where its parts lie. */
#ifndef M2C_TIER_WAY_H
#define M2C_TIER_WAY_H

#include "ops/op.h"
#include "quant/layout.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the records of each part lie: the first one's address, the distance to
 * the next, and the geometry of one. Entries of parts that the class has not
 * are not looked at. */
struct m2c_parts {
    struct m2c_mem base[M2C_LAYOUT_PARTS];
    size_t stride[M2C_LAYOUT_PARTS];
    struct m2c_geom geom[M2C_LAYOUT_PARTS];
};

void m2c_way_class(const struct m2c_layout *l, unsigned cls, const struct m2c_parts *p,
                   struct m2c_ffn_class *out);

/* Slots of class `cls` from `base` on, as parts. */
void m2c_way_slots(const struct m2c_layout *l, unsigned cls, uint32_t dim, bool has_gate,
                   struct m2c_mem base, struct m2c_parts *out);

#ifdef __cplusplus
}
#endif
#endif
