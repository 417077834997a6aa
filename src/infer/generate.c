/* SPDX-License-Identifier: MIT */
/* Sampling and the generation loop. */
#include "infer/generate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct candidate {
    double p;
    uint32_t id;
};

struct m2c_sampler {
    struct m2c_sampling cfg;
    uint32_t vocab;
    struct m2c_rng rng;
    struct candidate *cand; /* [vocab] */
};

int m2c_sampler_open(struct m2c_sampler **out, const struct m2c_sampling *cfg,
                     uint32_t vocab, struct m2c_err *err)
{
    struct m2c_sampler *s = calloc(1, sizeof *s);
    if (!s || !(s->cand = calloc(vocab, sizeof *s->cand))) {
        free(s);
        return m2c_fail(err, -ENOMEM, "sampler: out of memory");
    }
    s->cfg = *cfg;
    s->vocab = vocab;
    m2c_rng_init(&s->rng, cfg->seed, cfg->stream);
    *out = s;
    return 0;
}

void m2c_sampler_close(struct m2c_sampler *s)
{
    if (!s)
        return;
    free(s->cand);
    free(s);
}

static int likelier(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->p != y->p)
        return x->p < y->p ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

static uint32_t draw(struct m2c_sampler *s, const float *logits, float max)
{
    double sum = 0;
    for (uint32_t i = 0; i < s->vocab; i++) {
        s->cand[i] = (struct candidate){exp((logits[i] - max) / s->cfg.temperature), i};
        sum += s->cand[i].p;
    }
    uint32_t n = s->vocab;
    if (s->cfg.top_p < 1) {
        qsort(s->cand, n, sizeof *s->cand, likelier);
        double mass = 0, want = s->cfg.top_p * sum;
        for (n = 0; n < s->vocab && (n == 0 || mass < want); n++)
            mass += s->cand[n].p;
        sum = mass;
    }
    double at = m2c_rng_double(&s->rng) * sum;
    for (uint32_t i = 0; i < n; i++) {
        at -= s->cand[i].p;
        if (at < 0)
            return s->cand[i].id;
    }
    return s->cand[n - 1].id; /* rounding left a hair over */
}

int m2c_sampler_next(struct m2c_sampler *s, const float *logits, uint32_t *token,
                     struct m2c_err *err)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < s->vocab; i++) {
        if (isnan(logits[i]))
            return m2c_fail(err, -EDOM, "the logit of token %u is not a number", i);
        best = logits[i] > logits[best] ? i : best;
    }
    *token = s->cfg.temperature > 0 ? draw(s, logits, logits[best]) : best;
    return 0;
}

/* The token after these. Greedy decoding needs no logits on the host. */
static int next_token(struct m2c_engine *e, struct m2c_sampler *sampler,
                      const uint32_t *tokens, uint32_t n, bool dense, uint32_t *next,
                      struct m2c_err *err)
{
    if (!(sampler->cfg.temperature > 0))
        return m2c_engine_greedy(e, tokens, n, dense, next, err);
    const float *logits = NULL;
    int r = m2c_engine_prefill(e, tokens, n, dense, &logits, err);
    return r < 0 ? r : m2c_sampler_next(sampler, logits, next, err);
}

static int step(struct m2c_engine *e, const struct m2c_generate_cfg *cfg,
                struct m2c_sampler *sampler, struct m2c_generate_result *out,
                struct m2c_err *err)
{
    const struct m2c_dev *dev = m2c_engine_dev(e);
    uint32_t token = 0;
    uint64_t last = m2c_dev_now_ns(dev);
    int r = 0;
    if (cfg->n_new == 0)
        return m2c_engine_prefill(e, cfg->prompt, cfg->n_prompt, cfg->dense_prefill, NULL,
                                  err);
    while (r == 0 && out->n_new < cfg->n_new) {
        if (cfg->stop && *cfg->stop)
            return m2c_fail(err, -EINTR, "interrupted after %u new tokens", out->n_new);
        bool first = out->n_new == 0;
        r = next_token(e, sampler, first ? cfg->prompt : &token, first ? cfg->n_prompt : 1,
                       first && cfg->dense_prefill, &token, err);
        if (r < 0)
            break;
        uint64_t took = m2c_dev_now_ns(dev) - last;
        if (out->n_new == 0) {
            out->prefill_ns = took;
        } else {
            out->token_ns[out->n_new - 1] = took;
            out->decode_ns += took;
        }
        out->n_new++;
        if (cfg->token)
            r = cfg->token(cfg->ctx, token, err);
        last = m2c_dev_now_ns(dev);
        if ((int64_t)token == cfg->eos)
            break;
    }
    return r;
}

int m2c_generate(struct m2c_engine *e, const struct m2c_generate_cfg *cfg,
                 struct m2c_generate_result *out, struct m2c_err *err)
{
    *out = (struct m2c_generate_result){0};
    uint64_t last = (uint64_t)cfg->n_prompt + cfg->n_new;
    if (cfg->n_prompt == 0)
        return m2c_fail(err, -EINVAL, "a prompt needs at least one token (BOS)");
    if (cfg->n_new && last - 1 > m2c_engine_ctx(e))
        return m2c_fail(err, -ERANGE,
                        "%u prompt tokens and %u new ones do not fit a context of %u",
                        cfg->n_prompt, cfg->n_new, m2c_engine_ctx(e));
    struct m2c_sampler *sampler = NULL;
    int r = m2c_sampler_open(&sampler, &cfg->sampling, m2c_engine_vocab(e), err);
    out->token_ns = calloc(cfg->n_new + 1, sizeof *out->token_ns);
    if (r == 0 && !out->token_ns)
        r = m2c_fail(err, -ENOMEM, "generation: out of memory");
    m2c_engine_restart(e);
    if (r == 0)
        r = step(e, cfg, sampler, out, err);
    m2c_sampler_close(sampler);
    if (r < 0) {
        free(out->token_ns);
        out->token_ns = NULL;
    }
    return r;
}
