/* SPDX-License-Identifier: MIT */
/* What an I/O engine implements: single reads. Inside the module. */
#ifndef M2C_IO_IO_IMPL_H
#define M2C_IO_IO_IMPL_H

#include "io/io.h"

/* One read(2)-like request: `bytes` from `off` to `buf`, all aligned where
 * the file is open for direct reads. */
struct m2c_io_piece {
    uint64_t off;
    unsigned char *buf;
    uint32_t bytes, wanted; /* wanted: without the rounding of the length */
    int32_t res;            /* bytes read, or negative errno */
    unsigned tries;
    struct m2c_io_range *range;
    struct m2c_io_piece *next; /* free list, or the engine's queue */
};

struct m2c_io_ops {
    struct m2c_plugin p;
    /* All mandatory, called from the handle's thread. */
    int (*open)(struct m2c_io *io, struct m2c_err *err);
    void (*close)(struct m2c_io *io); /* nothing is in flight; half-built is fine */
    /* 0; -EAGAIN: busy, try again after a reap; else the read's failure. */
    int (*submit)(struct m2c_io *io, struct m2c_io_piece *p);
    /* Completed pieces, at least `min` (0 or 1), at most max; negative errno. */
    int (*reap)(struct m2c_io *io, struct m2c_io_piece **out, unsigned min, unsigned max);
};

struct m2c_io {
    const struct m2c_io_ops *ops;
    struct m2c_io_cfg cfg;
    char *path;
    int fd;
    uint32_t align;
    uint64_t file_bytes;
    void *priv;
    struct m2c_io_piece *pieces, *free_piece; /* [queue_depth] */
    unsigned in_flight;
    struct m2c_io_range *waiting, *waiting_tail; /* not fully sent yet */
    struct m2c_io_range *done, *done_tail;       /* complete, not reaped */
    struct m2c_io_piece *again;                  /* to be sent once more */
    struct m2c_io_counters count;
};

extern const struct m2c_io_ops m2c_io_libaio, m2c_io_pread, m2c_io_null;

#endif
