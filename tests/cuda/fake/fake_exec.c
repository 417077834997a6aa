/* SPDX-License-Identifier: MIT */
/* The fake driver's streams: lists of what has been asked for and has not run. */
#include "fake.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_record {
    struct CUstream_st *stream; /* NULL once it has passed */
    uint64_t ns;
    unsigned refs;
};

static void drop_record(struct fake_record *r)
{
    if (r && --r->refs == 0)
        free(r);
}

struct fake_op *fake_op_new(enum fake_what what, size_t extra)
{
    struct fake_op *op = calloc(1, sizeof *op + extra);
    if (op)
        op->what = what;
    return op;
}

void fake_push(struct CUstream_st *s, struct fake_op *op)
{
    op->next = NULL;
    *s->tail = op;
    s->tail = &op->next;
}

bool fake_record(struct CUstream_st *s, struct CUevent_st *ev)
{
    struct fake_op *op = fake_op_new(FAKE_RECORD, 0);
    struct fake_record *r = calloc(1, sizeof *r);
    if (!op || !r) {
        free(op);
        free(r);
        return false;
    }
    *r = (struct fake_record){.stream = s, .refs = 2};
    op->record = r;
    drop_record(ev->last);
    ev->last = r;
    ev->asked = 0;
    fake_push(s, op);
    return true;
}

bool fake_wait(struct CUstream_st *s, const struct CUevent_st *ev)
{
    if (!ev->last || !ev->last->stream || fake_is_unwaited())
        return true;
    struct fake_op *op = fake_op_new(FAKE_WAIT, 0);
    if (!op)
        return false;
    op->record = ev->last;
    op->record->refs++;
    fake_push(s, op);
    return true;
}

void fake_forget(struct CUevent_st *ev)
{
    drop_record(ev->last);
    ev->last = NULL;
}

bool fake_passed(const struct CUevent_st *ev) { return !ev->last || !ev->last->stream; }

uint64_t fake_time_ns(const struct CUevent_st *ev) { return ev->last ? ev->last->ns : 0; }

/* ---- running ---- */

static bool check(const void *p, size_t n, const char *what)
{
    const char *why;
    if (fake_inside(p, n, &why))
        return true;
    fake_fault("%s of %zu bytes at %p: %s", what, n, p, why);
    fake_break(700); /* CUDA_ERROR_ILLEGAL_ADDRESS */
    return false;
}

static void run_gemm(const struct fake_gemm *g)
{
    size_t a = (size_t)g->lda * (size_t)((g->ta ? g->m : g->k) - 1) +
               (size_t)(g->ta ? g->k : g->m);
    size_t b = (size_t)g->ldb * (size_t)((g->tb ? g->k : g->n) - 1) +
               (size_t)(g->tb ? g->n : g->k);
    size_t c = (size_t)g->ldc * (size_t)(g->n - 1) + (size_t)g->m;
    if (!check(g->a, a * sizeof(float), "read by GEMM") ||
        !check(g->b, b * sizeof(float), "read by GEMM") ||
        !check(g->c, c * sizeof(float), "write by GEMM"))
        return;
    for (int j = 0; j < g->n; j++) {
        for (int i = 0; i < g->m; i++) {
            double sum = 0;
            for (int l = 0; l < g->k; l++)
                sum += (double)g->a[g->ta ? (size_t)i * (size_t)g->lda + (size_t)l
                                          : (size_t)l * (size_t)g->lda + (size_t)i] *
                       (double)g->b[g->tb ? (size_t)l * (size_t)g->ldb + (size_t)j
                                          : (size_t)j * (size_t)g->ldb + (size_t)l];
            float *y = &g->c[(size_t)j * (size_t)g->ldc + (size_t)i];
            *y = (float)((double)g->alpha * sum + (g->beta != 0 ? (double)(g->beta * *y) : 0));
        }
    }
}

static void run_kernel(const struct fake_op *op)
{
    char why[500] = "";
    int r = m2c_emu_launch(op->kernel, op->grid, op->block, op->smem, op->params, op->bytes,
                           why, sizeof why);
    if (r < 0) {
        fake_fault("%s", why);
        fake_break(719); /* CUDA_ERROR_LAUNCH_FAILED */
    }
}

static void run_until(struct fake_record *r);

static void run_op(struct fake_op *op)
{
    switch (op->what) {
    case FAKE_COPY:
        if (check(op->dst, op->bytes, "copy to") && check(op->src, op->bytes, "copy from"))
            memmove(op->dst, op->src, op->bytes);
        break;
    case FAKE_SET:
        if (check(op->dst, op->bytes, "fill"))
            memset(op->dst, op->value, op->bytes);
        break;
    case FAKE_KERNEL:
        if (!fake_is_wrong())
            run_kernel(op);
        break;
    case FAKE_RECORD:
        op->record->ns = m2c_now_ns();
        op->record->stream = NULL;
        break;
    case FAKE_WAIT:
        if (op->record->stream)
            run_until(op->record);
        break;
    case FAKE_GEMM:
        run_gemm(&op->gemm);
        break;
    }
}

static void pop(struct CUstream_st *s)
{
    struct fake_op *op = s->head;
    s->head = op->next;
    if (!s->head)
        s->tail = &s->head;
    drop_record(op->record);
    free(op);
}

static void run_until(struct fake_record *r)
{
    struct CUstream_st *s = r->stream;
    r->refs++;
    while (r->stream && s->head) {
        run_op(s->head);
        pop(s);
    }
    drop_record(r);
}

void fake_run(struct CUstream_st *s)
{
    fake_unlock();
    while (s->head) {
        run_op(s->head);
        pop(s);
    }
    fake_lock();
}

void fake_run_event(struct CUevent_st *ev)
{
    if (fake_passed(ev))
        return;
    fake_unlock();
    run_until(ev->last);
    fake_lock();
}

void fake_drop(struct CUstream_st *s)
{
    while (s->head) {
        if (s->head->what == FAKE_RECORD)
            s->head->record->stream = NULL;
        pop(s);
    }
}
