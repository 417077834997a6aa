/* SPDX-License-Identifier: MIT */
/* What an I/O engine implements: single reads. Inside the module. */
#ifndef M2C_IO_IO_IMPL_H
#define M2C_IO_IO_IMPL_H

#include "io/io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One read(2)-like request: `bytes` from `off` to `buf`, all aligned where
 * the file is open for direct reads. */
struct m2c_io_piece {
    uint64_t off;
    unsigned char *buf;
    uint32_t bytes, wanted; /* wanted: without the rounding of the length */
    int32_t res;            /* bytes read, or negative errno */
    unsigned tries;
    uint64_t due_ns; /* the engine's */
    struct m2c_io_range *range;
    struct m2c_io_piece *next; /* free or ready list; between submit and reap the
                                  engine's */
};

/* A list that is taken from at the front and added to at the end. */
struct m2c_io_pieces {
    struct m2c_io_piece *first, *last;
};

enum { M2C_IO_BATCH = 64 };

struct m2c_io_ops {
    struct m2c_plugin p;
    bool simulated; /* in the machine's time; there need be no file, no byte is read */
    /* Optional: can it work here at all? 0, or negative errno and what to set
     * instead. Before open, which may then rely on it. Default: yes. */
    int (*probe)(struct m2c_err *err);
    /* Optional: what m2c_io_use_memory does. Default: 0. */
    uint64_t (*use_memory)(struct m2c_io *io, const struct m2c_io_mem *mem, unsigned n);
    /* The others are mandatory, called from the handle's thread. */
    int (*open)(struct m2c_io *io, struct m2c_err *err);
    void (*close)(struct m2c_io *io); /* nothing is in flight; half-built is fine */
    /* How many of the n >= 1 were accepted, the first ones; 0: busy, to be tried
     * again after a reap or a while; negative errno: none was, and the first one
     * failed with this. */
    int (*submit)(struct m2c_io *io, struct m2c_io_piece **p, unsigned n);
    /* Completed pieces, 1 to max <= M2C_IO_BATCH, waiting for the first up to
     * timeout_ns (negative: without end); 0 after it; negative errno when the
     * engine is broken. When io->closing, a piece that would never complete
     * comes back as well. */
    int (*reap)(struct m2c_io *io, struct m2c_io_piece **out, unsigned max,
                int64_t timeout_ns);
};

struct m2c_io {
    const struct m2c_io_ops *ops;
    struct m2c_io_cfg cfg;
    char *path;
    int fd;
    uint32_t align;
    uint64_t size;
    bool closing, started; /* started: a range was */
    bool has_memory;
    void *priv;
    struct m2c_io_piece *pieces, *free_piece;    /* [queue_depth] */
    struct m2c_io_pieces ready;                  /* to be submitted */
    unsigned in_flight;                          /* pieces that the engine has */
    struct m2c_io_range *waiting, *waiting_tail; /* not wholly in pieces yet */
    struct m2c_io_range *done, *done_tail;       /* complete, not reaped */
    struct m2c_io_counters count;
};

/* Opens io->path; sets fd, size and align. */
M2C_MUST_USE int m2c_io_open_file(struct m2c_io *io, struct m2c_err *err);

/* The start-up check of engines, NULL-terminated. */
M2C_MUST_USE int m2c_io_check(const struct m2c_io_ops *const *engines,
                              struct m2c_err *err);

static inline void m2c_io_push(struct m2c_io_pieces *l, struct m2c_io_piece *p)
{
    p->next = NULL;
    if (l->last)
        l->last->next = p;
    else
        l->first = p;
    l->last = p;
}

static inline struct m2c_io_piece *m2c_io_pop(struct m2c_io_pieces *l)
{
    struct m2c_io_piece *p = l->first;
    if (p && !(l->first = p->next))
        l->last = NULL;
    return p;
}

/* The time that the handle's waits are measured by. */
uint64_t m2c_io_now_ns(const struct m2c_io *io);

extern const struct m2c_io_ops m2c_io_libaio, m2c_io_uring, m2c_io_pread, m2c_io_mmap,
    m2c_io_null, m2c_io_sim;

#ifdef __cplusplus
}
#endif
#endif
