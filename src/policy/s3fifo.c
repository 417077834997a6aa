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

enum { SMALL, MAIN, GHOST, MOVE_USES = 2, MAX_USES = 3 };

struct s3fifo {
    struct m2c_ring ring;
    uint8_t *where; /* [n_blocks] queue + 1, 0: nowhere */
    uint8_t *uses;  /* [n_blocks] 0 to MAX_USES */
    uint32_t small, main, ghost;
    uint32_t again; /* the miss that the ghost remembered, or M2C_NO_BLOCK */
    bool evicted;   /* something has been thrown out */
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct s3fifo *s = pol->priv;
    (void)seed;
    s->small = M2C_MAX((uint32_t)(pol->capacity * 0.1), 1u);
    s->main = pol->capacity - M2C_MIN(s->small, pol->capacity);
    s->ghost = (uint32_t)(pol->capacity * 0.9);
    s->again = M2C_NO_BLOCK;
    s->where = m2c_policy_array(pol, pol->n_blocks, 1);
    s->uses = m2c_policy_array(pol, pol->n_blocks, 1);
    return s->where && s->uses ? m2c_ring_init(&s->ring, pol) : -ENOMEM;
}

static void put(struct s3fifo *s, unsigned queue, uint32_t id)
{
    m2c_ring_push(&s->ring, queue, id);
    s->where[id] = (uint8_t)(queue + 1);
}

static void take(struct s3fifo *s, uint32_t id)
{
    m2c_ring_del(&s->ring, s->where[id] - 1u, id);
    s->where[id] = 0;
}

static bool admit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct s3fifo *s = pol->priv;
    s->again = M2C_NO_BLOCK;
    if (s->where[a->id] == GHOST + 1) {
        take(s, a->id);
        s->again = a->id;
    }
    return true;
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct s3fifo *s = pol->priv;
    bool again = s->again == a->id || s->where[a->id] == GHOST + 1;
    if (s->where[a->id])
        take(s, a->id);
    bool filling = !s->evicted && s->ring.len[SMALL] >= s->small;
    put(s, again || filling ? MAIN : SMALL, a->id);
    s->uses[a->id] = 0;
    s->again = M2C_NO_BLOCK;
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct s3fifo *s = pol->priv;
    m2c_ring_forget(&s->ring);
    if (s->uses[a->id] < MAX_USES)
        s->uses[a->id]++;
}

static uint32_t from_small(struct s3fifo *s, const uint16_t *pins)
{
    for (;;) {
        /* What is pinned and to move on waits for a victim that comes after it. */
        uint32_t id = m2c_ring_oldest(&s->ring, SMALL, pins, true);
        if (id == M2C_NO_BLOCK || s->uses[id] < MOVE_USES)
            return id;
        take(s, id);
        put(s, MAIN, id);
        s->uses[id] = 0;
    }
}

static uint32_t from_main(struct s3fifo *s, const uint16_t *pins)
{
    for (uint64_t steps = (MAX_USES + 1) * (uint64_t)s->ring.len[MAIN]; steps; steps--) {
        uint32_t id = m2c_ring_tail(&s->ring, MAIN);
        if (!m2c_pinned(pins, id)) {
            if (!s->uses[id])
                return id;
            s->uses[id]--;
        }
        m2c_ring_touch(&s->ring, MAIN, id);
    }
    return M2C_NO_BLOCK;
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    struct s3fifo *s = pol->priv;
    uint32_t id = M2C_NO_BLOCK;
    s->evicted = true;
    if (s->ring.len[MAIN] <= s->main)
        id = from_small(s, pins);
    if (id == M2C_NO_BLOCK)
        id = from_main(s, pins);
    return id == M2C_NO_BLOCK ? from_small(s, pins) : id;
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    struct s3fifo *s = pol->priv;
    bool remember = evicted && s->where[id] == SMALL + 1 && s->ghost;
    take(s, id);
    if (!remember)
        return;
    if (s->ring.len[GHOST] >= s->ghost)
        take(s, m2c_ring_tail(&s->ring, GHOST));
    put(s, GHOST, id);
}

static bool check(const struct m2c_policy *pol)
{
    const struct s3fifo *s = pol->priv;
    uint32_t n = 0, ghosts = 0;
    return m2c_ring_check(&s->ring, pol, SMALL, true, &n) &&
           m2c_ring_check(&s->ring, pol, MAIN, true, &n) && n == pol->n_resident &&
           m2c_ring_check(&s->ring, pol, GHOST, false, &ghosts) && ghosts <= s->ghost;
}

const struct m2c_policy_ops m2c_policy_s3fifo = {
    .p = {.name = "s3-fifo",
          .desc = "S3-FIFO: a small FIFO sifts, a main FIFO keeps",
          .priv_size = sizeof(struct s3fifo)},
    .admit = admit,
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
