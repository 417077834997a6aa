/* SPDX-License-Identifier: MIT */
/* Reads at submission, and goes wrong on request: for tests of everything
 * above it. */
#include "io/io_impl.h"

#include <errno.h>
#include <unistd.h>

struct null {
    unsigned n; /* reads so far */
    struct m2c_io_piece *done;
};

static int open_null(struct m2c_io *io, struct m2c_err *err)
{
    (void)io;
    (void)err;
    return 0;
}

static void close_null(struct m2c_io *io) { (void)io; }

static int submit(struct m2c_io *io, struct m2c_io_piece *p)
{
    struct null *s = io->priv;
    uint32_t n = p->bytes;
    if (io->cfg.short_reads && n > io->cfg.short_reads)
        n = io->cfg.short_reads;
    bool fails = io->cfg.fail_nth && (p->tries || ++s->n == io->cfg.fail_nth);
    ssize_t got = fails ? -1 : pread(io->fd, p->buf, n, (off_t)p->off);
    p->res = fails ? -EIO : got < 0 ? -errno : (int32_t)got;
    p->next = s->done;
    s->done = p;
    return 0;
}

static int reap(struct m2c_io *io, struct m2c_io_piece **out, unsigned min, unsigned max)
{
    struct null *s = io->priv;
    unsigned n = 0;
    (void)min;
    for (; n < max && s->done; n++) {
        out[n] = s->done;
        s->done = s->done->next;
    }
    return (int)n;
}

const struct m2c_io_ops m2c_io_null = {
    .p = {.name = "null",
          .desc = "synchronous reads with faults on request, for tests",
          .priv_size = sizeof(struct null)},
    .open = open_null,
    .close = close_null,
    .submit = submit,
    .reap = reap,
};
