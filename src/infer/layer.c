/* SPDX-License-Identifier: MIT */
/* One layer: attention, and the FFN through selector and tiers. */
#include "infer/show.h"

#include <errno.h>

static int launch(struct m2c_engine *e, const struct m2c_call *call, struct m2c_err *err)
{
    return m2c_queue_launch(e->queue, call, err);
}

static int norm(struct m2c_engine *e, struct m2c_mem w, uint32_t rows, bool relu,
                struct m2c_err *err)
{
    const struct m2c_model_cfg *m = e->model;
    struct m2c_call c = {.op = M2C_OP_NORM};
    c.u.norm = (struct m2c_norm_args){.x = e->x,
                                      .w = w,
                                      .y = e->xn,
                                      .rows = rows,
                                      .n = m->dim,
                                      .eps = m->norm_eps,
                                      .shift = m->input_relu_shift,
                                      .relu = relu && m->input_relu};
    return launch(e, &c, err);
}

static int matmul(struct m2c_engine *e, struct m2c_tensor w, struct m2c_mem x,
                  struct m2c_mem y, uint32_t rows, bool add, struct m2c_err *err)
{
    struct m2c_call c = {.op = M2C_OP_MATMUL};
    c.u.matmul =
        (struct m2c_matmul_args){.w = w, .x = x, .y = y, .rows = rows, .add = add};
    return launch(e, &c, err);
}

static int rope(struct m2c_engine *e, struct m2c_mem x, uint32_t rows, uint32_t heads,
                struct m2c_err *err)
{
    struct m2c_call c = {.op = M2C_OP_ROPE};
    c.u.rope = (struct m2c_rope_args){.x = x,
                                      .inv_freq = e->dense->inv_freq,
                                      .rows = rows,
                                      .heads = heads,
                                      .head_dim = e->model->head_dim,
                                      .pos = e->pos,
                                      .style = e->model->rope};
    return launch(e, &c, err);
}

static int append(struct m2c_engine *e, struct m2c_mem x, struct m2c_mem cache,
                  uint32_t rows, struct m2c_err *err)
{
    struct m2c_call c = {.op = M2C_OP_KV_APPEND};
    c.u.kv_append = (struct m2c_kv_append_args){.x = x,
                                                .cache = cache,
                                                .type = e->cfg.kv_type,
                                                .rows = rows,
                                                .n = e->model->kv_heads *
                                                     e->model->head_dim,
                                                .pos = e->pos};
    return launch(e, &c, err);
}

int m2c_engine_attention(struct m2c_engine *e, uint32_t l, uint32_t rows,
                         struct m2c_err *err)
{
    const struct m2c_model_cfg *m = e->model;
    const struct m2c_dense_layer *w = &e->dense->layer[l];
    size_t kv_half = (size_t)e->ctx * m->kv_heads * m->head_dim *
                     (e->cfg.kv_type == M2C_F16 ? 2 : 4);
    struct m2c_mem keys = {e->kv[l], 0}, values = {e->kv[l], kv_half};
    struct m2c_call c = {.op = M2C_OP_ATTENTION};
    c.u.attention = (struct m2c_attention_args){.q = e->q,
                                                .k = keys,
                                                .v = values,
                                                .out = e->att,
                                                .type = e->cfg.kv_type,
                                                .rows = rows,
                                                .heads = m->heads,
                                                .kv_heads = m->kv_heads,
                                                .head_dim = m->head_dim,
                                                .pos = e->pos};
    int r = norm(e, w->attn_norm, rows, true, err);
    r = r < 0 ? r : matmul(e, w->wq, e->xn, e->q, rows, false, err);
    r = r < 0 ? r : matmul(e, w->wk, e->xn, e->k, rows, false, err);
    r = r < 0 ? r : matmul(e, w->wv, e->xn, e->v, rows, false, err);
    r = r < 0 ? r : rope(e, e->q, rows, m->heads, err);
    r = r < 0 ? r : rope(e, e->k, rows, m->kv_heads, err);
    r = r < 0 ? r : append(e, e->k, keys, rows, err);
    r = r < 0 ? r : append(e, e->v, values, rows, err);
    r = r < 0 ? r : launch(e, &c, err);
    r = r < 0 ? r : matmul(e, w->wo, e->att, e->x, rows, true, err);
    r = r < 0 ? r : norm(e, w->ffn_norm, rows, true, err);
    return r;
}

/* ---- FFN ---- */

static int phase_a(struct m2c_engine *e, const struct m2c_wave *w, uint32_t rows,
                   uint8_t pass, struct m2c_err *err)
{
    struct m2c_call c = {.op = M2C_OP_FFN_UP};
    c.u.ffn_up = (struct m2c_ffn_up_args){.unit = w->unit,
                                          .x = e->xn,
                                          .list = w->list,
                                          .h = e->h,
                                          .rows = rows,
                                          .n = w->n,
                                          .pass = pass};
    return launch(e, &c, err);
}

static int phase_b(struct m2c_engine *e, const struct m2c_wave *w, uint32_t rows,
                   struct m2c_err *err)
{
    struct m2c_call c = {.op = M2C_OP_FFN_DOWN};
    c.u.ffn_down = (struct m2c_ffn_down_args){.unit = w->unit,
                                              .list = w->list,
                                              .h = e->h,
                                              .acc = e->acc,
                                              .rows = rows,
                                              .n = w->n,
                                              .seg_neurons = e->seg_neurons};
    return launch(e, &c, err);
}

/* Phase A runs on what is resident while the misses travel. */
static int run_wave(struct m2c_engine *e, const struct m2c_wave *w, uint32_t rows,
                    struct m2c_err *err)
{
    int r = m2c_engine_mark(e, M2C_PHASE_SELECT, err);
    if (r == 0 && w->n_hits)
        r = phase_a(e, w, rows, 0, err);
    if (r == 0)
        r = m2c_engine_mark(e, M2C_PHASE_A, err);
    if (r == 0 && w->n_hits < w->n) {
        struct m2c_event *arrived = NULL;
        uint64_t t0 = m2c_dev_now_ns(e->dev);
        m2c_dev_host_work(e->dev, M2C_HOST_MOVE, w->n - w->n_hits);
        r = m2c_tier_fetch(e->tier, &arrived, err);
        e->stats.tier_host_ns += m2c_show_host(e, M2C_TRACK_TIERS, "fetch", e->layer, t0);
        if (r == 0)
            r = m2c_queue_after(e->queue, arrived, err);
        m2c_event_free(arrived);
        if (r == 0)
            r = m2c_engine_mark(e, M2C_PHASE_COPY_WAIT, err);
        if (r == 0)
            r = phase_a(e, w, rows, 1, err);
        if (r == 0)
            r = m2c_engine_mark(e, M2C_PHASE_A, err);
    }
    if (r == 0)
        r = phase_b(e, w, rows, err);
    if (r == 0)
        r = m2c_tier_release(e->tier, err);
    return r == 0 ? m2c_engine_mark(e, M2C_PHASE_B, err) : r;
}

/* The FFN input, on the host, for who watches. */
static int fetch_x(struct m2c_engine *e, struct m2c_err *err)
{
    struct m2c_copy c = {{e->x_host, 0}, e->xn, e->model->dim * sizeof(float)};
    struct m2c_event *ev = NULL;
    int r = m2c_queue_copy(e->queue, &c, 1, err);
    if (r == 0)
        r = m2c_queue_record(e->queue, &ev, err);
    if (r == 0)
        r = m2c_event_wait(ev, NULL, err);
    m2c_event_free(ev);
    return r;
}

static int pick(struct m2c_engine *e, uint32_t l, const float *truth, uint32_t *n,
                struct m2c_err *err)
{
    int r = 0;
    if (e->predict)
        r = m2c_predict_wants(e->predict, e->selector, l, e->wants, n, err);
    /* where the predictor is a shape, its sets are not its own */
    return r == 0 && (!e->predict || m2c_selector_made_up(e->selector))
               ? m2c_selector_pick(e->selector, l, truth, e->wants, n, err)
               : r;
}

static int select_wants(struct m2c_engine *e, uint32_t l, uint32_t *n,
                        struct m2c_err *err)
{
    const float *truth = NULL;
    int r = 0;
    uint64_t t0 = m2c_dev_now_ns(e->dev);
    if (e->predict)
        r = m2c_predict_from(e->predict, l, e->xn, err);
    if (r == 0 && e->shadow) {
        r = m2c_shadow_truth(e->shadow, e->queue, l, e->xn, &truth, err);
        if (r == 0)
            r = m2c_engine_mark(e, M2C_PHASE_SELECT, err);
    }
    uint64_t shadow_ns = m2c_show_host(e, M2C_TRACK_SELECTION, "truth", l, t0);
    uint64_t t1 = t0 + shadow_ns;
    e->stats.shadow_ns += shadow_ns;
    if (r == 0)
        r = pick(e, l, truth, n, err);
    if (!e->predict)
        m2c_dev_host_work(e->dev, M2C_HOST_SCORE, e->model->hidden);
    e->stats.select_host_ns += m2c_show_host(e, M2C_TRACK_SELECTION, "pick", l, t1);
    if (r == 0 && e->watch && truth) {
        r = fetch_x(e, err);
        if (r == 0)
            e->watch(e->watch_ctx, l, e->x_host->host, truth, e->model->hidden);
    }
    if (r == 0 && e->watch_wants) {
        r = e->watch_wants(e->wants_ctx, l, e->wants, *n);
        if (r < 0)
            return m2c_fail(err, r, "the wants could not be recorded");
    }
    return r == 0 ? m2c_engine_judge(e, l, truth, *n, err) : r;
}

/* Shows the input of gate and up to whoever watches. */
static int show_input(struct m2c_engine *e, uint32_t l, uint32_t rows, struct m2c_err *err)
{
    struct m2c_event *ev = NULL;
    if (!e->watch_input)
        return 0;
    if (!e->xn.buf->host)
        return m2c_fail(err, -EINVAL,
                        "inputs are watched on devices whose memory the host can read");
    int r = m2c_queue_record(e->queue, &ev, err);
    if (r == 0)
        r = m2c_event_wait(ev, NULL, err);
    m2c_event_free(ev);
    if (r == 0)
        e->watch_input(e->watch_input_ctx, l, m2c_mem_host(e->xn), rows, e->model->dim);
    return r;
}

static void want_all(struct m2c_engine *e, uint32_t *n)
{
    *n = e->model->hidden;
    for (uint32_t i = 0; i < *n; i++)
        e->wants[i] = (struct m2c_want){
            .id = i, .score = 1, .cls = (uint32_t)e->prefill_class};
}

int m2c_engine_ffn(struct m2c_engine *e, uint32_t l, uint32_t rows, bool dense,
                   struct m2c_err *err)
{
    uint32_t n = 0;
    int r = show_input(e, l, rows, err);
    if (dense)
        want_all(e, &n);
    else if (r == 0)
        r = select_wants(e, l, &n, err);
    struct m2c_call zero = {.op = M2C_OP_FILL}, sum = {.op = M2C_OP_FFN_SUM};
    zero.u.fill = (struct m2c_fill_args){
        .dst = e->acc, .n = rows * e->segments * e->model->dim, .value = 0};
    sum.u.ffn_sum = (struct m2c_ffn_sum_args){.acc = e->acc,
                                              .y = e->x,
                                              .rows = rows,
                                              .dim = e->model->dim,
                                              .segments = e->segments};
    r = r < 0 ? r : launch(e, &zero, err);
    uint64_t t0 = m2c_dev_now_ns(e->dev);
    r = r < 0 ? r : m2c_tier_begin(e->tier, l, e->wants, n, err);
    while (r == 0) {
        struct m2c_wave w;
        int more = m2c_tier_wave(e->tier, &w, err);
        m2c_dev_host_work(e->dev, M2C_HOST_WANT, more > 0 ? w.n : 0);
        e->stats.tier_host_ns += m2c_show_host(e, M2C_TRACK_TIERS, "place", e->layer, t0);
        if (more <= 0) {
            r = more;
            break;
        }
        r = run_wave(e, &w, rows, err);
        t0 = m2c_dev_now_ns(e->dev);
    }
    r = r < 0 ? r : launch(e, &sum, err);
    return r < 0 ? r : m2c_engine_mark(e, M2C_PHASE_B, err);
}
