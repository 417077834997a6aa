/* SPDX-License-Identifier: MIT */
/* Queues of simulated work.
 *
 * A queue is a list of items in order. Its head either passes at once (an event
 * to record, or to await that has passed), or waits for an event, or for its
 * engine, or is being served. Whatever ends a wait moves the queue on. Invariant:
 * outside of these functions no queue stands that could go. */
#include "dev/sim_queue_impl.h"

#include <errno.h>
#include <stdlib.h>

enum kind { WORK, RECORD, AFTER };

/* Outlives the device's event while an item names it. */
struct point {
    bool passed;
    uint64_t at_ns;
    unsigned refs;
    struct m2c_sim_queue *waiting; /* queues whose head awaits it */
};

struct item {
    enum kind kind;
    struct m2c_sim_work work;
    struct point *point;
};

struct m2c_sim_queue {
    struct m2c_sim *sim;
    struct item *ring; /* [cap], cap a power of two */
    size_t head, n, cap;
    bool busy;         /* the head waits or is served */
    int failed;
    struct m2c_flow flow; /* of the head, while its bytes travel */
    uint64_t began_ns;
    struct m2c_sim_queue *next; /* in an engine's or a point's list */
};

static void go_on(struct m2c_sim_queue *s);

static void unref(struct point *p)
{
    if (--p->refs == 0)
        free(p);
}

int m2c_sim_queue_open(struct m2c_queue *q, struct m2c_err *err)
{
    struct m2c_sim_queue *s = calloc(1, sizeof *s);
    if (!s)
        return m2c_fail(err, -ENOMEM, "out of memory");
    s->sim = q->dev->priv;
    q->priv = s;
    return 0;
}

void m2c_sim_queue_close(struct m2c_queue *q)
{
    struct m2c_sim_queue *s = q->priv;
    struct m2c_vclock *clock = m2c_machine_clock(s->sim->machine);
    while (s->n && m2c_vclock_step(clock) > 0)
        ;
    for (; s->n; s->n--, s->head++) { /* a queue that failed */
        struct item *it = &s->ring[s->head & (s->cap - 1)];
        if (it->point)
            unref(it->point);
    }
    free(s->ring);
    free(s);
}

/* ---- the head ---- */

static struct item *head(struct m2c_sim_queue *s) { return &s->ring[s->head & (s->cap - 1)]; }

static void pop(struct m2c_sim_queue *s)
{
    s->head++;
    s->n--;
    s->busy = false;
}

/* There is no memory for what comes next: what waits for the rest learns it. */
static void give_up(struct m2c_sim_queue *s)
{
    s->failed = -ENOMEM;
    s->busy = true;
}

static void account(struct m2c_sim_queue *s, unsigned engine, uint64_t now)
{
    struct m2c_machine_use *use = m2c_machine_use(s->sim->machine);
    *(engine == M2C_SIM_COMPUTE ? &use->compute_ns : &use->copy_ns) += now - s->began_ns;
}

static void serve(struct m2c_sim_queue *s, uint64_t now);

static void done(void *ctx, uint64_t now)
{
    struct m2c_sim_queue *s = ctx, *next;
    unsigned engine = head(s)->work.engine;
    struct m2c_sim_engine *e = &s->sim->engine[engine];
    account(s, engine, now);
    next = e->first;
    e->serving = next;
    if (next) {
        e->first = next->next;
        if (!e->first)
            e->last = NULL;
        serve(next, now);
    }
    pop(s);
    go_on(s);
}

static void travel(void *ctx, uint64_t now)
{
    struct m2c_sim_queue *s = ctx;
    const struct m2c_sim_work *w = &head(s)->work;
    if (!(w->bytes > 0)) {
        done(s, now);
        return;
    }
    s->flow = (struct m2c_flow){.left = w->bytes, .rate = w->rate, .weight = w->weight,
                                .done = done, .ctx = s};
    if (m2c_flow_start(s->sim->machine, &s->flow) < 0)
        give_up(s);
}

static void serve(struct m2c_sim_queue *s, uint64_t now)
{
    s->began_ns = now;
    if (m2c_vclock_at(m2c_machine_clock(s->sim->machine), now + head(s)->work.ns, travel, s) < 0)
        give_up(s);
}

static void ask_engine(struct m2c_sim_queue *s)
{
    struct m2c_sim_engine *e = &s->sim->engine[head(s)->work.engine];
    s->busy = true;
    s->next = NULL;
    if (!e->serving) {
        e->serving = s;
        serve(s, m2c_machine_now(s->sim->machine));
        return;
    }
    if (e->last)
        e->last->next = s;
    else
        e->first = s;
    e->last = s;
}

static void pass(struct m2c_sim_queue *s, struct point *p)
{
    struct m2c_sim_queue *w = p->waiting, *next;
    p->passed = true;
    p->at_ns = m2c_machine_now(s->sim->machine);
    p->waiting = NULL;
    for (; w; w = next) {
        next = w->next;
        w->busy = false;
        go_on(w);
    }
}

static void go_on(struct m2c_sim_queue *s)
{
    while (s->n && !s->busy) {
        struct item *it = head(s);
        struct point *p = it->point;
        if (it->kind == WORK) {
            ask_engine(s);
        } else if (it->kind == RECORD) {
            pop(s);
            pass(s, p);
            unref(p);
        } else if (p->passed) {
            pop(s);
            unref(p);
        } else {
            s->busy = true;
            s->next = p->waiting;
            p->waiting = s;
        }
    }
}

static int push(struct m2c_sim_queue *s, const struct item *it, struct m2c_err *err)
{
    if (s->failed)
        return m2c_fail(err, s->failed, "out of memory earlier");
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 64, bytes;
        struct item *ring = m2c_mul_size(cap, sizeof *ring, &bytes) ? malloc(bytes) : NULL;
        if (!ring)
            return m2c_fail(err, -ENOMEM, "out of memory");
        for (size_t i = 0; i < s->n; i++)
            ring[i] = s->ring[(s->head + i) & (s->cap - 1)];
        free(s->ring);
        s->ring = ring;
        s->cap = cap;
        s->head = 0;
    }
    s->ring[(s->head + s->n++) & (s->cap - 1)] = *it;
    go_on(s);
    return 0;
}

int m2c_sim_push(struct m2c_queue *q, const struct m2c_sim_work *w, struct m2c_err *err)
{
    const struct item it = {.kind = WORK, .work = *w};
    return push(q->priv, &it, err);
}

/* ---- events ---- */

static void spend_event(const struct m2c_dev *dev)
{
    const struct m2c_sim *s = dev->priv;
    m2c_machine_spend(s->machine, m2c_machine_profile(s->machine)->host.event_us * 1e3);
}

int m2c_sim_record(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err)
{
    struct point *p = calloc(1, sizeof *p);
    if (!p)
        return m2c_fail(err, -ENOMEM, "out of memory");
    spend_event(q->dev);
    p->refs = 2; /* the event's and the item's */
    ev->priv = p;
    const struct item it = {.kind = RECORD, .point = p};
    int r = push(q->priv, &it, err);
    if (r < 0)
        free(p); /* a push that fails keeps nothing */
    return r;
}

int m2c_sim_after(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err)
{
    struct point *p = ev->priv;
    spend_event(q->dev);
    const struct item it = {.kind = AFTER, .point = p};
    p->refs++;
    int r = push(q->priv, &it, err);
    if (r < 0)
        p->refs--;
    return r;
}

int m2c_sim_event_wait(struct m2c_event *ev, uint64_t *ns, struct m2c_err *err)
{
    struct point *p = ev->priv;
    struct m2c_machine *m = ((struct m2c_sim *)ev->dev->priv)->machine;
    bool waited = !p->passed;
    *ns = m2c_machine_now(m);
    while (!p->passed) {
        if (m2c_vclock_step(m2c_machine_clock(m)) == 0)
            return m2c_fail(err, -EDEADLK, "nothing is left that could bring the event");
    }
    *ns = p->at_ns;
    if (waited)
        m2c_machine_spend(m, m2c_machine_profile(m)->host.sync_us * 1e3);
    return 0;
}

bool m2c_sim_event_passed(struct m2c_event *ev) { return ((struct point *)ev->priv)->passed; }

void m2c_sim_event_free(struct m2c_event *ev) { unref(ev->priv); }
