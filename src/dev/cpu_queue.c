/* SPDX-License-Identifier: MIT */
/* Queues and events of the cpu backend.
 *
 * A queue is a thread that takes commands in order from a ring that the host
 * fills. Copies are memcpy on that thread, so that they overlap with other
 * queues' ops; ops run on the device's pool, with the queue's thread as one
 * of its workers. Invariant: a command is the host's until `tail` passes it,
 * the thread's until `head` does. An event's state is shared, by count, by its
 * owner, the queue that will pass it and the queues that wait for it, so any
 * of them may be gone first. */
#include "dev/cpu_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { RING = 512, INLINE_COPIES = 4 };

struct state {
    atomic_int refs, passed;
    uint64_t ns; /* and code: written before `passed` */
    int code;
};

enum kind { CMD_COPY, CMD_LAUNCH, CMD_RECORD, CMD_AFTER, CMD_QUIT };

struct command {
    enum kind kind;
    size_t n;
    struct m2c_copy copy[INLINE_COPIES], *copies; /* copies: heap, when n is larger */
    struct m2c_call call;
    struct m2c_ffn_unit unit;
    struct state *state;
};

struct queue {
    struct m2c_cpu *cpu;
    const char *name;
    pthread_t thread;
    struct m2c_bell work, room; /* something to run; room for more */
    atomic_size_t head, tail;   /* head: next to run; tail: next to fill */
    atomic_int failed;          /* sticky negative errno */
    struct command ring[RING];
};

static bool has_passed(const void *arg)
{
    return atomic_load(&((struct state *)(uintptr_t)arg)->passed);
}

static bool has_work(const void *arg)
{
    struct queue *q = (struct queue *)(uintptr_t)arg;
    return atomic_load(&q->head) != atomic_load(&q->tail);
}

static bool has_room(const void *arg)
{
    struct queue *q = (struct queue *)(uintptr_t)arg;
    return atomic_load(&q->tail) - atomic_load(&q->head) < RING;
}

static void state_drop(struct state *s)
{
    if (atomic_fetch_sub(&s->refs, 1) == 1)
        free(s);
}

/* ---- failure ---- */

/* The first fault of a device is the one to tell: others follow from it. */
static void fail_queue(struct queue *q, int code, const struct m2c_err *why)
{
    pthread_mutex_lock(&q->cpu->fault_lock);
    if (q->cpu->fault.code == 0)
        m2c_fail(&q->cpu->fault, code, "queue %s: %s", q->name, why->msg);
    pthread_mutex_unlock(&q->cpu->fault_lock);
    if (atomic_load(&q->failed) == 0)
        atomic_store(&q->failed, code);
}

static int tell_fault(struct m2c_cpu *c, int code, struct m2c_err *err)
{
    pthread_mutex_lock(&c->fault_lock);
    m2c_fail(err, code, "%s", c->fault.msg);
    pthread_mutex_unlock(&c->fault_lock);
    return code;
}

/* ---- the queue's thread ---- */

static void run_copy(struct command *cmd, bool dead)
{
    const struct m2c_copy *c = cmd->copies ? cmd->copies : cmd->copy;
    for (size_t i = 0; i < cmd->n && !dead; i++)
        memcpy(m2c_mem_host(c[i].dst), m2c_mem_host(c[i].src), c[i].bytes);
    free(cmd->copies);
}

static void run_launch(struct queue *q, struct command *cmd)
{
    struct m2c_err err = {0};
    if (cmd->call.op == M2C_OP_FFN_UP)
        cmd->call.u.ffn_up.unit = &cmd->unit;
    if (cmd->call.op == M2C_OP_FFN_DOWN)
        cmd->call.u.ffn_down.unit = &cmd->unit;
    int r = m2c_call_check_data(&cmd->call, &err);
    if (r == 0) {
        pthread_mutex_lock(&q->cpu->pool_lock);
        r = m2c_cpu_run(q->cpu->isa, q->cpu->pool, &cmd->call);
        pthread_mutex_unlock(&q->cpu->pool_lock);
        if (r < 0)
            m2c_fail(&err, r, "%s", strerror(-r));
    }
    if (r < 0) {
        m2c_fail_in(&err, r, "op %s", m2c_op_name(cmd->call.op));
        fail_queue(q, r, &err);
    }
}

static void run_record(struct queue *q, struct command *cmd)
{
    struct state *s = cmd->state;
    s->ns = m2c_now_ns();
    s->code = atomic_load(&q->failed);
    atomic_store(&s->passed, 1);
    m2c_bell_ring(&q->cpu->events);
    state_drop(s);
}

static void run_after(struct queue *q, struct command *cmd)
{
    m2c_bell_wait(&q->cpu->events, has_passed, cmd->state);
    if (cmd->state->code < 0) { /* what this queue would read is not there */
        struct m2c_err err = {.msg = "it came after work that failed"};
        fail_queue(q, cmd->state->code, &err);
    }
    state_drop(cmd->state);
}

static void *worker(void *arg)
{
    struct queue *q = arg;
    for (;;) {
        m2c_bell_wait(&q->work, has_work, q);
        struct command *cmd = &q->ring[atomic_load(&q->head) % RING];
        enum kind kind = cmd->kind;
        bool dead = atomic_load(&q->failed) < 0;
        switch (kind) {
        case CMD_COPY:
            run_copy(cmd, dead);
            break;
        case CMD_LAUNCH:
            if (!dead)
                run_launch(q, cmd);
            break;
        case CMD_RECORD:
            run_record(q, cmd);
            break;
        case CMD_AFTER:
            run_after(q, cmd);
            break;
        case CMD_QUIT:
            return NULL;
        }
        atomic_fetch_add(&q->head, 1);
        m2c_bell_ring(&q->room);
    }
}

/* ---- the host's side ---- */

static struct command *slot(struct queue *q, enum kind kind)
{
    m2c_bell_wait(&q->room, has_room, q);
    struct command *cmd = &q->ring[atomic_load(&q->tail) % RING];
    cmd->kind = kind;
    return cmd;
}

static void push(struct queue *q)
{
    atomic_fetch_add(&q->tail, 1);
    m2c_bell_ring(&q->work);
}

/* What a hook that enqueues returns. */
static int standing(struct queue *q, struct m2c_err *err)
{
    int code = atomic_load(&q->failed);
    return code < 0 ? tell_fault(q->cpu, code, err) : 0;
}

static void free_queue(struct queue *q)
{
    m2c_bell_fini(&q->work);
    m2c_bell_fini(&q->room);
    free(q);
}

/* Signals belong to the threads that the tool made. */
static int start(struct queue *q)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&q->thread, NULL, worker, q);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -rc;
}

int m2c_cpu_queue_open(struct m2c_queue *mq, struct m2c_err *err)
{
    struct queue *q = calloc(1, sizeof *q);
    if (!q)
        return m2c_fail(err, -ENOMEM, "out of memory");
    q->cpu = mq->dev->priv;
    q->name = mq->name;
    int r = m2c_bell_init(&q->work);
    r = r < 0 ? r : m2c_bell_init(&q->room);
    r = r < 0 ? r : start(q);
    if (r < 0) {
        free_queue(q);
        return m2c_fail(err, r, "its thread: %s", strerror(-r));
    }
    mq->priv = q;
    return 0;
}

void m2c_cpu_queue_close(struct m2c_queue *mq)
{
    struct queue *q = mq->priv;
    slot(q, CMD_QUIT);
    push(q);
    pthread_join(q->thread, NULL);
    free_queue(q);
}

int m2c_cpu_queue_copy(struct m2c_queue *mq, const struct m2c_copy *batch, size_t n,
                       struct m2c_err *err)
{
    struct queue *q = mq->priv;
    struct m2c_copy *heap = NULL;
    size_t bytes;
    if (n > INLINE_COPIES) {
        heap = m2c_mul_size(n, sizeof *heap, &bytes) ? malloc(bytes) : NULL;
        if (!heap)
            return m2c_fail(err, -ENOMEM, "no memory for a batch of %zu", n);
    }
    struct command *cmd = slot(q, CMD_COPY);
    cmd->n = n;
    cmd->copies = heap;
    memcpy(heap ? heap : cmd->copy, batch, n * sizeof *batch);
    push(q);
    return standing(q, err);
}

int m2c_cpu_queue_launch(struct m2c_queue *mq, const struct m2c_call *call,
                         struct m2c_err *err)
{
    struct queue *q = mq->priv;
    struct command *cmd = slot(q, CMD_LAUNCH);
    cmd->call = *call;
    if (call->op == M2C_OP_FFN_UP)
        cmd->unit = *call->u.ffn_up.unit;
    if (call->op == M2C_OP_FFN_DOWN)
        cmd->unit = *call->u.ffn_down.unit;
    push(q);
    return standing(q, err);
}

int m2c_cpu_queue_record(struct m2c_queue *mq, struct m2c_event *ev, struct m2c_err *err)
{
    struct queue *q = mq->priv;
    int r = standing(q, err);
    if (r < 0)
        return r;
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return m2c_fail(err, -ENOMEM, "out of memory");
    atomic_init(&s->refs, 2); /* the event's and the queue's */
    ev->priv = s;
    slot(q, CMD_RECORD)->state = s;
    push(q);
    return 0;
}

int m2c_cpu_queue_after(struct m2c_queue *mq, struct m2c_event *ev, struct m2c_err *err)
{
    struct queue *q = mq->priv;
    struct state *s = ev->priv;
    atomic_fetch_add(&s->refs, 1);
    slot(q, CMD_AFTER)->state = s;
    push(q);
    return standing(q, err);
}

int m2c_cpu_event_wait(struct m2c_event *ev, uint64_t *ns, struct m2c_err *err)
{
    struct m2c_cpu *c = ev->dev->priv;
    struct state *s = ev->priv;
    m2c_bell_wait(&c->events, has_passed, s);
    *ns = s->ns;
    return s->code < 0 ? tell_fault(c, s->code, err) : 0;
}

bool m2c_cpu_event_passed(struct m2c_event *ev)
{
    return has_passed(ev->priv);
}

void m2c_cpu_event_free(struct m2c_event *ev)
{
    state_drop(ev->priv);
}
