/* SPDX-License-Identifier: MIT */
/* Byte-pair merging: symbols in a list, candidate pairs in a heap, the best
 * first and the leftmost among equals, in O(n log n). Inside the module. */
#ifndef M2C_TOKEN_BPE_H
#define M2C_TOKEN_BPE_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether two adjacent symbols merge, into what, and how early (lower first;
 * not NaN). */
typedef bool (*m2c_bpe_pair)(const void *ctx, uint32_t left, uint32_t right,
                             double *priority, uint32_t *merged);

/* Merges sym[0 .. n) in place; returns how many are left, or -ENOMEM. */
M2C_MUST_USE int64_t m2c_bpe(uint32_t *sym, size_t n, m2c_bpe_pair pair, const void *ctx);

/* Strings to ids, with open addressing; the bytes are borrowed. */
struct m2c_strmap {
    struct m2c_strmap_slot {
        const char *s;
        uint32_t n, id;
    } *slot;
    size_t mask;
};
M2C_MUST_USE int m2c_strmap_init(struct m2c_strmap *m, size_t n); /* -ENOMEM */
void m2c_strmap_fini(struct m2c_strmap *m);
/* The first of equal strings stays. */
void m2c_strmap_add(struct m2c_strmap *m, const char *s, uint32_t n, uint32_t id);
/* Of a followed by b (nb may be 0); UINT32_MAX: not there. */
uint32_t m2c_strmap_find(const struct m2c_strmap *m, const char *a, size_t na,
                         const char *b, size_t nb);

#ifdef __cplusplus
}
#endif
#endif
