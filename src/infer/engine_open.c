/* SPDX-License-Identifier: MIT */
/* Opening and closing the engine, and what it will need before it is opened. */
#include "infer/show.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

void m2c_engine_dense_cfg(const struct m2c_store *store, struct m2c_engine_cfg *cfg)
{
    const struct m2c_layout *layout = m2c_store_layout(store);
    *cfg = (struct m2c_engine_cfg){
        .dev = {.backend = "cpu", .isa = "auto"},
        .tier = {.hbm_policy = "lru",
                 .dram_bytes = UINT64_MAX,
                 .fixed_layers = M2C_FIXED_AUTO,
                 .lookahead = 2,
                 .engine = "pread",
                 .io = {.queue_depth = 4, .chunk = 1 << 20, .retries = 1},
                 .verify = M2C_VERIFY_FIRST},
        .selector = "all",
        .active = 1,
        .kv_type = M2C_F32,
        .prefill_rows = 32,
        .prefill_class = -1};
    cfg->tier.ratio.n = layout->n_classes;
    cfg->tier.ratio.share[0] = 1;
}

/* ---- the plan ---- */

/* Sizes in floats of the activations of `rows` tokens; offsets follow from
 * the order here. */
struct scratch {
    size_t x, xn, q, k, v, att, h, acc, logits, ids;
};

static struct scratch scratch_of(const struct m2c_model_cfg *m, uint32_t rows,
                                 uint32_t segments)
{
    size_t kv = (size_t)m->kv_heads * m->head_dim, q = (size_t)m->heads * m->head_dim;
    return (struct scratch){.x = (size_t)rows * m->dim,
                            .xn = (size_t)rows * m->dim,
                            .q = rows * q,
                            .k = rows * kv,
                            .v = rows * kv,
                            .att = rows * q,
                            .h = (size_t)rows * m->hidden,
                            .acc = (size_t)rows * segments * m->dim,
                            .logits = m->vocab,
                            .ids = rows};
}

static size_t up16(size_t floats) { return (floats + 15) & ~(size_t)15; }

static size_t scratch_floats(const struct scratch *s)
{
    return up16(s->x) + up16(s->xn) + up16(s->q) + up16(s->k) + up16(s->v) + up16(s->att) +
           up16(s->h) + up16(s->acc) + up16(s->logits) + up16(s->ids);
}

static uint32_t ctx_of(const struct m2c_model_cfg *m, const struct m2c_engine_cfg *cfg)
{
    return cfg->ctx ? cfg->ctx : m->ctx;
}

static uint64_t kv_layer_bytes(const struct m2c_model_cfg *m,
                               const struct m2c_engine_cfg *cfg)
{
    uint64_t width = cfg->kv_type == M2C_F16 ? 2 : 4;
    return 2 * width * ctx_of(m, cfg) * m->kv_heads * m->head_dim;
}

static uint32_t rows_of(const struct m2c_engine_cfg *cfg)
{
    return cfg->prefill_rows ? cfg->prefill_rows : 1;
}

/* The predictor that would have found made-up sets, as a shape: simulated runs pay for
 * it. False: there is none to pay for. */
static bool predictor_shape(const struct m2c_model_cfg *m, const struct m2c_engine_cfg *cfg,
                            struct m2c_predictor *out)
{
    *out = (struct m2c_predictor){.kind = "mlp",
                                  .lookahead = cfg->lookahead,
                                  .layers = m->layers,
                                  .n = m->hidden,
                                  .dim = m->dim,
                                  .width = cfg->predictor_width,
                                  .type = M2C_I8};
    return cfg->predictor_width && m2c_dev_is_simulated(&cfg->dev) &&
           m2c_selector_kind_made_up(cfg->selector);
}

/* NULL: the selector is not predicted, or its predictor is not there. */
static const struct m2c_predictor *predictor_of(const struct m2c_engine_cfg *cfg)
{
    return cfg->rank ? m2c_rank_predictor(cfg->rank, cfg->selector, cfg->lookahead) : NULL;
}

/* The smallest segments any backend uses bound the scratch that is planned
 * before a device is open. */
enum { PLAN_SEGMENTS = 64 };

int m2c_engine_plan(const struct m2c_store *store, const struct m2c_engine_cfg *cfg,
                    struct m2c_engine_plan *out, struct m2c_err *err)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(store);
    *out = (struct m2c_engine_plan){0};
    struct scratch s = scratch_of(m, rows_of(cfg), PLAN_SEGMENTS);
    out->dense_bytes = m2c_dense_bytes(store);
    out->kv_bytes = kv_layer_bytes(m, cfg) * m->layers;
    out->scratch_bytes = scratch_floats(&s) * sizeof(float) + m2c_tier_list_bytes(store);
    out->shadow_bytes = m2c_shadow_bytes(store);
    struct m2c_predictor shape;
    const struct m2c_predictor *p =
        predictor_shape(m, cfg, &shape) ? &shape : predictor_of(cfg);
    out->predictor_bytes = p ? m2c_predict_bytes(p) : 0;
    int r = m2c_tier_plan(store, &cfg->tier, &out->tier, err);
    out->device_bytes = out->dense_bytes + out->kv_bytes + out->scratch_bytes +
                        out->tier.hbm_bytes + out->predictor_bytes;
    if (r == 0 && cfg->dev.bytes && out->device_bytes > cfg->dev.bytes)
        return m2c_fail(err, -ENOSPC,
                        "device.bytes = %" PRIu64 ": dense weights %" PRIu64 ", KV %" PRIu64
                        ", units %" PRIu64 ", scratch %" PRIu64 " and predictor %" PRIu64
                        " need %" PRIu64,
                        cfg->dev.bytes, out->dense_bytes, out->kv_bytes,
                        out->tier.hbm_bytes, out->scratch_bytes, out->predictor_bytes,
                        out->device_bytes);
    return r;
}

/* ---- open ---- */

static int check_cfg(struct m2c_engine *e, struct m2c_err *err)
{
    const struct m2c_model_cfg *m = e->model;
    e->ctx = ctx_of(m, &e->cfg);
    e->rows = rows_of(&e->cfg);
    e->prefill_class = e->cfg.prefill_class;
    if (e->ctx > m->ctx)
        return m2c_fail(err, -EINVAL, "decode.ctx = %u: the model was made for %u", e->ctx,
                        m->ctx);
    if (e->cfg.kv_type != M2C_F32 && e->cfg.kv_type != M2C_F16)
        return m2c_fail(err, -EINVAL, "kv.dtype must be f32 or f16");
    const struct m2c_ratio *ratio = &e->cfg.tier.ratio;
    for (unsigned c = 0; e->prefill_class < 0 && c < ratio->n; c++) {
        if (ratio->share[c] > 0)
            e->prefill_class = (int)c;
    }
    if (e->prefill_class < 0 || e->prefill_class >= (int)ratio->n ||
        !(ratio->share[e->prefill_class] > 0))
        return m2c_fail(err, -EINVAL,
                        "decode.prefill_class names a class without share in "
                        "precision.ratio: no slot holds it");
    return 0;
}

static struct m2c_mem take(struct m2c_engine *e, size_t floats, size_t *at)
{
    struct m2c_mem m = {e->scratch, *at * sizeof(float)};
    *at += up16(floats);
    return m;
}

static int open_memory(struct m2c_engine *e, struct m2c_err *err)
{
    const struct m2c_model_cfg *m = e->model;
    struct scratch s = scratch_of(m, e->rows, e->segments);
    size_t at = 0;
    int r = m2c_dev_alloc(e->dev, M2C_PLACE_DEVICE, scratch_floats(&s) * sizeof(float),
                          &e->scratch, err);
    if (r < 0)
        return r;
    e->x = take(e, s.x, &at);
    e->xn = take(e, s.xn, &at);
    e->q = take(e, s.q, &at);
    e->k = take(e, s.k, &at);
    e->v = take(e, s.v, &at);
    e->att = take(e, s.att, &at);
    e->h = take(e, s.h, &at);
    e->acc = take(e, s.acc, &at);
    e->logits = take(e, s.logits, &at);
    e->ids = take(e, s.ids, &at);
    r = m2c_dev_alloc(e->dev, M2C_PLACE_PINNED, e->rows * sizeof(uint32_t), &e->ids_host,
                      err);
    if (r == 0)
        r = m2c_dev_alloc(e->dev, M2C_PLACE_PINNED, m->vocab * sizeof(float),
                          &e->logits_host, err);
    for (uint32_t l = 0; l < m->layers && r == 0; l++)
        r = m2c_dev_alloc(e->dev, M2C_PLACE_DEVICE, kv_layer_bytes(m, &e->cfg), &e->kv[l],
                          err);
    return r;
}

static int open_host(struct m2c_engine *e, struct m2c_err *err)
{
    const struct m2c_model_cfg *m = e->model;
    e->kv = calloc(m->layers, sizeof(struct m2c_buf *));
    e->wants = calloc(m->hidden, sizeof *e->wants);
    e->ideal = calloc(m->hidden, sizeof *e->ideal);
    e->wanted_before = calloc((size_t)m->layers * m->hidden, 1);
    e->stats.layer_true = calloc(m->layers, sizeof(uint64_t));
    e->stats.layer_same = calloc(m->layers, sizeof(uint64_t));
    e->stats.layer_prev = calloc(m->layers, sizeof(uint64_t));
    e->stats.layer_kept = calloc(m->layers, sizeof(uint64_t));
    e->cap_marks = m->layers * 16 + 16;
    e->marks = calloc(e->cap_marks, sizeof *e->marks);
    if (!e->kv || !e->wants || !e->ideal || !e->wanted_before || !e->stats.layer_true ||
        !e->stats.layer_same || !e->stats.layer_prev || !e->stats.layer_kept || !e->marks)
        return m2c_fail(err, -ENOMEM, "engine: out of memory");
    return 0;
}

static int open_predictor(struct m2c_engine *e, struct m2c_err *err)
{
    const struct m2c_predictor *p = predictor_of(&e->cfg);
    if (!p)
        return m2c_fail(err, -ENOENT,
                        "the rank file holds no predictor %s for %u layers ahead; `m2c rank "
                        "--predictor %s --lookahead %u` makes one",
                        e->cfg.selector, e->cfg.lookahead, e->cfg.selector,
                        e->cfg.lookahead);
    if (p->dim != e->model->dim)
        return m2c_fail(err, -EINVAL, "predictor %s is for dim %u, the model has %u", p->kind,
                        p->dim, e->model->dim);
    return m2c_predict_open(&e->predict, e->dev, e->queue, p, e->model->act, err);
}

static int open_truth(struct m2c_engine *e, struct m2c_err *err)
{
    int r = m2c_shadow_open(&e->shadow, e->dev, e->store, err);
    return r < 0 ? r
                 : m2c_dev_alloc(e->dev, M2C_PLACE_PINNED, e->model->dim * sizeof(float),
                                 &e->x_host, err);
}

/* A device that lacks kernels for a class is refused now, by name, and not when
 * the first neuron of that class is computed. */
static int check_class(const struct m2c_engine *e, uint32_t cls, enum m2c_op op,
                       struct m2c_err *err)
{
    const struct m2c_layout *l = m2c_store_layout(e->store);
    const struct m2c_dev_info *info = m2c_dev_info(e->dev);
    enum m2c_type type = l->cls[cls].type;
    if (m2c_dev_supports(e->dev, op, type))
        return 0;
    return m2c_fail(err, -ENOTSUP,
                    "class %s of layout %s is computed as %s, for which device %s (%s) has "
                    "no %s: use another device.backend, or a store of another layout",
                    l->cls[cls].name, l->name, m2c_type_name(type), info->name,
                    info->backend, m2c_op_name(op));
}

/* The classes that have slots, and the widest where the truth is computed. */
static int check_classes(const struct m2c_engine *e, struct m2c_err *err)
{
    const struct m2c_ratio *ratio = &e->cfg.tier.ratio;
    int r = 0;
    for (uint32_t c = 0; c < ratio->n && r == 0; c++) {
        if (!(ratio->share[c] > 0))
            continue;
        r = check_class(e, c, M2C_OP_FFN_UP, err);
        if (r == 0)
            r = check_class(e, c, M2C_OP_FFN_DOWN, err);
    }
    if (r == 0 && (e->cfg.truth || m2c_selector_informed(e->selector)))
        r = check_class(e, 0, M2C_OP_FFN_UP, err);
    return r;
}

/* What the rest leaves of a device that is too small; 0 if nothing. */
static uint64_t room_for_units(const struct m2c_engine *e)
{
    uint64_t rest = e->plan.device_bytes - e->plan.tier.hbm_bytes;
    uint64_t all = m2c_dev_info(e->dev)->mem_bytes;
    return rest < all ? all - rest : 0;
}

/* What cannot be had from a device that computes nothing, and what it needs. */
static int check_simulated(struct m2c_engine *e, struct m2c_err *err)
{
    const struct m2c_dev_info *dev = m2c_dev_info(e->dev);
    const char *kind = e->cfg.selector;
    if (!dev->simulated)
        return m2c_store_has_weights(e->store)
                   ? 0
                   : m2c_fail(err, -EINVAL,
                              "model.synth = a shape without weights: only a simulated device "
                              "(device.backend = sim) can do with that");
    if (e->cfg.truth || m2c_selector_informed(e->selector))
        return m2c_fail(err, -EINVAL,
                        "selector.kind = %s needs true activations, which %s does not compute; "
                        "take one that does without: synthetic, static, all",
                        kind, dev->name);
    if (m2c_selector_predicted(e->selector))
        return m2c_fail(err, -EINVAL,
                        "selector.kind = %s chooses by scores that %s does not compute; take "
                        "synthetic, static, all",
                        kind, dev->name);
    e->cfg.tier.io.machine = m2c_dev_machine(e->dev);
    if (!dev->unified && e->plan.device_bytes > dev->mem_bytes)
        return m2c_fail(err, -ENOSPC,
                        "%s has %" PRIu64 " bytes: dense weights %" PRIu64 ", KV %" PRIu64
                        ", units %" PRIu64 ", scratch %" PRIu64 " and predictor %" PRIu64
                        " need %" PRIu64 "; hbm.bytes = %" PRIu64 " would fit",
                        dev->name, dev->mem_bytes, e->plan.dense_bytes, e->plan.kv_bytes,
                        e->plan.tier.hbm_bytes, e->plan.scratch_bytes,
                        e->plan.predictor_bytes, e->plan.device_bytes,
                        room_for_units(e));
    return 0;
}

static int open_parts(struct m2c_engine *e, struct m2c_err *err)
{
    const struct m2c_model_cfg *m = e->model;
    struct m2c_select_cfg sel = {.kind = e->cfg.selector,
                                 .active = e->cfg.active,
                                 .ratio = e->cfg.tier.ratio,
                                 .by_layer = e->cfg.layer_ratio,
                                 .assign = e->cfg.assign,
                                 .hysteresis = e->cfg.hysteresis,
                                 .seed = e->cfg.class_seed,
                                 .positive_only = m->act == M2C_ACT_RELU,
                                 .layers = m->layers,
                                 .n = m->hidden,
                                 .rank = e->cfg.rank,
                                 .source = e->cfg.source};
    sel.source.layout = m2c_store_layout(e->store);
    int r = m2c_selector_open(&e->selector, &sel, err);
    e->cfg.layer_ratio = NULL; /* the selector has its copy */
    if (r == 0)
        r = m2c_dev_open(&e->dev, &e->cfg.dev, err);
    if (r == 0)
        r = check_classes(e, err);
    if (r == 0)
        r = m2c_queue_open(e->dev, "compute", &e->queue, err);
    if (r < 0)
        return r;
    r = check_simulated(e, err);
    if (r < 0)
        return r;
    e->seg_neurons = m2c_dev_seg_neurons(e->dev, m->hidden);
    e->segments = m2c_ffn_segments(m->hidden, e->seg_neurons);
    r = m2c_dense_open(&e->dense, e->dev, e->queue, e->store, err);
    if (r == 0)
        r = open_memory(e, err);
    if (r == 0)
        r = m2c_tier_open(&e->tier, e->dev, e->queue, e->store, &e->cfg.tier, err);
    if (r == 0)
        r = m2c_show_open(e, err);
    if (r == 0 && (e->cfg.truth || m2c_selector_informed(e->selector)))
        r = open_truth(e, err);
    struct m2c_predictor shape;
    if (r == 0 && m2c_selector_predicted(e->selector))
        r = open_predictor(e, err);
    else if (r == 0 && predictor_shape(m, &e->cfg, &shape))
        r = m2c_predict_open(&e->predict, e->dev, e->queue, &shape, m->act, err);
    return r;
}

int m2c_engine_open(struct m2c_engine **out, const struct m2c_store *store,
                    const struct m2c_engine_cfg *cfg, struct m2c_err *err)
{
    struct m2c_engine *e = calloc(1, sizeof *e);
    if (!e)
        return m2c_fail(err, -ENOMEM, "engine: out of memory");
    e->store = store;
    e->model = m2c_store_cfg(store);
    e->cfg = *cfg;
    e->layer = M2C_NO_LAYER;
    int r = m2c_engine_plan(store, cfg, &e->plan, err);
    if (r == 0)
        r = check_cfg(e, err);
    if (r == 0)
        r = open_host(e, err);
    if (r == 0)
        r = open_parts(e, err);
    if (r < 0) {
        m2c_engine_close(e);
        return r;
    }
    *out = e;
    return 0;
}

void m2c_engine_close(struct m2c_engine *e)
{
    if (!e)
        return;
    for (uint32_t i = 0; i < e->n_marks; i++)
        m2c_event_free(e->marks[i].ev);
    m2c_queue_close(e->queue); /* drains: nothing below is in use any more */
    m2c_tier_close(e->tier);
    m2c_shadow_close(e->shadow);
    m2c_predict_close(e->predict);
    m2c_dense_close(e->dense);
    m2c_selector_close(e->selector);
    for (uint32_t l = 0; e->kv && l < e->model->layers; l++)
        m2c_dev_free(e->dev, e->kv[l]);
    m2c_dev_free(e->dev, e->scratch);
    m2c_dev_free(e->dev, e->ids_host);
    m2c_dev_free(e->dev, e->logits_host);
    m2c_dev_free(e->dev, e->x_host);
    m2c_dev_close(e->dev);
    free(e->kv);
    free(e->wants);
    free(e->ideal);
    free(e->wanted_before);
    free(e->stats.layer_true);
    free(e->stats.layer_same);
    free(e->stats.layer_prev);
    free(e->stats.layer_kept);
    free(e->marks);
    free(e);
}

int m2c_engine_shares(struct m2c_engine *e, const struct m2c_ratio *by_layer,
                      struct m2c_err *err)
{
    const struct m2c_ratio *slots = &e->cfg.tier.ratio;
    for (uint32_t l = 0; l < e->model->layers; l++) {
        for (unsigned c = 0; c < M2C_MIN(by_layer[l].n, slots->n); c++)
            if (by_layer[l].share[c] > 0 && !(slots->share[c] > 0))
                return m2c_fail(err, -EINVAL, "layer %u: class %u has no slots", l, c);
    }
    return m2c_selector_shares(e->selector, by_layer, err);
}
