/* SPDX-License-Identifier: MIT */
/* What the engine puts on the timeline. Inside the module. Where there is none,
 * every call returns at once and no clock is read for it. */
#ifndef M2C_INFER_SHOW_H
#define M2C_INFER_SHOW_H

#include "infer/engine_impl.h"

/* Compares the clocks of device and host: a time of the device plus
 * e->ahead_ns is one of the host, to within the time that a wait takes. */
M2C_MUST_USE int m2c_show_open(struct m2c_engine *e, struct m2c_err *err);

/* For spans that nothing else measures. */
static inline uint64_t m2c_show_now(const struct m2c_engine *e)
{
    return e->timeline ? m2c_dev_now_ns(e->dev) : 0;
}

/* A span of the host that ends now, on the timeline or not; returns its length. */
uint64_t m2c_show_host(const struct m2c_engine *e, enum m2c_track track, const char *name,
                       uint32_t layer, uint64_t from_ns);
/* An interval of the compute queue, in its own time. */
void m2c_show_phase(const struct m2c_engine *e, enum m2c_phase phase, uint32_t layer,
                    uint64_t from_ns, uint64_t to_ns);

#endif
