/* SPDX-License-Identifier: MIT */
/* The cpu backend: queues are worker threads that take commands in order,
 * copies are memcpy on the queue's own thread, ops run on the device's pool
 * with the queue's thread as one of its workers. Kernels are in dev/cpu/.
 *
 * Waiting is spinning with sched_yield for some tens of microseconds, then
 * sleeping: decode hands over work every few microseconds, and a sleep costs
 * more than that, but cores are few and a spinner must not keep one. */
#define _GNU_SOURCE /* sched_yield, sysconf names */
#include "dev/dev_impl.h"

#include "base/clock.h"
#include "base/mem.h"
#include "dev/cpu/kernels.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RING = 512, INLINE_COPIES = 4, SPIN_NS = 40000 };

/* What an event is, shared by its owner and the queues that know it. */
struct state {
    atomic_int refs, passed;
    uint64_t ns;
    int code;
};

/* Where threads wait for one kind of change. One bell for each kind: an idle
 * copy queue that slept on the same one as everybody else would be woken by
 * every op of the compute queue. */
struct bell {
    pthread_mutex_t lock; /* guards sleeping, nothing else */
    pthread_cond_t cond;
    atomic_int sleepers;
    bool made;
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

struct cpu {
    const struct m2c_cpu_isa *isa;
    struct m2c_pool *pool;
    pthread_mutex_t pool_lock; /* one op at a time */
    struct bell events;        /* an event has passed */
    bool have_lock;
};

struct cpu_queue {
    struct cpu *cpu;
    pthread_t thread;
    struct bell work, room; /* something to run; room for more */
    atomic_size_t head, tail; /* head: next to run; tail: next to fill */
    atomic_int failed;        /* sticky negative errno */
    struct command ring[RING];
};

/* ---- waiting ---- */

static int bell_init(struct bell *b)
{
    if (pthread_mutex_init(&b->lock, NULL))
        return -ENOMEM;
    if (pthread_cond_init(&b->cond, NULL)) {
        pthread_mutex_destroy(&b->lock);
        return -ENOMEM;
    }
    b->made = true;
    return 0;
}

static void bell_fini(struct bell *b)
{
    if (!b->made)
        return;
    pthread_cond_destroy(&b->cond);
    pthread_mutex_destroy(&b->lock);
}

/* Returns once done(arg) is true; spins, then sleeps until the bell rings. */
static void wait_until(struct bell *b, bool (*done)(const void *), const void *arg)
{
    uint64_t start = m2c_now_ns();
    do {
        for (int i = 0; i < 64; i++) {
            if (done(arg))
                return;
        }
        sched_yield();
    } while (m2c_now_ns() - start < SPIN_NS);
    pthread_mutex_lock(&b->lock);
    atomic_fetch_add(&b->sleepers, 1);
    while (!done(arg))
        pthread_cond_wait(&b->cond, &b->lock);
    atomic_fetch_sub(&b->sleepers, 1);
    pthread_mutex_unlock(&b->lock);
}

/* After a change that somebody may sleep on: the change comes first, then the
 * look at `sleepers`; a sleeper counts itself first, then looks again. */
static void ring(struct bell *b)
{
    if (atomic_load(&b->sleepers)) {
        pthread_mutex_lock(&b->lock);
        pthread_cond_broadcast(&b->cond);
        pthread_mutex_unlock(&b->lock);
    }
}

static bool has_passed(const void *arg)
{
    return atomic_load(&((struct state *)(uintptr_t)arg)->passed);
}

static bool has_work(const void *arg)
{
    struct cpu_queue *q = (struct cpu_queue *)(uintptr_t)arg;
    return atomic_load(&q->head) != atomic_load(&q->tail);
}

static bool has_room(const void *arg)
{
    struct cpu_queue *q = (struct cpu_queue *)(uintptr_t)arg;
    return atomic_load(&q->tail) - atomic_load(&q->head) < RING;
}

static void state_drop(struct state *s)
{
    if (atomic_fetch_sub(&s->refs, 1) == 1)
        free(s);
}

/* ---- the worker ---- */

static void run_copy(struct command *cmd)
{
    const struct m2c_copy *c = cmd->copies ? cmd->copies : cmd->copy;
    for (size_t i = 0; i < cmd->n; i++)
        memcpy(m2c_mem_host(c[i].dst), m2c_mem_host(c[i].src), c[i].bytes);
    free(cmd->copies);
}

static void run_launch(struct cpu_queue *q, struct command *cmd)
{
    if (cmd->call.op == M2C_OP_FFN_UP)
        cmd->call.u.ffn_up.unit = &cmd->unit;
    if (cmd->call.op == M2C_OP_FFN_DOWN)
        cmd->call.u.ffn_down.unit = &cmd->unit;
    pthread_mutex_lock(&q->cpu->pool_lock);
    int r = m2c_cpu_run(q->cpu->isa, q->cpu->pool, &cmd->call);
    pthread_mutex_unlock(&q->cpu->pool_lock);
    if (r < 0)
        atomic_store(&q->failed, r);
}

static void run_record(struct cpu_queue *q, struct command *cmd)
{
    cmd->state->ns = m2c_now_ns();
    cmd->state->code = atomic_load(&q->failed);
    atomic_store(&cmd->state->passed, 1);
    ring(&q->cpu->events);
    state_drop(cmd->state);
}

static void run_after(struct cpu_queue *q, struct command *cmd)
{
    wait_until(&q->cpu->events, has_passed, cmd->state);
    if (cmd->state->code < 0) /* what this queue would read is not there */
        atomic_store(&q->failed, cmd->state->code);
    state_drop(cmd->state);
}

static void *worker(void *arg)
{
    struct cpu_queue *q = arg;
    for (;;) {
        wait_until(&q->work, has_work, q);
        struct command *cmd = &q->ring[atomic_load(&q->head) % RING];
        enum kind kind = cmd->kind;
        bool dead = atomic_load(&q->failed) < 0;
        if (kind == CMD_COPY && !dead)
            run_copy(cmd);
        else if (kind == CMD_COPY)
            free(cmd->copies);
        else if (kind == CMD_LAUNCH && !dead)
            run_launch(q, cmd);
        else if (kind == CMD_RECORD)
            run_record(q, cmd);
        else if (kind == CMD_AFTER)
            run_after(q, cmd);
        atomic_fetch_add(&q->head, 1);
        ring(&q->room);
        if (kind == CMD_QUIT)
            return NULL;
    }
}

static struct command *slot(struct cpu_queue *q, enum kind kind)
{
    if (!has_room(q))
        wait_until(&q->room, has_room, q);
    struct command *cmd = &q->ring[atomic_load(&q->tail) % RING];
    cmd->kind = kind;
    return cmd;
}

static void push(struct cpu_queue *q)
{
    atomic_fetch_add(&q->tail, 1);
    ring(&q->work);
}

/* ---- hooks ---- */

static void read_cpu_name(char *out, size_t n)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[256];
    snprintf(out, n, "CPU");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            line[strcspn(line, "\n")] = 0;
            snprintf(out, n, "%s", colon + 2);
            break;
        }
    }
    if (f)
        fclose(f);
}

static int open_cpu(struct m2c_dev *dev, struct m2c_err *err)
{
    struct cpu *c = dev->priv;
    if (dev->cfg.index != 0)
        return m2c_fail(err, -ENODEV, "cpu: there is device 0 only, not %d",
                        dev->cfg.index);
    c->isa = m2c_cpu_isa_find(dev->cfg.isa ? dev->cfg.isa : "auto", err);
    if (!c->isa)
        return -ENODEV;
    if (bell_init(&c->events) < 0 || pthread_mutex_init(&c->pool_lock, NULL))
        return m2c_fail(err, -ENOMEM, "cpu: no memory for locks");
    c->have_lock = true;
    int r = m2c_pool_open(&c->pool, dev->cfg.threads, err);
    if (r < 0)
        return r;
    m2c_cpu_kernels_init();
    uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES);
    read_cpu_name(dev->info.name, sizeof dev->info.name);
    snprintf(dev->info.isa, sizeof dev->info.isa, "%s", m2c_cpu_isa_name(c->isa));
    dev->info.mem_bytes = pages * (uint64_t)sysconf(_SC_PAGE_SIZE);
    dev->info.max_alloc = dev->info.mem_bytes;
    dev->info.ffn_seg_neurons_min = m2c_cpu_seg_min(c->isa);
    dev->info.gemm_rows = m2c_cpu_gemm_rows(c->isa);
    dev->info.threads = m2c_pool_threads(c->pool);
    dev->info.unified = true;
    return 0;
}

static void close_cpu(struct m2c_dev *dev)
{
    struct cpu *c = dev->priv;
    m2c_pool_close(c->pool);
    bell_fini(&c->events);
    if (c->have_lock)
        pthread_mutex_destroy(&c->pool_lock);
}

static int alloc_cpu(struct m2c_dev *dev, struct m2c_buf *buf)
{
    (void)dev;
    return m2c_pages_alloc(buf->bytes, &buf->host);
}

static void free_cpu(struct m2c_dev *dev, struct m2c_buf *buf)
{
    (void)dev;
    m2c_pages_free(buf->host, buf->bytes);
}

static void queue_drop(struct cpu_queue *cq)
{
    bell_fini(&cq->work);
    bell_fini(&cq->room);
    free(cq);
}

static int queue_open(struct m2c_queue *q, struct m2c_err *err)
{
    struct cpu_queue *cq = calloc(1, sizeof *cq);
    if (!cq)
        return m2c_fail(err, -ENOMEM, "queue %s: out of memory", q->name);
    cq->cpu = q->dev->priv;
    int r = bell_init(&cq->work) < 0 || bell_init(&cq->room) < 0 ? ENOMEM : 0;
    if (r == 0)
        r = pthread_create(&cq->thread, NULL, worker, cq);
    if (r) {
        queue_drop(cq);
        return m2c_fail(err, -r, "queue %s: thread: %s", q->name, strerror(r));
    }
    q->priv = cq;
    return 0;
}

static void queue_close(struct m2c_queue *q)
{
    struct cpu_queue *cq = q->priv;
    slot(cq, CMD_QUIT);
    push(cq);
    pthread_join(cq->thread, NULL);
    queue_drop(cq);
}

static int copy(struct m2c_queue *q, const struct m2c_copy *batch, size_t n)
{
    struct cpu_queue *cq = q->priv;
    struct m2c_copy *heap = NULL;
    if (n > INLINE_COPIES) {
        heap = malloc(n * sizeof *heap);
        if (!heap)
            return -ENOMEM;
    }
    struct command *cmd = slot(cq, CMD_COPY);
    cmd->n = n;
    cmd->copies = heap;
    memcpy(heap ? heap : cmd->copy, batch, n * sizeof *batch);
    push(cq);
    return atomic_load(&cq->failed);
}

static int launch(struct m2c_queue *q, const struct m2c_call *call)
{
    struct cpu_queue *cq = q->priv;
    struct command *cmd = slot(cq, CMD_LAUNCH);
    cmd->call = *call;
    if (call->op == M2C_OP_FFN_UP)
        cmd->unit = *call->u.ffn_up.unit;
    if (call->op == M2C_OP_FFN_DOWN)
        cmd->unit = *call->u.ffn_down.unit;
    push(cq);
    return atomic_load(&cq->failed);
}

static int record(struct m2c_queue *q, struct m2c_event *ev)
{
    struct cpu_queue *cq = q->priv;
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    atomic_init(&s->refs, 2); /* the event's and the queue's */
    ev->priv = s;
    slot(cq, CMD_RECORD)->state = s;
    push(cq);
    return 0;
}

static int after(struct m2c_queue *q, struct m2c_event *ev)
{
    struct cpu_queue *cq = q->priv;
    struct state *s = ev->priv;
    atomic_fetch_add(&s->refs, 1);
    slot(cq, CMD_AFTER)->state = s;
    push(cq);
    return atomic_load(&cq->failed);
}

static int event_wait(struct m2c_event *ev, uint64_t *ns)
{
    struct state *s = ev->priv;
    wait_until(&((struct cpu *)ev->dev->priv)->events, has_passed, s);
    *ns = s->ns;
    return s->code;
}

static bool event_passed(struct m2c_event *ev) { return has_passed(ev->priv); }

static void event_free(struct m2c_event *ev) { state_drop(ev->priv); }

static bool supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type)
{
    return m2c_cpu_supports(((const struct cpu *)dev->priv)->isa, op, type);
}

static uint32_t seg_neurons(const struct m2c_dev *dev, uint32_t n_neurons)
{
    return m2c_cpu_seg_neurons(((const struct cpu *)dev->priv)->isa, n_neurons);
}

const struct m2c_dev_ops m2c_dev_cpu = {
    .p = {.name = "cpu",
          .desc = "this machine's processor; kernels by instruction set",
          .priv_size = sizeof(struct cpu)},
    .open = open_cpu,
    .close = close_cpu,
    .alloc = alloc_cpu,
    .free = free_cpu,
    .queue_open = queue_open,
    .queue_close = queue_close,
    .copy = copy,
    .launch = launch,
    .record = record,
    .after = after,
    .event_wait = event_wait,
    .event_passed = event_passed,
    .event_free = event_free,
    .supports = supports,
    .seg_neurons = seg_neurons,
};
