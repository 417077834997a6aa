/* SPDX-License-Identifier: MIT */
/* pread(2) on worker threads: works on every file system, direct or not. */
#include "io/workers.h"

#include <errno.h>
#include <unistd.h>

static int32_t read_piece(struct m2c_io *io, const struct m2c_io_piece *p)
{
    ssize_t n = pread(io->fd, p->buf, p->bytes, (off_t)p->off);
    return n < 0 ? -errno : (int32_t)n;
}

static int open_pread(struct m2c_io *io, struct m2c_err *err)
{
    return m2c_io_workers_open(io->priv, io, read_piece, err);
}

static void close_pread(struct m2c_io *io)
{
    m2c_io_workers_close(io->priv);
}

static int submit(struct m2c_io *io, struct m2c_io_piece **p, unsigned n)
{
    return m2c_io_workers_submit(io->priv, p, n);
}

static int reap(struct m2c_io *io, struct m2c_io_piece **out, unsigned max,
                int64_t timeout_ns)
{
    return m2c_io_workers_reap(io->priv, out, max, timeout_ns);
}

const struct m2c_io_ops m2c_io_pread = {
    .p = {.name = "pread",
          .desc = "pread(2) on up to 16 threads",
          .priv_size = sizeof(struct m2c_io_workers)},
    .open = open_pread,
    .close = close_pread,
    .submit = submit,
    .reap = reap,
};
