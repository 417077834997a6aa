/* SPDX-License-Identifier: MIT */
/* Aligned host memory and a bump arena. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, madvise */
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_FROM = 4 << 20, ARENA_BLOCK = 64 << 10 };

static size_t mapped_size(size_t bytes)
{
    return m2c_align_up(bytes ? bytes : 1, M2C_PAGE);
}

int m2c_pages_alloc(size_t bytes, void **out)
{
    if (bytes > SIZE_MAX - M2C_PAGE)
        return -ENOMEM;
    size_t n = mapped_size(bytes);
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    if (n >= HUGE_FROM)
        (void)madvise(p, n, MADV_HUGEPAGE); /* advice: refusal costs speed only */
    *out = p;
    return 0;
}

void m2c_pages_free(void *p, size_t bytes)
{
    if (p)
        munmap(p, mapped_size(bytes));
}

struct block {
    struct block *next;
    size_t used, size;
    unsigned char *data;
};

struct m2c_arena {
    struct block *head;
};

int m2c_arena_open(struct m2c_arena **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : -ENOMEM;
}

void m2c_arena_close(struct m2c_arena *a)
{
    if (!a)
        return;
    for (struct block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b->data);
        free(b);
    }
    free(a);
}

static struct block *block_new(size_t bytes)
{
    struct block *b = calloc(1, sizeof *b);
    size_t size = M2C_MAX(bytes, (size_t)ARENA_BLOCK);
    if (b)
        b->data = aligned_alloc(M2C_CACHE_LINE, size);
    if (!b || !b->data) {
        free(b);
        return NULL;
    }
    memset(b->data, 0, size);
    b->size = size;
    return b;
}

void *m2c_arena_alloc(struct m2c_arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX - ARENA_BLOCK)
        return NULL;
    bytes = m2c_align_up(bytes ? bytes : 1, M2C_CACHE_LINE);
    if (!a->head || a->head->size - a->head->used < bytes) {
        struct block *b = block_new(bytes);
        if (!b)
            return NULL;
        b->next = a->head;
        a->head = b;
    }
    void *p = a->head->data + a->head->used;
    a->head->used += bytes;
    return p;
}

void *m2c_arena_array(struct m2c_arena *a, size_t n, size_t size)
{
    size_t bytes;
    return m2c_mul_size(n, size, &bytes) ? m2c_arena_alloc(a, bytes) : NULL;
}

char *m2c_arena_strdup(struct m2c_arena *a, const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = m2c_arena_alloc(a, n);
    if (p)
        memcpy(p, s, n);
    return p;
}
