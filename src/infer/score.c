/* SPDX-License-Identifier: MIT */
/* Scoring text, token by token. Sums are kept in double and in the order of
 * the text, so that they do not depend on anything else. */
#include "infer/score.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static double log_sum_exp(const float *x, uint32_t n)
{
    double max = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++)
        max = M2C_MAX(max, (double)x[i]);
    for (uint32_t i = 0; i < n; i++)
        sum += exp(x[i] - max);
    return max + log(sum);
}

double m2c_nll(const float *logits, uint32_t n, uint32_t id)
{
    return log_sum_exp(logits, n) - logits[id];
}

static uint32_t arg_max(const float *x, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

double m2c_divergence(const float *p, const float *q, uint32_t n)
{
    double lp = log_sum_exp(p, n), lq = log_sum_exp(q, n), sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        double a = p[i] - lp;
        sum += exp(a) * (a - (q[i] - lq));
    }
    return M2C_MAX(sum, 0.0); /* below zero only by rounding */
}

double m2c_entropy(const float *logits, uint32_t n)
{
    double all = log_sum_exp(logits, n), sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        double a = logits[i] - all, p = exp(a);
        sum -= p > 0 ? p * a : 0; /* -inf weighs nothing */
    }
    return sum;
}

struct scorer {
    struct m2c_engine *e, *ref;
    uint32_t vocab;
    int32_t bos;
    struct m2c_score *out;
    struct m2c_progress *progress;
    const volatile bool *stop;
};

static int score_one(struct scorer *s, uint32_t token, uint32_t target, struct m2c_err *err)
{
    const float *logits, *ref = NULL;
    if (s->stop && *s->stop)
        return m2c_fail(err, -EINTR, "interrupted");
    int r = m2c_engine_decode(s->e, token, &logits, err);
    if (r == 0 && s->ref)
        r = m2c_engine_decode(s->ref, token, &ref, err);
    if (r < 0)
        return r;
    struct m2c_score *o = s->out;
    double nll = m2c_nll(logits, s->vocab, target);
    if (isnan(nll))
        return m2c_fail(err, -EDOM, "logits hold no number at position %u",
                        m2c_engine_pos(s->e) - 1);
    o->nll += nll;
    o->token_nll[o->n] = (float)nll;
    if (ref) {
        double kl = m2c_divergence(ref, logits, s->vocab);
        o->kl[o->n] = (float)kl;
        o->kl_sum += kl;
        o->ref_nll += m2c_nll(ref, s->vocab, target);
        o->agree += arg_max(ref, s->vocab) == arg_max(logits, s->vocab);
    }
    o->n++;
    m2c_progress_set(s->progress, o->n);
    return 0;
}

static int score_piece(struct scorer *s, const struct m2c_piece *p, struct m2c_err *err)
{
    /* a window is BOS and as many tokens as have a position before them */
    uint32_t window = m2c_engine_ctx(s->e);
    int r = 0;
    for (uint32_t at = 0; at < p->n && r == 0; at += window) {
        uint32_t n = M2C_MIN(window, p->n - at);
        m2c_engine_restart(s->e);
        if (s->ref)
            m2c_engine_restart(s->ref);
        for (uint32_t i = 0; i < n && r == 0; i++)
            r = score_one(s, i ? p->ids[at + i - 1] : (uint32_t)s->bos, p->ids[at + i], err);
    }
    return r;
}

int m2c_score_text(struct m2c_engine *e, struct m2c_engine *ref,
                   const struct m2c_text *text, int32_t bos, struct m2c_progress *progress,
                   const volatile bool *stop, struct m2c_score *out, struct m2c_err *err)
{
    *out = (struct m2c_score){.has_kl = ref != NULL};
    if (bos < 0)
        return m2c_fail(err, -EINVAL, "the model names no BOS token to start a text with");
    out->kl = calloc(text->tokens + 1, sizeof *out->kl);
    out->token_nll = calloc(text->tokens + 1, sizeof *out->token_nll);
    struct scorer s = {.e = e,
                       .ref = ref,
                       .vocab = m2c_engine_vocab(e),
                       .bos = bos,
                       .out = out,
                       .progress = progress,
                       .stop = stop};
    int r = out->kl && out->token_nll ? 0 : m2c_fail(err, -ENOMEM, "scores: out of memory");
    for (uint32_t i = 0; i < text->n && r == 0; i++) {
        r = score_piece(&s, &text->piece[i], err);
        if (r < 0)
            m2c_fail_in(err, r, "piece %u of the text", i);
    }
    if (r < 0)
        m2c_score_free(out);
    return r;
}

void m2c_score_free(struct m2c_score *s)
{
    free(s->kl);
    free(s->token_nll);
    s->kl = s->token_nll = NULL;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

double m2c_score_kl_quantile(struct m2c_score *s, double q)
{
    if (s->n == 0)
        return NAN;
    qsort(s->kl, s->n, sizeof *s->kl, by_value);
    double at = q * (double)(s->n - 1);
    uint64_t lo = (uint64_t)at, hi = M2C_MIN(lo + 1, s->n - 1);
    return s->kl[lo] + (at - (double)lo) * (s->kl[hi] - s->kl[lo]);
}
