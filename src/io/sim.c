/* SPDX-License-Identifier: MIT */
/* The simulated machine's SSD.
 *
 * A read takes a latency, in which others of the device's depth take theirs, and
 * then its bytes, one read after the other: at the bandwidth of the device, or a
 * read every 1/iops, whichever is slower. On their way into DRAM the bytes share
 * its bandwidth with all else. So small reads need a depth of iops · latency,
 * large ones of 2. Nothing is read. */
#include "io/io_impl.h"

#include <errno.h>

struct sim {
    struct m2c_machine *machine;
    struct m2c_io *io;
    struct m2c_io_pieces queued;   /* beyond the device's depth */
    struct m2c_io_pieces arriving; /* their latency runs; it is the same for all */
    struct m2c_io_pieces ready;    /* their bytes wait for those before them */
    struct m2c_io_pieces done;
    unsigned n_open; /* arriving, ready or travelling */
    struct m2c_io_piece *travelling;
    struct m2c_flow flow;
    uint64_t busy_since;
    int broken; /* -ENOMEM: an event that is lost would be waited for without end */
};

static int open_sim(struct m2c_io *io, struct m2c_err *err)
{
    struct sim *s = io->priv;
    (void)err;
    s->io = io;
    s->machine = io->cfg.machine;
    return 0;
}

static void close_sim(struct m2c_io *io) { (void)io; }

static const struct m2c_profile *profile(const struct sim *s)
{
    return m2c_machine_profile(s->machine);
}

static void arrived(void *ctx, uint64_t now);

static void admit(struct sim *s, uint64_t now)
{
    const struct m2c_profile *p = profile(s);
    struct m2c_vclock *clock = m2c_machine_clock(s->machine);
    while (s->n_open < (unsigned)p->ssd.depth && s->queued.first) {
        uint64_t at = now + (uint64_t)(p->ssd.latency_us * 1e3);
        if (m2c_vclock_at(clock, at, arrived, s) < 0) {
            s->broken = -ENOMEM;
            return;
        }
        m2c_io_push(&s->arriving, m2c_io_pop(&s->queued));
        s->busy_since = s->n_open++ == 0 ? now : s->busy_since;
    }
}

static void next_flow(struct sim *s);

static void finished(void *ctx, uint64_t now)
{
    struct sim *s = ctx;
    struct m2c_io_piece *p = s->travelling;
    p->res = (int32_t)p->bytes;
    m2c_io_push(&s->done, p);
    s->travelling = NULL;
    s->n_open--;
    m2c_machine_use(s->machine)->ssd_ns += now - s->busy_since;
    s->busy_since = now;
    m2c_machine_use(s->machine)->ssd_bytes += p->bytes;
    admit(s, now);
    next_flow(s);
}

static void next_flow(struct sim *s)
{
    const struct m2c_profile *p = profile(s);
    if (s->travelling || !s->ready.first)
        return;
    s->travelling = m2c_io_pop(&s->ready);
    double bytes = s->travelling->bytes, by_count = bytes * p->ssd.iops * 1e-9;
    s->flow = (struct m2c_flow){.left = bytes,
                                .rate = M2C_MIN(p->ssd.gb_s, by_count),
                                .weight = 1,
                                .done = finished,
                                .ctx = s};
    if (m2c_flow_start(s->machine, &s->flow) < 0)
        s->broken = -ENOMEM;
}

static void arrived(void *ctx, uint64_t now)
{
    struct sim *s = ctx;
    (void)now;
    m2c_io_push(&s->ready, m2c_io_pop(&s->arriving));
    next_flow(s);
}

static int submit(struct m2c_io *io, struct m2c_io_piece **p, unsigned n)
{
    struct sim *s = io->priv;
    if (s->broken)
        return s->broken;
    m2c_machine_spend(s->machine, profile(s)->host.read_us * 1e3 * n);
    for (unsigned i = 0; i < n; i++)
        m2c_io_push(&s->queued, p[i]);
    admit(s, m2c_machine_now(s->machine));
    return (int)n;
}

static void nothing(void *ctx, uint64_t now)
{
    (void)ctx;
    (void)now;
}

static int reap(struct m2c_io *io, struct m2c_io_piece **out, unsigned max,
                int64_t timeout_ns)
{
    struct sim *s = io->priv;
    struct m2c_vclock *clock = m2c_machine_clock(s->machine);
    uint64_t until = UINT64_MAX;
    unsigned n = 0;
    if (timeout_ns > 0) {
        until = m2c_vclock_now(clock) + (uint64_t)timeout_ns;
        if (m2c_vclock_at(clock, until, nothing, NULL) < 0)
            return -ENOMEM;
    }
    while (!s->done.first && timeout_ns != 0 && m2c_vclock_now(clock) < until && !s->broken) {
        if (m2c_vclock_step(clock) == 0)
            return -EDEADLK;
    }
    if (s->broken)
        return s->broken;
    while (n < max && s->done.first)
        out[n++] = m2c_io_pop(&s->done);
    return (int)n;
}

const struct m2c_io_ops m2c_io_sim = {
    .p = {.name = "sim",
          .desc = "the SSD of a simulated machine; reads nothing",
          .priv_size = sizeof(struct sim)},
    .simulated = true,
    .open = open_sim,
    .close = close_sim,
    .submit = submit,
    .reap = reap,
};
