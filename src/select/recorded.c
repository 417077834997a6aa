/* SPDX-License-Identifier: MIT */
/* The sets of a recorded trace, one token after the other, as they were: neurons,
 * classes and scores. What the model computes plays no part. */
#include "select/select_impl.h"
#include "store/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct recorded {
    struct m2c_trace *t;
    uint64_t *token; /* [layers]: the next */
};

static void fini(struct m2c_selector *s)
{
    struct recorded *r = s->priv;
    m2c_trace_free(r->t);
    free(r->token);
}

static int check_classes(const struct m2c_select_cfg *cfg, const struct m2c_trace *t,
                         struct m2c_err *err)
{
    const struct m2c_layout *layout = cfg->source.layout;
    for (uint32_t c = 0; c < t->n_classes; c++) {
        if (layout &&
            (c >= layout->n_classes || strcmp(t->cls[c].name, layout->cls[c].name) != 0))
            return m2c_fail(err, -EINVAL, "%s: its class %u is %s, the model's is %s",
                            cfg->source.trace, c, t->cls[c].name,
                            c < layout->n_classes ? layout->cls[c].name : "none");
    }
    for (uint64_t list = 0; list < t->tokens * t->layers; list++) {
        const struct m2c_ratio *r =
            cfg->by_layer ? &cfg->by_layer[list % t->layers] : &cfg->ratio;
        for (uint64_t i = t->begin[list]; i < t->begin[list + 1]; i++) {
            uint32_t c = t->of_class[i];
            if (c >= r->n || !(r->share[c] > 0))
                return m2c_fail(
                    err, -EINVAL,
                    "%s: wants neurons as %s, of which precision.ratio has none",
                    cfg->source.trace, t->cls[c].name);
        }
    }
    return 0;
}

static int init(struct m2c_selector *s, struct m2c_err *err)
{
    struct recorded *r = s->priv;
    const struct m2c_select_cfg *cfg = &s->cfg;
    const char *path = cfg->source.trace;
    if (!path || !*path)
        return m2c_fail(err, -EINVAL,
                        "selector trace needs selector.trace, a file of m2c trace");
    if (!isnan(cfg->active))
        return m2c_fail(
            err, -EINVAL,
            "selector trace replays whole sets: precision.active must be auto");
    if (cfg->assign != M2C_ASSIGN_RANK)
        return m2c_fail(
            err, -EINVAL,
            "selector trace replays classes, too: precision.assign must be rank");
    int rc = m2c_trace_read(&r->t, path, err);
    if (rc < 0)
        return rc;
    if (r->t->layers != cfg->layers || r->t->neurons != cfg->n)
        return m2c_fail(err, -EINVAL,
                        "%s: is of %u layers of %u neurons, the model has %u of %u", path,
                        r->t->layers, r->t->neurons, cfg->layers, cfg->n);
    r->token = calloc(cfg->layers, sizeof *r->token);
    return r->token ? check_classes(cfg, r->t, err)
                    : m2c_fail(err, -ENOMEM, "selector trace: out of memory");
}

static int pick(struct m2c_selector *s, uint32_t layer, struct m2c_want *wants,
                uint32_t *n, struct m2c_err *err)
{
    struct recorded *r = s->priv;
    const struct m2c_trace *t = r->t;
    uint64_t token = r->token[layer]++, list = token * t->layers + layer;
    if (token >= t->tokens)
        return m2c_fail(err, -ENODATA, "%s: ends after %" PRIu64 " tokens",
                        s->cfg.source.trace, t->tokens);
    *n = 0;
    for (uint64_t i = t->begin[list]; i < t->begin[list + 1]; i++)
        wants[(*n)++] = (struct m2c_want){
            .id = t->id[i], .cls = t->of_class[i], .score = m2c_trace_score(t, list, i)};
    return 0;
}

const struct m2c_select_ops m2c_select_trace = {
    .p = {.name = "trace",
          .desc = "the sets of a recorded trace, as they were",
          .priv_size = sizeof(struct recorded)},
    .own_sets = true,
    .init = init,
    .fini = fini,
    .pick = pick,
};
