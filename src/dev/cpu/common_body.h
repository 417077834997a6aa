/* SPDX-License-Identifier: MIT */
/* What the kernels of dot_body.h and axpy_body.h share: sizes of groups, short
 * last groups, prefetches. Included after a simd_*.h. */
#ifndef M2C_DEV_CPU_COMMON_BODY_H
#define M2C_DEV_CPU_COMMON_BODY_H

#include "dev/cpu/kern_impl.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum {
    SCALE_BLOCK = 16,                      /* groups whose scales are read at once */
    BLOCK_ELEMS = SCALE_BLOCK * M2C_GROUP, /* 512 */
    ROWS_VECTORS = 4,                      /* vectors decoded at once for many rows */
    AXPY_TILE = 4                          /* groups of accumulators in registers */
};

ALWAYS_INLINE bool grouped(enum m2c_type type)
{
    return type == M2C_I8 || type == M2C_I4;
}

/* Bytes of the codes of one group. */
ALWAYS_INLINE size_t group_bytes(enum m2c_type type)
{
    return type == M2C_F32 ? 4 * M2C_GROUP
           : type == M2C_I8 ? M2C_GROUP
           : type == M2C_I4 ? M2C_GROUP / 2
                            : 2 * M2C_GROUP;
}

/* Bytes of the codes of the n elements of a short group. */
ALWAYS_INLINE size_t tail_bytes(enum m2c_type type, size_t n)
{
    return type == M2C_I4 ? (n + 1) / 2 : n * (group_bytes(type) / M2C_GROUP);
}

/* A short last group, padded with zeros so that it can be used like a full
 * one without reading past the vector. */
struct tail {
    uint8_t codes[4 * M2C_GROUP];
    float scale[SCALE_BLOCK]; /* the first one; scales_16 writes all */
};

ALWAYS_INLINE void read_tail(enum m2c_type type, const struct m2c_vec *w, size_t group,
                             size_t n, struct tail *t)
{
    memset(t->codes, 0, sizeof(t->codes));
    memcpy(t->codes, w->codes + group * group_bytes(type), tail_bytes(type, n));
    if (type == M2C_I4 && n % 2) /* the odd nibble at the end is nobody's */
        t->codes[n / 2] &= 15;
    t->scale[0] = 0;
    if (grouped(type))
        scales_16(w->scales + 2 * group, 1, t->scale);
}

/* Groups whose codes fill a cache line, or one. */
ALWAYS_INLINE unsigned line_groups(enum m2c_type type)
{
    return group_bytes(type) < 64 ? (unsigned)(64 / group_bytes(type)) : 1;
}

/* Asks for the codes of a line's groups from g on, of a vector that comes
 * later; called line by line, so that requests are spread over the arithmetic.
 * They go to L2: L1 has no room for vectors that are not in use yet. */
ALWAYS_INLINE void prefetch_line(enum m2c_type type, const struct m2c_vec *w, size_t g)
{
    const uint8_t *p = w->codes + g * group_bytes(type);
    for (size_t i = 0; i < line_groups(type) * group_bytes(type); i += 64)
        prefetch(p + i);
}

#endif
