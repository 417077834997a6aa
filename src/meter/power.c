/* SPDX-License-Identifier: MIT */
/* The sum, and the thread that feeds it. One lock guards the sum and the probe,
 * so that a reading's own sample and the thread's never cross. */
#include "meter/power.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* A hole of so many periods, or of so long, in the samples is no longer
 * bridged: a machine under load delays a thread by less. */
enum { GAP_PERIODS = 8 };
#define GAP_LEAST_NS UINT64_C(250000000)

/* ---- the sum ---- */

void m2c_integral_init(struct m2c_integral *s, const struct m2c_sensor *sensor,
                       uint64_t max_gap_ns)
{
    *s = (struct m2c_integral){.sensor = *sensor, .max_gap_ns = max_gap_ns};
}

/* The time that enters no reading may have been spent anywhere between the least
 * power that was seen and what the device is kept below: a load that keeps step
 * with the sensor shows nothing of it in the readings. */
static double unseen_w(const struct m2c_integral *s, double watts)
{
    double most = M2C_MAX(s->sensor.limit_w, s->max_w);
    double least = s->sensor.limit_w > 0 ? s->min_w : 0;
    return (1 - s->sensor.seen) * M2C_MAX(watts - least, most - watts);
}

void m2c_integral_add(struct m2c_integral *s, uint64_t at_ns, double watts)
{
    bool first = s->n++ == 0;
    s->min_w = first ? watts : M2C_MIN(s->min_w, watts);
    s->max_w = first ? watts : M2C_MAX(s->max_w, watts);
    if (!first && (at_ns < s->last_ns || at_ns - s->last_ns > s->max_gap_ns)) {
        s->gaps++;
    } else if (!first) {
        double dt = (double)(at_ns - s->last_ns) * 1e-9, mean = (s->last_w + watts) / 2;
        s->joules += mean * dt;
        s->err_j += (s->sensor.gain * mean + unseen_w(s, mean)) * dt;
    }
    if (!first && fabs(watts - s->last_w) > 0)
        s->changes++;
    s->last_ns = at_ns;
    s->last_w = watts;
}

double m2c_integral_edge_j(const struct m2c_integral *s)
{
    return (double)(s->sensor.lag_ns + s->sensor.period_ns) * 1e-9 *
           (s->max_w - s->min_w);
}

/* ---- the thread ---- */

struct m2c_power {
    struct m2c_power_cfg cfg;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool has_lock, has_wake, has_thread, stop;
    struct m2c_integral sum;
    struct m2c_err gone; /* code < 0: the device is lost */
};

static uint64_t now_ns(const struct m2c_power *s)
{
    const struct m2c_meter_clock *c = s->cfg.clock;
    return c ? c->now(c->ctx) : m2c_now_ns();
}

/* The lock is held. A sample that fails is left out; whether what is left is
 * enough is decided by the gap. */
static int sample(struct m2c_power *s, struct m2c_err *err)
{
    struct m2c_err why = {0};
    double watts = 0;
    int r = s->gone.code;
    if (r < 0)
        return m2c_fail(err, r, "%s", s->gone.msg);
    uint64_t before = now_ns(s);
    r = s->cfg.probe(s->cfg.ctx, &watts, &why);
    uint64_t after = now_ns(s);
    if (r == 0 && !(watts > 0 && watts < 1e6))
        r = m2c_fail(&why, -EIO, "a power of %g W", watts);
    if (r == 0)
        m2c_integral_add(&s->sum, after > before ? before + (after - before) / 2 : after,
                         watts);
    else if (r == -ENODEV)
        s->gone = why;
    return r < 0 ? m2c_fail(err, r, "%s", why.msg) : 0;
}

static struct timespec at(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
                             .tv_nsec = (long)(ns % 1000000000u)};
}

static void *run(void *ctx)
{
    struct m2c_power *s = ctx;
    uint64_t due = m2c_now_ns() + s->cfg.period_ns;
    pthread_mutex_lock(&s->lock);
    while (!s->stop && s->gone.code == 0) {
        struct timespec until = at(due);
        if (pthread_cond_timedwait(&s->wake, &s->lock, &until) != ETIMEDOUT)
            continue; /* told to stop, or for nothing */
        (void)!sample(s, NULL);
        uint64_t now = m2c_now_ns();
        due =
            M2C_MAX(due + s->cfg.period_ns, now); /* what was missed is not made up for */
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static int start(struct m2c_power *s, struct m2c_err *err)
{
    pthread_condattr_t attr;
    int r = pthread_mutex_init(&s->lock, NULL);
    s->has_lock = r == 0;
    if (r == 0)
        r = pthread_condattr_init(&attr);
    if (r == 0) {
        r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        if (r == 0)
            r = pthread_cond_init(&s->wake, &attr);
        s->has_wake = r == 0;
        pthread_condattr_destroy(&attr);
    }
    if (r != 0)
        return m2c_fail(err, -r, "sampler: no lock can be made");
    r = sample(s, err);
    if (r < 0 || s->cfg.clock)
        return r;
    r = pthread_create(&s->thread, NULL, run, s);
    s->has_thread = r == 0;
    return r == 0 ? 0 : m2c_fail(err, -r, "sampler: no thread can be made");
}

int m2c_power_open(struct m2c_power **out, const struct m2c_power_cfg *cfg,
                   struct m2c_err *err)
{
    struct m2c_power *s = calloc(1, sizeof *s);
    if (!s)
        return m2c_fail(err, -ENOMEM, "sampler: out of memory");
    s->cfg = *cfg;
    if (s->cfg.period_ns == 0)
        s->cfg.period_ns = M2C_MAX(cfg->sensor.period_ns / 2, 1000000);
    m2c_integral_init(&s->sum, &cfg->sensor,
                      M2C_MAX(GAP_PERIODS * s->cfg.period_ns, GAP_LEAST_NS));
    /* a sensor that is asked less often than it renews itself follows later */
    s->sum.sensor.period_ns = M2C_MAX(cfg->sensor.period_ns, s->cfg.period_ns);
    int r = start(s, err);
    if (r < 0) {
        m2c_power_close(s);
        return r;
    }
    *out = s;
    return 0;
}

void m2c_power_close(struct m2c_power *s)
{
    if (!s)
        return;
    if (s->has_thread) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    if (s->has_wake)
        pthread_cond_destroy(&s->wake);
    if (s->has_lock)
        pthread_mutex_destroy(&s->lock);
    free(s);
}

uint64_t m2c_power_period_ns(const struct m2c_power *s)
{
    return s->cfg.period_ns;
}

void m2c_power_step(struct m2c_power *s)
{
    pthread_mutex_lock(&s->lock);
    (void)!sample(s, NULL);
    pthread_mutex_unlock(&s->lock);
}

int m2c_power_read(struct m2c_power *s, struct m2c_integral *out, struct m2c_err *err)
{
    pthread_mutex_lock(&s->lock);
    int r = sample(s, err);
    *out = s->sum;
    pthread_mutex_unlock(&s->lock);
    return r;
}
