/* SPDX-License-Identifier: MIT */
/* Virtual time against a brute-force list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/rng.h"
#include "base/vclock.h"

enum { N = 2000 };

struct run {
    struct m2c_vclock *clock;
    struct m2c_rng rng;
    struct mark {
        struct run *run;
        uint64_t at;
        bool taken;
    } marks[N];
    size_t n, n_taken;
};

static void schedule(struct run *r);

/* The right event is the earliest not taken, of equal ones the first made. */
static void fire(void *ctx, uint64_t now)
{
    struct mark *m = ctx;
    struct run *r = m->run;
    struct mark *want = NULL;
    for (size_t i = 0; i < r->n; i++) {
        if (!r->marks[i].taken && (!want || r->marks[i].at < want->at))
            want = &r->marks[i];
    }
    assert_ptr_equal(m, want);
    assert_int_equal(now, m->at);
    assert_int_equal(m2c_vclock_now(r->clock), now);
    m->taken = true;
    r->n_taken++;
    for (uint32_t k = m2c_rng_below(&r->rng, 3); k > 0; k--)
        schedule(r);
}

static void schedule(struct run *r)
{
    if (r->n == N)
        return;
    struct mark *m = &r->marks[r->n++];
    *m = (struct mark){r, m2c_vclock_now(r->clock) + m2c_rng_below(&r->rng, 20), false};
    assert_int_equal(m2c_vclock_at(r->clock, m->at, fire, m), 0);
}

static void order(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        static struct run r;
        r = (struct run){0};
        m2c_rng_init(&r.rng, seed, 0);
        assert_int_equal(m2c_vclock_open(&r.clock), 0);
        for (int i = 0; i < 300; i++)
            schedule(&r);
        while (m2c_vclock_step(r.clock))
            ;
        assert_int_equal(r.n_taken, r.n);
        assert_true(r.n > 300);
        m2c_vclock_close(r.clock);
    }
}

static void ignore(void *ctx, uint64_t now)
{
    (void)ctx;
    (void)now;
}

static void edges(void **state)
{
    (void)state;
    struct m2c_vclock *c;
    assert_int_equal(m2c_vclock_open(&c), 0);
    assert_int_equal(m2c_vclock_now(c), 0);
    assert_int_equal(m2c_vclock_step(c), 0);
    assert_int_equal(m2c_vclock_at(c, UINT64_MAX, ignore, NULL), 0);
    assert_int_equal(m2c_vclock_at(c, 5, ignore, NULL), 0);
    assert_int_equal(m2c_vclock_step(c), 1);
    assert_int_equal(m2c_vclock_at(c, 4, ignore, NULL), -EINVAL);
    assert_int_equal(m2c_vclock_at(c, 5, ignore, NULL), 0);
    assert_int_equal(m2c_vclock_step(c), 1);
    assert_int_equal(m2c_vclock_now(c), 5);
    assert_int_equal(m2c_vclock_step(c), 1);
    assert_true(m2c_vclock_now(c) == UINT64_MAX);
    assert_int_equal(m2c_vclock_at(c, UINT64_MAX, ignore, NULL), 0);
    m2c_vclock_close(c); /* with one pending */
    m2c_vclock_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(order), cmocka_unit_test(edges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
