/* SPDX-License-Identifier: MIT */
/* The process of process_fit.c, token by token.
 *
 * A number that lasts 2^s tokens is drawn for (neuron, s, (token + phase) >> s), where
 * each neuron has a phase of its own: over the phases its correlation falls linearly to
 * zero at lag 2^s, and no state is needed to know it at any token. The slow ones are
 * kept as one sum a neuron, which is right for 8 tokens at least. */
#include "select/gauss_impl.h"
#include "select/process_impl.h"
#include "store/trace.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum {
    QUANTILE_BITS = 12,
    QUANTILES = 1 << QUANTILE_BITS,
    FAST = 3,         /* scales that are drawn at every token */
    CLASS_SCALE = 60, /* streams beside those of the scales */
    CLASS_NOISE
};

struct layer {
    uint64_t key;
    uint32_t fit;    /* index */
    uint32_t *rank;  /* [n]: place in the list of thresholds */
    uint16_t *phase; /* [n], below 2^(M2C_SCALES - 1) */
    float *slow;     /* [n]: sum of the slow scales at token `at` */
    uint64_t at;     /* UINT64_MAX: none */
};

struct fitted {
    struct m2c_fit f;
    float own[M2C_SCALES], common[M2C_SCALES]; /* amplitudes */
};

struct m2c_numbers {
    uint32_t layers, n;
    uint64_t key;    /* of what all layers share */
    uint32_t n_fits; /* 1, or those of a recording's layers */
    struct fitted *fit;
    float quantile[QUANTILES]; /* of a normal number, variance 1 */
    struct layer *layer;
};

static float normal(const struct m2c_numbers *p, uint64_t key, uint64_t a, uint64_t b)
{
    return p->quantile[m2c_draw(key, a, b) >> (64 - QUANTILE_BITS)];
}

static void fill_quantiles(struct m2c_numbers *p)
{
    double square = 0;
    for (int i = 0; i < QUANTILES; i++) {
        double x = m2c_gauss_point((i + 0.5) / QUANTILES);
        p->quantile[i] = (float)x;
        square += x * x / QUANTILES;
    }
    for (int i = 0; i < QUANTILES; i++)
        p->quantile[i] *= (float)(1 / sqrt(square));
}

static int open_layer(struct m2c_numbers *p, struct layer *l, uint64_t key)
{
    l->key = key;
    l->at = UINT64_MAX;
    l->rank = malloc(p->n * sizeof *l->rank);
    l->phase = malloc(p->n * sizeof *l->phase);
    l->slow = malloc(p->n * sizeof *l->slow);
    if (!l->rank || !l->phase || !l->slow)
        return -ENOMEM;
    m2c_draw_order(key, l->rank, p->n);
    for (uint32_t i = 0; i < p->n; i++)
        l->phase[i] = (uint16_t)(m2c_draw(key, i, 0) >> (64 - (M2C_SCALES - 1)));
    return 0;
}

static int open_fit(struct fitted *fit, const struct m2c_process_cfg *cfg, uint32_t index,
                    struct m2c_err *err)
{
    struct m2c_process_numbers num = cfg->num;
    double *freq = NULL;
    if (cfg->source && m2c_measure(cfg->source, index, &num, &freq) < 0)
        return m2c_fail(err, -ENOMEM, "process: out of memory");
    int rc = m2c_fit_open(&fit->f, cfg, &num, freq, freq ? cfg->source->neurons : 0, err);
    free(freq);
    for (int s = 0; rc == 0 && s < M2C_SCALES; s++) {
        fit->own[s] = (float)sqrt((1 - fit->f.common) * fit->f.weight[s]);
        fit->common[s] = (float)sqrt(fit->f.common * fit->f.common_weight[s] / 2);
    }
    return rc;
}

static int open_all(struct m2c_numbers *p, const struct m2c_process_cfg *cfg,
                    struct m2c_err *err)
{
    p->fit = calloc(p->n_fits, sizeof *p->fit);
    p->layer = calloc(p->layers, sizeof *p->layer);
    int rc = p->fit && p->layer ? 0 : m2c_fail(err, -ENOMEM, "process: out of memory");
    for (uint32_t i = 0; rc == 0 && i < p->n_fits; i++)
        rc = open_fit(&p->fit[i], cfg, i, err);
    for (uint32_t l = 0; rc == 0 && l < p->layers; l++) {
        p->layer[l].fit = m2c_source_layer(l, p->layers, p->n_fits);
        if (open_layer(p, &p->layer[l], m2c_draw(cfg->seed, 2, l)) < 0)
            rc = m2c_fail(err, -ENOMEM, "process: out of memory for layer %u", l);
    }
    return rc;
}

int m2c_numbers_open(struct m2c_numbers **out, const struct m2c_process_cfg *cfg,
                     struct m2c_err *err)
{
    struct m2c_numbers *p = calloc(1, sizeof *p);
    if (!p)
        return m2c_fail(err, -ENOMEM, "process: out of memory");
    p->layers = cfg->layers;
    p->n = cfg->n;
    p->n_fits = cfg->source ? cfg->source->layers : 1;
    p->key = m2c_draw(cfg->seed, 1, 0);
    fill_quantiles(p);
    int rc = open_all(p, cfg, err);
    if (rc < 0)
        m2c_numbers_close(p);
    else
        *out = p;
    return rc;
}

void m2c_numbers_close(struct m2c_numbers *p)
{
    if (!p)
        return;
    for (uint32_t l = 0; p->layer && l < p->layers; l++) {
        free(p->layer[l].rank);
        free(p->layer[l].phase);
        free(p->layer[l].slow);
    }
    for (uint32_t i = 0; p->fit && i < p->n_fits; i++)
        m2c_fit_close(&p->fit[i].f);
    free(p->fit);
    free(p->layer);
    free(p);
}

const struct m2c_fit *m2c_numbers_fit(const struct m2c_numbers *p, uint32_t layer)
{
    return &p->fit[p->layer[layer].fit].f;
}

static float sum_scales(const struct m2c_numbers *p, const struct layer *l,
                        uint64_t token, uint32_t i, int from, int to)
{
    const float *own = p->fit[l->fit].own;
    uint64_t t = token + l->phase[i];
    float sum = 0;
    for (int s = from; s < to; s++)
        if (own[s] > 0)
            sum += own[s] * normal(p, l->key, i, (t >> s) << 6 | (unsigned)s);
    return sum;
}

/* Brings the kept sums to `token`. */
static void slow_to(const struct m2c_numbers *p, struct layer *l, uint64_t token)
{
    bool next = l->at != UINT64_MAX && token == l->at + 1;
    if (l->at == token)
        return;
    for (uint32_t i = 0; i < p->n; i++)
        if (!next || ((token + l->phase[i]) & ((1 << FAST) - 1)) == 0)
            l->slow[i] = sum_scales(p, l, token, i, FAST, M2C_SCALES);
    l->at = token;
}

/* What all neurons of the layer have in common: half of it all layers have. */
static float common_of(const struct m2c_numbers *p, const struct layer *l, uint64_t token)
{
    float sum = 0;
    for (unsigned s = 0; s < M2C_SCALES; s++) {
        uint64_t phase = m2c_draw(p->key, s, 0) >> (64 - (M2C_SCALES - 1));
        uint64_t block = ((token + phase) >> s) << 6 | s;
        sum += p->fit[l->fit].common[s] *
               (normal(p, p->key, 1, block) + normal(p, l->key, UINT32_MAX, block));
    }
    return sum;
}

void m2c_numbers_scores(struct m2c_numbers *p, uint64_t token, uint32_t layer,
                        float *scores)
{
    struct layer *l = &p->layer[layer];
    float common = common_of(p, l, token);
    const struct m2c_fit *fit = &p->fit[l->fit].f;
    float stays = (float)sqrt(fit->preference);
    float varies = (float)sqrt(1 - fit->preference);
    slow_to(p, l, token);
    for (uint32_t i = 0; i < p->n; i++) {
        float g = common + l->slow[i] + sum_scales(p, l, token, i, 0, FAST);
        float over = g - fit->threshold[l->rank[i]];
        if (over > 0) {
            float key = stays * normal(p, l->key, i, CLASS_SCALE) +
                        varies * normal(p, l->key, i, token << 6 | CLASS_NOISE);
            scores[i] = 8 + key; /* a key is within 5.2 of 0 */
        } else {
            scores[i] = over;
        }
    }
}
