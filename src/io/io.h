/* SPDX-License-Identifier: MIT */
/* Asynchronous reads of one file, past the page cache or through it.
 *
 * A caller starts ranges of any offset and size; they are cut into chunks, at
 * most queue_depth of which are in flight, and a range completes once, when
 * all of it is there or none of it will come any more. Alignment, tails at the
 * end of the file, short reads, EINTR, EAGAIN and retries are handled here and
 * nowhere else. Ranges are taken on without limit, in the order started; they
 * may complete in any order. A handle is used by one thread at a time. */
#ifndef M2C_IO_IO_H
#define M2C_IO_IO_H

#include "base/plugin.h"
#include "base/timeline.h"
#include "sim/machine.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_io;

enum { M2C_IO_DEPTH_MAX = 4096, M2C_IO_CHUNK_MAX = 1 << 30 };

struct m2c_io_cfg {
    bool direct;          /* O_DIRECT; refused, not dropped, where it cannot be had */
    unsigned queue_depth; /* chunks in flight, 1 to M2C_IO_DEPTH_MAX */
    uint32_t chunk;       /* bytes of the largest read, a multiple of 4096 and of the
                             file's alignment, at most M2C_IO_CHUNK_MAX */
    unsigned retries;     /* of a chunk that fails with EIO */
    struct m2c_timeline *timeline; /* borrowed; NULL: nobody watches */
    /* Of a simulated device: its SSD is the only one there is, and "sim" the only
     * engine that reads it. NULL: the machine is real. */
    struct m2c_machine *machine;
    /* The null engine's faults; 0: none. Reads are counted from 1. */
    unsigned fail_nth;    /* the Nth read fails with EIO ... */
    unsigned fail_times;  /* ... so many times; 0: each time it is tried */
    unsigned never_nth;   /* the Nth read does not complete before the handle closes */
    unsigned busy_every;  /* every Nth submission is refused as busy */
    uint32_t short_reads; /* no read brings more than this, a multiple of 4096 */
    uint64_t delay_ns;    /* reads complete no sooner than this */
};

/* One wanted piece of the file. `buf` must be aligned to m2c_io_align and have
 * room for the m2c_io_span of (off, bytes); the wanted bytes land at buf + skew,
 * which is buf where off is aligned. The caller leaves range and buffer alone
 * from start to reap, or until the handle is closed. */
struct m2c_io_range {
    uint64_t off, bytes;
    void *buf;
    uint64_t room; /* bytes of buf */
    void *user;    /* the caller's */
    uint32_t layer; /* for the timeline */
    int res;       /* 0, or negative errno; -ENODATA: the file ends early */
    /* the module's */
    struct m2c_io_range *next;
    uint64_t sent, bad_off, start_ns; /* start_ns: on the timeline only */
    uint32_t in_flight;
};

const struct m2c_plugin *const *m2c_io_list(void); /* NULL-terminated */

/* Can the engine work here? 0; -ENOENT for an unknown one, -ENOTSUP for one that
 * this build lacks, or why the kernel refuses it (io_uring is forbidden in many
 * containers: -EPERM). The message says what to set instead. */
M2C_MUST_USE int m2c_io_probe(const char *engine, struct m2c_err *err);

/* What m2c_io_probe says, -EINVAL for a bad cfg or where the file system refuses
 * O_DIRECT (says what to set), or what open(2) says. */
M2C_MUST_USE int m2c_io_open(struct m2c_io **out, const char *engine, const char *path,
                             const struct m2c_io_cfg *cfg, struct m2c_err *err);
/* Waits for what is in flight, so that no read lands in freed memory; ranges not
 * reaped by then are lost. Accepts NULL. */
void m2c_io_close(struct m2c_io *io);

/* What offsets, lengths and buffers of the reads are multiples of: what the file
 * says that direct reads need (statx(2), STATX_DIOALIGN; 4096 where the kernel
 * does not know), 1 for reads through the page cache. */
uint32_t m2c_io_align(const struct m2c_io *io);
/* Bytes of the file when it was opened. */
uint64_t m2c_io_size(const struct m2c_io *io);

struct m2c_io_mem {
    void *at;
    uint64_t bytes;
};

/* Names the memory that ranges will be read into, so that an engine that can
 * (io_uring) has its pages pinned once instead of at every read. It stays in
 * place until the handle closes; reads to elsewhere work as well. At most once,
 * before the first range. Returns the bytes that are now registered: none where
 * the engine has no use for it, or where the limit on locked memory (ulimit -l)
 * forbids; reads are the same then, only slower. */
uint64_t m2c_io_use_memory(struct m2c_io *io, const struct m2c_io_mem *mem, unsigned n);

/* What is read for [off, off + bytes): whole blocks around it. */
struct m2c_io_span {
    uint64_t off, bytes; /* aligned; the buffer's room */
    uint32_t skew;       /* where in the buffer the wanted bytes begin */
};
/* off + bytes stays below 2^62, else {0}. */
struct m2c_io_span m2c_io_span(const struct m2c_io *io, uint64_t off, uint64_t bytes);

/* Takes the range on; reads start at once as far as the depth allows. -EINVAL
 * for a buffer that is misaligned or too small, or a range past 2^62. */
M2C_MUST_USE int m2c_io_start_range(struct m2c_io *io, struct m2c_io_range *r,
                                    struct m2c_err *err);

enum { M2C_IO_FOREVER = -1 };

/* Completed ranges, at most max, waiting up to timeout_ns (M2C_IO_FOREVER: without
 * end) until at least min <= max have completed. Returns how many, fewer than
 * min after the timeout only. -EINVAL for more than were started. A failed read
 * is not an error here, its range's res is. */
M2C_MUST_USE int m2c_io_reap_ranges(struct m2c_io *io, struct m2c_io_range **out,
                                    unsigned min, unsigned max, int64_t timeout_ns,
                                    struct m2c_err *err);

/* Writes what became of a range that failed, with path, place and what to do;
 * returns r->res. */
int m2c_io_range_fail(const struct m2c_io *io, const struct m2c_io_range *r,
                      struct m2c_err *err);

struct m2c_io_counters {
    /* of ranges as they are started; moved: direct reads' overread included */
    uint64_t bytes_wanted, bytes_moved;
    uint64_t requests, retries;
    uint64_t wait_ns; /* spent blocked in reap */
};
void m2c_io_counters(const struct m2c_io *io, struct m2c_io_counters *out);

/* What a range's res says, for messages. */
const char *m2c_io_strerror(int res);

#ifdef __cplusplus
}
#endif
#endif
