/* SPDX-License-Identifier: MIT */
/* The clock, the host and the flows. */
#include "sim/machine.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct m2c_machine {
    struct m2c_profile_file *file;
    const struct m2c_profile *p;
    struct m2c_vclock *clock;
    struct m2c_flow *flows;
    uint64_t flows_at; /* to when the flows are brought up */
    uint64_t due;      /* the event that counts; others that come are stale */
    double owed;       /* host time below a nanosecond, so that many small works add up */
    struct m2c_machine_use use;
};

int m2c_machine_open(struct m2c_machine **out, const char *profile, const char *ssd_profile,
                     struct m2c_err *err)
{
    struct m2c_machine *m = calloc(1, sizeof *m);
    int r = m ? m2c_vclock_open(&m->clock) : -ENOMEM;
    if (r < 0) {
        free(m);
        return m2c_fail(err, r, "simulated machine: out of memory");
    }
    r = m2c_profile_load(&m->file, profile, ssd_profile, err);
    if (r < 0) {
        m2c_machine_close(m);
        return r;
    }
    m->p = m2c_profile_of(m->file);
    *out = m;
    return 0;
}

void m2c_machine_close(struct m2c_machine *m)
{
    if (!m)
        return;
    m2c_vclock_close(m->clock);
    m2c_profile_close(m->file);
    free(m);
}

const struct m2c_profile *m2c_machine_profile(const struct m2c_machine *m)
{
    return m->p;
}

struct m2c_vclock *m2c_machine_clock(struct m2c_machine *m)
{
    return m->clock;
}

uint64_t m2c_machine_now(const struct m2c_machine *m)
{
    return m2c_vclock_now(m->clock);
}

struct m2c_machine_use *m2c_machine_use(struct m2c_machine *m)
{
    return &m->use;
}

void m2c_machine_spend(struct m2c_machine *m, double ns)
{
    m->owed += ns;
    uint64_t whole = (uint64_t)m->owed;
    if (whole == 0)
        return;
    m->owed -= (double)whole;
    m->use.host_ns += whole;
    m2c_vclock_pass(m->clock, m2c_vclock_now(m->clock) + whole);
}

void m2c_machine_work(struct m2c_machine *m, enum m2c_host_work work, uint64_t n)
{
    const double ns[M2C_N_HOST_WORK] = {[M2C_HOST_SCORE] = m->p->host.score_ns,
                                        [M2C_HOST_WANT] = m->p->host.want_ns,
                                        [M2C_HOST_MOVE] = m->p->host.move_ns};
    m2c_machine_spend(m, ns[work] * (double)n);
}

/* ---- flows ---- */

/* A flow is over when less than this is left: rates are real numbers, times are
 * whole nanoseconds. */
#define REST 0.5

static void bring_up(struct m2c_machine *m, uint64_t now)
{
    double passed = (double)(now - m->flows_at);
    m->flows_at = now;
    for (struct m2c_flow *f = m->flows; f; f = f->next) {
        double moved = M2C_MIN(f->now_rate * passed, f->left);
        f->left -= moved;
        m->use.dram_bytes += moved * f->weight;
    }
}

static void tick(void *ctx, uint64_t now);

/* Rates for what is under way now, and an event where the first of them ends. */
static int share(struct m2c_machine *m)
{
    double asked = 0, first = INFINITY;
    for (struct m2c_flow *f = m->flows; f; f = f->next)
        asked += f->rate * f->weight;
    double scale = asked > m->p->host.gb_s ? m->p->host.gb_s / asked : 1;
    for (struct m2c_flow *f = m->flows; f; f = f->next) {
        f->now_rate = f->weight > 0 ? f->rate * scale : f->rate;
        first = M2C_MIN(first, (f->left - REST * 1e-3) / f->now_rate);
    }
    if (!m->flows)
        return 0;
    m->due = m->flows_at + (uint64_t)ceil(M2C_MAX(first, 0.0));
    return m2c_vclock_at(m->clock, m->due, tick, m);
}

static void tick(void *ctx, uint64_t now)
{
    struct m2c_machine *m = ctx;
    struct m2c_flow *over = NULL, **last = &over, **at = &m->flows;
    if (now != m->due)
        return;
    bring_up(m, now);
    while (*at) {
        struct m2c_flow *f = *at;
        if (f->left < REST) {
            *at = f->next;
            f->next = NULL;
            *last = f;
            last = &f->next;
        } else {
            at = &f->next;
        }
    }
    m->due = 0;
    /* What they start in `done` shares anew; nothing is lost if that is nothing. */
    while (over) {
        struct m2c_flow *f = over;
        over = f->next;
        f->next = NULL;
        f->done(f->ctx, now);
    }
    if (m->due <= now && share(m) < 0)
        m->due = 0; /* no memory for the event: who waits will find nothing to wait for */
}

int m2c_flow_start(struct m2c_machine *m, struct m2c_flow *f)
{
    bring_up(m, m2c_vclock_now(m->clock));
    /* In the order of their start, which is that of their end where times are equal. */
    struct m2c_flow **at = &m->flows;
    while (*at)
        at = &(*at)->next;
    f->next = NULL;
    f->now_rate = 0;
    *at = f;
    return share(m);
}
