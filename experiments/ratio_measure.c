/* SPDX-License-Identifier: MIT */
/* What a plan costs: entropy of what it generates, KL and bytes on the
 * calibration text. One engine is open for all plans: its shares are changed. */
#include "experiments/ratio_impl.h"

#include "base/rng.h"
#include "infer/score.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The reference logits are kept: more would not fit where the rest has to. */
#define MOST_REFERENCE ((size_t)2 << 30)

double ratio_class_bytes(const struct ratio *p, uint32_t c)
{
    const struct m2c_layout *layout = m2c_store_layout(p->run->store);
    double sum = 0;
    for (uint32_t k = 0; k < layout->n_parts; k++)
        sum += layout->cls[c].parts >> k & 1 ? m2c_store_record(p->run->store, k)->bytes : 0;
    return sum;
}

int ratio_uniform(const struct ratio *p, const struct m2c_ratio *ratio,
                  struct m2c_ratio **out, struct m2c_err *err)
{
    return m2c_settings_layers("", ratio, p->layers, p->classes, out, err);
}

static int count_wants(void *ctx, uint32_t layer, const struct m2c_want *wants, uint32_t n)
{
    struct ratio *p = ctx;
    for (uint32_t i = 0; i < n; i++)
        p->count[(size_t)layer * p->classes + wants[i].cls]++;
    return 0;
}

/* Walks the calibration text. `kl`: against the reference; NULL: it becomes it. */
static int walk(struct ratio *p, struct m2c_engine *e, double *kl, struct m2c_err *err)
{
    uint64_t done = 0;
    int r = 0;
    double sum = 0;
    for (uint32_t k = 0; k < p->calib.n && done < p->n_calib && r == 0; k++) {
        const struct m2c_piece *piece = &p->calib.piece[k];
        uint64_t n = M2C_MIN(M2C_MIN(piece->n, m2c_engine_ctx(e)), p->n_calib - done);
        uint32_t token = (uint32_t)m2c_store_cfg(p->run->store)->bos;
        m2c_engine_restart(e);
        for (uint64_t i = 0; i < n && r == 0; i++, done++) {
            const float *logits = NULL;
            float *ref = p->ref + (size_t)done * p->vocab;
            if (p->run->stop && *p->run->stop)
                return m2c_fail(err, -EINTR, "interrupted");
            r = m2c_engine_decode(e, token, &logits, err);
            if (r == 0 && kl)
                sum += m2c_divergence(ref, logits, p->vocab);
            else if (r == 0)
                memcpy(ref, logits, p->vocab * sizeof *ref);
            token = piece->ids[i];
        }
    }
    if (kl)
        *kl = sum / (double)done;
    return r == 0 && isnan(sum) ? m2c_fail(err, -EDOM, "the logits hold no numbers") : r;
}

int ratio_kl(struct ratio *p, const struct m2c_ratio *by_layer, double *kl, double *bytes,
             struct m2c_err *err)
{
    memset(p->count, 0, (size_t)p->layers * p->classes * sizeof *p->count);
    int r = m2c_engine_shares(p->engine, by_layer, err);
    m2c_engine_watch_wants(p->engine, count_wants, p);
    if (r == 0)
        r = walk(p, p->engine, kl, err);
    m2c_engine_watch_wants(p->engine, NULL, NULL);
    *bytes = 0;
    for (uint32_t l = 0; l < p->layers; l++) {
        for (uint32_t c = 0; c < p->classes; c++)
            *bytes += (double)p->count[(size_t)l * p->classes + c] *
                      ratio_class_bytes(p, c) / (double)p->n_calib;
    }
    return r;
}

/* ---- UQEst ---- */

static int generate(struct ratio *p, const uint32_t *prompt, double *entropy,
                    struct m2c_err *err)
{
    const float *logits = NULL;
    uint32_t n = (uint32_t)p->run->cfg->decode.new_tokens;
    m2c_engine_restart(p->engine);
    int r = m2c_engine_prefill(p->engine, prompt, p->n_prompt, false, &logits, err);
    for (uint32_t i = 0; i < n && r == 0; i++) {
        uint32_t best = 0;
        for (uint32_t v = 1; v < p->vocab; v++)
            best = logits[v] > logits[best] ? v : best;
        entropy[i] = m2c_entropy(logits, p->vocab);
        if (isnan(entropy[i]))
            r = m2c_fail(err, -EDOM, "the logits hold no numbers");
        else if (i + 1 < n)
            r = m2c_engine_decode(p->engine, best, &logits, err);
    }
    return r;
}

int ratio_uq(struct ratio *p, const struct m2c_ratio *by_layer, double *out,
             struct m2c_err *err)
{
    const struct m2c_settings *c = p->run->cfg;
    size_t each = (size_t)c->decode.new_tokens, n = (size_t)c->ratio.prompts;
    int r = m2c_engine_shares(p->engine, by_layer, err);
    for (size_t i = 0; i < n && r == 0; i++) {
        if (p->run->stop && *p->run->stop)
            return m2c_fail(err, -EINTR, "interrupted");
        r = generate(p, p->prompt + i * p->n_prompt, p->entropy + i * each, err);
    }
    *out = 0;
    for (size_t i = 0; i < n * each; i++)
        *out += p->entropy[i];
    return r;
}

/* ---- what both need ---- */

/* The beginnings of documents that are drawn by (seed, repetition). */
static int draw_prompts(struct ratio *p, struct m2c_err *err)
{
    const struct m2c_settings *c = p->run->cfg;
    uint32_t take = (uint32_t)c->decode.prompt_tokens, n = (uint32_t)c->ratio.prompts;
    uint32_t fit = 0, *from = calloc(p->calib.n + 1, sizeof *from);
    struct m2c_rng rng;
    p->n_prompt = take + 1;
    p->prompt = calloc((size_t)n * p->n_prompt, sizeof *p->prompt);
    p->entropy = calloc((size_t)n * (size_t)c->decode.new_tokens, sizeof *p->entropy);
    int r = 0;
    if (!from || !p->prompt || !p->entropy)
        r = m2c_fail(err, -ENOMEM, "ratio: out of memory");
    for (uint32_t k = 0; k < p->calib.n && r == 0; k++) {
        if (p->calib.piece[k].n >= take)
            from[fit++] = k;
    }
    if (r == 0 && fit < n)
        r = m2c_fail(err, -EINVAL,
                     "%s: %u pieces have decode.prompt_tokens = %u tokens, ratio.prompts "
                     "asks for %u", c->ratio.text, fit, take, n);
    m2c_rng_init(&rng, p->run->workload_seed, 1);
    for (uint32_t i = 0; i < n && r == 0; i++) {
        uint32_t at = i + m2c_rng_below(&rng, fit - i), k = from[at];
        uint32_t *to = p->prompt + (size_t)i * p->n_prompt;
        from[at] = from[i];
        to[0] = (uint32_t)m2c_store_cfg(p->run->store)->bos;
        memcpy(to + 1, p->calib.piece[k].ids, take * sizeof *to);
    }
    free(from);
    return r;
}

int ratio_prepare(struct ratio *p, struct m2c_err *err)
{
    uint64_t have = 0;
    size_t bytes;
    for (uint32_t k = 0; k < p->calib.n; k++)
        have += M2C_MIN(p->calib.piece[k].n, m2c_engine_ctx(p->engine));
    p->n_calib = M2C_MIN(have, (uint64_t)p->run->cfg->ratio.tokens);
    if (!m2c_mul_size((size_t)p->n_calib, (size_t)p->vocab * sizeof(float), &bytes) ||
        bytes > MOST_REFERENCE)
        return m2c_fail(err, -E2BIG,
                        "[ratio] tokens = %lld: the dense logits of so many would take more "
                        "than 2 GiB", (long long)p->run->cfg->ratio.tokens);
    p->ref = malloc(bytes);
    p->count = calloc((size_t)p->layers * p->classes, sizeof *p->count);
    if (!p->ref || !p->count)
        return m2c_fail(err, -ENOMEM, "ratio: out of memory");
    int r = draw_prompts(p, err);
    return r < 0 ? r : walk(p, p->dense, NULL, err);
}
