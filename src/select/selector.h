/* SPDX-License-Identifier: MIT */
/* Selectors: which neurons of a layer a token needs, each at which class.
 *
 * A selector scores the neurons; the plan (active fraction, ratio) turns
 * scores into wants. Selection is exact: the k highest scores, equal scores
 * by lower id first, classes by rank from the widest down (M2Cache §5.2). */
#ifndef M2C_SELECT_SELECTOR_H
#define M2C_SELECT_SELECTOR_H

#include "base/opt.h"
#include "base/plugin.h"
#include "ops/want.h"
#include "quant/layout.h"
#include "select/process.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_rank; /* store/rank.h */

/* How the chosen neurons get the plan's classes: the strongest the widest; at
 * random, anew for each token; or each neuron its own for good, from the rank file. */
enum m2c_assign { M2C_ASSIGN_RANK, M2C_ASSIGN_RANDOM, M2C_ASSIGN_STATIC };

/* What selectors need that follow no model: [selector] of the config. */
struct m2c_select_source {
    const char *trace;              /* a recorded trace; NULL or "": none */
    enum m2c_process_fit fit;       /* how `synthetic` takes it to the model's shape */
    struct m2c_process_numbers num; /* of `synthetic`; NAN: not given */
    uint64_t seed;
    const struct m2c_layout *layout; /* whose classes a trace must have; NULL: any */
};

struct m2c_select_cfg {
    const char *kind;
    double active;          /* fraction of the neurons; NAN: auto, all that score > 0 */
    struct m2c_ratio ratio; /* over classes, widest first, of the chosen neurons; what the
                               shares lack of 1 is left out, the weakest first */
    const struct m2c_ratio *by_layer; /* [layers] in its place, copied; or NULL */
    enum m2c_assign assign;
    double hysteresis; /* of what is chosen: so many ranks beyond the border of its last
                          class a neuron keeps that class (by rank only); 0: off */
    uint64_t seed; /* of random classes */
    bool positive_only;     /* ReLU: a score of 0 means inactive, never selected */
    uint32_t layers, n;     /* neurons a layer */
    const struct m2c_rank *rank;     /* borrowed; selectors that need one refuse NULL */
    struct m2c_select_source source; /* borrowed; of `synthetic` and `trace` */
};

struct m2c_selector;

const struct m2c_plugin *const *m2c_selector_list(void);

/* -EINVAL says which key does not fit the kind. */
M2C_MUST_USE int m2c_selector_open(struct m2c_selector **out,
                                   const struct m2c_select_cfg *cfg, struct m2c_err *err);
void m2c_selector_close(struct m2c_selector *s); /* accepts NULL */

/* Whether its sets are made up or recorded, not the model's: what it computes with
 * them means nothing. */
bool m2c_selector_made_up(const struct m2c_selector *s);
bool m2c_selector_kind_made_up(const char *kind); /* the same of a kind; unknown: false */

/* Whether it reads true activations, which a deployed system does not have:
 * its results are upper bounds and are labelled so. */
bool m2c_selector_informed(const struct m2c_selector *s);

/* Whether its scores come from a predictor of the rank file: pick() is not for
 * it, the caller brings the scores to m2c_selector_ideal (or chooses on the
 * device by m2c_selector_cfg). */
bool m2c_selector_predicted(const struct m2c_selector *s);
/* The plan, as the selector settled it. */
const struct m2c_select_cfg *m2c_selector_cfg(const struct m2c_selector *s);

/* Other shares, [layers], copied, from the next pick on; static classes are fixed
 * anew. -EINVAL leaves it good for closing alone. */
M2C_MUST_USE int m2c_selector_shares(struct m2c_selector *s,
                                     const struct m2c_ratio *by_layer,
                                     struct m2c_err *err);

/* A new sequence starts: what was learnt from the last one is forgotten. */
void m2c_selector_restart(struct m2c_selector *s);

/* Whether what it picks depends on this token alone, not on those before it or on
 * how many there were: a sequence may then go back without it. */
bool m2c_selector_memoryless(const struct m2c_selector *s);

/* The wants of `layer` for the next token, sorted by id; wants has room for
 * n. Called once a token and layer, layers in order. `truth` f32[n]: the true
 * scores |h| at this layer's input, or NULL where nobody computed them
 * (-EINVAL from an informed selector). -EDOM when a score is NaN. */
M2C_MUST_USE int m2c_selector_pick(struct m2c_selector *s, uint32_t layer,
                                   const float *truth, struct m2c_want *wants,
                                   uint32_t *n, struct m2c_err *err);

/* As pick, for scores that the caller brings: of selectors that are predicted. */
M2C_MUST_USE int m2c_selector_choose(struct m2c_selector *s, uint32_t layer,
                                     const float *scores, struct m2c_want *wants,
                                     uint32_t *n, struct m2c_err *err);

/* The plan's set for given scores, the same arithmetic: for measuring what a
 * selector missed. */
M2C_MUST_USE int m2c_selector_ideal(struct m2c_selector *s, uint32_t layer,
                                    const float *truth, struct m2c_want *wants,
                                    uint32_t *n, struct m2c_err *err);

/* ---- the plan alone ---- */

/* Round half up of x · n. */
uint32_t m2c_active_count(double fraction, uint32_t n);
/* How many a plan chooses at most. */
uint32_t m2c_plan_count(const struct m2c_select_cfg *cfg);
/* Splits k by the shares: largest remainder, ties to the wider class. They sum to k
 * unless the shares leave some out. */
void m2c_class_counts(const struct m2c_ratio *ratio, uint32_t k,
                      uint32_t counts[M2C_MAX_CLASSES]);
/* The table of M2C_OP_SELECT, u32[k + 1][ratio->n]: row m is where the classes
 * end, in ranks, when m neurons are chosen. */
void m2c_class_splits(const struct m2c_ratio *ratio, uint32_t k, uint32_t *splits);
/* Whether one such table says all of the plan: the device can then choose. */
bool m2c_plan_is_table(const struct m2c_select_cfg *cfg);

#ifdef __cplusplus
}
#endif
#endif
