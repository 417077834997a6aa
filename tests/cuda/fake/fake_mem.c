/* SPDX-License-Identifier: MIT */
/* The fake driver's memory: two regions of addresses that are given out once
 * and never again. What lies beside an allocation is found by its bounds. Device memory lies in
 * the first; pinned memory is one file mapped twice, where the host sees it and
 * where the device does. */
#define _GNU_SOURCE
#include "fake.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, ODD = 256 };
static const size_t region = (size_t)16 << 30;

struct block {
    enum fake_kind kind;
    unsigned char *at;   /* as the device sees it */
    unsigned char *host; /* pinned only */
    size_t bytes, pages; /* pages: in bytes, from the first's beginning */
    bool live;
};

static unsigned char *device, *pinned, *view; /* view: the device's, of pinned */
static size_t device_used, pinned_used;       /* addresses given out */
static struct block *blocks;
static size_t n_blocks, cap_blocks;
static size_t used;
static unsigned live, unlocked;
static size_t first_live; /* blocks before it are gone */

static unsigned char *reserve(int fd)
{
    void *p = mmap(NULL, region, PROT_NONE,
                   fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
                          : MAP_SHARED | MAP_NORESERVE,
                   fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

static bool open_regions(void)
{
    if (device)
        return true;
    int fd = memfd_create("m2c-fake-cuda", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)region) < 0)
        return false;
    pinned = reserve(fd);
    view = reserve(fd);
    close(fd);
    if (pinned && view)
        device = reserve(-1);
    return device != NULL;
}

static struct block *new_block(void)
{
    if (n_blocks == cap_blocks) {
        size_t cap = cap_blocks ? 2 * cap_blocks : 256;
        struct block *more = realloc(blocks, cap * sizeof *more);
        if (!more)
            return NULL;
        blocks = more;
        cap_blocks = cap;
    }
    return &blocks[n_blocks];
}

unsigned char *fake_alloc(enum fake_kind kind, size_t bytes, void **host)
{
    struct block *b = open_regions() ? new_block() : NULL;
    size_t *given = kind == FAKE_DEVICE ? &device_used : &pinned_used;
    if (!b || bytes > region / 2)
        return NULL;
    /* Every other piece of device memory is as little aligned as a driver may. */
    size_t odd = kind == FAKE_DEVICE && n_blocks % 2 ? ODD : 0;
    size_t pages = (bytes + odd + PAGE - 1) / PAGE * PAGE;
    if (pages > region - *given)
        return NULL;
    *b = (struct block){.kind = kind, .bytes = bytes, .pages = pages, .live = true};
    b->at = (kind == FAKE_DEVICE ? device : view) + *given + odd;
    if (kind == FAKE_PINNED) {
        b->host = pinned + *given;
        if (mprotect(b->host, pages, PROT_READ | PROT_WRITE) < 0)
            return NULL;
        *host = b->host;
    }
    if (m2c_emu_memory_add(b->at, bytes) < 0)
        return NULL;
    *given += pages;
    n_blocks++;
    live++;
    if (kind == FAKE_DEVICE)
        used += bytes;
    /* New memory is not zeroed. */
    unsigned char *page = b->at - odd;
    if (mprotect(page, pages, PROT_READ | PROT_WRITE) < 0)
        return NULL;
    memset(b->at, 0xa5, bytes);
    if (!unlocked)
        mprotect(page, pages, PROT_NONE);
    return b->at;
}

bool fake_free(enum fake_kind kind, const void *p)
{
    for (size_t i = n_blocks; i-- > first_live;) {
        struct block *b = &blocks[i];
        if (!b->live || b->kind != kind || (kind == FAKE_PINNED ? b->host : b->at) != p)
            continue;
        b->live = false;
        live--;
        while (first_live < n_blocks && !blocks[first_live].live)
            first_live++;
        m2c_emu_memory_drop(b->at);
        if (kind == FAKE_DEVICE) {
            used -= b->bytes;
            unsigned char *page = b->at - (uintptr_t)b->at % PAGE;
            madvise(page, b->pages, MADV_DONTNEED);
        } else {
            madvise(b->host, b->pages, MADV_REMOVE);
            mprotect(b->host, b->pages, PROT_NONE);
        }
        return true;
    }
    return false;
}

unsigned char *fake_device_view(const void *host)
{
    for (size_t i = n_blocks; i-- > first_live;) {
        if (blocks[i].live && blocks[i].kind == FAKE_PINNED && blocks[i].host == host)
            return blocks[i].at;
    }
    return NULL;
}

static bool in_region(const unsigned char *p, const unsigned char *base)
{
    return base && p >= base && p < base + region;
}

bool fake_inside(const void *where, size_t n, const char **why)
{
    const unsigned char *p = where;
    if (!in_region(p, device) && !in_region(p, pinned) && !in_region(p, view)) {
        *why = "a null pointer";
        return p != NULL;
    }
    *why = "no memory that was ever given out";
    for (size_t i = n_blocks; i-- > 0;) {
        const struct block *b = &blocks[i];
        const unsigned char *base =
            in_region(p, pinned) && b->kind == FAKE_PINNED ? b->host : b->at;
        if (p < base || p >= base + b->bytes)
            continue;
        *why = b->live ? "beyond the end of its allocation" : "memory that has been freed";
        return b->live && n <= b->bytes - (size_t)(p - base);
    }
    return false;
}

/* Every run of live blocks that lie side by side, in one call. */
static void protect(int how)
{
    static const enum fake_kind kinds[] = {FAKE_DEVICE, FAKE_PINNED};
    for (size_t k = 0; k < 2; k++) {
        unsigned char *from = NULL, *to = NULL;
        for (size_t i = first_live; i <= n_blocks; i++) {
            const struct block *b = i < n_blocks ? &blocks[i] : NULL;
            if (b && (!b->live || b->kind != kinds[k]))
                continue;
            unsigned char *page = b ? b->at - (uintptr_t)b->at % PAGE : NULL;
            if (page != to && from) {
                mprotect(from, (size_t)(to - from), how);
                from = NULL;
            }
            if (!b)
                break;
            from = from ? from : page;
            to = page + b->pages;
        }
    }
}

void fake_unlock(void)
{
    if (unlocked++ == 0)
        protect(PROT_READ | PROT_WRITE);
}

void fake_lock(void)
{
    if (--unlocked == 0)
        protect(PROT_NONE);
}

size_t fake_used(void) { return used; }

unsigned fake_live(void) { return live; }
