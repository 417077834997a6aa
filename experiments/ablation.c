/* SPDX-License-Identifier: MIT */
/* ablation: the mechanisms of a config, one after the other. It begins with every
 * neuron at the widest class streamed through the budgets and adds, until the
 * config is what it says: selection, mixed precision, the cache on the device,
 * fixed layers in DRAM, reading ahead. Each step is a generation of its own, cold,
 * in an engine of its own.
 *
 * The timing window of a step runs from its first new token to its last: prefill,
 * opening and loading lie outside. */
#include "experiments/experiments.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ablation {
    uint32_t *prompt, n_prompt;
};

enum { STREAM, SELECT, MIXED, CACHE, FIXED, AHEAD, N_STEPS };

static const char *const step_names[N_STEPS] = {"stream", "select", "mixed",
                                                "cache",  "fixed",  "ahead"};

/* The config with what the steps after `upto` add taken away. */
static void cut_back(struct m2c_settings *s, int upto)
{
    if (upto < AHEAD)
        s->ssd.lookahead = 0;
    if (upto < FIXED)
        s->dram.fixed_layers = 0;
    if (upto < CACHE)
        s->hbm.policy = "none";
    if (upto < MIXED) {
        struct m2c_ratio widest = {.n = s->precision.ratio.n, .share = {1}};
        s->precision.ratio = widest;
        s->precision.layers = "";
        s->precision.assign = M2C_ASSIGN_RANK;
        s->precision.reuse = M2C_REUSE_EXACT;
        s->precision.hysteresis = 0;
        s->decode.prefill_class = "auto";
    }
    if (upto < SELECT) {
        s->selector.kind = "all";
        s->selector.lookahead = 0;
        s->precision.active = 1;
    }
}

static int setup(struct m2c_run *run, struct m2c_err *err)
{
    struct ablation *a = run->priv;
    if (strcmp(run->cfg->baseline.system, "m2cache") != 0)
        return m2c_fail(
            err, -EINVAL,
            "[baseline] system = %s: an ablation goes from streaming to m2cache",
            run->cfg->baseline.system);
    if (run->cfg->decode.new_tokens < 2)
        return m2c_fail(err, -EINVAL,
                        "[decode] new_tokens = %lld: the first is prefill's",
                        (long long)run->cfg->decode.new_tokens);
    return m2c_exp_prompt(run, &a->prompt, &a->n_prompt, err);
}

/* The first new token ends the prefill: what follows is counted. */
struct counting {
    struct m2c_engine *engine;
    bool begun;
};

static int on_token(void *ctx, uint32_t token, struct m2c_err *err)
{
    struct counting *c = ctx;
    (void)token;
    (void)err;
    if (!c->begun)
        m2c_engine_stats_reset(c->engine);
    c->begun = true;
    return 0;
}

static int put(struct m2c_run *run, int step, struct m2c_engine *e,
               const struct m2c_generate_result *g, struct m2c_err *err)
{
    struct m2c_tier_counters c;
    m2c_tier_counters(m2c_engine_tier(e), &c);
    double n = (double)g->n_new - 1, acc = 0, hits = 0;
    for (unsigned k = 0; k < M2C_MAX_CLASSES; k++) {
        acc += (double)c.accesses[k];
        hits += (double)c.hits[k];
    }
    const struct {
        const char *name, *source;
        double value;
    } rows[] = {
        {"ablation_tok_s", "host clock", n / ((double)g->decode_ns * 1e-9)},
        {"ablation_hit_ratio", "tier counters", hits / acc},
        {"ablation_hbm_bytes", "tier counters", (double)c.hbm_moved / n},
        {"ablation_ssd_bytes", "tier counters", (double)c.ssd_moved / n},
        {"ablation_ssd_wait", "host clock", (double)c.ssd_wait_ns * 1e-9 / n},
    };
    int r = 0;
    for (size_t i = 0; i < M2C_COUNTOF(rows) && r == 0; i++)
        r = m2c_figure_put(run->figures, rows[i].name, step_names[step], rows[i].value,
                           isfinite(rows[i].value) ? M2C_MEASURED : M2C_UNAVAILABLE,
                           rows[i].source, err);
    return r;
}

static int one_step(struct m2c_run *run, int step, struct m2c_err *err)
{
    const struct ablation *a = run->priv;
    struct m2c_settings s = *run->cfg;
    struct m2c_run part = *run;
    struct counting counting = {0};
    struct m2c_generate_cfg cfg;
    struct m2c_generate_result g = {0};
    cut_back(&s, step);
    part.cfg = &s;
    int r = m2c_run_engine(&part, &counting.engine, err);
    if (r < 0)
        return r;
    m2c_exp_generation(&part, a->prompt, a->n_prompt, &cfg);
    cfg.token = on_token;
    cfg.ctx = &counting;
    cfg.eos = -1; /* all steps make as many tokens, though not the same */
    r = m2c_generate(counting.engine, &cfg, &g, err);
    if (r == 0)
        r = put(run, step, counting.engine, &g, err);
    free(g.token_ns);
    m2c_engine_close(counting.engine);
    return r;
}

static int step(struct m2c_run *run, struct m2c_err *err)
{
    int r = 0;
    for (int i = 0; i < N_STEPS && r == 0; i++) {
        r = one_step(run, i, err);
        if (r < 0)
            m2c_fail_in(err, r, "step %s", step_names[i]);
    }
    return r;
}

static void teardown(struct m2c_run *run)
{
    struct ablation *a = run->priv;
    free(a->prompt);
}

const struct m2c_exp_ops m2c_exp_ablation = {
    .p = {.name = "ablation",
          .desc = "the mechanisms of a config, one added after the other",
          .priv_size = sizeof(struct ablation)},
    .setup = setup,
    .step = step,
    .teardown = teardown,
};
