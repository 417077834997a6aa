/* SPDX-License-Identifier: MIT */
/* Asynchronous reads of one file, past the page cache or through it.
 *
 * A caller starts ranges of any size; they are cut into chunks, at most
 * queue_depth of which are in flight, and a range completes once. Alignment,
 * tails at the end of the file, short reads, EINTR, EAGAIN and retries are
 * handled here and nowhere else. One handle is used from one thread. */
#ifndef M2C_IO_IO_H
#define M2C_IO_IO_H

#include "base/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_io;

struct m2c_io_cfg {
    bool direct;          /* O_DIRECT; refused, not dropped, where it cannot be had */
    unsigned queue_depth; /* chunks in flight, >= 1 */
    uint32_t chunk;       /* bytes of the largest read, a multiple of 4096 */
    unsigned retries;     /* of a chunk that fails with EIO */
    /* the null engine's faults; 0: none */
    unsigned fail_nth;   /* the Nth read fails with EIO, each time it is tried */
    uint32_t short_reads; /* no read brings more than this, a multiple of 4096 */
};

/* One wanted piece of the file. off must be a multiple of m2c_io_align, buf
 * too, with room for bytes rounded up to it: direct reads bring whole blocks.
 * Stays untouched by the caller until it is reaped. */
struct m2c_io_range {
    uint64_t off, bytes;
    void *buf;
    void *user; /* the caller's */
    int res;    /* 0, or negative errno; -ENODATA: the file ends early */
    struct m2c_io_range *next; /* the module's */
    uint64_t sent;
    uint32_t in_flight;
};

const struct m2c_plugin *const *m2c_io_list(void); /* NULL-terminated */

/* -ENOENT for an unknown engine, -EINVAL where the file system refuses
 * O_DIRECT (says what to set), or what open(2) says. */
M2C_MUST_USE int m2c_io_open(struct m2c_io **out, const char *engine, const char *path,
                             const struct m2c_io_cfg *cfg, struct m2c_err *err);
void m2c_io_close(struct m2c_io *io); /* waits for what is in flight; accepts NULL */
uint32_t m2c_io_align(const struct m2c_io *io);

/* Takes the range on; reads start at once as far as the depth allows. -EINVAL
 * for a misaligned one. */
M2C_MUST_USE int m2c_io_start_range(struct m2c_io *io, struct m2c_io_range *r,
                                    struct m2c_err *err);
/* Completed ranges, at most max, waiting until at least min (which must not
 * exceed the number started) have completed. Returns how many; a failed read
 * is not an error here, its range's res is. */
M2C_MUST_USE int m2c_io_reap_ranges(struct m2c_io *io, struct m2c_io_range **out,
                                    unsigned min, unsigned max, struct m2c_err *err);

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
