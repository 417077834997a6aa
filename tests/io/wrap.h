/* SPDX-License-Identifier: MIT */
/* A kernel that misbehaves on request: the linker puts these in place of the
 * calls by which the engines read (--wrap in meson.build), whatever the engine. */
#ifndef TESTS_IO_WRAP_H
#define TESTS_IO_WRAP_H

#include <stdbool.h>
#include <stdint.h>

/* What goes wrong. 0: nothing. Reads are those that the kernel completed. */
struct knobs {
    const unsigned char *base; /* the one buffer: a read's place is its address */
    unsigned short_every;      /* every Nth read of two blocks or more is cut */
    uint32_t short_odd;        /* ... to a block and so many bytes */
    unsigned eintr_every;      /* every Nth read ends with EINTR instead */
    unsigned again_every;      /* ... with EAGAIN */
    unsigned busy_every;       /* every Nth submission is refused, the one after it
                                  taken in part */
    unsigned signal_every;     /* every Nth wait is interrupted */
    bool bad;                  /* the reads that cover bad_at fail with EIO ... */
    uint64_t bad_at;
    unsigned bad_times; /* ... so many times */
};
extern struct knobs knobs;

struct spoilt {
    unsigned cut, eintr, again, busy, signal, bad;
};
extern struct spoilt spoilt; /* how often it happened */

#endif
