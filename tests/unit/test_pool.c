/* SPDX-License-Identifier: MIT */
/* The thread pool: every item once, chunks of the size asked for, whatever
 * the number of threads; run under ThreadSanitizer too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/pool.h"

struct tally {
    unsigned char *seen; /* plain bytes: two threads on one item is a race */
    size_t max_chunk, n;
    unsigned threads;
    atomic_int bad;
};

static void count(void *ctx, size_t begin, size_t end, unsigned worker)
{
    struct tally *t = ctx;
    if (worker >= t->threads || begin >= end || end > t->n || end - begin > t->max_chunk)
        atomic_fetch_add(&t->bad, 1);
    for (size_t i = begin; i < end; i++)
        t->seen[i]++;
}

static void check_loop(struct m2c_pool *p, size_t n, size_t chunk)
{
    unsigned threads = m2c_pool_threads(p);
    struct tally t = {.n = n, .threads = threads};
    t.max_chunk = chunk ? chunk : (n + threads - 1) / threads;
    t.seen = calloc(n + 1, 1);
    assert_non_null(t.seen);
    m2c_pool_run(p, n, chunk, count, &t);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(t.seen[i], 1);
    assert_int_equal(t.seen[n], 0);
    assert_int_equal(atomic_load(&t.bad), 0);
    free(t.seen);
}

static void every_item_once(void **state)
{
    (void)state;
    static const unsigned threads[] = {1, 2, 3, 4, 7};
    static const size_t ns[] = {0, 1, 2, 3, 7, 8, 31, 1000, 4097};
    static const size_t chunks[] = {0, 1, 2, 5, 64, 5000, SIZE_MAX};
    for (size_t i = 0; i < M2C_COUNTOF(threads); i++) {
        struct m2c_pool *p;
        assert_int_equal(m2c_pool_open(&p, threads[i], NULL), 0);
        assert_int_equal(m2c_pool_threads(p), threads[i]);
        for (size_t j = 0; j < M2C_COUNTOF(ns); j++)
            for (size_t k = 0; k < M2C_COUNTOF(chunks); k++)
                check_loop(p, ns[j], chunks[k]);
        m2c_pool_close(p);
    }
}

/* Loops that follow each other closely: a worker late for one loop must not
 * run it with the fields of the next. */
static void many_short_loops(void **state)
{
    (void)state;
    struct m2c_pool *p;
    assert_int_equal(m2c_pool_open(&p, 3, NULL), 0);
    for (size_t i = 0; i < 5000; i++)
        check_loop(p, 1 + i % 17, 1 + i % 3);
    m2c_pool_close(p);
}

static void after_sleep(void **state)
{
    (void)state;
    struct m2c_pool *p;
    assert_int_equal(m2c_pool_open(&p, 2, NULL), 0);
    for (int i = 0; i < 20; i++) {
        const struct timespec ms = {.tv_nsec = 1000000}; /* workers fall asleep */
        nanosleep(&ms, NULL);
        check_loop(p, 100, 1);
    }
    m2c_pool_close(p);
}

struct meeting {
    atomic_uint arrived;
    unsigned wanted;
    atomic_int timeouts;
};

static void meet(void *ctx, size_t begin, size_t end, unsigned worker)
{
    (void)begin;
    (void)end;
    (void)worker;
    struct meeting *m = ctx;
    atomic_fetch_add(&m->arrived, 1);
    for (int ms = 0; atomic_load(&m->arrived) < m->wanted; ms++) {
        const struct timespec one = {.tv_nsec = 1000000};
        nanosleep(&one, NULL);
        if (ms == 10000) {
            atomic_fetch_add(&m->timeouts, 1);
            return;
        }
    }
}

/* All threads take part: each item waits until every other has begun. */
static void threads_run_together(void **state)
{
    (void)state;
    struct m2c_pool *p;
    assert_int_equal(m2c_pool_open(&p, 4, NULL), 0);
    struct meeting m = {.wanted = 4};
    m2c_pool_run(p, 4, 1, meet, &m);
    assert_int_equal(atomic_load(&m.timeouts), 0);
    m2c_pool_close(p);
}

static void open_and_close(void **state)
{
    (void)state;
    struct m2c_pool *p = NULL;
    struct m2c_err err = {0};
    assert_int_equal(m2c_pool_open(&p, 0, &err), 0);
    assert_true(m2c_pool_threads(p) >= 1);
    m2c_pool_close(p); /* idle from the start */
    m2c_pool_close(NULL);
    assert_int_equal(m2c_pool_open(&p, 1000000, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "1000000 threads"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_once), cmocka_unit_test(many_short_loops),
        cmocka_unit_test(after_sleep),     cmocka_unit_test(threads_run_together),
        cmocka_unit_test(open_and_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
