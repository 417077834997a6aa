/* SPDX-License-Identifier: MIT */
/* Queues of ids, linked through one array. */
#include "policy/policy_impl.h"

#include <errno.h>

int m2c_ring_init(struct m2c_ring *r, struct m2c_policy *pol)
{
    r->n_blocks = pol->n_blocks;
    r->node = m2c_policy_array(pol, (size_t)pol->n_blocks + M2C_RINGS, sizeof *r->node);
    if (!r->node)
        return -ENOMEM;
    for (unsigned q = 0; q < M2C_RINGS; q++) {
        uint32_t head = m2c_ring_head(r, q);
        r->node[head] = (struct m2c_link){head, head};
    }
    m2c_ring_forget(r);
    return 0;
}

static void link_front(struct m2c_ring *r, uint32_t head, uint32_t id)
{
    uint32_t first = r->node[head].next;
    r->node[id] = (struct m2c_link){first, head};
    r->node[first].prev = id;
    r->node[head].next = id;
}

static void unlink_node(struct m2c_ring *r, uint32_t id)
{
    struct m2c_link n = r->node[id];
    if (r->passed == id)
        m2c_ring_forget(r);
    r->node[n.prev].next = n.next;
    r->node[n.next].prev = n.prev;
}

void m2c_ring_push(struct m2c_ring *r, unsigned q, uint32_t id)
{
    link_front(r, m2c_ring_head(r, q), id);
    r->len[q]++;
}

void m2c_ring_del(struct m2c_ring *r, unsigned q, uint32_t id)
{
    unlink_node(r, id);
    r->len[q]--;
}

void m2c_ring_touch(struct m2c_ring *r, unsigned q, uint32_t id)
{
    unlink_node(r, id);
    link_front(r, m2c_ring_head(r, q), id);
}

uint32_t m2c_ring_oldest(struct m2c_ring *r, unsigned q, const uint16_t *pins, bool memo)
{
    uint32_t head = m2c_ring_head(r, q), id = r->node[head].prev;
    if (id == head || !m2c_pinned(pins, id))
        return id == head ? M2C_NO_BLOCK : id;
    bool resumed = memo && r->passed != M2C_NO_BLOCK;
    uint32_t last = resumed ? r->passed : id; /* the last one known to be pinned */
    for (id = r->node[last].prev; id != head && m2c_pinned(pins, id);)
        id = r->node[last = id].prev;
    if (id == head && resumed) { /* whoever passed them, the pins are others now */
        m2c_ring_forget(r);
        return m2c_ring_oldest(r, q, pins, memo);
    }
    if (memo)
        r->passed = last;
    return id == head ? M2C_NO_BLOCK : id;
}

bool m2c_ring_check(const struct m2c_ring *r, const struct m2c_policy *pol, unsigned q,
                    bool resident, uint32_t *n)
{
    uint32_t head = m2c_ring_head(r, q), count = 0;
    for (uint32_t id = r->node[head].next; id != head; id = r->node[id].next) {
        if (id >= r->n_blocks || pol->resident[id] != resident ||
            r->node[r->node[id].prev].next != id || count++ >= r->n_blocks)
            return false;
    }
    *n += count;
    return count == r->len[q];
}
