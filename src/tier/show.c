/* SPDX-License-Identifier: MIT */
/* When the copies of waves ran: two events around each, read later. */
#include "tier/show.h"

int m2c_copies_begin(struct m2c_copies *c, struct m2c_queue *q, struct m2c_err *err)
{
    if (!c->timeline)
        return 0;
    int r = c->n == M2C_COPIES_MAX ? m2c_copies_settle(c, err) : 0;
    return r < 0 ? r : m2c_queue_record(q, &c->copy[c->n].from, err);
}

int m2c_copies_end(struct m2c_copies *c, struct m2c_queue *q, uint32_t layer,
                   uint64_t bytes, struct m2c_err *err)
{
    if (!c->timeline)
        return 0;
    int r = m2c_queue_record(q, &c->copy[c->n].to, err);
    c->copy[c->n].layer = layer;
    c->copy[c->n].bytes = bytes;
    c->n += r == 0;
    return r;
}

int m2c_copies_settle(struct m2c_copies *c, struct m2c_err *err)
{
    int r = 0;
    for (uint32_t i = 0; i < c->n && r == 0; i++) {
        uint64_t from = 0, to = 0;
        r = m2c_event_wait(c->copy[i].from, &from, err);
        if (r == 0)
            r = m2c_event_wait(c->copy[i].to, &to, err);
        if (r == 0)
            m2c_timeline_span(c->timeline,
                              &(struct m2c_span){.track = M2C_TRACK_COPIES,
                                                 .name = "copy",
                                                 .from_ns = from + (uint64_t)c->ahead_ns,
                                                 .to_ns = to + (uint64_t)c->ahead_ns,
                                                 .layer = c->copy[i].layer,
                                                 .bytes = c->copy[i].bytes});
    }
    m2c_copies_drop(c);
    return r;
}

void m2c_copies_drop(struct m2c_copies *c)
{
    /* the one after the last may have begun and not ended */
    for (uint32_t i = 0; i < M2C_COPIES_MAX && i <= c->n; i++) {
        m2c_event_free(c->copy[i].from);
        m2c_event_free(c->copy[i].to);
        c->copy[i].from = c->copy[i].to = NULL;
    }
    c->n = 0;
}
