/* SPDX-License-Identifier: MIT */
/* Training by AdamW on weighted binary cross-entropy. Two matrices are trained
 * as two, without a nonlinearity between them, as M2Cache takes it from Deja
 * Vu; one as one, which makes it logistic regression. Products by OpenBLAS. */
#include "infer/train_impl.h"

#include "base/rng.h"
#include "m2c_config.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#if M2C_HAVE_LAPACKE
#include <cblas.h>

enum { BATCH = 256, PASSES = 20, PATIENCE = 4, JUDGED_MAX = 1500 };
static const double RATE = 1e-3, BETA1 = 0.9, BETA2 = 0.999, DECAY = 0.01, STOP_AT = 0.99;
/* An activity of 0 or 1 less 1/2, by least squares, is about a quarter of the
 * log of the odds. */
static const float LOGIT = 4;

/* A trained array and AdamW's state of it. */
struct weights {
    float *w, *g, *m, *v, *best;
    size_t n;
    bool decays;
};

struct trainer {
    const struct m2c_train_job *job;
    uint32_t d, n, width, inner;
    uint64_t tokens;
    uint32_t *order; /* of tokens in a pass */
    struct weights narrow, wide, bias;
    float *x, *mid, *z, *dmid; /* a batch: [d], [width], [n], [width] a row */
    uint32_t *scratch;         /* [n] */
    float *weight;             /* [n] of inactive neurons */
    uint64_t step;
};

static bool weights_open(struct weights *w, float *from, size_t n, bool decays)
{
    *w = (struct weights){.w = from, .n = n, .decays = decays};
    w->g = calloc(n + 1, sizeof(float));
    w->m = calloc(n + 1, sizeof(float));
    w->v = calloc(n + 1, sizeof(float));
    w->best = calloc(n + 1, sizeof(float));
    return w->g && w->m && w->v && w->best;
}

static void weights_close(struct weights *w)
{
    free(w->g);
    free(w->m);
    free(w->v);
    free(w->best);
}

static void keep(struct weights *w)
{
    if (w->n)
        memcpy(w->best, w->w, w->n * sizeof(float));
}

static void recall_best(struct weights *w)
{
    if (w->n)
        memcpy(w->w, w->best, w->n * sizeof(float));
}

/* Loshchilov and Hutter 2019, algorithm 2. */
static void adamw(struct weights *w, uint64_t step, double rate)
{
    double c1 = 1 - pow(BETA1, (double)step), c2 = 1 - pow(BETA2, (double)step);
    float b1 = (float)BETA1, b2 = (float)BETA2, size = (float)(rate / c1);
    float root = (float)(1 / sqrt(c2)), shrink = w->decays ? (float)(1 - rate * DECAY) : 1;
    for (size_t i = 0; i < w->n; i++) {
        float g = w->g[i];
        w->m[i] = b1 * w->m[i] + (1 - b1) * g;
        w->v[i] = b2 * w->v[i] + (1 - b2) * g * g;
        w->w[i] = shrink * w->w[i] - size * w->m[i] / (sqrtf(w->v[i]) * root + 1e-8f);
    }
}

/* z = wide · narrow · x + bias for `rows` rows of t->x. */
static void forward(struct trainer *t, int rows)
{
    const float *in = t->x;
    for (int r = 0; r < rows; r++)
        memcpy(t->z + (size_t)r * t->n, t->bias.w, t->n * sizeof(float));
    if (t->width) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, (int)t->width, (int)t->d,
                    1, t->x, (int)t->d, t->narrow.w, (int)t->d, 0, t->mid, (int)t->width);
        in = t->mid;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, (int)t->n, (int)t->inner, 1,
                in, (int)t->inner, t->wide.w, (int)t->inner, 1, t->z, (int)t->n);
}

/* The gradients from dz, which is in t->z. */
static void backward(struct trainer *t, int rows)
{
    const int d = (int)t->d, n = (int)t->n, w = (int)t->width, inner = (int)t->inner;
    const float *in = t->width ? t->mid : t->x;
    memset(t->bias.g, 0, t->n * sizeof(float));
    for (int r = 0; r < rows; r++)
        cblas_saxpy(n, 1, t->z + (size_t)r * t->n, 1, t->bias.g, 1);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, inner, rows, 1, t->z, n, in,
                inner, 0, t->wide.g, inner);
    if (t->width == 0)
        return;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, w, n, 1, t->z, n, t->wide.w,
                w, 0, t->dmid, w);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, w, d, rows, 1, t->dmid, w, t->x, d,
                0, t->narrow.g, d);
}

static const uint16_t *truth_of(const struct trainer *t, uint64_t token)
{
    return t->job->s->layer[t->job->to].score + token * t->n;
}

static void take(struct trainer *t, int row, uint64_t token)
{
    memcpy(t->x + (size_t)row * t->d,
           t->job->s->layer[t->job->from].x + token * t->d, t->d * sizeof(float));
}

static void train_batch(struct trainer *t, const uint32_t *tokens, int rows, double rate)
{
    for (int r = 0; r < rows; r++)
        take(t, r, tokens[r]);
    forward(t, rows);
    for (int r = 0; r < rows; r++) {
        const uint16_t *y = truth_of(t, tokens[r]);
        float *z = t->z + (size_t)r * t->n, scale = 1.0f / (float)rows;
        for (uint32_t i = 0; i < t->n; i++) {
            float p = 1 / (1 + expf(-z[i]));
            z[i] = scale * (y[i] ? p - 1 : p * t->weight[i]);
        }
    }
    backward(t, rows);
    t->step++;
    adamw(&t->narrow, t->step, rate);
    adamw(&t->wide, t->step, rate);
    adamw(&t->bias, t->step, rate);
}

/* Mean recall at the true k on the tokens that are not trained on. */
static double judged(struct trainer *t)
{
    uint64_t all = t->job->s->layer[t->job->to].n_tok;
    uint64_t end = M2C_MIN(all, t->tokens + (uint64_t)JUDGED_MAX);
    double sum = 0;
    for (uint64_t at = t->tokens; at < end; at += BATCH) {
        int rows = (int)M2C_MIN((uint64_t)BATCH, end - at);
        for (int r = 0; r < rows; r++)
            take(t, r, at + (uint64_t)r);
        forward(t, rows);
        for (int r = 0; r < rows; r++)
            sum += m2c_recall_true_k(t->z + (size_t)r * t->n, truth_of(t, at + (uint64_t)r),
                                     t->n, t->scratch);
    }
    return sum / (double)(end - t->tokens);
}

static void one_pass(struct trainer *t, struct m2c_rng *rng, int pass)
{
    for (uint64_t i = t->tokens - 1; i > 0; i--) { /* Fisher and Yates */
        uint32_t j = m2c_rng_below(rng, (uint32_t)i + 1), k = t->order[i];
        t->order[i] = t->order[j];
        t->order[j] = k;
    }
    double rate = RATE * 0.5 * (1 + cos(3.14159265358979 * pass / PASSES));
    for (uint64_t at = 0; at < t->tokens; at += BATCH)
        train_batch(t, t->order + at, (int)M2C_MIN((uint64_t)BATCH, t->tokens - at), rate);
}

static int train(struct trainer *t, struct m2c_predictor_layer *out, struct m2c_err *err)
{
    const struct m2c_train_job *job = t->job;
    struct m2c_rng rng;
    m2c_rng_init(&rng, 1, job->to);
    struct weights *all[] = {&t->narrow, &t->wide, &t->bias};
    double best = judged(t), now = best;
    int since = 0, pass = 0;
    for (int i = 0; i < 3; i++)
        keep(all[i]);
    for (; pass < PASSES && since < PATIENCE && best < STOP_AT; pass++) {
        if (job->stop && *job->stop)
            return m2c_fail(err, -EINTR, "interrupted");
        one_pass(t, &rng, pass);
        now = judged(t);
        since = now > best ? 0 : since + 1;
        best = M2C_MAX(now, best);
        for (int i = 0; i < 3 && since == 0; i++)
            keep(all[i]);
        m2c_log(job->log, M2C_LOG_INFO, "layer %u: pass %d, recall %.4f (best %.4f)",
                job->to, pass + 1, now, best);
    }
    for (int i = 0; i < 3; i++)
        recall_best(all[i]);
    out->recall = (float)best;
    return isfinite(best) ? 0 : m2c_fail(err, -EDOM, "training: an input is not a number");
}

static void weigh(struct trainer *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        uint64_t active = 0;
        for (uint64_t k = 0; k < t->tokens; k++)
            active += truth_of(t, k)[i] != 0;
        t->weight[i] = (float)((double)active / (double)t->tokens) + 0.005f;
    }
}

static bool make(struct trainer *t, struct m2c_predictor_layer *out)
{
    bool ok = weights_open(&t->narrow, out->narrow, (size_t)t->width * t->d, true);
    ok = weights_open(&t->wide, out->wide, (size_t)t->n * t->inner, true) && ok;
    ok = weights_open(&t->bias, out->bias, t->n, false) && ok;
    t->order = calloc(t->tokens, sizeof *t->order);
    t->x = calloc((size_t)BATCH * t->d, sizeof *t->x);
    t->mid = calloc((size_t)BATCH * t->inner, sizeof *t->mid);
    t->dmid = calloc((size_t)BATCH * t->inner, sizeof *t->dmid);
    t->z = calloc((size_t)BATCH * t->n, sizeof *t->z);
    t->scratch = calloc(t->n, sizeof *t->scratch);
    t->weight = calloc(t->n, sizeof *t->weight);
    return ok && t->order && t->x && t->mid && t->dmid && t->z && t->scratch && t->weight;
}

static void drop(struct trainer *t)
{
    weights_close(&t->narrow);
    weights_close(&t->wide);
    weights_close(&t->bias);
    free(t->order);
    free(t->x);
    free(t->mid);
    free(t->dmid);
    free(t->z);
    free(t->scratch);
    free(t->weight);
}

int m2c_train_mlp(const struct m2c_train_job *job, struct m2c_predictor_layer *out,
                  struct m2c_err *err)
{
    const struct m2c_predictor *p = job->shape;
    struct trainer t = {.job = job,
                        .d = p->dim,
                        .n = p->n,
                        .width = p->width,
                        .inner = m2c_predictor_inner(p),
                        .tokens = m2c_train_tokens(job)};
    if (t.tokens < BATCH || t.tokens > UINT32_MAX ||
        t.tokens == job->s->layer[job->to].n_tok)
        return m2c_fail(err, -EINVAL, "%llu tokens are too few to train on, or too many",
                        (unsigned long long)t.tokens);
    int r = m2c_train_rrr(job, out, err);
    if (r < 0)
        return r;
    if (!make(&t, out))
        r = m2c_fail(err, -ENOMEM, "training: out of memory");
    for (size_t i = 0; i < t.wide.n && r == 0; i++)
        out->wide[i] *= LOGIT;
    for (uint32_t i = 0; i < t.n && r == 0; i++)
        out->bias[i] *= LOGIT;
    for (uint64_t i = 0; i < t.tokens && r == 0; i++)
        t.order[i] = (uint32_t)i;
    if (r == 0) {
        weigh(&t);
        r = train(&t, out, err);
    }
    drop(&t);
    return r;
}
#else
int m2c_train_mlp(const struct m2c_train_job *job, struct m2c_predictor_layer *out,
                  struct m2c_err *err)
{
    return m2c_train_rrr(job, out, err);
}
#endif
