/* SPDX-License-Identifier: MIT */
/* W-TinyLFU (Einziger, Friedman, Manes, "TinyLFU: A Highly Efficient Cache
 * Admission Policy", ACM Trans. on Storage, 2017): new blocks pass through an LRU
 * window of 1 % of the pool; who leaves it must have been used more often than
 * the one it would push out of the main area, a segmented LRU (80 % protected).
 * Counts are halved after ten pools' worth of accesses.
 *
 * The paper's sketch is for ids out of a huge space; here they are dense, so
 * each has a count of its own (4 bits' worth, as there). */
#include "policy/policy_impl.h"

#include <errno.h>

enum { WINDOW, PROBATION, PROTECTED, MAX_COUNT = 15, SAMPLE = 10 };

struct wtinylfu {
    struct m2c_ring ring;
    uint8_t *where; /* [n_blocks] of a resident: its queue */
    uint8_t *count; /* [n_blocks] */
    uint32_t window, protect;
    uint64_t sampled;
};

static int init(struct m2c_policy *pol, uint64_t seed)
{
    struct wtinylfu *w = pol->priv;
    (void)seed;
    w->window = M2C_MAX(pol->capacity / 100, 1u);
    w->protect = (uint32_t)((pol->capacity - M2C_MIN(w->window, pol->capacity)) * 0.8);
    w->where = m2c_policy_array(pol, pol->n_blocks, 1);
    w->count = m2c_policy_array(pol, pol->n_blocks, 1);
    return w->where && w->count ? m2c_ring_init(&w->ring, pol) : -ENOMEM;
}

static void put(struct wtinylfu *w, unsigned queue, uint32_t id)
{
    m2c_ring_push(&w->ring, queue, id);
    w->where[id] = (uint8_t)queue;
}

static void move(struct wtinylfu *w, unsigned queue, uint32_t id)
{
    m2c_ring_del(&w->ring, w->where[id], id);
    put(w, queue, id);
}

static void sample(struct m2c_policy *pol, uint32_t id)
{
    struct wtinylfu *w = pol->priv;
    if (w->count[id] < MAX_COUNT)
        w->count[id]++;
    if (++w->sampled < SAMPLE * (uint64_t)pol->capacity)
        return;
    for (uint32_t i = 0; i < pol->n_blocks; i++)
        w->count[i] /= 2;
    w->sampled /= 2;
}

static bool admit(struct m2c_policy *pol, const struct m2c_access *a)
{
    sample(pol, a->id);
    return true;
}

static void insert(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct wtinylfu *w = pol->priv;
    put(w, WINDOW, a->id);
    if (w->ring.len[WINDOW] > w->window)
        move(w, PROBATION, m2c_ring_tail(&w->ring, WINDOW));
}

static void hit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct wtinylfu *w = pol->priv;
    sample(pol, a->id);
    move(w, w->where[a->id] == WINDOW ? WINDOW : PROTECTED, a->id);
    if (w->ring.len[PROTECTED] > w->protect)
        move(w, PROBATION, m2c_ring_tail(&w->ring, PROTECTED));
}

static uint32_t victim(struct m2c_policy *pol, const uint16_t *pins)
{
    struct wtinylfu *w = pol->priv;
    uint32_t from_main = m2c_ring_oldest(&w->ring, PROBATION, pins, false);
    uint32_t candidate = m2c_ring_oldest(&w->ring, WINDOW, pins, false);
    if (from_main == M2C_NO_BLOCK)
        from_main = m2c_ring_oldest(&w->ring, PROTECTED, pins, false);
    if (from_main == M2C_NO_BLOCK || candidate == M2C_NO_BLOCK)
        return from_main == M2C_NO_BLOCK ? candidate : from_main;
    /* A window that is not full has nobody to give away yet. */
    if (w->ring.len[WINDOW] < w->window)
        return from_main;
    return w->count[candidate] > w->count[from_main] ? from_main : candidate;
}

static void del(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    struct wtinylfu *w = pol->priv;
    (void)evicted;
    m2c_ring_del(&w->ring, w->where[id], id);
}

static bool check(const struct m2c_policy *pol)
{
    const struct wtinylfu *w = pol->priv;
    uint32_t n = 0;
    return m2c_ring_check(&w->ring, pol, WINDOW, true, &n) &&
           m2c_ring_check(&w->ring, pol, PROBATION, true, &n) &&
           m2c_ring_check(&w->ring, pol, PROTECTED, true, &n) && n == pol->n_resident &&
           w->ring.len[WINDOW] <= w->window;
}

const struct m2c_policy_ops m2c_policy_wtinylfu = {
    .p = {.name = "w-tinylfu",
          .desc = "W-TinyLFU: a window, then entry by frequency",
          .priv_size = sizeof(struct wtinylfu)},
    .admit = admit,
    .init = init,
    .insert = insert,
    .hit = hit,
    .victim = victim,
    .remove = del,
    .check = check,
};
