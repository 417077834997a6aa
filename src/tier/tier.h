/* SPDX-License-Identifier: MIT */
/* The tier manager: FFN neurons in device memory, in DRAM and on the SSD.
 *
 * Device memory ("HBM") holds one unit a layer, cut into slots by precision
 * class; a policy for each class of each unit chooses victims. A neuron is a
 * set of parts (quant/layout.h): what is moved is wanted & ~held. DRAM holds
 * whole layers: a fixed area with the first layers, and a dynamic area filled
 * in FIFO order `lookahead` layers ahead (M2Cache §5.3, §5.4). The SSD holds
 * everything.
 *
 * Tiering never changes numbers: it decides where a neuron lies, never which
 * neurons are computed or at which class. Hits are decided in program order
 * (resident or in flight), so that arrival times change no victim and no
 * count. No budget is ever exceeded: all memory is allocated at open.
 *
 * A pass over the layers of one token:
 *     m2c_tier_begin(t, layer, wants, n)
 *     while (m2c_tier_wave(t, &w) == 1) {
 *         ... compute what w.list marks with pass 0 ...
 *         if (w.n_hits < w.n) {
 *             m2c_tier_fetch(t, &arrived); make the queue wait for `arrived`;
 *             ... compute pass 1 ...
 *         }
 *         ... phase B over w.list ...
 *         m2c_tier_release(t)
 *     }
 * A unit smaller than the layer's wants works in several waves, ascending in
 * id; one wave's neurons are pinned together. */
#ifndef M2C_TIER_TIER_H
#define M2C_TIER_TIER_H

#include "base/opt.h"
#include "dev/dev.h"
#include "io/io.h"
#include "ops/want.h"
#include "policy/policy.h"
#include "store/rank.h"
#include "store/store.h"

#ifdef __cplusplus
extern "C" {
#endif

enum m2c_verify { M2C_VERIFY_ALWAYS, M2C_VERIFY_FIRST, M2C_VERIFY_NEVER };

enum { M2C_FIXED_AUTO = -1 };

struct m2c_tier_cfg {
    uint64_t hbm_bytes;     /* of all units; 0: unified, compute from DRAM */
    const char *hbm_policy;
    uint64_t seed;          /* for policies that draw */
    uint64_t dram_bytes;    /* of all layer blocks */
    int64_t fixed_layers;   /* M2C_FIXED_AUTO: what lookahead leaves over */
    unsigned lookahead;     /* layers asked for ahead of the current one */
    const char *engine;     /* of the SSD */
    struct m2c_io_cfg io;
    enum m2c_verify verify; /* of checksums as blocks arrive in DRAM */
    struct m2c_ratio ratio; /* over classes; a class with share 0 is not held */
    bool at_least;          /* a neuron held wider than wanted is a hit, and is computed at
                               what is held: then sizes and policies change numbers */
    const struct m2c_rank *rank; /* for policies that need one, borrowed; or NULL */
    /* io.timeline: waits and reads are shown there, and copies (m2c_tier_show) */
};

/* What the budgets come to, before anything is allocated. */
struct m2c_tier_plan {
    uint64_t unit_bytes;                 /* of one layer's unit as laid out */
    uint32_t slots[M2C_MAX_CLASSES];     /* a unit, by class */
    uint32_t parts;                      /* mask of the parts that DRAM holds */
    uint64_t block_bytes;                /* of one layer in DRAM */
    uint32_t blocks, fixed;              /* layers in DRAM, of which fixed */
    uint64_t spare_bytes;                /* a slot to turn neurons around in, or 0 */
    uint64_t hbm_bytes, dram_bytes;      /* that will be allocated */
    uint64_t hbm_min, dram_min;          /* the smallest budgets that would do */
};

/* -ENOSPC when a budget is too small: detail names the key and the smallest
 * value that would do; *out is filled in as far as it is known. */
M2C_MUST_USE int m2c_tier_plan(const struct m2c_store *store,
                               const struct m2c_tier_cfg *cfg,
                               struct m2c_tier_plan *out, struct m2c_err *err);

/* Device memory of the lists, on devices that do not read the host's. */
uint64_t m2c_tier_list_bytes(const struct m2c_store *store);

struct m2c_tier;

/* Opens the store's file with the I/O engine and allocates everything.
 * `compute` is the queue that will read the lists. Nothing is loaded yet. */
M2C_MUST_USE int m2c_tier_open(struct m2c_tier **out, struct m2c_dev *dev,
                               struct m2c_queue *compute, const struct m2c_store *store,
                               const struct m2c_tier_cfg *cfg, struct m2c_err *err);
void m2c_tier_close(struct m2c_tier *t); /* accepts NULL; drains what is in flight */
const struct m2c_tier_plan *m2c_tier_planned(const struct m2c_tier *t);

/* wants: sorted by id; borrowed until the last wave is released. */
M2C_MUST_USE int m2c_tier_begin(struct m2c_tier *t, uint32_t layer,
                                const struct m2c_want *wants, uint32_t n,
                                struct m2c_err *err);

struct m2c_wave {
    const struct m2c_ffn_unit *unit;
    struct m2c_mem list; /* struct m2c_neuron_ref[n], sorted by id */
    uint32_t n, n_hits;
};
/* 1: *w is the next wave; 0: the layer is done. */
M2C_MUST_USE int m2c_tier_wave(struct m2c_tier *t, struct m2c_wave *w,
                               struct m2c_err *err);
/* Brings the wave's misses. May block on the SSD. *arrived passes when the
 * copies are done; the caller frees it. */
M2C_MUST_USE int m2c_tier_fetch(struct m2c_tier *t, struct m2c_event **arrived,
                                struct m2c_err *err);
/* All ops that read the wave have been launched on the compute queue: its
 * slots may be replaced once they are done. */
M2C_MUST_USE int m2c_tier_release(struct m2c_tier *t, struct m2c_err *err);

/* Puts the copies since the last call on the timeline, if there is one: times of
 * the device's clock, to which `ahead_ns` is added. Waits for them. */
M2C_MUST_USE int m2c_tier_show(struct m2c_tier *t, int64_t ahead_ns, struct m2c_err *err);

/* Counts since the last reset. On every link, bytes wanted by the algorithm
 * and bytes that the link's layer moved. */
struct m2c_tier_counters {
    uint64_t accesses[M2C_MAX_CLASSES], hits[M2C_MAX_CLASSES];
    uint64_t misses[M2C_MAX_CLASSES]; /* hits + misses = accesses */
    uint64_t wider;     /* computed wider than wanted (at_least) */
    uint64_t evictions, waves;
    uint64_t reclassed; /* went from a slot of one class to one of another */
    uint64_t widened;   /* of these: missed some parts and took along the others */
    uint64_t layer_accesses, layer_hits, layer_misses, layer_loads;
    uint64_t hbm_wanted, hbm_moved;   /* DRAM to device */
    uint64_t ssd_wanted, ssd_moved, ssd_requests, ssd_wait_ns;
    uint64_t ssd_registered; /* no count: bytes of DRAM that the engine has pinned */
};
void m2c_tier_counters(const struct m2c_tier *t, struct m2c_tier_counters *out);
void m2c_tier_counters_reset(struct m2c_tier *t);

/* Walks all structures: pools against tables, bytes against budgets. For
 * tests. -EIO names what is wrong. */
M2C_MUST_USE int m2c_tier_check(const struct m2c_tier *t, struct m2c_err *err);

/* Slots by class of a unit of `bytes`: the largest total in proportion to the
 * shares, at least 1 for each class in use, at most n; what is left over goes
 * to the widest class that it fits. False: even one slot each does not fit;
 * *min is what would. */
bool m2c_tier_split(uint64_t bytes, const struct m2c_ratio *ratio,
                    const uint64_t stride[M2C_MAX_CLASSES], uint32_t n,
                    uint32_t slots[M2C_MAX_CLASSES], uint64_t *min);

#ifdef __cplusplus
}
#endif
#endif
