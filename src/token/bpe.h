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
 * not NaN). Equal (left, right) give equal answers. */
typedef bool (*m2c_bpe_pair)(const void *ctx, uint32_t left, uint32_t right,
                             double *priority, uint32_t *merged);

/* The symbols of one word after the other, with the memory that merging them
 * takes, which grows to the longest. All zero is empty. */
struct m2c_bpe {
    uint32_t *sym; /* [n] */
    size_t n, cap;
    struct m2c_bpe_node *node; /* [cap_work] */
    struct m2c_bpe_cand *cand; /* [3 * cap_work] */
    size_t cap_work;
};
M2C_MUST_USE int m2c_bpe_add(struct m2c_bpe *b, uint32_t sym); /* -ENOMEM */
/* Merges sym[0 .. n) in place. -ENOMEM, -EFBIG. */
M2C_MUST_USE int m2c_bpe_merge(struct m2c_bpe *b, m2c_bpe_pair pair, const void *ctx);
void m2c_bpe_fini(struct m2c_bpe *b);

/* Which characters stand next to each other inside any token. Where two do
 * not, no merge crosses, and text can be cut there without changing a result.
 * Hashed: some pairs are taken for neighbours that are none. */
struct m2c_joins {
    uint64_t *bits;
};
M2C_MUST_USE int m2c_joins_init(struct m2c_joins *j); /* -ENOMEM */
void m2c_joins_fini(struct m2c_joins *j);
/* Characters as m2c_char_key has them. */
void m2c_joins_add(struct m2c_joins *j, uint32_t left, uint32_t right);
bool m2c_joins_has(const struct m2c_joins *j, uint32_t left, uint32_t right);

/* The at most 4 bytes of a character, as a number. */
static inline uint32_t m2c_char_key(const char *s, size_t n)
{
    uint32_t key = 0;
    for (size_t i = 0; i < n; i++)
        key = key << 8 | (unsigned char)s[i];
    return key;
}

/* Strings to ids, with open addressing; the bytes are borrowed. */
struct m2c_strmap {
    struct m2c_strmap_slot {
        const char *s;
        uint32_t n, id;
    } * slot;
    size_t mask;
};
M2C_MUST_USE int m2c_strmap_init(struct m2c_strmap *m, size_t n); /* -ENOMEM */
void m2c_strmap_fini(struct m2c_strmap *m);
/* The first of equal strings stays; returns the id that is there. At most the
 * n strings of m2c_strmap_init. */
uint32_t m2c_strmap_add(struct m2c_strmap *m, const char *s, uint32_t n, uint32_t id);
/* Of a followed by b (nb may be 0); UINT32_MAX: not there. */
uint32_t m2c_strmap_find(const struct m2c_strmap *m, const char *a, size_t na,
                         const char *b, size_t nb);

#ifdef __cplusplus
}
#endif
#endif
