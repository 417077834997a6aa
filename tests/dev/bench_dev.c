/* SPDX-License-Identifier: MIT */
/* What queues cost on the cpu device: an op that does next to nothing, a
 * round trip of the host, a hop from queue to queue, and copies beside plain
 * memcpy. Medians of rounds; no figure is asserted. */
#include "base/clock.h"
#include "dev/dev.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 21, OPS = 5000, TRIPS = 500, COPY = 64 << 20 };

struct bench {
    struct m2c_dev *dev;
    struct m2c_queue *q, *q2;
    struct m2c_buf *a, *b;
};

static void need(int r, const struct m2c_err *err)
{
    if (r < 0) {
        fprintf(stderr, "%s\n", err->msg);
        exit(1);
    }
}

static void wait_for(struct m2c_queue *q)
{
    struct m2c_err err = {0};
    struct m2c_event *ev;
    need(m2c_queue_record(q, &ev, &err), &err);
    need(m2c_event_wait(ev, NULL, &err), &err);
    m2c_event_free(ev);
}

static void fill(struct bench *b, uint32_t n)
{
    struct m2c_err err = {0};
    struct m2c_call c = {.op = M2C_OP_FILL, .u.fill = {{b->a, 0}, n, 1}};
    need(m2c_queue_launch(b->q, &c, &err), &err);
}

static double chain(struct bench *b)
{
    uint64_t t = m2c_now_ns();
    for (int i = 0; i < OPS; i++)
        fill(b, 1);
    wait_for(b->q);
    return (double)(m2c_now_ns() - t) / OPS;
}

static double enqueue(struct bench *b)
{
    uint64_t t = m2c_now_ns();
    for (int i = 0; i < 400; i++) /* fewer than the ring holds */
        fill(b, 1);
    t = m2c_now_ns() - t;
    wait_for(b->q);
    return (double)t / 400;
}

static double trip(struct bench *b)
{
    uint64_t t = m2c_now_ns();
    for (int i = 0; i < TRIPS; i++) {
        fill(b, 1);
        wait_for(b->q);
    }
    return (double)(m2c_now_ns() - t) / TRIPS;
}

/* An op, an event, the other queue after it, an event, the first after it. */
static double hop(struct bench *b)
{
    struct m2c_err err = {0};
    struct m2c_copy c = {{b->b, 0}, {b->a, 0}, 4};
    uint64_t t = m2c_now_ns();
    for (int i = 0; i < TRIPS; i++) {
        struct m2c_event *e;
        fill(b, 1);
        need(m2c_queue_record(b->q, &e, &err), &err);
        need(m2c_queue_after(b->q2, e, &err), &err);
        m2c_event_free(e);
        need(m2c_queue_copy(b->q2, &c, 1, &err), &err);
        need(m2c_queue_record(b->q2, &e, &err), &err);
        need(m2c_queue_after(b->q, e, &err), &err);
        m2c_event_free(e);
    }
    wait_for(b->q);
    return (double)(m2c_now_ns() - t) / TRIPS / 2;
}

/* The same after a pause in which everybody fell asleep. */
static double late(struct bench *b)
{
    const struct timespec pause = {0, 2000000};
    uint64_t sum = 0;
    for (int i = 0; i < 20; i++) {
        nanosleep(&pause, NULL);
        uint64_t t = m2c_now_ns();
        fill(b, 1);
        wait_for(b->q);
        sum += m2c_now_ns() - t;
    }
    return (double)sum / 20;
}

static double copy_rate(struct bench *b)
{
    struct m2c_err err = {0};
    struct m2c_copy c[16];
    for (size_t i = 0; i < 16; i++)
        c[i] = (struct m2c_copy){
            {b->b, i * (COPY / 16)}, {b->a, i * (COPY / 16)}, COPY / 16};
    uint64_t t = m2c_now_ns();
    need(m2c_queue_copy(b->q2, c, 16, &err), &err);
    wait_for(b->q2);
    return COPY / (double)(m2c_now_ns() - t);
}

static double memcpy_rate(struct bench *b)
{
    uint64_t t = m2c_now_ns();
    memcpy(b->b->host, b->a->host, COPY);
    return COPY / (double)(m2c_now_ns() - t);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(struct bench *b, const char *what, double (*run)(struct bench *),
                   const char *unit)
{
    double v[ROUNDS];
    run(b);
    for (int i = 0; i < ROUNDS; i++)
        v[i] = run(b);
    qsort(v, ROUNDS, sizeof *v, by_value);
    printf("%-44s %10.1f %s (%.1f to %.1f)\n", what, v[ROUNDS / 2], unit, v[0],
           v[ROUNDS - 1]);
}

int main(int argc, char **argv)
{
    struct m2c_err err = {0};
    struct bench b = {0};
    struct m2c_dev_cfg cfg = {.backend = "cpu", .isa = "auto"};
    if (argc > 1)
        cfg.threads = (unsigned)atoi(argv[1]);
    need(m2c_dev_open(&b.dev, &cfg, &err), &err);
    need(m2c_queue_open(b.dev, "compute", &b.q, &err), &err);
    need(m2c_queue_open(b.dev, "copy", &b.q2, &err), &err);
    need(m2c_dev_alloc(b.dev, M2C_PLACE_DEVICE, COPY, &b.a, &err), &err);
    need(m2c_dev_alloc(b.dev, M2C_PLACE_PINNED, COPY, &b.b, &err), &err);
    memset(b.a->host, 1, COPY);
    printf("%s, %u threads\n", m2c_dev_info(b.dev)->name, m2c_dev_info(b.dev)->threads);
    report(&b, "enqueue an op", enqueue, "ns");
    report(&b, "chain of small ops, each", chain, "ns");
    report(&b, "op, event, host waits", trip, "ns");
    report(&b, "hop from queue to queue", hop, "ns");
    report(&b, "op, event, host waits, all had slept", late, "ns");
    report(&b, "queue copy", copy_rate, "GB/s");
    report(&b, "memcpy", memcpy_rate, "GB/s");
    m2c_dev_close(b.dev);
    return 0;
}
