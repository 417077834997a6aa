/* SPDX-License-Identifier: MIT */
/* decode: generate text and see how long it takes and what it moves.
 *
 * The timing window runs from the first prompt token to the last new one.
 * Opening the model and the meters, allocating the tiers, tokenising, the warm-up
 * runs and the look at the idle power lie outside. Tiers are cold at the first run of a point (nothing is preloaded);
 * warm-up runs are whole generations in the same engine. Tier and time
 * figures are of the new tokens after the first: prefill is in TTFT alone. */
#include "experiments/experiments.h"

#include "base/clock.h"
#include "exp/energy.h"
#include "infer/generate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct decode {
    struct m2c_engine *engine;
    uint32_t *prompt, n_prompt;
    struct m2c_generate_cfg gen;
    struct m2c_run *run;
    struct m2c_window *energy;
    uint64_t cpu_ns; /* of the thread, where the decoded tokens begin */
    bool timed;
};

/* The first new token ends the prefill: what follows is counted. */
static int on_token(void *ctx, uint32_t token, struct m2c_err *err)
{
    struct decode *d = ctx;
    (void)token;
    if (!d->timed)
        return 0;
    if (m2c_window_started(d->energy)) {
        m2c_window_keep(d->energy);
        return 0;
    }
    m2c_engine_stats_reset(d->engine);
    d->cpu_ns = m2c_thread_ns();
    return m2c_window_start(d->energy, err);
}

static int setup(struct m2c_run *run, struct m2c_err *err)
{
    struct decode *d = run->priv;
    const struct m2c_settings *c = run->cfg;
    int r = m2c_exp_prompt(run, &d->prompt, &d->n_prompt, err);
    if (r == 0)
        r = m2c_run_engine(run, &d->engine, err);
    if (r < 0)
        return r;
    m2c_exp_generation(run, d->prompt, d->n_prompt, &d->gen);
    d->gen.token = on_token;
    d->gen.ctx = d;
    d->run = run;
    for (int64_t i = 0; i < c->experiment.warmup && r == 0; i++) {
        struct m2c_generate_result warm;
        r = m2c_generate(d->engine, &d->gen, &warm, err);
        free(warm.token_ns);
    }
    if (r == 0)
        r = m2c_window_open(&d->energy, run, d->engine, err);
    return r;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t lo = (size_t)at, hi = M2C_MIN(lo + 1, n - 1);
    return sorted[lo] + (at - (double)lo) * (sorted[hi] - sorted[lo]);
}

static int put_latency(struct m2c_run *run, const struct decode *d,
                       const struct m2c_generate_result *g, struct m2c_err *err)
{
    size_t n = g->n_new - 1;
    double *t = calloc(n + 1, sizeof *t);
    if (!t)
        return m2c_fail(err, -ENOMEM, "decode: out of memory");
    for (size_t i = 0; i < n; i++)
        t[i] = (double)g->token_ns[i] * 1e-9;
    int r = m2c_run_samples(run, "token_s", t, n, err);
    qsort(t, n, sizeof *t, by_value);
    double ttft = (double)g->prefill_ns * 1e-9, p50 = n ? quantile(t, n, .5) : NAN;
    const struct {
        const char *name;
        double value;
    } rows[] = {
        {"ttft", ttft},
        {"prefill_tok_s", d->n_prompt / ttft},
        {"decode_tok_s", n ? (double)n / ((double)g->decode_ns * 1e-9) : NAN},
        {"decode_tok_s_median", 1 / p50},
        {"token_p50", p50},
        {"token_p95", n ? quantile(t, n, .95) : NAN},
        {"token_p99", n ? quantile(t, n, .99) : NAN},
    };
    for (size_t i = 0; i < M2C_COUNTOF(rows) && r == 0; i++)
        r = m2c_figure_put(run->figures, rows[i].name, NULL, rows[i].value,
                           isnan(rows[i].value) ? M2C_UNAVAILABLE : m2c_run_how(run),
                           m2c_run_clock(run), err);
    free(t);
    return r;
}

/* How fast the simulation was; the one thing about it that is measured. */
static int put_real(struct m2c_run *run, const struct decode *d, uint64_t start_ns,
                    struct m2c_err *err)
{
    struct m2c_tier_counters c;
    uint64_t n = 0;
    double wall = (double)(m2c_now_ns() - start_ns) * 1e-9;
    double cpu = (double)(m2c_thread_ns() - d->cpu_ns) * 1e-9;
    m2c_tier_counters(m2c_engine_tier(d->engine), &c);
    for (unsigned k = 0; k < M2C_MAX_CLASSES; k++)
        n += c.accesses[k];
    int r = m2c_figure_put(run->figures, "sim_wall", NULL, wall, M2C_MEASURED, "host clock",
                           err);
    double rate = d->cpu_ns && cpu > 0 ? (double)n / cpu : NAN;
    return r < 0 ? r
                 : m2c_figure_put(run->figures, "sim_accesses_s", NULL, rate,
                                  isnan(rate) ? M2C_UNAVAILABLE : M2C_MEASURED,
                                  "CPU time of the thread", err);
}

static int step(struct m2c_run *run, struct m2c_err *err)
{
    struct decode *d = run->priv;
    struct m2c_generate_result g;
    uint64_t start_ns = m2c_now_ns();
    d->timed = true;
    int r = m2c_generate(d->engine, &d->gen, &g, err);
    if (r < 0)
        return r;
    r = m2c_window_put(d->energy, g.n_new - 1, err);
    if (r == 0 && run->simulated)
        r = put_real(run, d, start_ns, err);
    if (r == 0)
        r = put_latency(run, d, &g, err);
    if (r == 0)
        r = m2c_run_put_tiers(run, d->engine, err);
    if (r == 0)
        r = m2c_run_put_times(run, d->engine, err);
    if (r == 0)
        r = m2c_run_put_selection(run, d->engine, err);
    free(g.token_ns);
    return r;
}

static void teardown(struct m2c_run *run)
{
    struct decode *d = run->priv;
    m2c_window_close(d->energy);
    m2c_engine_close(d->engine);
    free(d->prompt);
}

const struct m2c_exp_ops m2c_exp_decode = {
    .p = {.name = "decode",
          .desc = "generation: latency, bytes on each link, hit ratios, energy",
          .priv_size = sizeof(struct decode)},
    .setup = setup,
    .step = step,
    .teardown = teardown,
};
