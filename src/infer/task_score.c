/* SPDX-License-Identifier: MIT */
/* Scoring tasks. What two sequences in a row have in common is computed once,
 * where the selector has no memory: the KV cache of a prefix depends on the
 * prefix alone. */
#include "infer/score.h"
#include "infer/task.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct runner {
    struct m2c_engine *e;
    const struct m2c_task *t;
    int32_t bos;
    bool dense;
    uint32_t *seq, *last; /* [ctx] BOS and ids that are fed: now, and before */
    uint32_t n_last;
    const volatile bool *stop;
};

static uint32_t arg_max(const float *x, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

/* Where the engine stands after going back to what it has of this sequence, but
 * at most to position `most`. */
static uint32_t go_back(struct runner *r, uint32_t n, uint32_t most)
{
    uint32_t same = 0, end = M2C_MIN(M2C_MIN(n, r->n_last), most);
    while (same < end && r->seq[same] == r->last[same])
        same++;
    if (same && m2c_engine_rewind(r->e, same))
        return same;
    m2c_engine_restart(r->e);
    return 0;
}

/* Feeds BOS and all ids but the last one; the logits after the position before
 * an id score it. */
static int run_option(struct runner *r, const struct m2c_task_option *o, double *ll,
                      uint8_t *exact, struct m2c_err *err)
{
    uint32_t ctx = m2c_engine_ctx(r->e), vocab = m2c_engine_vocab(r->e);
    uint32_t cut = o->n > ctx ? o->n - ctx : 0; /* ids that the context has no room for */
    if (cut > o->n_ctx)
        return m2c_fail(err, -ERANGE, "%u tokens to score, but a context of %u",
                        o->n - o->n_ctx, ctx);
    const uint32_t *ids = o->ids + cut;
    uint32_t n = o->n - cut, first = o->n_ctx - cut;
    r->seq[0] = (uint32_t)r->bos;
    for (uint32_t i = 0; i + 1 < n; i++)
        r->seq[i + 1] = ids[i];
    uint32_t at = go_back(r, n, first);
    r->n_last = 0;
    int rc = 0;
    if (r->dense && at < first) {
        rc = m2c_engine_prefill(r->e, r->seq + at, first - at, true, NULL, err);
        at = first;
    }
    *ll = 0;
    *exact = 1;
    for (; at < n && rc == 0; at++) {
        const float *logits = NULL;
        if (r->stop && *r->stop)
            return m2c_fail(err, -EINTR, "interrupted");
        rc = m2c_engine_decode(r->e, r->seq[at], at < first ? NULL : &logits, err);
        if (rc < 0 || at < first)
            continue;
        double nll = m2c_nll(logits, vocab, ids[at]);
        if (isnan(nll))
            return m2c_fail(err, -EDOM, "logits hold no number at position %u", at);
        *ll -= nll;
        *exact = *exact && arg_max(logits, vocab) == ids[at];
    }
    uint32_t *swap = r->last;
    r->last = r->seq;
    r->seq = swap;
    r->n_last = rc == 0 ? n : 0;
    return rc;
}

static int alloc_scores(const struct m2c_task *t, struct m2c_task_score *s)
{
    s->ll = calloc(t->options, sizeof *s->ll);
    s->exact = calloc(t->options, 1);
    s->right = calloc(t->n, 1);
    s->right_norm = calloc(t->n, 1);
    s->gold_ll = calloc(t->n, sizeof *s->gold_ll);
    return s->ll && s->exact && s->right && s->right_norm && s->gold_ll ? 0 : -ENOMEM;
}

/* Of equal scores the first option counts, as in numpy's argmax. */
static void judge(const struct m2c_task *t, uint32_t i, const double *ll,
                  const uint8_t *exact, struct m2c_task_score *s)
{
    const struct m2c_task_item *it = &t->item[i];
    uint32_t best = 0, norm = 0;
    for (uint32_t k = 1; k < it->n; k++) {
        best = ll[k] > ll[best] ? k : best;
        norm = ll[k] / it->option[k].chars > ll[norm] / it->option[norm].chars ? k : norm;
    }
    s->gold_ll[i] = ll[it->gold];
    s->right[i] = t->kind == M2C_TASK_LAST ? exact[0] : best == it->gold;
    s->right_norm[i] = t->kind == M2C_TASK_CHOICE ? norm == it->gold : s->right[i];
}

int m2c_task_run(struct m2c_engine *e, const struct m2c_task *t, int32_t bos, bool dense,
                 struct m2c_progress *progress, const volatile bool *stop,
                 struct m2c_task_score *out, struct m2c_err *err)
{
    uint32_t ctx = m2c_engine_ctx(e);
    uint64_t done = 0, at = 0;
    *out = (struct m2c_task_score){0};
    if (bos < 0)
        return m2c_fail(err, -EINVAL,
                        "the model names no BOS token to start a text with");
    if (t->kind == M2C_TASK_CODE)
        return m2c_fail(err, -EINVAL, "%s: code is completed, not scored", t->name);
    struct runner r = {.e = e,
                       .t = t,
                       .bos = bos,
                       .dense = dense,
                       .seq = calloc(ctx, sizeof *r.seq),
                       .last = calloc(ctx, sizeof *r.last),
                       .stop = stop};
    int rc = r.seq && r.last && alloc_scores(t, out) == 0
                 ? 0
                 : m2c_fail(err, -ENOMEM, "scores: out of memory");
    for (uint32_t i = 0; i < t->n && rc == 0; i++) {
        const struct m2c_task_item *it = &t->item[i];
        for (uint32_t k = 0; k < it->n && rc == 0; k++) {
            rc = run_option(&r, &it->option[k], &out->ll[at + k], &out->exact[at + k],
                            err);
            done += it->option[k].n;
            m2c_progress_set(progress, done);
        }
        if (rc == 0)
            judge(t, i, out->ll + at, out->exact + at, out);
        else
            m2c_fail_in(err, rc, "%s: question %u", t->name, i + 1);
        at += it->n;
    }
    free(r.seq);
    free(r.last);
    if (rc < 0)
        m2c_task_score_free(out);
    return rc;
}

void m2c_task_score_free(struct m2c_task_score *s)
{
    free(s->ll);
    free(s->exact);
    free(s->right);
    free(s->right_norm);
    free(s->gold_ll);
    *s = (struct m2c_task_score){0};
}

static double share(const uint8_t *right, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += right[i];
    return sum / n;
}

void m2c_task_figures(const struct m2c_task *t, const struct m2c_task_score *s,
                      struct m2c_task_figures *out)
{
    double ll = 0, chance = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        ll += s->gold_ll[i];
        chance += 1.0 / t->item[i].n;
    }
    bool norm = t->kind == M2C_TASK_CHOICE, last = t->kind == M2C_TASK_LAST;
    double p = share(s->right, t->n), q = share(s->right_norm, t->n);
    *out = (struct m2c_task_figures){
        .acc = p,
        .acc_err = sqrt(p * (1 - p) / t->n),
        .acc_norm = norm ? q : NAN,
        .acc_norm_err = norm ? sqrt(q * (1 - q) / t->n) : NAN,
        .gold_ll = ll / t->n,
        .chance = last ? NAN : chance / t->n,
        .perplexity = last ? exp(-ll / t->n) : NAN,
    };
}

/* P(X <= k) for X ~ binomial(n, 1/2), through logarithms. */
static double binomial_tail(uint32_t k, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i <= k; i++)
        sum +=
            exp(lgamma(n + 1.0) - lgamma(i + 1.0) - lgamma(n - i + 1.0) - n * log(2.0));
    return sum;
}

void m2c_task_pair(uint32_t n, const uint8_t *a, const uint8_t *b, const double *ll_a,
                   const double *ll_b, struct m2c_task_paired *out)
{
    *out = (struct m2c_task_paired){0};
    double sum = 0, square = 0;
    for (uint32_t i = 0; i < n; i++) {
        out->only_a += a[i] && !b[i];
        out->only_b += b[i] && !a[i];
        sum += ll_a[i] - ll_b[i];
    }
    double mean = sum / n, d = (double)out->only_a - out->only_b;
    for (uint32_t i = 0; i < n; i++)
        square += (ll_a[i] - ll_b[i] - mean) * (ll_a[i] - ll_b[i] - mean);
    uint32_t differ = out->only_a + out->only_b;
    out->diff = d / n;
    out->diff_err = sqrt(differ - d * d / n) / n;
    out->p = fmin(1, 2 * binomial_tail(M2C_MIN(out->only_a, out->only_b), differ));
    out->ll_diff = mean;
    out->ll_diff_err = n > 1 ? sqrt(square / (n - 1) / n) : NAN;
}
