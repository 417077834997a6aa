/* SPDX-License-Identifier: MIT */
/* The engine's spans: one for each interval that its statistics add up, from
 * the same two readings of the clock, so that the sums agree to the nanosecond. */
#include "infer/show.h"

int m2c_show_open(struct m2c_engine *e, struct m2c_err *err)
{
    struct m2c_event *ev = NULL;
    uint64_t device = 0, before, after;
    e->timeline = e->cfg.tier.io.timeline;
    if (!e->timeline)
        return 0;
    before = m2c_dev_now_ns(e->dev);
    int r = m2c_queue_record(e->queue, &ev, err);
    if (r == 0)
        r = m2c_event_wait(ev, &device, err);
    after = m2c_dev_now_ns(e->dev);
    m2c_event_free(ev);
    if (r < 0)
        return r;
    bool same = before <= device && device <= after;
    e->ahead_ns = same ? 0 : (int64_t)(before + (after - before) / 2 - device);
    return m2c_tier_show(e->tier, e->ahead_ns, err);
}

uint64_t m2c_show_host(const struct m2c_engine *e, enum m2c_track track, const char *name,
                       uint32_t layer, uint64_t from_ns)
{
    uint64_t now = m2c_dev_now_ns(e->dev);
    m2c_timeline_span(e->timeline, &(struct m2c_span){.track = track,
                                                      .name = name,
                                                      .from_ns = from_ns,
                                                      .to_ns = now,
                                                      .layer = layer});
    return now - from_ns;
}

void m2c_show_phase(const struct m2c_engine *e, enum m2c_phase phase, uint32_t layer,
                    uint64_t from_ns, uint64_t to_ns)
{
    static const char *const names[M2C_N_PHASES] = {[M2C_PHASE_ATTENTION] = "attention",
                                                    [M2C_PHASE_SELECT] = "selection",
                                                    [M2C_PHASE_A] = "phase A",
                                                    [M2C_PHASE_B] = "phase B",
                                                    [M2C_PHASE_COPY_WAIT] = "copies"};
    bool waits = phase == M2C_PHASE_SELECT || phase == M2C_PHASE_COPY_WAIT;
    m2c_timeline_span(
        e->timeline,
        &(struct m2c_span){.track = waits ? M2C_TRACK_STARVED : M2C_TRACK_COMPUTE,
                           .name = names[phase],
                           .from_ns = from_ns + (uint64_t)e->ahead_ns,
                           .to_ns = to_ns + (uint64_t)e->ahead_ns,
                           .layer = layer});
}
