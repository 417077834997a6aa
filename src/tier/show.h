/* SPDX-License-Identifier: MIT */
/* The copies of waves, for the timeline. Inside the module. */
#ifndef M2C_TIER_SHOW_H
#define M2C_TIER_SHOW_H

#include "base/timeline.h"
#include "dev/dev.h"

/* Copies whose times are not known yet; when so many wait, the next is waited
 * for early. */
enum { M2C_COPIES_MAX = 256 };

struct m2c_copies {
    struct m2c_timeline *timeline; /* NULL: all calls do nothing */
    int64_t ahead_ns;              /* from the device's clock to the host's */
    uint32_t n;
    struct {
        struct m2c_event *from, *to;
        uint32_t layer;
        uint64_t bytes;
    } copy[M2C_COPIES_MAX];
};

/* Before and after a wave's copies are enqueued on q. */
M2C_MUST_USE int m2c_copies_begin(struct m2c_copies *c, struct m2c_queue *q,
                                  struct m2c_err *err);
M2C_MUST_USE int m2c_copies_end(struct m2c_copies *c, struct m2c_queue *q, uint32_t layer,
                                uint64_t bytes, struct m2c_err *err);
/* Waits for all of them and writes them. */
M2C_MUST_USE int m2c_copies_settle(struct m2c_copies *c, struct m2c_err *err);
void m2c_copies_drop(struct m2c_copies *c);

#endif
