/* SPDX-License-Identifier: MIT */
/* The engine: one model on one device through the three tiers.
 *
 * It walks a token through the layers (norm, attention, selection, tiers,
 * phases A and B), keeps the KV cache and measures where the time went. It
 * decides nothing about residency (tier/) or about which neurons (select/).
 * One host thread. After any failure the engine is only good for closing. */
#ifndef M2C_INFER_ENGINE_H
#define M2C_INFER_ENGINE_H

#include "base/opt.h"
#include "dev/dev.h"
#include "select/selector.h"
#include "store/rank.h"
#include "store/store.h"
#include "tier/tier.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_engine_cfg {
    struct m2c_dev_cfg dev;
    struct m2c_tier_cfg tier; /* ratio included; hbm_bytes 0: unified */
    const char *selector;
    uint32_t lookahead;          /* of predictors: layers ahead that they foresee */
    double active;               /* NAN: auto */
    struct m2c_ratio *layer_ratio; /* [layers] in place of tier.ratio, by which units are
                                      then cut; copied at opening; or NULL */
    enum m2c_assign assign;
    double hysteresis;           /* of classes; see select/selector.h */
    uint64_t class_seed;         /* of random classes */
    struct m2c_select_source source; /* of selectors that follow no model; its layout is
                                        filled in */
    uint32_t predictor_width;    /* simulated devices: of the i8 predictor that would have
                                    made up sets, and takes its time and memory; 0: none */
    const struct m2c_rank *rank; /* borrowed; or NULL */
    bool truth;                  /* compute true activations for recall even where the
                                    selector does without */
    enum m2c_type kv_type;       /* F32 or F16 */
    uint32_t ctx;                /* 0: the model's */
    uint32_t prefill_rows;       /* tokens a chunk of dense prefill */
    int prefill_class;           /* class index; -1: the widest that the ratio uses */
};

/* Every neuron at the store's widest class, all resident in DRAM, computed
 * in place: what run, ppl and eval do without a config. */
void m2c_engine_dense_cfg(const struct m2c_store *store, struct m2c_engine_cfg *cfg);

/* Device bytes a configuration needs, by purpose, before anything is opened. */
struct m2c_engine_plan {
    uint64_t dense_bytes, kv_bytes, scratch_bytes, shadow_bytes;
    uint64_t predictor_bytes;
    struct m2c_tier_plan tier;
    uint64_t device_bytes; /* dense + KV + units + scratch + predictor */
};
M2C_MUST_USE int m2c_engine_plan(const struct m2c_store *store,
                                 const struct m2c_engine_cfg *cfg,
                                 struct m2c_engine_plan *out, struct m2c_err *err);

/* Time of the compute queue by what it was spent on, and host times. */
enum m2c_phase {
    M2C_PHASE_ATTENTION, /* norms, projections, attention, embedding, head */
    M2C_PHASE_SELECT,    /* selection and tier management, on the critical path */
    M2C_PHASE_A,         /* gate, up, activation */
    M2C_PHASE_B,         /* down */
    M2C_PHASE_COPY_WAIT, /* compute idle until a miss has arrived */
    M2C_N_PHASES
};

/* Sums since the last reset. */
struct m2c_engine_stats {
    uint64_t tokens;               /* decoded or sparsely prefilled */
    uint64_t dense_rows;           /* prefilled densely */
    uint64_t phase_ns[M2C_N_PHASES];
    uint64_t select_host_ns, tier_host_ns, shadow_ns; /* shadow: outside the tiers */
    uint64_t active[M2C_MAX_CLASSES]; /* neurons computed, by class, over all layers */
    /* against the true set, where it was computed; sums over tokens and layers */
    uint64_t judged;               /* tokens × layers */
    double recall, recall_true_k;  /* of the plan's ideal set; of all active neurons */
    double mass;                   /* share of sum |h| that the wants caught */
    uint64_t *layer_true;          /* [layers] truly active neurons, over `layer_judged` */
    uint64_t *layer_same, *layer_prev; /* [layers] of the token before, wanted again */
    uint64_t *layer_kept;          /* [layers] of layer_same, at the same class */
    uint64_t layer_judged;         /* tokens judged */
};

struct m2c_engine;

M2C_MUST_USE int m2c_engine_open(struct m2c_engine **out, const struct m2c_store *store,
                                 const struct m2c_engine_cfg *cfg, struct m2c_err *err);
void m2c_engine_close(struct m2c_engine *e); /* accepts NULL */

/* Other shares of the classes, [layers], copied, from the next token on. -EINVAL
 * where a class gets a share for which the units have no slots. */
M2C_MUST_USE int m2c_engine_shares(struct m2c_engine *e, const struct m2c_ratio *by_layer,
                                   struct m2c_err *err);

/* A new sequence: position 0; what lies in the tiers stays. */
void m2c_engine_restart(struct m2c_engine *e);
/* Goes back to `pos`, at most where it is: what follows replaces what came after.
 * False, with nothing changed, where the selector remembers tokens. */
M2C_MUST_USE bool m2c_engine_rewind(struct m2c_engine *e, uint32_t pos);
uint32_t m2c_engine_pos(const struct m2c_engine *e);
uint32_t m2c_engine_ctx(const struct m2c_engine *e);

/* Runs one token at the next position; *logits (f32[vocab], valid until the
 * next call) are those after it, or logits is NULL where nobody asks.
 * -ERANGE when the context is full, -EINVAL for an id outside the vocabulary. */
M2C_MUST_USE int m2c_engine_decode(struct m2c_engine *e, uint32_t token,
                                   const float **logits, struct m2c_err *err);

/* Runs a prompt. Sparse: each token as in decode. Dense: chunks of
 * prefill_rows tokens go layer by layer over all neurons at prefill_class,
 * through the same tiers. */
M2C_MUST_USE int m2c_engine_prefill(struct m2c_engine *e, const uint32_t *tokens,
                                    uint32_t n, bool dense, const float **logits,
                                    struct m2c_err *err);

/* As prefill (n = 1, sparse: as decode), but for the token that follows:
 * *next is the arg-max of the logits, ties to the lower id, found on the device
 * where it does M2C_OP_ARGMAX, so that no logits come back. -EDOM when a logit
 * is not a number. */
M2C_MUST_USE int m2c_engine_greedy(struct m2c_engine *e, const uint32_t *tokens,
                                   uint32_t n, bool dense, uint32_t *next,
                                   struct m2c_err *err);

const struct m2c_engine_stats *m2c_engine_stats(const struct m2c_engine *e);
void m2c_engine_stats_reset(struct m2c_engine *e); /* tier counters too */
struct m2c_tier *m2c_engine_tier(struct m2c_engine *e);
struct m2c_dev *m2c_engine_dev(struct m2c_engine *e);
/* The device's counters since the same reset. */
void m2c_engine_device_counts(const struct m2c_engine *e, struct m2c_dev_counters *out);
uint32_t m2c_engine_vocab(const struct m2c_engine *e);
bool m2c_engine_informed(const struct m2c_engine *e);
bool m2c_engine_made_up(const struct m2c_engine *e); /* sets: m2c_selector_made_up */
const struct m2c_engine_plan *m2c_engine_planned(const struct m2c_engine *e);

/* Called with every layer's FFN input x (f32[dim]) and true scores (f32[n]) of
 * every token (m2c rank). The engine must have `truth` set. NULL ends it. */
typedef void (*m2c_truth_fn)(void *ctx, uint32_t layer, const float *x,
                             const float *truth, uint32_t n);
/* The matrix that decides about activity (gate; up where there is none) of a
 * layer, decoded: f32[n][dim]. The engine must have `truth` set: -EINVAL. */
M2C_MUST_USE int m2c_engine_gate(struct m2c_engine *e, uint32_t layer, float *out,
                                 struct m2c_err *err);
struct m2c_queue *m2c_engine_queue(struct m2c_engine *e);
void m2c_engine_watch(struct m2c_engine *e, m2c_truth_fn fn, void *ctx);
/* Called with each layer's input of gate and up, x f32[rows][dim], as it is
 * computed; for devices whose memory the host can read (-EINVAL from the calls
 * that compute elsewhere). NULL ends it. */
typedef void (*m2c_input_fn)(void *ctx, uint32_t layer, const float *x, uint32_t rows,
                             uint32_t dim);
void m2c_engine_watch_input(struct m2c_engine *e, m2c_input_fn fn, void *ctx);

/* Called with what the selector wants of every layer of every token, but not in
 * dense prefill (m2c trace); an error ends the token. NULL ends it. */
typedef int (*m2c_wants_fn)(void *ctx, uint32_t layer, const struct m2c_want *wants,
                            uint32_t n);
void m2c_engine_watch_wants(struct m2c_engine *e, m2c_wants_fn fn, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
