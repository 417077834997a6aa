/* SPDX-License-Identifier: MIT */
/* S3-FIFO (Yang, Zhang, Qiu, Yue, Vigfusson, "FIFO Queues are All You Need for
 * Cache Eviction", SOSP 2023): a small FIFO of a tenth of the pool sifts out what
 * is used once; what was used more often moves to the main FIFO, where a use
 * earns another round; a ghost FIFO of 0.9 pools sends what comes back straight
 * to the main one.
 *
 * As in libCacheSim 0.3.5: two uses in the small FIFO are needed to move on, and
 * while nothing has been thrown out yet, a full small FIFO lets new blocks into
 * the main one. Pinned blocks are passed; in the small FIFO they keep their
 * place, in the main one they go round. */
#include "policy/policy_impl.h"

#include <errno.h>

enum { SMALL = M2C_NEW, MAIN = M2C_KEPT, MOVE_USES = 2, MAX_USES = 3 };

struct s3fifo {
    struct m2c_ghosts q;
    uint8_t *uses; /* [n_blocks] 0 to MAX_USES */
    uint32_t small, main;
    bool evicted; /* something has been thrown out */
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct s3fifo *s = pol->priv;
    (void)seed;
    s->small = M2C_MAX((uint32_t)(pol->capacity * 0.1), 1u);
    s->main = pol->capacity - M2C_MIN(s->small, pol->capacity);
    s->uses = m2c_policy_array(pol, pol->n_blocks, 1);
    return s->uses ? m2c_ghosts_init(&s->q, pol, (uint32_t)(pol->capacity * 0.9))
                   : -ENOMEM;
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct s3fifo *s = pol->priv;
    bool filling = !s->evicted && s->q.ring.len[SMALL] >= s->small;
    m2c_ghosts_come(&s->q, m2c_ghosts_knew(&s->q, a->id) || filling ? MAIN : SMALL,
                    a->id);
    s->uses[a->id] = 0;
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct s3fifo *s = pol->priv;
    m2c_ring_forget(&s->q.ring);
    if (s->uses[a->id] < MAX_USES)
        s->uses[a->id]++;
}

static uint32_t from_small(struct s3fifo *s, const uint16_t *pins)
{
    for (;;) {
        /* What is pinned and to move on waits for a victim that comes after it. */
        uint32_t id = m2c_ring_oldest(&s->q.ring, SMALL, pins, true);
        if (id == M2C_NO_BLOCK || s->uses[id] < MOVE_USES)
            return id;
        m2c_ghosts_move(&s->q, MAIN, id);
        s->uses[id] = 0;
    }
}

static uint32_t from_main(struct s3fifo *s, const uint16_t *pins)
{
    struct m2c_ring *ring = &s->q.ring;
    for (uint64_t steps = (MAX_USES + 1) * (uint64_t)ring->len[MAIN]; steps; steps--) {
        uint32_t id = m2c_ring_tail(ring, MAIN);
        if (!m2c_pinned(pins, id)) {
            if (!s->uses[id])
                return id;
            s->uses[id]--;
        }
        m2c_ring_touch(ring, MAIN, id);
    }
    return M2C_NO_BLOCK;
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    struct s3fifo *s = pol->priv;
    uint32_t id = M2C_NO_BLOCK;
    s->evicted = true;
    if (s->q.ring.len[MAIN] <= s->main)
        id = from_small(s, pins);
    if (id == M2C_NO_BLOCK)
        id = from_main(s, pins);
    return id == M2C_NO_BLOCK ? from_small(s, pins) : id;
}

const struct m2c_policy_ops m2c_policy_s3fifo = {
    .p = {.name = "s3-fifo",
          .desc = "S3-FIFO: a small FIFO sifts, a main FIFO keeps",
          .priv_size = sizeof(struct s3fifo)},
    .admit = m2c_ghosts_admit,
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = m2c_ghosts_remove,
    .check = m2c_ghosts_check,
};
