/* SPDX-License-Identifier: MIT */
/* Who lies where in one layer's unit. */
#include "tier/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void set_ways(struct m2c_unit *u, const struct m2c_layout *layout)
{
    struct m2c_way way[M2C_LAYOUT_WAYS];
    unsigned n = m2c_layout_ways(layout, way);
    memset(u->way, M2C_NO_CLASS, sizeof u->way);
    for (unsigned i = 0; i < n; i++)
        u->way[way[i].cls][way[i].slot] = (uint8_t)i;
    for (uint32_t c = 0; c < layout->n_classes; c++)
        u->parts[c] = layout->cls[c].parts;
}

int m2c_unit_init(struct m2c_unit *u, const char *policy, uint32_t n,
                  const struct m2c_layout *layout, const uint32_t *slots, uint64_t seed,
                  const uint32_t *order, struct m2c_err *err)
{
    uint32_t n_classes = layout->n_classes;
    u->n = n;
    u->n_classes = n_classes;
    set_ways(u, layout);
    u->held = malloc(n);
    u->slot = calloc(n, sizeof *u->slot);
    if (!u->held || !u->slot)
        return m2c_fail(err, -ENOMEM, "unit of %u neurons: out of memory", n);
    memset(u->held, M2C_NO_CLASS, n);
    for (unsigned c = 0; c < n_classes; c++) {
        struct m2c_pool_class *pc = &u->cls[c];
        if (slots[c] == 0)
            continue;
        pc->n_slots = pc->n_free = slots[c];
        pc->free_slots = calloc(slots[c], sizeof *pc->free_slots);
        if (!pc->free_slots)
            return m2c_fail(err, -ENOMEM, "unit of %u neurons: out of memory", n);
        for (uint32_t i = 0; i < slots[c]; i++) /* slot 0 is given out first */
            pc->free_slots[i] = slots[c] - 1 - i;
        struct m2c_policy_cfg cfg = {
            .n_blocks = n, .capacity = slots[c], .seed = seed + c, .order = order};
        int r = m2c_policy_open(&pc->policy, policy, &cfg, err);
        if (r < 0)
            return r;
    }
    return 0;
}

void m2c_unit_fini(struct m2c_unit *u)
{
    for (unsigned c = 0; c < u->n_classes; c++) {
        m2c_policy_close(u->cls[c].policy);
        free(u->cls[c].free_slots);
    }
    free(u->held);
    free(u->slot);
    m2c_event_free(u->last_use);
}

uint32_t m2c_unit_fit(const struct m2c_unit *u, const struct m2c_want *wants, uint32_t n)
{
    uint32_t count[M2C_MAX_CLASSES] = {0};
    for (uint32_t i = 0; i < n; i++) {
        if (++count[wants[i].cls] > u->cls[wants[i].cls].n_slots)
            return i;
    }
    return n;
}

static void leave(struct m2c_unit *u, uint32_t id)
{
    struct m2c_pool_class *pc = &u->cls[u->held[id]];
    m2c_policy_remove(pc->policy, id);
    pc->free_slots[pc->n_free++] = u->slot[id];
    u->held[id] = M2C_NO_CLASS;
}

static struct m2c_access access_of(const struct m2c_want *w, uint64_t now)
{
    return (struct m2c_access){.id = w->id,
                               .want = 1u << w->cls,
                               .score = w->score,
                               .now = now,
                               .next = UINT64_MAX};
}

/* A slot for a miss of class c: a free one, or the victim's. */
static int make_room(struct m2c_unit *u, unsigned c, const uint16_t *pins,
                     struct m2c_tier_counters *count, struct m2c_err *err)
{
    struct m2c_pool_class *pc = &u->cls[c];
    if (pc->n_free == 0) {
        uint32_t victim = m2c_policy_victim(pc->policy, pins);
        if (victim == M2C_NO_BLOCK)
            return m2c_fail(err, -EIO, "class %u: %u slots, all pinned", c, pc->n_slots);
        leave(u, victim);
        count->evictions++;
    }
    return 0;
}

/* What a policy does not want to keep, though there may be room. */
static void expire(struct m2c_unit *u, uint64_t now, struct m2c_tier_counters *count)
{
    for (unsigned c = 0; c < u->n_classes; c++) {
        uint32_t id = M2C_NO_BLOCK;
        while (u->cls[c].policy &&
               (id = m2c_policy_expired(u->cls[c].policy, now)) != M2C_NO_BLOCK) {
            leave(u, id);
            count->evictions++;
        }
    }
}

/* The slots that a want will be computed from: those that hold it, if they
 * have all its parts, else those of its class. Wider ones come first. */
static unsigned slots_for(const struct m2c_unit *u, const struct m2c_want *w)
{
    unsigned h = u->held[w->id];
    if (h >= w->cls) /* narrower, or not held */
        return w->cls;
    return u->at_least || u->way[w->cls][h] != M2C_NO_CLASS ? h : w->cls;
}

/* Neurons held wider than wanted take slots of a wider class. Where these do
 * not suffice for the whole set, the last ones are narrowed to slots of their
 * own class, for which the set has room (m2c_unit_fit). refs[i].cls becomes the
 * class of the slot. */
static void share_slots(const struct m2c_unit *u, const struct m2c_want *wants, uint32_t n,
                        struct m2c_neuron_ref *refs)
{
    uint32_t use[M2C_MAX_CLASSES] = {0};
    for (uint32_t i = 0; i < n; i++) {
        refs[i].cls = (uint8_t)slots_for(u, &wants[i]);
        use[refs[i].cls]++;
    }
    for (unsigned c = 0; c < u->n_classes; c++) {
        for (uint32_t i = n; i-- > 0 && use[c] > u->cls[c].n_slots;) {
            if (refs[i].cls != c || wants[i].cls == c)
                continue;
            refs[i].cls = (uint8_t)wants[i].cls;
            use[c]--;
            use[wants[i].cls]++;
        }
    }
}

/* Counts a want, and starts its move if it has to make one. */
static bool arrive(struct m2c_unit *u, const struct m2c_want *w, unsigned to, uint64_t now,
                   struct m2c_move *move, struct m2c_tier_counters *count)
{
    unsigned h = u->held[w->id];
    uint32_t have = h == M2C_NO_CLASS ? 0 : u->parts[h], need = u->parts[w->cls];
    bool hit = h == to || (need & ~have) == 0;
    count->accesses[w->cls]++;
    count->hits[w->cls] += hit;
    count->misses[w->cls] += !hit;
    if (h == to) {
        struct m2c_access a = access_of(w, now);
        m2c_policy_hit(u->cls[h].policy, &a);
        return false;
    }
    *move = (struct m2c_move){.id = w->id,
                              .from = have & need ? (uint8_t)h : M2C_NO_CLASS,
                              .to = (uint8_t)to,
                              .from_slot = u->slot[w->id],
                              .carried = have & need,
                              .missing = need & ~have};
    if (h != M2C_NO_CLASS) {
        leave(u, w->id);
        count->reclassed++;
        count->widened += !hit && move->carried;
    }
    return true;
}

int m2c_unit_place(struct m2c_unit *u, const struct m2c_want *wants, uint32_t n,
                   uint64_t now, uint16_t *pins, struct m2c_neuron_ref *refs,
                   struct m2c_move *moves, uint32_t *n_moves,
                   struct m2c_tier_counters *count, struct m2c_err *err)
{
    int r = 0;
    uint32_t m = 0;
    expire(u, now, count);
    share_slots(u, wants, n, refs);
    /* First all hits, so that the whole set is pinned and its recency known
     * before the first victim is chosen: the order of ids must not decide who
     * stays. */
    for (uint32_t i = 0; i < n; i++) {
        unsigned to = refs[i].cls;
        unsigned as = u->at_least ? to : wants[i].cls;
        pins[wants[i].id] = 1;
        count->wider += as < wants[i].cls;
        bool moves_in = arrive(u, &wants[i], to, now, &moves[m], count);
        m += moves_in;
        refs[i] = (struct m2c_neuron_ref){.id = wants[i].id,
                                          .slot = u->slot[wants[i].id],
                                          .cls = u->way[as][to],
                                          .pass = moves_in};
    }
    *n_moves = m;
    for (uint32_t i = 0, k = 0; i < n && r == 0; i++) {
        if (refs[i].pass == 0)
            continue;
        struct m2c_move *move = &moves[k++];
        struct m2c_pool_class *pc = &u->cls[move->to];
        struct m2c_access a = access_of(&wants[i], now);
        /* What is computed lies in a slot, so it enters whatever the answer is. */
        (void)m2c_policy_admit(pc->policy, &a);
        r = make_room(u, move->to, pins, count, err);
        if (r < 0)
            break;
        u->held[move->id] = move->to;
        u->slot[move->id] = refs[i].slot = move->to_slot = pc->free_slots[--pc->n_free];
        m2c_policy_insert(pc->policy, &a);
    }
    for (uint32_t i = 0; i < n; i++)
        pins[wants[i].id] = 0;
    return r;
}

int m2c_unit_check(const struct m2c_unit *u, struct m2c_err *err)
{
    for (unsigned c = 0; c < u->n_classes; c++) {
        const struct m2c_pool_class *pc = &u->cls[c];
        if (!pc->policy)
            continue;
        uint32_t held = 0;
        uint8_t *seen = calloc(pc->n_slots, 1);
        bool ok = seen != NULL;
        for (uint32_t id = 0; id < u->n && ok; id++) {
            if (u->held[id] != c)
                continue;
            held++;
            ok = u->slot[id] < pc->n_slots && !seen[u->slot[id]]++;
        }
        for (uint32_t i = 0; i < pc->n_free && ok; i++)
            ok = !seen[pc->free_slots[i]]++;
        free(seen);
        if (!ok || held + pc->n_free != pc->n_slots ||
            held != m2c_policy_resident(pc->policy) || !m2c_policy_check(pc->policy))
            return m2c_fail(err, -EIO, "class %u: tables, slots and policy disagree", c);
    }
    return 0;
}
