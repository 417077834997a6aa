/* SPDX-License-Identifier: MIT */
/* The walk of a token (or a chunk of a prompt) through all layers. */
#include "infer/show.h"

#include "ops/ref.h"

#include <errno.h>
#include <string.h>

int m2c_engine_mark(struct m2c_engine *e, enum m2c_phase phase, struct m2c_err *err)
{
    /* Many waves make many marks; past the table the last interval grows. */
    if (e->n_marks == e->cap_marks) {
        e->marks[e->n_marks - 1].phase = phase;
        m2c_event_free(e->marks[e->n_marks - 1].ev);
        e->n_marks--;
    }
    struct m2c_mark *m = &e->marks[e->n_marks];
    m->phase = phase;
    m->layer = e->layer;
    int r = m2c_queue_record(e->queue, &m->ev, err);
    e->n_marks += r == 0;
    return r;
}

/* Waits for all marks; the first one only starts the clock. */
static int settle(struct m2c_engine *e, struct m2c_err *err)
{
    uint64_t last = 0;
    int r = 0;
    for (uint32_t i = 0; i < e->n_marks; i++) {
        uint64_t at = 0;
        if (r == 0)
            r = m2c_event_wait(e->marks[i].ev, &at, err);
        m2c_event_free(e->marks[i].ev);
        if (i && r == 0)
            e->stats.phase_ns[e->marks[i].phase] += at - last;
        if (i && r == 0 && e->timeline)
            m2c_show_phase(e, e->marks[i].phase, e->marks[i].layer, last, at);
        last = at;
    }
    e->n_marks = 0;
    return r;
}

static int embed(struct m2c_engine *e, const uint32_t *tokens, uint32_t rows,
                 struct m2c_err *err)
{
    memcpy(e->ids_host->host, tokens, rows * sizeof *tokens);
    struct m2c_copy ids = {e->ids, {e->ids_host, 0}, rows * sizeof *tokens};
    struct m2c_call c = {.op = M2C_OP_EMBED};
    c.u.embed = (struct m2c_embed_args){
        .table = e->dense->embed, .ids = e->ids, .out = e->x, .rows = rows, .scale = 1};
    int r = m2c_queue_copy(e->queue, &ids, 1, err);
    return r < 0 ? r : m2c_queue_launch(e->queue, &c, err);
}

/* What a walk is to bring to the host. */
enum result { NOTHING, LOGITS, NEXT /* the arg-max of the logits alone */ };

/* Logits of the last of `rows` rows of x, and the result on the host. */
static int head(struct m2c_engine *e, uint32_t rows, enum result result,
                struct m2c_err *err)
{
    struct m2c_mem x = m2c_mem_at(e->x, (size_t)(rows - 1) * e->model->dim * sizeof(float));
    struct m2c_call n = {.op = M2C_OP_NORM}, c = {.op = M2C_OP_MATMUL};
    struct m2c_call best = {.op = M2C_OP_ARGMAX,
                            .u.argmax = {e->logits, e->ids, 1, e->model->vocab}};
    n.u.norm = (struct m2c_norm_args){.x = x,
                                      .w = e->dense->final_norm,
                                      .y = e->xn,
                                      .rows = 1,
                                      .n = e->model->dim,
                                      .eps = e->model->norm_eps};
    c.u.matmul = (struct m2c_matmul_args){
        .w = e->dense->head, .x = e->xn, .y = e->logits, .rows = 1};
    struct m2c_copy logits = {
        {e->logits_host, 0}, e->logits, e->model->vocab * sizeof(float)};
    struct m2c_copy id = {{e->ids_host, 0}, e->ids, sizeof(uint32_t)};
    int r = m2c_queue_launch(e->queue, &n, err);
    r = r < 0 ? r : m2c_queue_launch(e->queue, &c, err);
    if (r == 0 && result == NEXT)
        r = m2c_queue_launch(e->queue, &best, err);
    return r < 0 ? r : m2c_queue_copy(e->queue, result == NEXT ? &id : &logits, 1, err);
}

static int check(struct m2c_engine *e, const uint32_t *tokens, uint32_t n,
                 struct m2c_err *err)
{
    if (e->failed)
        return m2c_fail(err, e->failed, "the engine failed before");
    if (n > e->ctx - e->pos)
        return m2c_fail(err, -ERANGE, "context of %u tokens is full at position %u", e->ctx,
                        e->pos);
    for (uint32_t i = 0; i < n; i++) {
        if (tokens[i] >= e->model->vocab)
            return m2c_fail(err, -EINVAL, "token id %u is outside the vocabulary of %u",
                            tokens[i], e->model->vocab);
    }
    return 0;
}

static int walk(struct m2c_engine *e, const uint32_t *tokens, uint32_t rows, bool dense,
                enum result result, struct m2c_err *err)
{
    uint64_t began = m2c_show_now(e);
    m2c_timeline_token(e->timeline, e->pos);
    int r = m2c_engine_mark(e, M2C_PHASE_ATTENTION, err);
    r = r < 0 ? r : embed(e, tokens, rows, err);
    for (uint32_t l = 0; l < e->model->layers && r == 0; l++) {
        uint64_t from = m2c_show_now(e);
        e->layer = l;
        r = m2c_engine_attention(e, l, rows, err);
        r = r < 0 ? r : m2c_engine_mark(e, M2C_PHASE_ATTENTION, err);
        r = r < 0 ? r : m2c_engine_ffn(e, l, rows, dense, err);
        if (r < 0)
            m2c_fail_in(err, r, "layer %u, position %u", l, e->pos);
        if (e->timeline)
            m2c_show_host(e, M2C_TRACK_TOKENS, "layer", l, from);
    }
    e->layer = M2C_NO_LAYER;
    if (r == 0 && result != NOTHING)
        r = head(e, rows, result, err);
    r = r < 0 ? r : m2c_engine_mark(e, M2C_PHASE_ATTENTION, err);
    int s = settle(e, err);
    r = r < 0 ? r : s;
    if (e->timeline) {
        r = r < 0 ? r : m2c_tier_show(e->tier, e->ahead_ns, err);
        m2c_show_host(e, M2C_TRACK_TOKENS, dense ? "prompt" : "token", M2C_NO_LAYER, began);
    }
    e->failed = r;
    e->pos += r < 0 ? 0 : rows;
    return r;
}

static int prefill(struct m2c_engine *e, const uint32_t *tokens, uint32_t n, bool dense,
                   enum result result, struct m2c_err *err)
{
    int r = check(e, tokens, n, err);
    uint32_t chunk = dense ? e->rows : 1;
    for (uint32_t i = 0; i < n && r == 0; i += chunk) {
        uint32_t rows = M2C_MIN(chunk, n - i);
        r = walk(e, tokens + i, rows, dense, i + rows == n ? result : NOTHING, err);
        if (r == 0 && dense)
            e->stats.dense_rows += rows;
        else
            e->stats.tokens += r == 0;
    }
    return r;
}

int m2c_engine_prefill(struct m2c_engine *e, const uint32_t *tokens, uint32_t n,
                       bool dense, const float **logits, struct m2c_err *err)
{
    if (logits && m2c_dev_info(e->dev)->simulated)
        return m2c_fail(err, -ENOTSUP, "%s computes nothing: it has no logits to score or sample",
                        m2c_dev_info(e->dev)->name);
    int r = prefill(e, tokens, n, dense, logits ? LOGITS : NOTHING, err);
    if (logits)
        *logits = e->logits_host->host;
    return r;
}

int m2c_engine_decode(struct m2c_engine *e, uint32_t token, const float **logits,
                      struct m2c_err *err)
{
    return m2c_engine_prefill(e, &token, 1, false, logits, err);
}

/* The device's op, on the host. */
static void best_logit(struct m2c_engine *e, uint32_t *next)
{
    struct m2c_buf out = {.host = next, .bytes = sizeof *next};
    struct m2c_call c = {
        M2C_OP_ARGMAX,
        .u.argmax = {{e->logits_host, 0}, {&out, 0}, 1, e->model->vocab}};
    m2c_ref(c.op)(&c);
}

int m2c_engine_greedy(struct m2c_engine *e, const uint32_t *tokens, uint32_t n, bool dense,
                      uint32_t *next, struct m2c_err *err)
{
    bool there = m2c_dev_supports(e->dev, M2C_OP_ARGMAX, M2C_F32);
    if (n == 0)
        return m2c_fail(err, -EINVAL, "no token to go on from");
    int r = prefill(e, tokens, n, dense, there ? NEXT : LOGITS, err);
    if (r == 0 && there)
        *next = *(const uint32_t *)e->ids_host->host;
    else if (r == 0)
        best_logit(e, next);
    return r == 0 && *next == M2C_NO_ID
               ? m2c_fail(err, -EDOM, "a logit at position %u is not a number", e->pos - 1)
               : r;
}

void m2c_engine_restart(struct m2c_engine *e)
{
    e->pos = 0;
    m2c_selector_restart(e->selector);
    memset(e->wanted_before, 0, (size_t)e->model->layers * e->model->hidden);
}

bool m2c_engine_rewind(struct m2c_engine *e, uint32_t pos)
{
    if (pos > e->pos || !m2c_selector_memoryless(e->selector))
        return false;
    e->pos = pos;
    /* the token before is another one now: no overlap is counted with it */
    memset(e->wanted_before, 0, (size_t)e->model->layers * e->model->hidden);
    return true;
}

uint32_t m2c_engine_pos(const struct m2c_engine *e) { return e->pos; }
uint32_t m2c_engine_ctx(const struct m2c_engine *e) { return e->ctx; }
uint32_t m2c_engine_vocab(const struct m2c_engine *e) { return e->model->vocab; }
struct m2c_tier *m2c_engine_tier(struct m2c_engine *e) { return e->tier; }
struct m2c_dev *m2c_engine_dev(struct m2c_engine *e) { return e->dev; }
const struct m2c_engine_stats *m2c_engine_stats(const struct m2c_engine *e)
{
    return &e->stats;
}
const struct m2c_engine_plan *m2c_engine_planned(const struct m2c_engine *e)
{
    return &e->plan;
}

bool m2c_engine_made_up(const struct m2c_engine *e)
{
    return m2c_selector_made_up(e->selector);
}

bool m2c_engine_informed(const struct m2c_engine *e)
{
    return m2c_selector_informed(e->selector);
}

void m2c_engine_stats_reset(struct m2c_engine *e)
{
    struct m2c_engine_stats fresh = {.layer_true = e->stats.layer_true,
                                     .layer_same = e->stats.layer_same,
                                     .layer_prev = e->stats.layer_prev,
                                     .layer_kept = e->stats.layer_kept};
    size_t bytes = e->model->layers * sizeof(uint64_t);
    memset(fresh.layer_true, 0, bytes);
    memset(fresh.layer_same, 0, bytes);
    memset(fresh.layer_prev, 0, bytes);
    memset(fresh.layer_kept, 0, bytes);
    e->stats = fresh;
    m2c_dev_counters(e->dev, &e->counts_base);
    m2c_tier_counters_reset(e->tier);
    m2c_timeline_mark(e->timeline, "counters reset");
}

void m2c_engine_device_counts(const struct m2c_engine *e, struct m2c_dev_counters *out)
{
    const struct m2c_dev_counters *base = &e->counts_base;
    m2c_dev_counters(e->dev, out);
    out->copies -= base->copies;
    out->copy_bytes -= base->copy_bytes;
    out->copy_batches -= base->copy_batches;
    out->launches -= base->launches;
    out->events -= base->events;
    out->host_ns -= base->host_ns;
}

struct m2c_queue *m2c_engine_queue(struct m2c_engine *e) { return e->queue; }

int m2c_engine_gate(struct m2c_engine *e, uint32_t layer, float *out, struct m2c_err *err)
{
    if (!e->shadow)
        return m2c_fail(err, -EINVAL, "the engine has no shadow of gate and up");
    return m2c_shadow_gate(e->shadow, e->queue, layer, out, err);
}

void m2c_engine_watch(struct m2c_engine *e, m2c_truth_fn fn, void *ctx)
{
    e->watch = fn;
    e->watch_ctx = ctx;
}

void m2c_engine_watch_wants(struct m2c_engine *e, m2c_wants_fn fn, void *ctx)
{
    e->watch_wants = fn;
    e->wants_ctx = ctx;
}

void m2c_engine_watch_input(struct m2c_engine *e, m2c_input_fn fn, void *ctx)
{
    e->watch_input = fn;
    e->watch_input_ctx = ctx;
}
