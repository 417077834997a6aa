/* SPDX-License-Identifier: MIT */
/* Virtual time as a binary heap ordered by (time, order of scheduling). */
#include "base/vclock.h"

#include <errno.h>
#include <stdlib.h>

struct event {
    uint64_t at_ns, seq;
    m2c_vclock_fn fn;
    void *ctx;
};

struct m2c_vclock {
    struct event *heap;
    size_t n, cap;
    uint64_t now_ns, next_seq;
};

int m2c_vclock_open(struct m2c_vclock **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : -ENOMEM;
}

void m2c_vclock_close(struct m2c_vclock *c)
{
    if (!c)
        return;
    free(c->heap);
    free(c);
}

uint64_t m2c_vclock_now(const struct m2c_vclock *c)
{
    return c->now_ns;
}

static bool before(const struct event *a, const struct event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

static int grow(struct m2c_vclock *c)
{
    size_t cap = c->cap ? c->cap * 2 : 64, bytes;
    if (cap < c->cap || !m2c_mul_size(cap, sizeof *c->heap, &bytes))
        return -ENOMEM;
    struct event *heap = realloc(c->heap, bytes);
    if (!heap)
        return -ENOMEM;
    c->heap = heap;
    c->cap = cap;
    return 0;
}

int m2c_vclock_at(struct m2c_vclock *c, uint64_t at_ns, m2c_vclock_fn fn, void *ctx)
{
    if (at_ns < c->now_ns)
        return -EINVAL;
    if (c->n == c->cap) {
        int rc = grow(c);
        if (rc)
            return rc;
    }
    struct event e = {at_ns, c->next_seq++, fn, ctx};
    size_t i = c->n++;
    for (; i > 0 && before(&e, &c->heap[(i - 1) / 2]); i = (i - 1) / 2)
        c->heap[i] = c->heap[(i - 1) / 2];
    c->heap[i] = e;
    return 0;
}

static struct event pop(struct m2c_vclock *c)
{
    struct event top = c->heap[0], last = c->heap[--c->n];
    size_t i = 0;
    for (;;) {
        size_t kid = 2 * i + 1;
        if (kid >= c->n)
            break;
        if (kid + 1 < c->n && before(&c->heap[kid + 1], &c->heap[kid]))
            kid++;
        if (!before(&c->heap[kid], &last))
            break;
        c->heap[i] = c->heap[kid];
        i = kid;
    }
    c->heap[i] = last;
    return top;
}

int m2c_vclock_step(struct m2c_vclock *c)
{
    if (c->n == 0)
        return 0;
    struct event e = pop(c); /* out of the heap first: fn may schedule more */
    c->now_ns = e.at_ns;
    e.fn(e.ctx, e.at_ns);
    return 1;
}

void m2c_vclock_pass(struct m2c_vclock *c, uint64_t to_ns)
{
    while (c->n && c->heap[0].at_ns <= to_ns)
        (void)m2c_vclock_step(c);
    c->now_ns = M2C_MAX(c->now_ns, to_ns);
}
