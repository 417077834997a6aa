/* SPDX-License-Identifier: MIT */
/* Ranges into chunks, and everything that can happen to a chunk.
 *
 * A range goes from `waiting` (not wholly in pieces), through pieces in flight,
 * to `done`; a piece is free, ready (to be submitted) or the engine's. */
#include "io/io_impl.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* Ends of files beyond this are not of this world; far from any overflow. */
#define END_MAX (UINT64_C(1) << 62)

/* Between submissions to an engine that is busy though nothing is in flight. */
enum { BUSY_NS = 200000 };

const char *m2c_io_strerror(int res)
{
    return res == -ENODATA ? "the file ends early" : strerror(-res);
}

struct m2c_io_span m2c_io_span(const struct m2c_io *io, uint64_t off, uint64_t bytes)
{
    if (!m2c_range_ok(off, bytes, END_MAX))
        return (struct m2c_io_span){0};
    uint64_t mask = io->align - 1, from = off & ~mask;
    return (struct m2c_io_span){.off = from,
                                .bytes =
                                    bytes ? ((off + bytes + mask) & ~mask) - from : 0,
                                .skew = (uint32_t)(off - from)};
}

int m2c_io_range_fail(const struct m2c_io *io, const struct m2c_io_range *r,
                      struct m2c_err *err)
{
    const char *what = r->res == -EINVAL && io->cfg.direct
                           ? "direct read refused, set ssd.direct = off"
                           : m2c_io_strerror(r->res);
    return m2c_fail(err, r->res, "%s: reading %llu bytes at offset %llu: at %llu: %s",
                    io->path, (unsigned long long)r->bytes, (unsigned long long)r->off,
                    (unsigned long long)r->bad_off, what);
}

static void append(struct m2c_io_range **head, struct m2c_io_range **tail,
                   struct m2c_io_range *r)
{
    r->next = NULL;
    if (*tail)
        (*tail)->next = r;
    else
        *head = r;
    *tail = r;
}

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

/* Bytes from the aligned start to the last wanted one. */
static uint64_t length(const struct m2c_io *io, const struct m2c_io_range *r)
{
    return (r->off & (io->align - 1)) + r->bytes;
}

/* The failure nearest to the start is the range's, whichever came first. Pieces
 * go out in order, so every one before it is settled before the range is done. */
static void fail_range(struct m2c_io_range *r, int res, uint64_t at)
{
    at = M2C_MAX(at, r->off);
    if (r->res == 0 || at < r->bad_off) {
        r->res = res;
        r->bad_off = at;
    }
}

/* Nobody needs the piece any more. */
static bool moot(const struct m2c_io_piece *p)
{
    return p->range->res < 0 && p->off >= p->range->bad_off;
}

/* Bytes that the range moves if nothing goes wrong. */
static uint64_t moved(const struct m2c_io *io, const struct m2c_io_range *r)
{
    struct m2c_io_span s = m2c_io_span(io, r->off, r->bytes);
    uint64_t end = M2C_MIN(s.off + s.bytes, io->size);
    return end > s.off ? end - s.off : 0;
}

static void show_range(const struct m2c_io *io, const struct m2c_io_range *r)
{
    m2c_timeline_span(io->cfg.timeline,
                      &(struct m2c_span){.track = M2C_TRACK_SSD,
                                         .name = r->res < 0 ? "failed read" : "read",
                                         .from_ns = r->start_ns,
                                         .to_ns = m2c_io_now_ns(io),
                                         .layer = r->layer,
                                         .bytes = moved(io, r)});
}

/* The piece is done with; so may be its range. A failed one is not sent on. */
static void release(struct m2c_io *io, struct m2c_io_piece *p)
{
    struct m2c_io_range *r = p->range;
    p->next = io->free_piece;
    io->free_piece = p;
    bool sent = r->sent == length(io, r);
    if (r->res < 0 && !sent)
        drop_waiting(io, r);
    if (--r->in_flight == 0 && (sent || r->res < 0)) {
        append(&io->done, &io->done_tail, r);
        if (io->cfg.timeline)
            show_range(io, r);
    }
}

/* Pieces for waiting ranges, as long as there are free ones. */
static void cut(struct m2c_io *io)
{
    while (io->waiting && io->free_piece) {
        struct m2c_io_range *r = io->waiting;
        struct m2c_io_piece *p = io->free_piece;
        uint64_t left = length(io, r) - r->sent;
        uint32_t wanted = (uint32_t)M2C_MIN(left, (uint64_t)io->cfg.chunk);
        io->free_piece = p->next;
        *p = (struct m2c_io_piece){.off = (r->off & ~(uint64_t)(io->align - 1)) + r->sent,
                                   .buf = (unsigned char *)r->buf + r->sent,
                                   .bytes = (uint32_t)m2c_align_up(wanted, io->align),
                                   .wanted = wanted,
                                   .range = r};
        r->sent += wanted;
        r->in_flight++;
        if (wanted == left)
            drop_waiting(io, r);
        m2c_io_push(&io->ready, p);
    }
}

/* What a completed read means. True: the piece is done with; false: it has to
 * be submitted again. */
static bool settle(struct m2c_io *io, struct m2c_io_piece *p)
{
    struct m2c_io_range *r = p->range;
    int32_t got = p->res;
    if (moot(p))
        return true;
    if (got == -EINTR)
        return false;
    if ((got == -EIO || got == -EAGAIN) && p->tries < io->cfg.retries) {
        p->tries++;
        io->count.retries++;
        return false;
    }
    if (got < 0) {
        fail_range(r, got, p->off);
        return true;
    }
    if ((uint32_t)got >= p->wanted)
        return true;
    uint32_t keep = (uint32_t)got / io->align * io->align; /* resume at a block */
    if (keep == 0) {
        fail_range(r, -ENODATA, p->off + (uint32_t)got);
        return true;
    }
    io->count.bytes_moved += (uint32_t)got - keep; /* comes again */
    p->off += keep;
    p->buf += keep;
    p->bytes -= keep;
    p->wanted -= keep;
    return false;
}

static void completed(struct m2c_io *io, struct m2c_io_piece *p)
{
    if (settle(io, p)) {
        release(io, p);
        return;
    }
    io->count.requests++;
    m2c_io_push(&io->ready, p);
}

/* Gives the engine what it takes. */
static void pump(struct m2c_io *io)
{
    for (;;) {
        struct m2c_io_piece *batch[M2C_IO_BATCH];
        unsigned n = 0;
        cut(io);
        for (struct m2c_io_piece *p = io->ready.first; p && n < M2C_IO_BATCH; p = p->next)
            batch[n++] = p;
        if (n == 0)
            return;
        if (moot(batch[0])) { /* failed meanwhile */
            release(io, m2c_io_pop(&io->ready));
            continue;
        }
        struct m2c_io_piece *rest = batch[n - 1]->next;
        int r = io->ops->submit(io, batch, n);
        if (r == 0)
            return;
        unsigned gone = (unsigned)M2C_MAX(r, 1);
        io->ready.first = gone < n ? batch[gone] : rest; /* `next` of those is the
                                                            engine's now */
        if (!io->ready.first)
            io->ready.last = NULL;
        if (r > 0) {
            io->in_flight += gone;
        } else {
            batch[0]->res = r;
            completed(io, batch[0]);
        }
    }
}

/* Counted when asked for, not when it arrives: counts must not depend on how
 * fast the disk is. What goes wrong later adds to them. */
static void count_range(struct m2c_io *io, const struct m2c_io_range *r)
{
    io->count.bytes_wanted += r->bytes;
    io->count.bytes_moved += moved(io, r);
    io->count.requests += r->bytes ? (length(io, r) - 1) / io->cfg.chunk + 1 : 0;
}

int m2c_io_start_range(struct m2c_io *io, struct m2c_io_range *r, struct m2c_err *err)
{
    if ((uintptr_t)r->buf & (io->align - 1))
        return m2c_fail(err, -EINVAL,
                        "%s: reading at %llu: the buffer is not aligned to %u bytes",
                        io->path, (unsigned long long)r->off, io->align);
    if (!m2c_range_ok(r->off, r->bytes, END_MAX))
        return m2c_fail(err, -EINVAL,
                        "%s: reading %llu bytes at %llu: no file is so long", io->path,
                        (unsigned long long)r->bytes, (unsigned long long)r->off);
    if (m2c_io_span(io, r->off, r->bytes).bytes > r->room)
        return m2c_fail(err, -EINVAL,
                        "%s: reading %llu bytes at %llu in blocks of %u: the buffer has "
                        "%llu",
                        io->path, (unsigned long long)r->bytes,
                        (unsigned long long)r->off, io->align,
                        (unsigned long long)r->room);
    io->started = true;
    r->res = 0;
    r->sent = 0;
    r->bad_off = 0;
    r->in_flight = 0;
    r->start_ns = io->cfg.timeline ? m2c_io_now_ns(io) : 0;
    count_range(io, r);
    if (r->bytes == 0) {
        append(&io->done, &io->done_tail, r);
        return 0;
    }
    append(&io->waiting, &io->waiting_tail, r);
    pump(io);
    return 0;
}

/* One round with the engine; timeout_ns as for its reap. */
static int collect(struct m2c_io *io, int64_t timeout_ns, struct m2c_err *err)
{
    struct m2c_io_piece *got[M2C_IO_BATCH];
    int n = io->ops->reap(io, got, M2C_IO_BATCH, timeout_ns);
    if (n < 0)
        return m2c_fail(err, n, "%s: engine %s: %s", io->path, io->ops->p.name,
                        strerror(-n));
    io->in_flight -= (unsigned)n;
    for (int i = 0; i < n; i++)
        completed(io, got[i]);
    pump(io);
    return 0;
}

/* Waits for something to happen, until deadline_ns (0: without end). */
static int wait_some(struct m2c_io *io, uint64_t deadline_ns, struct m2c_err *err)
{
    uint64_t t0 = m2c_io_now_ns(io);
    int64_t left = deadline_ns == 0   ? M2C_IO_FOREVER
                   : deadline_ns > t0 ? (int64_t)(deadline_ns - t0)
                                      : 0;
    int r = 0;
    if (io->in_flight) {
        r = collect(io, left, err);
    } else {
        struct timespec nap = {0, left < 0 ? BUSY_NS : (long)M2C_MIN(left, BUSY_NS)};
        nanosleep(&nap, NULL);
        pump(io);
    }
    uint64_t t1 = m2c_io_now_ns(io);
    io->count.wait_ns += t1 - t0;
    m2c_timeline_span(io->cfg.timeline,
                      &(struct m2c_span){.track = M2C_TRACK_WAITS,
                                         .name = "ssd",
                                         .from_ns = t0,
                                         .to_ns = t1,
                                         .layer = M2C_NO_LAYER});
    return r;
}

static unsigned take_done(struct m2c_io *io, struct m2c_io_range **out, unsigned max)
{
    unsigned n = 0;
    for (; io->done && n < max; n++) {
        out[n] = io->done;
        io->done = io->done->next;
        if (!io->done)
            io->done_tail = NULL;
    }
    return n;
}

int m2c_io_reap_ranges(struct m2c_io *io, struct m2c_io_range **out, unsigned min,
                       unsigned max, int64_t timeout_ns, struct m2c_err *err)
{
    if (min > max)
        return m2c_fail(err, -EINVAL, "%s: waiting for %u reads, with room for %u",
                        io->path, min, max);
    uint64_t deadline = timeout_ns > 0 ? m2c_io_now_ns(io) + (uint64_t)timeout_ns : 0;
    int r = 0;
    if (io->in_flight)
        r = collect(io, 0, err);
    else
        pump(io);
    if (r < 0)
        return r;
    unsigned n = take_done(io, out, max);
    while (n < min && timeout_ns != 0) {
        if (io->in_flight == 0 && !io->ready.first)
            return m2c_fail(err, -EINVAL, "%s: waiting for reads that nobody started",
                            io->path);
        r = wait_some(io, deadline, err);
        if (r < 0)
            return r;
        n += take_done(io, out + n, max - n);
        if (deadline && n < min && m2c_io_now_ns(io) >= deadline)
            break;
    }
    return (int)n;
}
