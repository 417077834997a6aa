/* SPDX-License-Identifier: MIT */
/* Linux native AIO. Truly asynchronous for direct reads; through the page
 * cache io_submit does the reading itself. */
#include "io/io_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <libaio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static int submit(struct m2c_io *io, struct m2c_io_piece **p, unsigned n)
{
    struct aio *a = io->priv;
    struct iocb *cb[M2C_IO_BATCH];
    for (unsigned i = 0; i < n; i++) {
        cb[i] = &a->cb[p[i] - io->pieces];
        io_prep_pread(cb[i], io->fd, p[i]->buf, p[i]->bytes, (long long)p[i]->off);
        cb[i]->data = p[i];
    }
    int r;
    do {
        r = io_submit(a->ctx, (long)n, cb);
    } while (r == -EINTR);
    return r == -EAGAIN ? 0 : r;
}

static int reap(struct m2c_io *io, struct m2c_io_piece **out, unsigned max,
                int64_t timeout_ns)
{
    struct aio *a = io->priv;
    struct io_event ev[M2C_IO_BATCH];
    uint64_t deadline = timeout_ns > 0 ? m2c_now_ns() + (uint64_t)timeout_ns : 0;
    int n;
    for (;;) {
        struct timespec t = {timeout_ns > 0 ? timeout_ns / 1000000000 : 0,
                             timeout_ns > 0 ? timeout_ns % 1000000000 : 0};
        n = io_getevents(a->ctx, timeout_ns ? 1 : 0, (long)max, ev,
                         timeout_ns < 0 ? NULL : &t);
        if (n != -EINTR)
            break;
        if (timeout_ns > 0) { /* the signal must not prolong the wait */
            uint64_t now = m2c_now_ns();
            timeout_ns = now < deadline ? (int64_t)(deadline - now) : 0;
        }
    }
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
