/* SPDX-License-Identifier: MIT */
/* What the writer and the reader of trace files share. */
#ifndef M2C_STORE_TRACE_IMPL_H
#define M2C_STORE_TRACE_IMPL_H

#include "store/trace.h"

enum {
    M2C_TRACE_COUNT,
    M2C_TRACE_SCALE,
    M2C_TRACE_ID,
    M2C_TRACE_SCORE,
    M2C_TRACE_ARRAYS,
    M2C_TRACE_LAYERS = 65536,      /* at most */
    M2C_TRACE_NEURONS = 1 << 24,   /* a layer, at most */
    M2C_TRACE_BLOCKS = 1 << 28,    /* in all, at most */
    M2C_TRACE_PART_BYTES = 1 << 28 /* at most */
};

static inline const char *m2c_trace_array(int k)
{
    static const char *const names[M2C_TRACE_ARRAYS] = {"count", "scale", "id", "score"};
    return names[k];
}

/* Ids, and so counts, of a layer that has at most 65,535 neurons are u16. */
static inline size_t m2c_trace_id_bytes(uint32_t neurons)
{
    return neurons > 65535 ? 4 : 2;
}

#endif
