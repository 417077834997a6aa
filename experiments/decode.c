/* SPDX-License-Identifier: MIT */
/* decode: generate text and see how long it takes and what it moves.
 *
 * The timing window runs from the first prompt token to the last new one.
 * Opening the model and the meters, allocating the tiers, tokenising, the warm-up
 * runs and the look at the idle power lie outside. Tiers are cold at the first run of a point (nothing is preloaded);
 * warm-up runs are whole generations in the same engine. Tier and time
 * figures are of the new tokens after the first: prefill is in TTFT alone. */
#include "experiments/experiments.h"

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
    return m2c_window_start(d->energy, err);
}

/* Prompt text, or prompt_tokens tokens from a place in prompt_file that
 * depends on (seed, repetition) only. BOS comes first. */
static int make_prompt(struct m2c_run *run, struct decode *d, struct m2c_err *err)
{
    const struct m2c_settings *c = run->cfg;
    int32_t bos = m2c_store_cfg(run->store)->bos;
    uint32_t *ids = NULL, n = 0, from = 0, take = 0;
    char *text = NULL;
    size_t bytes = 0;
    int r = 0;
    if (bos < 0)
        return m2c_fail(err, -EINVAL, "the model names no BOS token to start with");
    if ((c->decode.prompt[0] || c->decode.prompt_file[0]) && !run->tok)
        return m2c_fail(err, -EINVAL, "%s holds no tokenizer for the prompt",
                        m2c_store_path(run->store));
    if (c->decode.prompt_file[0])
        r = m2c_text_read(c->decode.prompt_file, &text, &bytes, err);
    if (r == 0 && text)
        r = m2c_text_ids(run->tok, text, bytes, &ids, &n, err);
    else if (r == 0 && c->decode.prompt[0])
        r = m2c_text_ids(run->tok, c->decode.prompt, strlen(c->decode.prompt), &ids, &n, err);
    take = n;
    if (r == 0 && text) {
        struct m2c_rng rng;
        take = (uint32_t)c->decode.prompt_tokens;
        m2c_rng_init(&rng, run->workload_seed, 1);
        if (take > n)
            r = m2c_fail(err, -EINVAL, "%s: %u tokens, fewer than decode.prompt_tokens = %u",
                         c->decode.prompt_file, n, take);
        else
            from = m2c_rng_below(&rng, n - take + 1);
    }
    d->prompt = r == 0 ? calloc((size_t)take + 1, sizeof *d->prompt) : NULL;
    if (r == 0 && !d->prompt)
        r = m2c_fail(err, -ENOMEM, "prompt: out of memory");
    if (r == 0) {
        d->prompt[0] = (uint32_t)bos;
        if (take)
            memcpy(d->prompt + 1, ids + from, take * sizeof *ids);
        d->n_prompt = take + 1;
    }
    free(ids);
    free(text);
    return r;
}

static int setup(struct m2c_run *run, struct m2c_err *err)
{
    struct decode *d = run->priv;
    const struct m2c_settings *c = run->cfg;
    int r = make_prompt(run, d, err);
    if (r == 0)
        r = m2c_run_engine(run, &d->engine, err);
    if (r < 0)
        return r;
    d->gen = (struct m2c_generate_cfg){
        .prompt = d->prompt,
        .n_prompt = d->n_prompt,
        .n_new = (uint32_t)c->decode.new_tokens,
        .dense_prefill = strcmp(c->decode.prefill, "dense") == 0,
        .eos = c->decode.ignore_eos ? -1 : m2c_store_cfg(run->store)->eos,
        .sampling = {.temperature = c->decode.temperature,
                     .top_p = c->decode.top_p,
                     .seed = run->workload_seed,
                     .stream = 2},
        .stop = run->stop,
        .token = on_token,
        .ctx = d};
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
                           isnan(rows[i].value) ? M2C_UNAVAILABLE : M2C_MEASURED,
                           "host clock", err);
    free(t);
    return r;
}

static int step(struct m2c_run *run, struct m2c_err *err)
{
    struct decode *d = run->priv;
    struct m2c_generate_result g;
    d->timed = true;
    int r = m2c_generate(d->engine, &d->gen, &g, err);
    if (r < 0)
        return r;
    r = m2c_window_put(d->energy, g.n_new - 1, err);
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
