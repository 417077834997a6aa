/* SPDX-License-Identifier: MIT */
/* Aligned host memory and a bump arena.
 *
 * Large blocks are page-aligned anonymous mappings that ask for huge pages,
 * so that a sweep over gigabytes of weights does not walk page tables. */
#ifndef M2C_BASE_MEM_H
#define M2C_BASE_MEM_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { M2C_PAGE = 4096, M2C_CACHE_LINE = 64 };

/* Zeroed, page-aligned. bytes == 0 gives a valid empty block (*out not NULL).
 * -ENOMEM. */
M2C_MUST_USE int m2c_pages_alloc(size_t bytes, void **out);
void m2c_pages_free(void *p, size_t bytes); /* the size it was asked for; accepts NULL */

/* Many small objects of one lifetime; 64-byte aligned, zeroed. */
struct m2c_arena;
M2C_MUST_USE int m2c_arena_open(struct m2c_arena **out);
void m2c_arena_close(struct m2c_arena *a);               /* frees all; accepts NULL */
void *m2c_arena_alloc(struct m2c_arena *a, size_t bytes); /* NULL: no memory */
/* n * size bytes, NULL also on overflow. */
void *m2c_arena_array(struct m2c_arena *a, size_t n, size_t size);
char *m2c_arena_strdup(struct m2c_arena *a, const char *s);

#ifdef __cplusplus
}
#endif
#endif
