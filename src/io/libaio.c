/* SPDX-License-Identifier: MIT */
/* Linux native AIO. Truly asynchronous for direct reads; through the page
 * cache io_submit may block in the kernel. */
#include "io/io_impl.h"

#include <errno.h>
#include <libaio.h>
#include <stdlib.h>
#include <string.h>

struct aio {
    io_context_t ctx;
    struct iocb *cb; /* [queue_depth], one beside each piece */
};

static int open_aio(struct m2c_io *io, struct m2c_err *err)
{
    struct aio *a = io->priv;
    a->cb = calloc(io->cfg.queue_depth, sizeof *a->cb);
    if (!a->cb)
        return m2c_fail(err, -ENOMEM, "libaio: out of memory");
    int r = io_setup((int)io->cfg.queue_depth, &a->ctx);
    if (r < 0)
        return m2c_fail(err, r,
                        "libaio: io_setup for %u requests: %s (the system's limit is "
                        "/proc/sys/fs/aio-max-nr)",
                        io->cfg.queue_depth, strerror(-r));
    return 0;
}

static void close_aio(struct m2c_io *io)
{
    struct aio *a = io->priv;
    if (a->ctx)
        io_destroy(a->ctx);
    free(a->cb);
}

static int submit(struct m2c_io *io, struct m2c_io_piece *p)
{
    struct aio *a = io->priv;
    struct iocb *cb = &a->cb[p - io->pieces];
    io_prep_pread(cb, io->fd, p->buf, p->bytes, (long long)p->off);
    cb->data = p;
    int r;
    do {
        r = io_submit(a->ctx, 1, &cb);
    } while (r == -EINTR);
    return r == 1 ? 0 : r == 0 ? -EAGAIN : r;
}

static int reap(struct m2c_io *io, struct m2c_io_piece **out, unsigned min, unsigned max)
{
    struct aio *a = io->priv;
    struct io_event ev[64];
    struct timespec now = {0, 0};
    int n;
    do {
        n = io_getevents(a->ctx, (long)min, (long)M2C_MIN(max, 64u), ev, min ? NULL : &now);
    } while (n == -EINTR);
    for (int i = 0; i < n; i++) {
        out[i] = ev[i].data;
        out[i]->res = (int32_t)(long)ev[i].res;
    }
    return n;
}

const struct m2c_io_ops m2c_io_libaio = {
    .p = {.name = "libaio",
          .desc = "Linux native asynchronous I/O",
          .priv_size = sizeof(struct aio)},
    .open = open_aio,
    .close = close_aio,
    .submit = submit,
    .reap = reap,
};
