/* SPDX-License-Identifier: MIT */
/* A few strings to be found in text, the longest first: tokens that are
 * recognised before anything is merged. Inside the module. */
#ifndef M2C_TOKEN_MATCH_H
#define M2C_TOKEN_MATCH_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All zero finds nothing. */
struct m2c_match {
    struct m2c_match_str {
        const char *s; /* borrowed */
        size_t n;
        uint32_t id;
    } * v; /* [n], sorted by m2c_match_sort */
    size_t n, cap;
    size_t first[257]; /* strings that begin with byte b: [first[b], first[b + 1]) */
};
/* Empty strings are never found and not kept. -ENOMEM. */
M2C_MUST_USE int m2c_match_add(struct m2c_match *m, const char *s, size_t n, uint32_t id);
void m2c_match_sort(struct m2c_match *m); /* after the last one is added */
void m2c_match_fini(struct m2c_match *m);

/* Bytes of the longest string that the text begins with, and its id; 0: none. */
size_t m2c_match_prefix(const struct m2c_match *m, const char *text, size_t n,
                        uint32_t *id);
/* From `at` on, the first place where one begins, with the longest there; n
 * where none does (*len 0 then). */
size_t m2c_match_next(const struct m2c_match *m, const char *text, size_t n, size_t at,
                      size_t *len, uint32_t *id);

#ifdef __cplusplus
}
#endif
#endif
