/* SPDX-License-Identifier: MIT */
/* One life of a device, with its Nth step failing, for N = 1, 2, ... until it
 * goes through: on the null device by its own knob, on the cpu device by
 * calls of the C library that fail. Each time the failure is reported with
 * its reason and the rest can be closed; AddressSanitizer sees what leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dev/dev.h"

/* ---- a C library that fails ---- */

static unsigned calls, fail_at; /* the host's calls; 0: none fails */
static pthread_t host;

static bool fails(void)
{
    return fail_at && pthread_equal(pthread_self(), host) && ++calls == fail_at;
}

#define WRAP(type, name, params, args, failure)                                          \
    type __real_##name params;                                                           \
    type __wrap_##name params;                                                           \
    type __wrap_##name params                                                            \
    {                                                                                    \
        return fails() ? failure : __real_##name args;                                   \
    }

WRAP(void *, malloc, (size_t n), (n), NULL)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), NULL)
WRAP(void *, mmap, (void *p, size_t n, int prot, int flags, int fd, off_t off),
     (p, n, prot, flags, fd, off), MAP_FAILED)
WRAP(int, pthread_create,
     (pthread_t * t, const pthread_attr_t *a, void *(*f)(void *), void *c), (t, a, f, c),
     EAGAIN)
WRAP(int, pthread_mutex_init, (pthread_mutex_t * m, const pthread_mutexattr_t *a), (m, a),
     ENOMEM)
WRAP(int, pthread_cond_init, (pthread_cond_t * c, const pthread_condattr_t *a), (c, a),
     ENOMEM)

/* ---- one life ---- */

struct life {
    struct m2c_dev *dev;
    struct m2c_queue *compute, *copy;
    struct m2c_buf *a, *b, *c;
    struct m2c_event *ready, *done;
};

static int work(struct life *l, struct m2c_err *err)
{
    struct m2c_call fill = {.op = M2C_OP_FILL, .u.fill = {{l->a, 0}, 16, 1.5f}};
    struct m2c_copy batch[20];
    for (size_t i = 0; i < M2C_COUNTOF(batch); i++)
        batch[i] = (struct m2c_copy){{l->b, i * 64}, {l->a, 0}, 64};
    int r = m2c_queue_launch(l->compute, &fill, err);
    r = r < 0 ? r : m2c_queue_record(l->compute, &l->ready, err);
    r = r < 0 ? r : m2c_queue_after(l->copy, l->ready, err);
    r = r < 0 ? r : m2c_queue_copy(l->copy, batch, M2C_COUNTOF(batch), err);
    r = r < 0 ? r : m2c_queue_copy(l->copy, batch, 1, err);
    r = r < 0 ? r : m2c_queue_record(l->copy, &l->done, err);
    return r < 0 ? r : m2c_event_wait(l->done, NULL, err);
}

static int live(struct life *l, const struct m2c_dev_cfg *cfg, struct m2c_err *err)
{
    int r = m2c_dev_open(&l->dev, cfg, err);
    if (r < 0)
        return r;
    r = m2c_queue_open(l->dev, "compute", &l->compute, err);
    r = r < 0 ? r : m2c_queue_open(l->dev, "copy", &l->copy, err);
    r = r < 0 ? r : m2c_dev_alloc(l->dev, M2C_PLACE_DEVICE, 4096, &l->a, err);
    r = r < 0 ? r : m2c_dev_alloc(l->dev, M2C_PLACE_PINNED, 4096, &l->b, err);
    r = r < 0 ? r : m2c_dev_alloc(l->dev, M2C_PLACE_HOST, 5 << 20, &l->c, err);
    return r < 0 ? r : work(l, err);
}

static void nothing_held(const struct m2c_dev *dev)
{
    for (int p = 0; p < M2C_N_PLACES; p++)
        assert_int_equal(m2c_dev_used(dev, (enum m2c_place)p), 0);
}

/* Closing by hand, or all by the device. */
static void end(struct life *l, bool by_hand)
{
    if (by_hand && l->dev) {
        m2c_event_free(l->ready);
        m2c_event_free(l->done);
        m2c_queue_close(l->compute);
        m2c_queue_close(l->copy);
        m2c_dev_free(l->dev, l->a);
        m2c_dev_free(l->dev, l->b);
        m2c_dev_free(l->dev, l->c);
        nothing_held(l->dev);
    }
    m2c_dev_close(l->dev);
}

static void null_device(void **state)
{
    (void)state;
    unsigned n = 0;
    for (bool done = false; !done; n += !done) {
        for (int by_hand = 0; by_hand < 2; by_hand++) {
            struct m2c_err err = {0};
            struct life l = {0};
            struct m2c_dev_cfg cfg = {.backend = "null", .fail_nth = n + 1};
            int r = live(&l, &cfg, &err);
            done = r == 0;
            assert_int_equal(r, done ? 0 : -EIO);
            if (r < 0 && (err.code != r || !strstr(err.msg, "fails as asked")))
                fail_msg("call %u: %d \"%s\"", n + 1, err.code, err.msg);
            end(&l, by_hand);
        }
    }
    /* open, two queues, three buffers, launch, record, after, two copies,
     * record, wait */
    assert_int_equal(n, 13);
}

static void cpu_device(void **state)
{
    (void)state;
    unsigned n = 0;
    for (bool done = false; !done; n += !done) {
        for (int by_hand = 0; by_hand < 2; by_hand++) {
            struct m2c_err err = {0};
            struct life l = {0};
            struct m2c_dev_cfg cfg = {.backend = "cpu", .threads = 2};
            calls = 0;
            fail_at = n + 1;
            int r = live(&l, &cfg, &err);
            fail_at = 0;
            done = r == 0;
            assert_true(done || r == -ENOMEM || r == -EAGAIN);
            if (r < 0 && (err.code != r || !err.msg[0]))
                fail_msg("call %u: %d, but %d \"%s\"", n + 1, r, err.code, err.msg);
            if (done)
                assert_true(((float *)l.b->host)[19 * 16 + 15] == 1.5f);
            end(&l, by_hand);
        }
    }
    assert_true(n > 20); /* more than buffers, queues and events alone */
}

/* The first calls one by one, then some of the hundreds of its cases. */
static void selftest(void **state)
{
    (void)state;
    unsigned n = 0;
    for (bool done = false; !done; n++) {
        struct m2c_err err = {0};
        struct m2c_dev *dev = NULL;
        struct m2c_dev_cfg cfg = {.backend = "cpu", .threads = 1};
        assert_int_equal(m2c_dev_open(&dev, &cfg, &err), 0);
        calls = 0;
        fail_at = n < 12 ? n + 1 : 12 + (n - 11) * 97;
        int r = m2c_dev_selftest(dev, &err);
        done = calls < fail_at;
        fail_at = 0;
        assert_true(done ? r == 0 : r == -ENOMEM || r == -EAGAIN);
        nothing_held(dev);
        m2c_dev_close(dev);
    }
    assert_true(n > 12);
}

int main(void)
{
    host = pthread_self();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_device),
        cmocka_unit_test(cpu_device),
        cmocka_unit_test(selftest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
