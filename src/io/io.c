/* SPDX-License-Identifier: MIT */
/* Ranges into chunks, and everything that can happen to a chunk. */
#define _GNU_SOURCE /* O_DIRECT */
#include "io/io_impl.h"

#include "base/clock.h"
#include "m2c_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Block size of every file system and disk that O_DIRECT is used on here;
 * smaller would be allowed by many, larger by none that is common. */
enum { DIRECT_ALIGN = 4096 };

static const struct m2c_io_ops *const registry[] = {
#if M2C_HAVE_LIBAIO
    &m2c_io_libaio,
#endif
    &m2c_io_pread,
    &m2c_io_null,
    NULL,
};

const struct m2c_plugin *const *m2c_io_list(void)
{
    return (const struct m2c_plugin *const *)(const void *)registry;
}

static int open_file(struct m2c_io *io, struct m2c_err *err)
{
    io->align = io->cfg.direct ? DIRECT_ALIGN : 1;
    io->fd = open(io->path, O_RDONLY | O_CLOEXEC | (io->cfg.direct ? O_DIRECT : 0));
    struct stat st;
    if (io->fd >= 0 && fstat(io->fd, &st) == 0) {
        io->file_bytes = (uint64_t)st.st_size;
        return 0;
    }
    if (errno == EINVAL && io->cfg.direct)
        return m2c_fail(err, -EINVAL,
                        "%s: this file system does not do direct reads (O_DIRECT); set "
                        "ssd.direct = off",
                        io->path);
    return m2c_fail(err, -errno, "%s: %s", io->path, strerror(errno));
}

int m2c_io_open(struct m2c_io **out, const char *engine, const char *path,
                const struct m2c_io_cfg *cfg, struct m2c_err *err)
{
    const struct m2c_io_ops *ops = m2c_plugin_find(
        (const void *const *)(const void *)registry, "I/O engine", engine, err);
    if (!ops)
        return -ENOENT;
    if (cfg->queue_depth == 0 || cfg->chunk == 0 || cfg->chunk % DIRECT_ALIGN)
        return m2c_fail(err, -EINVAL,
                        "ssd.queue_depth must be at least 1 and ssd.chunk (%u) a multiple "
                        "of %d",
                        cfg->chunk, DIRECT_ALIGN);
    struct m2c_io *io = calloc(1, sizeof *io);
    if (!io)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    io->ops = ops;
    io->cfg = *cfg;
    io->fd = -1;
    io->path = strdup(path);
    io->priv = calloc(1, ops->p.priv_size ? ops->p.priv_size : 1);
    io->pieces = calloc(cfg->queue_depth, sizeof *io->pieces);
    int r = io->path && io->priv && io->pieces
                ? 0
                : m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    for (unsigned i = 0; i < cfg->queue_depth && r == 0; i++) {
        io->pieces[i].next = io->free_piece;
        io->free_piece = &io->pieces[i];
    }
    if (r == 0)
        r = open_file(io, err);
    if (r == 0)
        r = ops->open(io, err);
    if (r < 0) {
        if (io->priv)
            ops->close(io);
        io->priv = NULL;
        m2c_io_close(io);
        return r;
    }
    *out = io;
    return 0;
}

uint32_t m2c_io_align(const struct m2c_io *io) { return io->align; }

void m2c_io_counters(const struct m2c_io *io, struct m2c_io_counters *out)
{
    *out = io->count;
}

const char *m2c_io_strerror(int res)
{
    return res == -ENODATA ? "the file ends early" : strerror(-res);
}

/* ---- ranges ---- */

static void complete(struct m2c_io *io, struct m2c_io_range *r)
{
    r->next = NULL;
    if (io->done_tail)
        io->done_tail->next = r;
    else
        io->done = r;
    io->done_tail = r;
}

/* A failed range is not sent on. */
static void drop_waiting(struct m2c_io *io, struct m2c_io_range *r)
{
    struct m2c_io_range **at = &io->waiting, *before = NULL;
    while (*at && *at != r) {
        before = *at;
        at = &before->next;
    }
    if (!*at)
        return;
    *at = r->next;
    if (io->waiting_tail == r)
        io->waiting_tail = before;
}

static void release(struct m2c_io *io, struct m2c_io_piece *p)
{
    struct m2c_io_range *r = p->range;
    p->next = io->free_piece;
    io->free_piece = p;
    if (r->res < 0 && r->sent < r->bytes)
        drop_waiting(io, r);
    if (--r->in_flight == 0 && (r->sent == r->bytes || r->res < 0))
        complete(io, r);
}

/* Sends a filled piece. False: the engine is busy, the piece waits. */
static bool send(struct m2c_io *io, struct m2c_io_piece *p)
{
    int r = io->ops->submit(io, p);
    if (r == -EAGAIN) {
        p->next = io->again;
        io->again = p;
        return false;
    }
    if (r < 0) {
        p->range->res = r;
        release(io, p);
    } else {
        io->in_flight++;
    }
    return true;
}

static struct m2c_io_piece *next_piece(struct m2c_io *io, struct m2c_io_range *r)
{
    struct m2c_io_piece *p = io->free_piece;
    uint64_t left = r->bytes - r->sent;
    uint32_t wanted = (uint32_t)M2C_MIN(left, (uint64_t)io->cfg.chunk);
    io->free_piece = p->next;
    *p = (struct m2c_io_piece){.off = r->off + r->sent,
                               .buf = (unsigned char *)r->buf + r->sent,
                               .bytes = (uint32_t)m2c_align_up(wanted, io->align),
                               .wanted = wanted,
                               .range = r};
    r->sent += wanted;
    r->in_flight++;
    return p;
}

static void pump(struct m2c_io *io)
{
    while (io->again) {
        struct m2c_io_piece *p = io->again;
        io->again = p->next;
        if (!send(io, p))
            return;
    }
    while (io->waiting && io->free_piece) {
        struct m2c_io_range *r = io->waiting;
        struct m2c_io_piece *p = next_piece(io, r);
        if (r->sent == r->bytes)
            drop_waiting(io, r);
        if (!send(io, p))
            return;
    }
}

/* What a completed read means. True: the piece is done with. */
static bool settle(struct m2c_io *io, struct m2c_io_piece *p)
{
    int32_t got = p->res;
    if (got == -EINTR || got == -EAGAIN)
        return false;
    if (got == -EIO && p->tries < io->cfg.retries) {
        p->tries++;
        io->count.retries++;
        io->count.requests++;
        return false;
    }
    if (got < 0) {
        p->range->res = got;
        return true;
    }
    if ((uint32_t)got >= p->wanted)
        return true;
    uint32_t keep = (uint32_t)got / io->align * io->align; /* resume at a block */
    if (keep == 0) {
        p->range->res = -ENODATA;
        return true;
    }
    p->off += keep;
    p->buf += keep;
    p->bytes -= keep;
    p->wanted -= keep;
    return false;
}

/* Counted when asked for, not when it arrives: counts must not depend on how
 * fast the disk is. */
static void count_range(struct m2c_io *io, const struct m2c_io_range *r)
{
    uint64_t end = (r->off + r->bytes + io->align - 1) / io->align * io->align;
    io->count.bytes_wanted += r->bytes;
    io->count.bytes_moved += M2C_MAX(M2C_MIN(end, io->file_bytes), r->off) - r->off;
    io->count.requests += (r->bytes + io->cfg.chunk - 1) / io->cfg.chunk;
}

int m2c_io_start_range(struct m2c_io *io, struct m2c_io_range *r, struct m2c_err *err)
{
    if (r->off % io->align || (uintptr_t)r->buf % io->align)
        return m2c_fail(err, -EINVAL, "%s: direct read at offset %llu is not aligned to %u",
                        io->path, (unsigned long long)r->off, io->align);
    r->res = 0;
    r->sent = 0;
    r->in_flight = 0;
    r->next = NULL;
    count_range(io, r);
    if (r->bytes == 0) {
        complete(io, r);
        return 0;
    }
    if (io->waiting_tail)
        io->waiting_tail->next = r;
    else
        io->waiting = r;
    io->waiting_tail = r;
    pump(io);
    return 0;
}

/* One round with the engine. */
static int collect(struct m2c_io *io, bool block, struct m2c_err *err)
{
    struct m2c_io_piece *got[64];
    uint64_t t0 = block ? m2c_now_ns() : 0;
    int n = io->ops->reap(io, got, block ? 1 : 0, M2C_COUNTOF(got));
    if (block)
        io->count.wait_ns += m2c_now_ns() - t0;
    if (n < 0)
        return m2c_fail(err, n, "%s: engine %s: %s", io->path, io->ops->p.name,
                        strerror(-n));
    for (int i = 0; i < n; i++) {
        io->in_flight--;
        if (settle(io, got[i]))
            release(io, got[i]);
        else
            send(io, got[i]);
    }
    pump(io);
    return 0;
}

int m2c_io_reap_ranges(struct m2c_io *io, struct m2c_io_range **out, unsigned min,
                       unsigned max, struct m2c_err *err)
{
    unsigned n = 0;
    int r = io->in_flight ? collect(io, false, err) : 0;
    while (r == 0) {
        for (; io->done && n < max; n++) {
            out[n] = io->done;
            io->done = io->done->next;
            if (!io->done)
                io->done_tail = NULL;
        }
        if (n >= min)
            break;
        if (io->in_flight == 0 && !io->again)
            return m2c_fail(err, -EINVAL, "%s: waiting for reads that nobody started",
                            io->path);
        r = collect(io, io->in_flight > 0, err);
    }
    return r < 0 ? r : (int)n;
}

void m2c_io_close(struct m2c_io *io)
{
    if (!io)
        return;
    io->waiting = NULL; /* what is not sent yet is not sent any more */
    while (io->priv && io->in_flight) {
        struct m2c_io_piece *got[64];
        int n = io->ops->reap(io, got, 1, M2C_COUNTOF(got));
        if (n < 0 && n != -EINTR)
            break;
        io->in_flight -= (unsigned)M2C_MAX(n, 0);
    }
    if (io->priv)
        io->ops->close(io);
    if (io->fd >= 0)
        close(io->fd);
    free(io->priv);
    free(io->pieces);
    free(io->path);
    free(io);
}
