/* SPDX-License-Identifier: MIT */
/* What a cache does for a set of wants, with counters instead of copies. */
#include "exp/replay_impl.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t part_bytes(const struct m2c_trace *t, uint32_t parts)
{
    uint32_t sum = 0;
    for (uint32_t p = 0; p < t->n_parts; p++)
        sum += parts >> p & 1 ? t->part_bytes[p] : 0;
    return sum;
}

/* Of the class, or of a foreign trace's own block. */
static uint32_t want_bytes(const struct m2c_replay_pool *p, uint64_t i)
{
    return p->t->bytes ? p->t->bytes[i] : p->class_bytes[p->t->of_class[i]];
}

/* Blocks of average size that fit: what policies with queues of a share of the
 * pool take for its capacity. And the most that can be there. */
static void blocks_of(const struct m2c_replay_pool *p, uint32_t blocks, uint32_t *mean,
                      uint32_t *most)
{
    uint64_t sum = 0;
    uint32_t least = UINT32_MAX;
    for (uint64_t i = 0; i < p->t->n; i++) {
        uint32_t b = want_bytes(p, i);
        sum += b;
        least = b < least ? b : least;
    }
    double average = (double)sum / (double)p->t->n;
    double fit = (double)p->capacity / average;
    *mean = fit < 1 ? 1 : fit < blocks ? (uint32_t)fit : blocks;
    *most =
        (uint32_t)M2C_MIN(M2C_MAX(p->capacity / least, (uint64_t)1), (uint64_t)blocks);
}

int m2c_replay_pool_open(struct m2c_replay_pool *p, const struct m2c_replay_cfg *cfg,
                         const char *policy, uint32_t blocks, uint64_t capacity,
                         uint64_t seed, const uint32_t *order, const uint32_t *next,
                         struct m2c_err *err)
{
    p->t = cfg->trace;
    p->next = next;
    p->sized = cfg->sized;
    p->seq = cfg->seq;
    p->bound = m2c_policy_is_bound(policy);
    p->capacity = capacity;
    for (uint32_t c = 0; c < p->t->n_classes; c++)
        p->class_bytes[c] = m2c_trace_class_bytes(p->t, c);
    struct m2c_policy_cfg pc = {.n_blocks = blocks,
                                .capacity = (uint32_t)M2C_MIN(capacity, (uint64_t)blocks),
                                .seed = seed,
                                .order = order,
                                .future = next != NULL};
    if (cfg->sized)
        blocks_of(p, blocks, &pc.capacity, &pc.slots);
    p->held = calloc(blocks, 1);
    p->pins = calloc(blocks, sizeof *p->pins);
    p->missing = calloc(blocks, sizeof *p->missing);
    p->size = cfg->sized ? calloc(blocks, sizeof *p->size) : NULL;
    if (!p->held || !p->pins || !p->missing || (cfg->sized && !p->size))
        return m2c_fail(err, -ENOMEM, "out of memory for a pool of %u blocks", blocks);
    int r = m2c_policy_open(&p->policy, policy, &pc, err);
    if (r == 0)
        p->count.metadata_bytes = m2c_policy_bytes(p->policy);
    return r;
}

void m2c_replay_pool_close(struct m2c_replay_pool *p)
{
    m2c_policy_close(p->policy);
    free(p->held);
    free(p->pins);
    free(p->missing);
    free(p->size);
}

static struct m2c_access access_of(const struct m2c_replay_pool *p, uint64_t list,
                                   uint64_t i, uint32_t base)
{
    uint32_t bytes = p->sized ? want_bytes(p, i) : 0;
    return (struct m2c_access){.id = base + p->t->id[i],
                               .bytes = bytes,
                               .want = p->sized ? p->t->cls[p->t->of_class[i]].parts : 1,
                               .score = m2c_trace_score(p->t, list, i),
                               .refetch_cost = (float)bytes,
                               .now = list / p->t->layers,
                               .next = p->next && p->next[i] != UINT32_MAX ? p->next[i]
                                                                           : UINT64_MAX};
}

static void leave(struct m2c_replay_pool *p, uint32_t id)
{
    m2c_policy_remove(p->policy, id);
    p->used -= p->sized ? p->size[id] : 1;
    p->held[id] = 0;
}

/* Throws out until `bytes` more fit; false: the rest is pinned. */
static bool make_room(struct m2c_replay_pool *p, uint32_t bytes, const uint16_t *pins)
{
    while (bytes > p->capacity - p->used) {
        uint32_t victim = m2c_policy_victim(p->policy, pins);
        if (victim == M2C_NO_BLOCK)
            return false;
        leave(p, victim);
        p->count.evictions++;
    }
    return true;
}

/* Parts are added to what is there: the block grows in its place. */
static bool widen(struct m2c_replay_pool *p, const struct m2c_access *a,
                  const uint16_t *pins)
{
    uint32_t more = part_bytes(p->t, a->want & ~(uint32_t)p->held[a->id]);
    uint16_t was = p->pins[a->id];
    p->pins[a->id] = 1; /* it must not make room for itself */
    bool fits = make_room(p, more, pins ? pins : p->pins);
    p->pins[a->id] = was;
    if (!fits)
        return false;
    p->used += more;
    p->size[a->id] += more;
    p->held[a->id] |= (uint8_t)a->want;
    p->count.bytes += more;
    m2c_policy_hit(p->policy, a);
    return true;
}

static void miss(struct m2c_replay_pool *p, uint64_t i, struct m2c_access *a,
                 const uint16_t *pins)
{
    p->count.misses++;
    a->held = p->held[a->id];
    if (a->held & a->want && widen(p, a, pins))
        return;
    if (p->held[a->id])
        leave(p, a->id);
    p->count.bytes += want_bytes(p, i);
    uint32_t size = p->sized ? a->bytes : 1;
    if (!m2c_policy_admit(p->policy, a) || size > p->capacity ||
        !make_room(p, size, pins)) {
        p->count.bypassed++;
        return;
    }
    m2c_policy_insert(p->policy, a);
    p->held[a->id] = (uint8_t)a->want;
    p->used += size;
    if (p->sized)
        p->size[a->id] = size;
}

static bool is_hit(const struct m2c_replay_pool *p, const struct m2c_access *a)
{
    return (a->want & ~(uint32_t)p->held[a->id]) == 0;
}

static void expire(struct m2c_replay_pool *p, uint64_t now)
{
    uint32_t id;
    while ((id = m2c_policy_expired(p->policy, now)) != M2C_NO_BLOCK) {
        leave(p, id);
        p->count.evictions++;
    }
}

/* The longest prefix of [i, end) that the pool holds at once; at least one. */
static uint64_t wave_end(const struct m2c_replay_pool *p, uint64_t i, uint64_t end)
{
    if (p->bound)
        return end;
    if (!p->sized)
        return M2C_MIN(end, i + p->capacity);
    uint64_t sum = want_bytes(p, i++);
    while (i < end && (sum += want_bytes(p, i)) <= p->capacity)
        i++;
    return i;
}

static void wave(struct m2c_replay_pool *p, uint64_t list, uint64_t from, uint64_t to,
                 uint32_t base)
{
    uint64_t n = 0;
    expire(p, list / p->t->layers);
    /* All hits first: the whole set is pinned, and its recency known, before the
     * first victim is chosen. */
    for (uint64_t i = from; i < to; i++) {
        struct m2c_access a = access_of(p, list, i, base);
        p->pins[a.id] = 1;
        if (is_hit(p, &a))
            m2c_policy_hit(p->policy, &a);
        else
            p->missing[n++] = i;
    }
    p->count.accesses += to - from;
    p->count.hits += to - from - n;
    for (uint64_t k = 0; k < n; k++) {
        struct m2c_access a = access_of(p, list, p->missing[k], base);
        miss(p, p->missing[k], &a, p->pins);
    }
    for (uint64_t i = from; i < to; i++)
        p->pins[base + p->t->id[i]] = 0;
}

static void sequence(struct m2c_replay_pool *p, uint64_t list, uint64_t from, uint64_t to,
                     uint32_t base)
{
    expire(p, list / p->t->layers);
    for (uint64_t i = from; i < to; i++) {
        struct m2c_access a = access_of(p, list, i, base);
        p->count.accesses++;
        if (is_hit(p, &a)) {
            m2c_policy_hit(p->policy, &a);
            p->count.hits++;
        } else {
            miss(p, i, &a, NULL);
        }
    }
}

void m2c_replay_list(struct m2c_replay_pool *p, uint64_t list, uint32_t base)
{
    uint64_t i = p->t->begin[list], end = p->t->begin[list + 1];
    if (p->seq) {
        sequence(p, list, i, end, base);
        return;
    }
    for (bool first = true; i < end; first = false) {
        uint64_t to = wave_end(p, i, end);
        p->count.waves += !first;
        wave(p, list, i, to, base);
        i = to;
    }
}
