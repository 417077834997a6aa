/* SPDX-License-Identifier: MIT */
/* The self-test: every op that the device claims, on every type, against the
 * reference. Of the device's copy of a case's memory, what the call writes
 * must be near the reference and all the rest untouched. A few milliseconds
 * on a CPU; it finds a wrong kernel or driver, not the last bit, which is the
 * business of tests/kernels. */
#include "dev/selftest_impl.h"

#include "ops/ref.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 128 << 10 };

/* Values are around 1, sums have at most 80 terms and activations are f32:
 * hundreds of ulps of the largest value are far above any order of summation
 * and far below any wrong element. */
static const double tolerance = 1e-4;

struct test {
    struct m2c_queue *queue;
    struct m2c_buf *dev, *stage;
    struct m2c_buf ref;
    struct m2c_selftest s;
};

static int finish(struct test *t, struct m2c_err *err)
{
    struct m2c_event *ev;
    int r = m2c_queue_record(t->queue, &ev, err);
    if (r < 0)
        return r;
    r = m2c_event_wait(ev, NULL, err);
    m2c_event_free(ev);
    return r;
}

static int move(struct test *t, struct m2c_buf *dst, struct m2c_buf *src,
                struct m2c_err *err)
{
    struct m2c_copy c = {{dst, 0}, {src, 0}, BYTES};
    int r = m2c_queue_copy(t->queue, &c, 1, err);
    return r < 0 ? r : finish(t, err);
}

static double element(const uint8_t *p, enum m2c_type type, uint32_t i)
{
    float f;
    uint16_t h;
    if (type == M2C_F32) {
        memcpy(&f, p + 4 * (size_t)i, 4);
        return f;
    }
    memcpy(&h, p + 2 * (size_t)i, 2);
    return type == M2C_BF16 ? m2c_bf16_to_f32(h) : m2c_f16_to_f32(h);
}

static int compare(const struct test *t, struct m2c_err *err)
{
    const struct m2c_selftest *s = &t->s;
    const uint8_t *want = t->ref.host, *got = t->stage->host;
    size_t begin = s->out.off, end = begin + m2c_code_bytes(s->out_type, s->n_out);
    double most = 1;
    for (uint32_t i = 0; i < s->n_out; i++)
        most = fmax(most, fabs(element(want + begin, s->out_type, i)));
    for (uint32_t i = 0; i < s->n_out; i++) {
        double a = element(got + begin, s->out_type, i);
        double b = element(want + begin, s->out_type, i);
        if (!(fabs(a - b) <= tolerance * most)) /* a NaN is an error */
            return m2c_fail(err, -EIO, "element %u of the result is %.9g, not %.9g", i, a,
                            b);
    }
    for (size_t i = 0; i < BYTES; i++) {
        if (s->n_out == 0 && got[i] != want[i])
            return m2c_fail(err, -EIO, "byte %zu is %#x, not %#x", i, got[i], want[i]);
        if ((i < begin || i >= end) && got[i] != want[i])
            return m2c_fail(err, -EIO,
                            "byte %zu, outside of the result (%zu to %zu), is written", i,
                            begin, end);
    }
    return 0;
}

/* The reference has the data first; the device gets a copy of them. */
static int run_case(struct test *t, const struct m2c_selftest_case *c,
                    struct m2c_err *err)
{
    struct m2c_call call;
    memset(t->ref.host, 0x5a, BYTES);
    t->s.buf = &t->ref;
    t->s.filled = true;
    m2c_selftest_build(&t->s, c, &call);
    if (t->s.used > BYTES)
        return m2c_fail(err, -EINVAL, "the case needs %zu bytes", t->s.used);
    memcpy(t->stage->host, t->ref.host, BYTES);
    m2c_ref(c->op)(&call);
    t->s.buf = t->dev;
    t->s.filled = false;
    m2c_selftest_build(&t->s, c, &call);
    int r = move(t, t->dev, t->stage, err);
    r = r < 0 ? r : m2c_queue_launch(t->queue, &call, err);
    r = r < 0 ? r : finish(t, err);
    r = r < 0 ? r : move(t, t->stage, t->dev, err);
    return r < 0 ? r : compare(t, err);
}

static int run_op(struct test *t, enum m2c_op op, enum m2c_type type, struct m2c_err *err)
{
    for (unsigned v = 0; v < m2c_selftest_variants(op); v++) {
        const struct m2c_selftest_case c = {op, type, v};
        struct m2c_err own = {0};
        int r = run_case(t, &c, &own);
        if (r < 0)
            return m2c_fail(err, r,
                            "self-test of device %s (%s): %s on %s, variant %u: %s",
                            t->s.dev->info.name, t->s.dev->info.backend, m2c_op_name(op),
                            m2c_type_name(type), v, own.msg);
    }
    return 0;
}

static int run_all(struct test *t, struct m2c_err *err)
{
    struct m2c_dev *dev = t->s.dev;
    int r = m2c_queue_open(dev, "self-test", &t->queue, err);
    r = r < 0 ? r : m2c_dev_alloc(dev, M2C_PLACE_DEVICE, BYTES, &t->dev, err);
    r = r < 0 ? r : m2c_dev_alloc(dev, M2C_PLACE_PINNED, BYTES, &t->stage, err);
    for (int op = 0; op < M2C_N_OPS && r == 0; op++) {
        for (int type = 0; type < M2C_N_TYPES && r == 0; type++) {
            if (m2c_dev_supports(dev, (enum m2c_op)op, (enum m2c_type)type))
                r = run_op(t, (enum m2c_op)op, (enum m2c_type)type, err);
        }
    }
    m2c_queue_close(t->queue);
    m2c_dev_free(dev, t->stage);
    m2c_dev_free(dev, t->dev);
    return r;
}

/* Counters and peaks are for the record of what comes after. */
int m2c_dev_selftest(struct m2c_dev *dev, struct m2c_err *err)
{
    if (dev->ops->hollow)
        return m2c_fail(err, -ENOTSUP, "self-test: device %s computes nothing",
                        dev->info.name);
    struct test t = {.s = {.dev = dev}, .ref = {.host = malloc(BYTES), .bytes = BYTES}};
    if (!t.ref.host)
        return m2c_fail(err, -ENOMEM, "self-test: out of memory");
    const struct m2c_dev_counters count = dev->count;
    uint64_t peak[M2C_N_PLACES];
    memcpy(peak, dev->peak, sizeof peak);
    m2c_rng_init(&t.s.rng, 1, 0);
    int r = run_all(&t, err);
    free(t.ref.host);
    dev->count = count;
    memcpy(dev->peak, peak, sizeof peak);
    return r;
}
