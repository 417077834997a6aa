/* SPDX-License-Identifier: MIT */
/* The DRAM tier: whole layers, a fixed and a dynamic area (M2Cache §5.4).
 * Inside the module. */
#ifndef M2C_TIER_DRAM_H
#define M2C_TIER_DRAM_H

#include "tier/tier.h"
#include "tier/way.h"

struct m2c_dram;

M2C_MUST_USE int m2c_dram_open(struct m2c_dram **out, struct m2c_dev *dev,
                               const struct m2c_store *store,
                               const struct m2c_tier_cfg *cfg,
                               const struct m2c_tier_plan *plan, struct m2c_err *err);
void m2c_dram_close(struct m2c_dram *d); /* accepts NULL; drains reads in flight */

/* The pass reaches `layer`: counts a hit (resident or in flight) or a miss,
 * asks the SSD for it if need be, then for the `lookahead` layers that follow,
 * as far as room allows without giving up one that is needed sooner. */
M2C_MUST_USE int m2c_dram_reach(struct m2c_dram *d, uint32_t layer, struct m2c_err *err);
/* Blocks until all parts of a layer that was reached are there and checked. */
M2C_MUST_USE int m2c_dram_wait(struct m2c_dram *d, uint32_t layer, struct m2c_err *err);
/* Records of the parts in use of a layer that m2c_dram_wait has seen. */
void m2c_dram_parts(const struct m2c_dram *d, uint32_t layer, struct m2c_parts *out);
/* The layer's block must stay until `ev` has passed; takes it over. Events
 * of one layer must come from one queue. */
void m2c_dram_hold(struct m2c_dram *d, uint32_t layer, struct m2c_event *ev);

void m2c_dram_counters(const struct m2c_dram *d, struct m2c_tier_counters *out);
void m2c_dram_counters_reset(struct m2c_dram *d);
M2C_MUST_USE int m2c_dram_check(const struct m2c_dram *d, struct m2c_err *err);

/* The extents of a store that have any of these parts, as a mask. */
uint32_t m2c_tier_extents(const struct m2c_store *store, uint32_t parts);

#endif
