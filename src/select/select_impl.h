/* SPDX-License-Identifier: MIT */
/* What a selector implements, and the exact top-k that all of them share. */
#ifndef M2C_SELECT_SELECT_IMPL_H
#define M2C_SELECT_SELECT_IMPL_H

#include "select/selector.h"

struct m2c_select_ops {
    struct m2c_plugin p;
    bool informed;   /* score() needs `truth` */
    bool needs_rank; /* cfg.rank must be there */
    bool predicted;  /* scores come from a predictor on the device: no score() */
    bool by_rank;    /* scores say nothing about zero: `auto` is refused */
    bool own_sets;   /* one set after the other, whatever the model computes; inactive
                        is what does not score above 0, whatever the activation */
    /* Optional: NULL does nothing. */
    int (*init)(struct m2c_selector *s, struct m2c_err *err);
    void (*fini)(struct m2c_selector *s);
    void (*restart)(struct m2c_selector *s);
    /* Instead of score(): the wants, as m2c_selector_pick gives them. */
    int (*pick)(struct m2c_selector *s, uint32_t layer, struct m2c_want *wants,
                uint32_t *n, struct m2c_err *err);
    /* Mandatory unless `predicted` or pick(): the scores of `layer`, f32[n], valid until
     * the next call. */
    int (*score)(struct m2c_selector *s, uint32_t layer, const float *truth,
                 const float **scores, struct m2c_err *err);
    /* Optional: the token's true scores, after pick(). */
    void (*learn)(struct m2c_selector *s, uint32_t layer, const float *truth);
};

struct m2c_selector {
    const struct m2c_select_ops *ops;
    struct m2c_select_cfg cfg;
    void *priv;
    /* scratch of the top-k: keys and ids, twice, and the class of each id */
    uint32_t *key[2], *id[2];
    uint8_t *cls;
    struct m2c_ratio *ratio; /* [layers] */
    uint8_t *fixed;          /* [layers][n] class of each neuron; NULL: by the token */
    uint8_t *last;           /* [layers][n] class + 1 when last wanted; NULL: no hysteresis */
};

extern const struct m2c_select_ops m2c_select_all, m2c_select_oracle, m2c_select_prev,
    m2c_select_static, m2c_select_rrr, m2c_select_mlp, m2c_select_gate,
    m2c_select_synthetic, m2c_select_trace;

#endif
