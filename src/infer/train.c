/* SPDX-License-Identifier: MIT */
/* Samples for training, and judging a predictor on samples. */
#include "infer/train.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int m2c_samples_open(struct m2c_samples **out, uint32_t layers, uint32_t dim, uint32_t n,
                     uint64_t cap, struct m2c_err *err)
{
    struct m2c_samples *s = calloc(1, sizeof *s);
    bool ok = s && (s->layer = calloc(layers, sizeof *s->layer)) != NULL;
    if (s) {
        s->layers = layers;
        s->dim = dim;
        s->n = n;
        s->cap = cap;
    }
    for (uint32_t l = 0; l < layers && ok; l++) {
        struct m2c_sample_layer *y = &s->layer[l];
        y->x = calloc(cap, dim * sizeof *y->x);
        y->score = calloc(cap, n * sizeof *y->score);
        y->mass = calloc(cap, sizeof *y->mass);
        ok = y->x && y->score && y->mass;
    }
    if (!ok) {
        m2c_samples_close(s);
        return m2c_fail(err, -ENOMEM,
                        "samples of %llu tokens: out of memory; --tokens makes them fewer",
                        (unsigned long long)cap);
    }
    *out = s;
    return 0;
}

void m2c_samples_close(struct m2c_samples *s)
{
    if (!s)
        return;
    for (uint32_t l = 0; s->layer && l < s->layers; l++) {
        free(s->layer[l].x);
        free(s->layer[l].score);
        free(s->layer[l].mass);
    }
    free(s->layer);
    free(s);
}

void m2c_samples_add(struct m2c_samples *s, uint32_t layer, const float *x,
                     const float *score, double mass)
{
    struct m2c_sample_layer *y = &s->layer[layer];
    if (y->n_tok == s->cap)
        return;
    memcpy(y->x + y->n_tok * s->dim, x, s->dim * sizeof *x);
    uint16_t *to = y->score + y->n_tok * s->n;
    for (uint32_t i = 0; i < s->n; i++) {
        uint16_t h = m2c_f32_to_f16(M2C_MIN(score[i], 65504.0f));
        to[i] = score[i] > 0 && h == 0 ? 1 : h; /* active stays active */
    }
    y->mass[y->n_tok++] = mass;
}

/* ---- recall ---- */

struct scored {
    float score;
    uint32_t id;
};

static bool better(struct scored a, struct scored b)
{
    return a.score > b.score || (a.score == b.score && a.id < b.id);
}

/* Brings the k best to the front (Hoare's selection); the order among them is
 * left as it comes. */
static void best_first(const float *score, uint32_t *order, uint32_t n, uint32_t k)
{
    for (uint32_t lo = 0, hi = n; hi - lo > 1 && k > lo && k < hi;) {
        uint32_t mid = order[lo + (hi - lo) / 2], at = lo;
        struct scored pivot = {score[mid], mid};
        order[lo + (hi - lo) / 2] = order[hi - 1];
        order[hi - 1] = mid;
        for (uint32_t i = lo; i + 1 < hi; i++) {
            struct scored s = {score[order[i]], order[i]};
            if (better(s, pivot)) {
                order[i] = order[at];
                order[at++] = s.id;
            }
        }
        order[hi - 1] = order[at];
        order[at] = mid;
        if (k <= at)
            hi = at;
        else
            lo = at + 1;
    }
}

/* Returns k, and its truly active ids at the front of `order`, counted. */
static uint32_t take_true_k(const float *score, const uint16_t *truth, uint32_t n,
                            uint32_t *order, uint32_t *caught)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++) {
        order[i] = i;
        k += truth[i] != 0;
    }
    best_first(score, order, n, k);
    *caught = 0;
    for (uint32_t i = 0; i < k; i++)
        *caught += truth[order[i]] != 0;
    return k;
}

double m2c_recall_true_k(const float *score, const uint16_t *truth, uint32_t n,
                         uint32_t *order)
{
    uint32_t caught, k = take_true_k(score, truth, n, order, &caught);
    return k ? (double)caught / k : 1;
}

/* ---- judging ---- */

struct judge {
    const struct m2c_sample_layer *y;
    uint32_t n, *order;
    float *before, *hot; /* scores of the two that predict nothing */
    double predicted, hits, truly; /* by threshold, over all tokens */
};

static void judge_token(struct judge *j, uint64_t t, const float *score,
                        struct m2c_judgement *out)
{
    const uint16_t *truth = j->y->score + t * j->n;
    uint32_t caught, k = take_true_k(score, truth, j->n, j->order, &caught);
    double mass = 0;
    for (uint32_t i = 0; i < k; i++)
        mass += (double)m2c_f16_to_f32(truth[j->order[i]]);
    for (uint32_t i = 0; i < j->n; i++) {
        j->predicted += score[i] > 0;
        j->hits += score[i] > 0 && truth[i];
    }
    j->truly += k;
    out->recall += k ? (double)caught / k : 1;
    out->mass += j->y->mass[t] > 0 ? M2C_MIN(mass / j->y->mass[t], 1.0) : 1;
    out->fixed += m2c_recall_true_k(j->hot, truth, j->n, j->order);
    out->prev += m2c_recall_true_k(j->before, truth, j->n, j->order);
    for (uint32_t i = 0; i < j->n; i++)
        j->before[i] = m2c_f16_to_f32(truth[i]);
}

static void average(struct judge *j, struct m2c_judgement *out)
{
    double tokens = (double)j->y->n_tok, all = tokens * j->n;
    out->recall /= tokens;
    out->mass /= tokens;
    out->fixed /= tokens;
    out->prev /= tokens;
    out->active = j->truly / all;
    out->threshold_share = j->predicted / all;
    out->threshold_recall = j->truly > 0 ? j->hits / j->truly : 1;
    out->threshold_precision = j->predicted > 0 ? j->hits / j->predicted : 1;
}

/* What goes through the device together: a wait for every token would cost more
 * than the sums. */
enum { TOGETHER = 128, TIMED = 30 };

struct bench {
    struct m2c_predict *p;
    struct m2c_dev *dev;
    struct m2c_queue *queue;
    const struct m2c_samples *s;
    uint32_t from, to;
    struct m2c_buf *x, *stage, *scores; /* f32 [TOGETHER][dim] twice, [TOGETHER][n] */
};

static int bench_wait(const struct bench *b, struct m2c_err *err)
{
    struct m2c_event *ev = NULL;
    int r = m2c_queue_record(b->queue, &ev, err);
    if (r == 0)
        r = m2c_event_wait(ev, NULL, err);
    m2c_event_free(ev);
    return r;
}

static int bench_open(struct bench *b, struct m2c_err *err)
{
    size_t in = TOGETHER * b->s->dim * sizeof(float), out = TOGETHER * b->s->n * sizeof(float);
    int r = m2c_dev_alloc(b->dev, M2C_PLACE_DEVICE, in, &b->x, err);
    if (r == 0)
        r = m2c_dev_alloc(b->dev, M2C_PLACE_PINNED, in, &b->stage, err);
    if (r == 0)
        r = m2c_dev_alloc(b->dev, M2C_PLACE_PINNED, out, &b->scores, err);
    return r;
}

static void bench_close(struct bench *b)
{
    m2c_dev_free(b->dev, b->x);
    m2c_dev_free(b->dev, b->stage);
    m2c_dev_free(b->dev, b->scores);
}

/* The scores of tokens [at, at + n), n <= TOGETHER, in b->scores. */
static int score_tokens(const struct bench *b, uint64_t at, uint64_t n, struct m2c_err *err)
{
    size_t row = b->s->dim * sizeof(float);
    memcpy(b->stage->host, b->s->layer[b->from].x + at * b->s->dim, n * row);
    struct m2c_copy up = {{b->x, 0}, {b->stage, 0}, n * row};
    int r = m2c_queue_copy(b->queue, &up, 1, err);
    for (uint64_t t = 0; t < n && r == 0; t++) {
        r = m2c_predict_layer(b->p, b->to, (struct m2c_mem){b->x, t * row}, err);
        if (r == 0)
            r = m2c_predict_bring(
                b->p, b->to, (struct m2c_mem){b->scores, t * b->s->n * sizeof(float)}, err);
    }
    if (r == 0)
        r = bench_wait(b, err);
    for (uint64_t t = 0; t < n && r == 0; t++)
        m2c_predict_settle(b->p, (float *)b->scores->host + t * b->s->n);
    return r;
}

/* Of one token's scores, as decode waits for them: the best of some. */
static int time_token(const struct bench *b, double *best_ns, struct m2c_err *err)
{
    int r = 0;
    *best_ns = INFINITY;
    for (int i = 0; i < TIMED && r == 0; i++) {
        uint64_t t0 = m2c_now_ns();
        r = m2c_predict_layer(b->p, b->to, (struct m2c_mem){b->x, 0}, err);
        if (r == 0)
            r = bench_wait(b, err);
        *best_ns = M2C_MIN(*best_ns, (double)(m2c_now_ns() - t0));
    }
    return r;
}

static int judge_all(const struct bench *b, struct judge *j, struct m2c_judgement *out,
                     struct m2c_err *err)
{
    int r = 0;
    for (uint64_t at = 0; at < j->y->n_tok && r == 0; at += TOGETHER) {
        uint64_t n = M2C_MIN((uint64_t)TOGETHER, j->y->n_tok - at);
        r = score_tokens(b, at, n, err);
        for (uint64_t t = 0; t < n && r == 0; t++)
            judge_token(j, at + t, (const float *)b->scores->host + t * j->n, out);
    }
    if (r == 0)
        r = time_token(b, &out->token_ns, err);
    if (r == 0)
        average(j, out);
    return r;
}

int m2c_judge_predictor(struct m2c_predict *p, struct m2c_dev *dev,
                        struct m2c_queue *queue, const struct m2c_samples *s, uint32_t from,
                        uint32_t to, const uint32_t *hot, struct m2c_judgement *out,
                        struct m2c_err *err)
{
    struct judge j = {.y = &s->layer[to], .n = s->n};
    struct bench b = {p, dev, queue, s, from, to, NULL, NULL, NULL};
    *out = (struct m2c_judgement){0};
    j.order = calloc(s->n, sizeof *j.order);
    j.before = calloc(s->n, sizeof *j.before);
    j.hot = calloc(s->n, sizeof *j.hot);
    int r = j.order && j.before && j.hot ? bench_open(&b, err)
                                         : m2c_fail(err, -ENOMEM, "judging: out of memory");
    for (uint32_t i = 0; i < s->n && hot && r == 0; i++)
        j.hot[hot[i]] = (float)(s->n - i);
    if (r == 0)
        r = judge_all(&b, &j, out, err);
    bench_close(&b);
    free(j.order);
    free(j.before);
    free(j.hot);
    return r;
}
