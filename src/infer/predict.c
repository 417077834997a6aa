/* SPDX-License-Identifier: MIT */
/* Predictors on the device. Matrices are encoded here, from the f32 of the rank
 * file to their type. Scores wait in lookahead + 1 buffers: a layer's are read
 * before those of the layer that shares its buffer are computed. */
#include "infer/predict.h"

#include "quant/codec.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

struct layer {
    struct m2c_buf *buf;
    struct m2c_tensor narrow, wide; /* narrow.rows = 0: there is one matrix */
    struct m2c_mem bias;
};

struct m2c_predict {
    struct m2c_dev *dev;
    struct m2c_queue *queue;
    uint32_t lookahead, layers, n, width;
    enum m2c_act act;
    bool through_act; /* scores are |act(.)| of what the matrices give */
    struct layer *layer;
    struct m2c_buf *mid, *scores, *host; /* f32 [width]; [lookahead + 1][n]; [n] */
    /* SELECT: made for the plan that asked first */
    struct m2c_buf *splits, *wants, *counts, *wants_host, *counts_host;
    bool on_device;
};

static size_t padded(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

static size_t matrix_bytes(enum m2c_type type, uint32_t rows, uint32_t cols)
{
    return padded(rows * m2c_code_bytes(type, cols)) +
           padded(rows * m2c_scale_bytes(type, cols));
}

static size_t layer_bytes(const struct m2c_predictor *p)
{
    return matrix_bytes(p->type, p->width, p->dim) +
           matrix_bytes(p->type, p->n, m2c_predictor_inner(p)) +
           padded(p->n * sizeof(float));
}

uint64_t m2c_predict_bytes(const struct m2c_predictor *p)
{
    return (uint64_t)p->layers * layer_bytes(p) +
           sizeof(float) * ((uint64_t)p->width + (p->lookahead + 1) * (uint64_t)p->n);
}

/* ---- open ---- */

/* Says where a matrix will lie, from *at on. */
static void place(struct m2c_tensor *t, struct m2c_buf *buf, size_t *at)
{
    t->codes = (struct m2c_mem){buf, *at};
    *at += padded(t->rows * m2c_code_bytes(t->type, t->cols));
    t->scales = (struct m2c_mem){buf, *at};
    *at += padded(t->rows * m2c_scale_bytes(t->type, t->cols));
}

/* Encodes a matrix into `image`, where it has its place. */
static int encode(const float *w, const struct m2c_tensor *t, unsigned char *image,
                  struct m2c_err *err)
{
    size_t code = m2c_code_bytes(t->type, t->cols), scale = m2c_scale_bytes(t->type, t->cols);
    unsigned char *codes = image + t->codes.off, *scales = image + t->scales.off;
    int r = 0;
    for (uint32_t i = 0; i < t->rows && r == 0; i++)
        r = m2c_encode(t->type, w + (size_t)i * t->cols, t->cols, codes + i * code,
                       scales + i * scale, err);
    return r;
}

static int finish(struct m2c_queue *q, struct m2c_err *err)
{
    struct m2c_event *ev = NULL;
    int r = m2c_queue_record(q, &ev, err);
    if (r == 0)
        r = m2c_event_wait(ev, NULL, err);
    m2c_event_free(ev);
    return r;
}

static int load(struct m2c_predict *s, const struct m2c_predictor *p, uint32_t l,
                struct m2c_buf *stage, struct m2c_err *err)
{
    struct layer *y = &s->layer[l];
    size_t at = 0;
    int r = m2c_dev_alloc(s->dev, M2C_PLACE_DEVICE, layer_bytes(p), &y->buf, err);
    y->narrow = (struct m2c_tensor){.type = p->type, .rows = p->width, .cols = p->dim};
    y->wide =
        (struct m2c_tensor){.type = p->type, .rows = p->n, .cols = m2c_predictor_inner(p)};
    place(&y->narrow, y->buf, &at);
    place(&y->wide, y->buf, &at);
    y->bias = (struct m2c_mem){y->buf, at};
    if (r < 0 || !p->layer)
        return r;
    r = encode(p->layer[l].narrow, &y->narrow, stage->host, err);
    if (r == 0)
        r = encode(p->layer[l].wide, &y->wide, stage->host, err);
    if (r < 0)
        return m2c_fail_in(err, r, "predictor %s, layer %u", p->kind, l);
    memcpy((unsigned char *)stage->host + at, p->layer[l].bias, p->n * sizeof(float));
    struct m2c_copy c = {{y->buf, 0}, {stage, 0}, layer_bytes(p)};
    r = m2c_queue_copy(s->queue, &c, 1, err);
    return r < 0 ? r : finish(s->queue, err);
}

static int open_memory(struct m2c_predict *s, struct m2c_err *err)
{
    size_t n = s->n * sizeof(float);
    int r = m2c_dev_alloc(s->dev, M2C_PLACE_DEVICE, (s->lookahead + 1) * n, &s->scores, err);
    if (r == 0)
        r = m2c_dev_alloc(s->dev, M2C_PLACE_PINNED, n, &s->host, err);
    if (r == 0 && s->width)
        r = m2c_dev_alloc(s->dev, M2C_PLACE_DEVICE, s->width * sizeof(float), &s->mid, err);
    return r;
}

int m2c_predict_open(struct m2c_predict **out, struct m2c_dev *dev,
                     struct m2c_queue *queue, const struct m2c_predictor *p,
                     enum m2c_act act, struct m2c_err *err)
{
    struct m2c_predict *s = calloc(1, sizeof *s);
    if (!s || !(s->layer = calloc(p->layers, sizeof *s->layer))) {
        free(s);
        return m2c_fail(err, -ENOMEM, "predictor: out of memory");
    }
    s->dev = dev;
    s->queue = queue;
    s->lookahead = p->lookahead;
    s->layers = p->layers;
    s->n = p->n;
    s->width = p->width;
    s->act = act;
    s->through_act = act != M2C_ACT_RELU && strcmp(p->kind, "gate") == 0;
    struct m2c_buf *stage = NULL;
    int r = p->layer || m2c_dev_info(dev)->simulated
                ? 0
                : m2c_fail(err, -EINVAL, "predictor %s has no matrices", p->kind);
    if (r == 0 && !m2c_dev_supports(dev, M2C_OP_MATMUL, p->type))
        r = m2c_fail(err, -ENOTSUP, "device %s does not multiply by %s, as predictor %s needs",
                     m2c_dev_info(dev)->name, m2c_type_name(p->type), p->kind);
    if (r == 0)
        r = m2c_dev_alloc(dev, M2C_PLACE_PINNED, layer_bytes(p), &stage, err);
    for (uint32_t l = 0; l < p->layers && r == 0; l++)
        r = load(s, p, l, stage, err);
    m2c_dev_free(dev, stage);
    if (r == 0)
        r = open_memory(s, err);
    if (r < 0) {
        m2c_predict_close(s);
        return r;
    }
    *out = s;
    return 0;
}

void m2c_predict_close(struct m2c_predict *s)
{
    if (!s)
        return;
    for (uint32_t l = 0; l < s->layers; l++)
        m2c_dev_free(s->dev, s->layer[l].buf);
    struct m2c_buf *all[] = {s->mid,    s->scores,     s->host,       s->splits, s->wants,
                             s->counts, s->wants_host, s->counts_host};
    for (size_t i = 0; i < M2C_COUNTOF(all); i++)
        m2c_dev_free(s->dev, all[i]);
    free(s->layer);
    free(s);
}

/* ---- scores ---- */

static struct m2c_mem scores_of(const struct m2c_predict *s, uint32_t layer)
{
    return (struct m2c_mem){s->scores,
                            layer % (s->lookahead + 1) * (size_t)s->n * sizeof(float)};
}

int m2c_predict_layer(struct m2c_predict *s, uint32_t layer, struct m2c_mem x,
                      struct m2c_err *err)
{
    const struct layer *y = &s->layer[layer];
    struct m2c_mem to = scores_of(s, layer), mid = {s->mid, 0};
    struct m2c_copy bias = {to, y->bias, s->n * sizeof(float)};
    struct m2c_call narrow = {M2C_OP_MATMUL, .u.matmul = {y->narrow, x, mid, 1, false}};
    struct m2c_call wide = {M2C_OP_MATMUL,
                            .u.matmul = {y->wide, s->width ? mid : x, to, 1, true}};
    int r = m2c_queue_copy(s->queue, &bias, 1, err);
    if (r == 0 && s->width)
        r = m2c_queue_launch(s->queue, &narrow, err);
    return r < 0 ? r : m2c_queue_launch(s->queue, &wide, err);
}

int m2c_predict_from(struct m2c_predict *s, uint32_t source, struct m2c_mem x,
                     struct m2c_err *err)
{
    uint32_t first = source ? source + s->lookahead : 0;
    int r = 0;
    for (uint32_t l = first; l <= source + s->lookahead && l < s->layers && r == 0; l++)
        r = m2c_predict_layer(s, l, x, err);
    return r;
}

static float activation(enum m2c_act act, float x)
{
    if (act == M2C_ACT_SILU)
        return x / (1 + expf(-x));
    return 0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
}

int m2c_predict_bring(struct m2c_predict *s, uint32_t layer, struct m2c_mem dst,
                      struct m2c_err *err)
{
    struct m2c_copy back = {dst, scores_of(s, layer), s->n * sizeof(float)};
    return m2c_queue_copy(s->queue, &back, 1, err);
}

void m2c_predict_settle(const struct m2c_predict *s, float *scores)
{
    for (uint32_t i = 0; i < s->n && s->through_act; i++)
        scores[i] = fabsf(activation(s->act, scores[i]));
}

int m2c_predict_scores(struct m2c_predict *s, uint32_t layer, const float **scores,
                       struct m2c_err *err)
{
    int r = m2c_predict_bring(s, layer, (struct m2c_mem){s->host, 0}, err);
    if (r == 0)
        r = finish(s->queue, err);
    *scores = s->host->host;
    if (r == 0)
        m2c_predict_settle(s, s->host->host);
    return r;
}

/* ---- selection ---- */

static int open_select(struct m2c_predict *s, const struct m2c_select_cfg *plan,
                       struct m2c_err *err)
{
    uint32_t k = m2c_plan_count(plan), classes = plan->ratio.n;
    size_t table = ((size_t)k + 1) * classes * sizeof(uint32_t);
    size_t wants = k * sizeof(struct m2c_want), counts = (1 + (size_t)classes) * 4;
    struct m2c_buf *stage = NULL;
    int r = m2c_dev_alloc(s->dev, M2C_PLACE_DEVICE, table, &s->splits, err);
    if (r == 0)
        r = m2c_dev_alloc(s->dev, M2C_PLACE_DEVICE, wants, &s->wants, err);
    if (r == 0)
        r = m2c_dev_alloc(s->dev, M2C_PLACE_DEVICE, counts, &s->counts, err);
    if (r == 0)
        r = m2c_dev_alloc(s->dev, M2C_PLACE_PINNED, wants, &s->wants_host, err);
    if (r == 0)
        r = m2c_dev_alloc(s->dev, M2C_PLACE_PINNED, counts, &s->counts_host, err);
    if (r == 0)
        r = m2c_dev_alloc(s->dev, M2C_PLACE_PINNED, table, &stage, err);
    if (r == 0) {
        m2c_class_splits(&plan->ratio, k, stage->host);
        struct m2c_copy c = {{s->splits, 0}, {stage, 0}, table};
        r = m2c_queue_copy(s->queue, &c, 1, err);
    }
    if (r == 0)
        r = finish(s->queue, err);
    m2c_dev_free(s->dev, stage);
    s->on_device = r == 0;
    return r;
}

static int select_there(struct m2c_predict *s, const struct m2c_select_cfg *plan,
                        uint32_t layer, struct m2c_want *wants, uint32_t *n,
                        struct m2c_err *err)
{
    struct m2c_call c = {.op = M2C_OP_SELECT};
    c.u.select = (struct m2c_select_args){.scores = scores_of(s, layer),
                                          .splits = {s->splits, 0},
                                          .wants = {s->wants, 0},
                                          .counts = {s->counts, 0},
                                          .n = s->n,
                                          .k = m2c_plan_count(plan),
                                          .n_classes = plan->ratio.n,
                                          .positive_only = plan->positive_only};
    struct m2c_copy back[] = {
        {{s->counts_host, 0}, {s->counts, 0}, s->counts->bytes},
        {{s->wants_host, 0}, {s->wants, 0}, c.u.select.k * sizeof *wants}};
    int r = m2c_queue_launch(s->queue, &c, err);
    if (r == 0)
        r = m2c_queue_copy(s->queue, back, 2, err);
    if (r == 0)
        r = finish(s->queue, err);
    if (r < 0)
        return r;
    const uint32_t *counts = s->counts_host->host;
    if (counts[0] == M2C_NO_ID)
        return m2c_fail(err, -EDOM, "score of neuron %u is not a number", counts[1]);
    *n = counts[0];
    memcpy(wants, s->wants_host->host, *n * sizeof *wants);
    return 0;
}

int m2c_predict_wants(struct m2c_predict *s, struct m2c_selector *plan, uint32_t layer,
                      struct m2c_want *wants, uint32_t *n, struct m2c_err *err)
{
    const struct m2c_select_cfg *cfg = m2c_selector_cfg(plan);
    int r = 0;
    if (m2c_dev_supports(s->dev, M2C_OP_SELECT, M2C_F32) && !s->through_act &&
        m2c_plan_is_table(cfg)) {
        if (!s->on_device)
            r = open_select(s, cfg, err);
        return r < 0 ? r : select_there(s, cfg, layer, wants, n, err);
    }
    const float *scores = NULL;
    r = m2c_predict_scores(s, layer, &scores, err);
    return r < 0 ? r : m2c_selector_choose(plan, layer, scores, wants, n, err);
}
