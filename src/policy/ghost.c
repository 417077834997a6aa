/* SPDX-License-Identifier: MIT */
/* Two queues of residents, and the ids that left the first one not long ago. */
#include "policy/policy_impl.h"

#include <errno.h>

int m2c_ghosts_init(struct m2c_ghosts *g, struct m2c_policy *pol, uint32_t most)
{
    g->most = most;
    g->again = M2C_NO_BLOCK;
    g->where = m2c_policy_array(pol, pol->n_blocks, 1);
    return g->where ? m2c_ring_init(&g->ring, pol) : -ENOMEM;
}

static void put(struct m2c_ghosts *g, unsigned queue, uint32_t id)
{
    m2c_ring_push(&g->ring, queue, id);
    g->where[id] = (uint8_t)(queue + 1);
}

static void take(struct m2c_ghosts *g, uint32_t id)
{
    if (g->where[id])
        m2c_ring_del(&g->ring, g->where[id] - 1u, id);
    g->where[id] = 0;
}

void m2c_ghosts_move(struct m2c_ghosts *g, unsigned queue, uint32_t id)
{
    take(g, id);
    put(g, queue, id);
}

bool m2c_ghosts_knew(const struct m2c_ghosts *g, uint32_t id)
{
    return g->again == id || m2c_ghosts_in(g, M2C_GHOST, id);
}

void m2c_ghosts_come(struct m2c_ghosts *g, unsigned queue, uint32_t id)
{
    m2c_ghosts_move(g, queue, id);
    g->again = M2C_NO_BLOCK;
}

bool m2c_ghosts_admit(struct m2c_policy *pol, const struct m2c_access *a)
{
    struct m2c_ghosts *g = pol->priv;
    g->again = M2C_NO_BLOCK;
    if (m2c_ghosts_in(g, M2C_GHOST, a->id)) {
        take(g, a->id);
        g->again = a->id;
    }
    return true;
}

void m2c_ghosts_remove(struct m2c_policy *pol, uint32_t id, bool evicted)
{
    struct m2c_ghosts *g = pol->priv;
    bool remember = evicted && m2c_ghosts_in(g, M2C_NEW, id) && g->most;
    take(g, id);
    if (!remember)
        return;
    if (g->ring.len[M2C_GHOST] >= g->most)
        take(g, m2c_ring_tail(&g->ring, M2C_GHOST));
    put(g, M2C_GHOST, id);
}

bool m2c_ghosts_check(const struct m2c_policy *pol)
{
    const struct m2c_ghosts *g = pol->priv;
    uint32_t n = 0, ghosts = 0;
    return m2c_ring_check(&g->ring, pol, M2C_NEW, true, &n) &&
           m2c_ring_check(&g->ring, pol, M2C_KEPT, true, &n) && n == pol->n_resident &&
           m2c_ring_check(&g->ring, pol, M2C_GHOST, false, &ghosts) && ghosts <= g->most;
}
