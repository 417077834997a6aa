/* SPDX-License-Identifier: MIT */
/* Reads at submission, and goes wrong on request: for tests of everything
 * above it. The last read submitted comes back first. */
#include "io/io_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

struct null {
    unsigned n_reads, n_submits;
    struct m2c_io_piece *held;   /* due or not */
    struct m2c_io_piece *faulty; /* has the read that fails, until it has another */
    unsigned n_fails;
};

static int open_null(struct m2c_io *io, struct m2c_err *err)
{
    (void)io;
    (void)err;
    return 0;
}

static void close_null(struct m2c_io *io)
{
    (void)io;
}

/* A piece that is read again (short, or a retry) is the same read. */
static int32_t read_piece(struct m2c_io *io, struct m2c_io_piece *p)
{
    struct null *s = io->priv;
    const struct m2c_io_cfg *c = &io->cfg;
    unsigned nth = p->due_ns ? 0 : ++s->n_reads;
    p->due_ns = m2c_now_ns() + c->delay_ns;
    if (nth && nth == c->never_nth)
        p->due_ns = UINT64_MAX;
    if (nth && (nth == c->fail_nth || p == s->faulty))
        s->faulty = nth == c->fail_nth ? p : NULL;
    if (p == s->faulty) {
        if (c->fail_times == 0 || s->n_fails++ < c->fail_times)
            return -EIO;
        s->faulty = NULL;
    }
    uint32_t n = c->short_reads ? M2C_MIN(p->bytes, c->short_reads) : p->bytes;
    ssize_t got = pread(io->fd, p->buf, n, (off_t)p->off);
    return got < 0 ? -errno : (int32_t)got;
}

static int submit(struct m2c_io *io, struct m2c_io_piece **p, unsigned n)
{
    struct null *s = io->priv;
    if (io->cfg.busy_every && ++s->n_submits % io->cfg.busy_every == 0)
        return 0;
    for (unsigned i = 0; i < n; i++) {
        p[i]->res = read_piece(io, p[i]);
        p[i]->next = s->held;
        s->held = p[i];
    }
    return (int)n;
}

static unsigned take_due(struct m2c_io *io, struct m2c_io_piece **out, unsigned max,
                         uint64_t *next_ns)
{
    struct null *s = io->priv;
    uint64_t now = m2c_now_ns();
    unsigned n = 0;
    *next_ns = UINT64_MAX;
    for (struct m2c_io_piece **at = &s->held; *at && n < max;) {
        struct m2c_io_piece *p = *at;
        if (p->due_ns <= now || io->closing) {
            out[n++] = p;
            *at = p->next;
        } else {
            *next_ns = M2C_MIN(*next_ns, p->due_ns);
            at = &p->next;
        }
    }
    return n;
}

static int reap(struct m2c_io *io, struct m2c_io_piece **out, unsigned max,
                int64_t timeout_ns)
{
    uint64_t t0 = m2c_now_ns(), next,
             end = timeout_ns < 0 ? UINT64_MAX : t0 + (uint64_t)timeout_ns;
    for (;;) {
        unsigned n = take_due(io, out, max, &next);
        uint64_t now = m2c_now_ns(), until = M2C_MIN(next, end);
        if (n || now >= end)
            return (int)n;
        uint64_t nap = M2C_MIN(until - now, (uint64_t)1000000000);
        struct timespec t = {(time_t)(nap / 1000000000), (long)(nap % 1000000000)};
        if (until > now)
            nanosleep(&t, NULL);
    }
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
