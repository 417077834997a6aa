/* SPDX-License-Identifier: MIT */
/* From config text to an engine's configuration. */
#include "exp/settings.h"

#include "base/mem.h"
#include "meter/carbon.h"
#include "ops/preset.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int m2c_settings_apply(const struct m2c_optset *set, struct m2c_settings *out,
                       struct m2c_err *err)
{
    int r = m2c_optset_apply(set, out, err);
    if (r < 0)
        return r;
    if (out->model.path[0] == 0 && out->model.synth[0] == 0)
        return m2c_fail(err, -EINVAL,
                        "[model] path: no model store is named (nor a shape by synth)");
    if (out->model.path[0] && out->model.synth[0])
        return m2c_fail(err, -EINVAL, "[model] path and synth: give one of them");
    if (out->model.synth[0] && out->model.rank[0])
        return m2c_fail(err, -EINVAL,
                        "[model] rank: a shape without weights (synth) has no ranking");
    if (m2c_policy_needs_future(out->hbm.policy))
        return m2c_fail(err, -EINVAL,
                        "[hbm] policy = %s needs to know the next use of every neuron, which "
                        "only a recorded trace can tell: m2c trace, then m2c replay",
                        out->hbm.policy);
    if (m2c_policy_needs_order(out->hbm.policy) && out->model.rank[0] == 0)
        return m2c_fail(err, -EINVAL,
                        "[hbm] policy = %s needs a rank file ([model] rank, or --rank); "
                        "`m2c rank` makes one",
                        out->hbm.policy);
    if (out->precision.assign == M2C_ASSIGN_STATIC && out->model.rank[0] == 0)
        return m2c_fail(err, -EINVAL,
                        "[precision] assign = static needs a rank file ([model] rank, or "
                        "--rank); `m2c rank` makes one");
    const struct m2c_region *region;
    if (out->carbon.region[0]) {
        r = m2c_region_find(out->carbon.region, &region, err);
        if (r < 0)
            return m2c_fail_in(err, r, "[carbon] region = %.40s", out->carbon.region);
        if (fabs(out->carbon.g_per_kwh - M2C_PAPER_G_PER_KWH) > 0)
            return m2c_fail(err, -EINVAL, "[carbon] region and g_per_kwh: give one of them");
    }
    if (out->decode.prompt[0] && out->decode.prompt_file[0])
        return m2c_fail(err, -EINVAL, "[decode] prompt and prompt_file: give one of them");
    return 0;
}

int m2c_settings_store(const struct m2c_settings *s, struct m2c_store **out,
                       struct m2c_err *err)
{
    enum m2c_type dense;
    if (s->model.synth[0] == 0)
        return m2c_store_open(out, s->model.path, err);
    const struct m2c_preset *p = m2c_preset_find(s->model.synth, err);
    if (!p)
        return m2c_fail_in(err, -EINVAL, "[model] synth");
    int r = m2c_type_parse(s->model.dense, &dense);
    return r < 0 ? m2c_fail(err, r, "[model] dense = %s: no such type", s->model.dense)
                 : m2c_store_shape(out, &p->cfg, s->model.layout, s->model.arrange, dense, err);
}

static uint64_t resolve(const struct m2c_size *s, uint64_t whole)
{
    return s->is_percent ? (uint64_t)ceil((double)whole * s->percent / 100) : s->bytes;
}

/* All FFN neurons at the widest class, as units hold them and as DRAM does. */
static void whole_ffn(const struct m2c_store *store, uint64_t *units, uint64_t *blocks)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(store);
    const struct m2c_layout *layout = m2c_store_layout(store);
    struct m2c_slot slot;
    uint32_t extents = 0, off;
    m2c_class_slot(layout, 0, m->dim, m->has_gate, &slot);
    *units = (uint64_t)slot.bytes * m->hidden * m->layers;
    *blocks = 0;
    for (uint32_t p = 0; p < layout->n_parts; p++) {
        struct m2c_store_range r;
        uint32_t x = m2c_store_part_at(store, p, &off);
        if (!(layout->cls[0].parts >> p & 1) || extents >> x & 1)
            continue;
        extents |= 1u << x;
        m2c_store_extent(store, 0, x, &r);
        *blocks += m2c_align_up(r.bytes, M2C_PAGE) * m->layers;
    }
}

static int resolve_class(const struct m2c_settings *s, const struct m2c_store *store,
                         int *out, struct m2c_err *err)
{
    const struct m2c_layout *layout = m2c_store_layout(store);
    *out = -1;
    if (strcmp(s->decode.prefill_class, "auto") == 0)
        return 0;
    *out = m2c_layout_class(layout, s->decode.prefill_class);
    if (*out >= 0)
        return 0;
    const char *names[M2C_LAYOUT_CLASSES + 1] = {0};
    for (uint32_t c = 0; c < layout->n_classes; c++)
        names[c] = layout->cls[c].name;
    const char *near = m2c_nearest(s->decode.prefill_class, names);
    return m2c_fail(err, -EINVAL,
                    "[decode] prefill_class = %s: the store has no such class%s%s%s",
                    s->decode.prefill_class, near ? ", did you mean '" : "",
                    near ? near : "", near ? "'?" : "");
}

/* Shares of the classes alone: what the last of n_classes + 1 is, they lack. */
static int cut_ratio(struct m2c_ratio *ratio, uint32_t n_classes, struct m2c_err *err)
{
    if (ratio->n != n_classes && ratio->n != n_classes + 1)
        return m2c_fail(err, -EINVAL, "the ratio names %u classes, the store has %u",
                        ratio->n, n_classes);
    ratio->n = n_classes;
    return 0;
}

int m2c_settings_layers(const char *text, const struct m2c_ratio *ratio, uint32_t layers,
                        uint32_t n_classes, struct m2c_ratio **out, struct m2c_err *err)
{
    static const char blanks[] = " \t";
    *out = calloc(layers, sizeof **out);
    int r = *out ? 0 : m2c_fail(err, -ENOMEM, "settings: out of memory");
    const char *at = text + strspn(text, blanks);
    for (uint32_t l = 0; l < layers && r == 0; l++) {
        size_t len = strcspn(at, blanks);
        char *word = len ? strndup(at, len) : NULL;
        (*out)[l] = *ratio;
        if (*text && !word)
            r = m2c_fail(err, -EINVAL, "%u ratios for %u layers", l, layers);
        else if (word)
            r = m2c_parse_ratio(word, &(*out)[l], err);
        if (r == 0)
            r = cut_ratio(&(*out)[l], n_classes, err);
        if (r < 0)
            m2c_fail_in(err, r, *text ? "[precision] layers, layer %u"
                                      : "[precision] ratio, layer %u", l);
        free(word);
        at += len + strspn(at + len, blanks);
    }
    if (r == 0 && *at)
        r = m2c_fail(err, -EINVAL, "[precision] layers: more ratios than %u layers", layers);
    if (r < 0) {
        free(*out);
        *out = NULL;
    }
    return r;
}

/* Units are cut by the mean of the layers' shares, so that each class that any
 * layer uses has slots in all. */
static int plan_layers(const struct m2c_settings *s, const struct m2c_store *store,
                       struct m2c_engine_cfg *out, struct m2c_err *err)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(store);
    uint32_t classes = m2c_store_layout(store)->n_classes;
    struct m2c_ratio mean = {.n = classes};
    double sum = 0;
    if (s->precision.layers[0] == 0 && s->precision.ratio.n != classes + 1)
        return 0;
    int r = m2c_settings_layers(s->precision.layers, &s->precision.ratio, m->layers, classes,
                                &out->layer_ratio, err);
    for (uint32_t l = 0; l < m->layers && r == 0; l++) {
        for (uint32_t c = 0; c < classes; c++) {
            mean.share[c] += out->layer_ratio[l].share[c];
            sum += out->layer_ratio[l].share[c];
        }
    }
    if (r == 0 && !(sum > 0))
        return m2c_fail(err, -EINVAL, "[precision]: every neuron is left out");
    for (uint32_t c = 0; c < classes && r == 0; c++)
        mean.share[c] /= sum;
    out->tier.ratio = mean;
    return r;
}

int m2c_settings_engine(const struct m2c_settings *s, const struct m2c_store *store,
                        const struct m2c_rank *rank, uint64_t seed,
                        struct m2c_engine_cfg *out, struct m2c_err *err)
{
    uint64_t units, blocks;
    whole_ffn(store, &units, &blocks);
    *out = (struct m2c_engine_cfg){
        .dev = {.backend = s->device.backend,
                .index = (int)s->device.index,
                .platform = s->device.platform,
                .threads = (unsigned)s->device.threads,
                .bytes = s->device.bytes,
                .max_alloc = s->device.max_alloc,
                .isa = s->device.isa,
                .gemm = s->device.gemm,
                .copy = s->device.copy,
                .library = s->device.library,
                .cache = s->device.cache,
                .profile = s->device.profile,
                .ssd_profile = s->ssd.profile},
        .tier = {.hbm_bytes = resolve(&s->hbm.bytes, units),
                 .hbm_policy = s->hbm.policy,
                 .seed = seed,
                 .dram_bytes = resolve(&s->dram.bytes, blocks),
                 .fixed_layers = s->dram.fixed_layers,
                 .lookahead = (unsigned)s->ssd.lookahead,
                 .engine = s->ssd.engine,
                 .io = {.direct = s->ssd.direct,
                        .queue_depth = (unsigned)s->ssd.queue_depth,
                        .chunk = (uint32_t)s->ssd.chunk,
                        .retries = (unsigned)s->ssd.retries},
                 .verify = (enum m2c_verify)s->ssd.verify,
                 .ratio = s->precision.ratio,
                 .at_least = s->precision.reuse == M2C_REUSE_AT_LEAST,
                 .rank = rank},
        .selector = s->selector.kind,
        .lookahead = (uint32_t)s->selector.lookahead,
        .predictor_width = (uint32_t)s->selector.width,
        .active = s->precision.active,
        .assign = (enum m2c_assign)s->precision.assign,
        .hysteresis = s->precision.hysteresis,
        .class_seed = (uint64_t)s->experiment.seed,
        .source = {.trace = s->selector.trace,
                   .fit = (enum m2c_process_fit)s->selector.fit,
                   .seed = seed,
                   .num = {.density = s->selector.density,
                           .concentration = s->selector.concentration,
                           .overlap = s->selector.overlap,
                           .spread = s->selector.spread,
                           .class_change = s->selector.class_change}},
        .rank = rank,
        .kv_type = strcmp(s->kv.dtype, "f16") == 0 ? M2C_F16 : M2C_F32,
        .ctx = (uint32_t)s->decode.ctx,
        .prefill_rows = (uint32_t)s->decode.prefill_rows};
    if (out->tier.hbm_bytes == 0 && (s->hbm.bytes.is_percent ? s->hbm.bytes.percent : 0) > 0)
        out->tier.hbm_bytes = 1; /* a share of the FFN, however small, is not "unified" */
    int r = resolve_class(s, store, &out->prefill_class, err);
    if (r == 0 && strcmp(s->baseline.system, "fit-resident") == 0)
        return m2c_settings_fit(store, out, err);
    return r < 0 ? r : plan_layers(s, store, out, err);
}
