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

ALWAYS_INLINE bool nested(enum m2c_type type)
{
    return type == M2C_P16 || type == M2C_P8;
}

ALWAYS_INLINE bool grouped(enum m2c_type type)
{
    return type == M2C_I8 || type == M2C_I4 || nested(type);
}

/* Bytes of the codes of one group, of plane 0 where there are more. */
ALWAYS_INLINE size_t group_bytes(enum m2c_type type)
{
    return type == M2C_F32 ? 4 * M2C_GROUP
           : type == M2C_I8 ? M2C_GROUP
           : paired(type)   ? M2C_GROUP / 2
                            : 2 * M2C_GROUP;
}

/* Bytes of the codes of the n elements of a short group of whole bytes. */
ALWAYS_INLINE size_t tail_bytes(enum m2c_type type, size_t n)
{
    return n * (group_bytes(type) / M2C_GROUP);
}

/* The values of group g before scaling. */
ALWAYS_INLINE vg vec_group(enum m2c_type type, const struct m2c_vec *w, size_t g)
{
    if (nested(type))
        return vg_planes(type, w->codes + g * (M2C_GROUP / 2), w->d4 + g * (M2C_GROUP / 2),
                         type == M2C_P16 ? w->d8 + g * M2C_GROUP : NULL);
    return vg_codes(type, w->codes + g * group_bytes(type));
}

/* n <= SCALE_BLOCK scales from group g on, as factors of what vec_group gives;
 * writes all of `out`. */
ALWAYS_INLINE void vec_scales(enum m2c_type type, const struct m2c_vec *w, size_t g,
                              size_t n, float *out)
{
    scales_16(w->scales + 2 * g, n, out);
    for (size_t i = 0; nested(type) && i < SCALE_BLOCK; i += VF_LANES)
        vf_store(out + i, vf_mul(vf_load(out + i), vf_set(1.0f / 4096)));
}

/* A short last group, padded with zeros so that it can be used like a full
 * one without reading past the vector. */
struct tail {
    uint8_t codes[4 * M2C_GROUP], d4[M2C_GROUP / 2], d8[M2C_GROUP];
    float scale[SCALE_BLOCK]; /* the first one; vec_scales writes all */
};

ALWAYS_INLINE void read_nibbles(const uint8_t *p, size_t n, uint8_t *out)
{
    memcpy(out, p, (n + 1) / 2);
    if (n % 2) /* the odd nibble at the end is nobody's */
        out[n / 2] &= 15;
}

ALWAYS_INLINE void read_tail(enum m2c_type type, const struct m2c_vec *w, size_t group,
                             size_t n, struct tail *t)
{
    memset(t, 0, sizeof(*t));
    if (paired(type))
        read_nibbles(w->codes + group * (M2C_GROUP / 2), n, t->codes);
    else
        memcpy(t->codes, w->codes + group * group_bytes(type), tail_bytes(type, n));
    if (nested(type))
        read_nibbles(w->d4 + group * (M2C_GROUP / 2), n, t->d4);
    if (type == M2C_P16)
        memcpy(t->d8, w->d8 + group * M2C_GROUP, n);
    if (grouped(type))
        vec_scales(type, w, group, 1, t->scale);
}

ALWAYS_INLINE vg tail_group(enum m2c_type type, const struct tail *t)
{
    struct m2c_vec w = {.codes = t->codes, .d4 = t->d4, .d8 = t->d8, .type = type};
    return vec_group(type, &w, 0);
}

/* Groups whose codes fill a cache line, or one. */
ALWAYS_INLINE unsigned line_groups(enum m2c_type type)
{
    return group_bytes(type) < 64 ? (unsigned)(64 / group_bytes(type)) : 1;
}

/* In integers: the vector may be of another type than ours and have no such plane. */
ALWAYS_INLINE void prefetch_at(const uint8_t *plane, size_t off)
{
    prefetch((const void *)((uintptr_t)plane + off));
}

/* Asks for the codes of a line's groups from g on, of a vector that comes
 * later; called line by line, so that requests are spread over the arithmetic.
 * They go to L2: L1 has no room for vectors that are not in use yet. */
ALWAYS_INLINE void prefetch_line(enum m2c_type type, const struct m2c_vec *w, size_t g)
{
    for (size_t i = 0; i < line_groups(type) * group_bytes(type); i += 64)
        prefetch_at(w->codes, g * group_bytes(type) + i);
    if (nested(type))
        prefetch_at(w->d4, g * (M2C_GROUP / 2));
    if (type == M2C_P16) {
        prefetch_at(w->d8, g * M2C_GROUP);
        prefetch_at(w->d8, g * M2C_GROUP + 64);
    }
}

#endif
