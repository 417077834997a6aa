/* SPDX-License-Identifier: MIT */
/* io_uring: one ring a handle, the file registered, and the buffers too where
 * the caller named them and the system lets them be pinned.
 *
 * Every piece has its entry in the ring before submit returns; entries that
 * the kernel had no room for stay there and go with the next call. So the
 * ring owns them, and `unsent` ones are looked after by reap. */
#include "io/io_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

/* The kernel's limits of registered buffers. */
enum { BUFFERS_MAX = 1 << 14, BUFFER_BYTES_MAX = 1 << 30 };
/* Between attempts to send what the kernel had no room for. */
enum { RESEND_NS = 1000000 };

struct uring {
    struct io_uring ring;
    bool have_ring, fixed_file;
    int broken;        /* negative errno of a submission that nothing explains */
    struct iovec *mem; /* [n_mem] registered, by address */
    unsigned n_mem;
};

static int refuse(int code, struct m2c_err *err)
{
    const char *why = strerror(-code);
    if (code == -EPERM || code == -EACCES)
        why = "the kernel forbids it (sysctl kernel.io_uring_disabled, or a container's "
              "seccomp profile)";
    else if (code == -ENOSYS)
        why = "this kernel has none, or a sandbox hides it";
    else if (code == -ENOMEM)
        why = "no memory for the ring (see ulimit -l)";
    return m2c_fail(err, code, "I/O engine 'io_uring': %s; set ssd.engine = libaio", why);
}

/* Completions wait for the next call into the kernel instead of interrupting
 * the thread that computes; kernels before 5.19 do not know the flags. */
static int open_ring(struct io_uring *ring, unsigned depth)
{
    struct io_uring_params p = {.flags = IORING_SETUP_COOP_TASKRUN |
                                         IORING_SETUP_TASKRUN_FLAG};
    int r = io_uring_queue_init_params(depth, ring, &p);
    if (r == -EINVAL)
        r = io_uring_queue_init(depth, ring, 0);
    return r;
}

static int probe(struct m2c_err *err)
{
    struct io_uring ring;
    int r = open_ring(&ring, 1);
    if (r < 0)
        return refuse(r, err);
    struct io_uring_probe *ops = io_uring_get_probe_ring(&ring);
    bool ok = ops && io_uring_opcode_supported(ops, IORING_OP_READ) &&
              io_uring_opcode_supported(ops, IORING_OP_READ_FIXED) &&
              (ring.features & IORING_FEAT_EXT_ARG);
    io_uring_free_probe(ops);
    io_uring_queue_exit(&ring);
    return ok ? 0
              : m2c_fail(
                    err, -ENOTSUP,
                    "I/O engine 'io_uring': needs Linux 5.11 or later; set ssd.engine "
                    "= libaio");
}

static int open_uring(struct m2c_io *io, struct m2c_err *err)
{
    struct uring *u = io->priv;
    int r = open_ring(&u->ring, io->cfg.queue_depth);
    if (r < 0)
        return refuse(r, err);
    u->have_ring = true;
    u->fixed_file = io_uring_register_files(&u->ring, &io->fd, 1) == 0;
    return 0;
}

static void close_uring(struct m2c_io *io)
{
    struct uring *u = io->priv;
    if (u->have_ring)
        io_uring_queue_exit(&u->ring);
    free(u->mem);
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct iovec *)a)->iov_base,
              y = (uintptr_t)((const struct iovec *)b)->iov_base;
    return (x > y) - (x < y);
}

static uint64_t use_memory(struct m2c_io *io, const struct m2c_io_mem *mem, unsigned n)
{
    struct uring *u = io->priv;
    uint64_t total = 0;
    size_t count = 0;
    for (unsigned i = 0; i < n; i++)
        count += mem[i].bytes / BUFFER_BYTES_MAX + (mem[i].bytes % BUFFER_BYTES_MAX != 0);
    if (count == 0 || count > BUFFERS_MAX)
        return 0;
    struct iovec *v = calloc(count, sizeof *v);
    unsigned k = 0;
    for (unsigned i = 0; v && i < n; i++)
        for (uint64_t at = 0; at < mem[i].bytes; at += BUFFER_BYTES_MAX) {
            uint64_t bytes = M2C_MIN(mem[i].bytes - at, (uint64_t)BUFFER_BYTES_MAX);
            v[k++] = (struct iovec){(unsigned char *)mem[i].at + at, (size_t)bytes};
            total += bytes;
        }
    if (v)
        qsort(v, k, sizeof *v, by_address);
    if (!v || io_uring_register_buffers(&u->ring, v, k) < 0) {
        free(v);
        return 0; /* the limit on locked memory, mostly; reads work without */
    }
    u->mem = v;
    u->n_mem = k;
    return total;
}

/* Which registered buffer has all of the piece, or -1. */
static int buffer_of(const struct uring *u, const struct m2c_io_piece *p)
{
    unsigned lo = 0, hi = u->n_mem; /* the last one that begins at or before it */
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        if ((uintptr_t)u->mem[mid].iov_base <= (uintptr_t)p->buf)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0)
        return -1;
    const struct iovec *m = &u->mem[lo - 1];
    return m2c_range_ok((uintptr_t)p->buf - (uintptr_t)m->iov_base, p->bytes, m->iov_len)
               ? (int)lo - 1
               : -1;
}

/* Sends what lies in the ring, as far as the kernel takes it. */
static int flush(struct uring *u)
{
    while (u->broken == 0 && io_uring_sq_ready(&u->ring)) {
        int r = io_uring_submit(&u->ring);
        if (r == -EAGAIN || r == -EBUSY || r == 0)
            break;
        if (r < 0 && r != -EINTR)
            u->broken = r;
    }
    return u->broken;
}

static int submit(struct m2c_io *io, struct m2c_io_piece **p, unsigned n)
{
    struct uring *u = io->priv;
    unsigned i = 0;
    for (; i < n; i++) {
        struct io_uring_sqe *e = io_uring_get_sqe(&u->ring);
        if (!e)
            break;
        int fd = u->fixed_file ? 0 : io->fd, b = buffer_of(u, p[i]);
        if (b >= 0)
            io_uring_prep_read_fixed(e, fd, p[i]->buf, p[i]->bytes, p[i]->off, b);
        else
            io_uring_prep_read(e, fd, p[i]->buf, p[i]->bytes, p[i]->off);
        io_uring_sqe_set_flags(e, u->fixed_file ? IOSQE_FIXED_FILE : 0);
        io_uring_sqe_set_data(e, p[i]);
    }
    flush(u); /* a broken ring is reap's to report: these are the ring's already */
    return (int)i;
}

static unsigned take(struct uring *u, struct m2c_io_piece **out, unsigned max)
{
    struct io_uring_cqe *cqe[M2C_IO_BATCH];
    unsigned n = io_uring_peek_batch_cqe(&u->ring, cqe, max);
    for (unsigned i = 0; i < n; i++) {
        out[i] = io_uring_cqe_get_data(cqe[i]);
        out[i]->res = cqe[i]->res;
    }
    io_uring_cq_advance(&u->ring, n);
    return n;
}

static int reap(struct m2c_io *io, struct m2c_io_piece **out, unsigned max,
                int64_t timeout_ns)
{
    struct uring *u = io->priv;
    uint64_t deadline = timeout_ns > 0 ? m2c_now_ns() + (uint64_t)timeout_ns : 0;
    for (;;) {
        int r = flush(u);
        if (r < 0)
            return r;
        unsigned n = take(u, out, max);
        uint64_t now = timeout_ns > 0 && n == 0 ? m2c_now_ns() : 0;
        if (n || timeout_ns == 0 || (timeout_ns > 0 && now >= deadline))
            return (int)n;
        int64_t left = timeout_ns < 0 ? INT64_MAX : (int64_t)(deadline - now);
        if (io_uring_sq_ready(&u->ring))
            left = M2C_MIN(left, (int64_t)RESEND_NS);
        struct __kernel_timespec t = {left / 1000000000, left % 1000000000};
        struct io_uring_cqe *cqe;
        r = io_uring_wait_cqes(&u->ring, &cqe, 1, left == INT64_MAX ? NULL : &t, NULL);
        if (r < 0 && r != -ETIME && r != -EINTR && r != -EAGAIN)
            return r;
    }
}

const struct m2c_io_ops m2c_io_uring = {
    .p = {.name = "io_uring",
          .desc = "Linux io_uring, with registered file and buffers",
          .priv_size = sizeof(struct uring)},
    .probe = probe,
    .open = open_uring,
    .close = close_uring,
    .use_memory = use_memory,
    .submit = submit,
    .reap = reap,
};
