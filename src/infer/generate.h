/* SPDX-License-Identifier: MIT */
/* Generating text: sampling, and the loop of prefill and decode. */
#ifndef M2C_INFER_GENERATE_H
#define M2C_INFER_GENERATE_H

#include "base/rng.h"
#include "infer/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_sampling {
    double temperature; /* 0: greedy */
    double top_p;       /* 1: off */
    uint64_t seed, stream;
};

struct m2c_sampler;
M2C_MUST_USE int m2c_sampler_open(struct m2c_sampler **out, const struct m2c_sampling *cfg,
                                  uint32_t vocab, struct m2c_err *err);
void m2c_sampler_close(struct m2c_sampler *s); /* accepts NULL */
/* Greedy: the arg-max, ties to the lower id. Otherwise drawn from
 * softmax(logits / temperature), cut to the smallest set of most probable
 * tokens whose mass reaches top_p. -EDOM when logits hold a NaN. */
M2C_MUST_USE int m2c_sampler_next(struct m2c_sampler *s, const float *logits,
                                  uint32_t *token, struct m2c_err *err);

struct m2c_generate_cfg {
    const uint32_t *prompt; /* BOS included */
    uint32_t n_prompt, n_new;
    bool dense_prefill;
    int32_t eos; /* -1: never stop early */
    struct m2c_sampling sampling;
    const volatile bool *stop; /* may be NULL */
    /* Called for every new token as it is known; may be NULL. A positive value
     * ends the text there and is what m2c_generate returns. */
    int (*token)(void *ctx, uint32_t token, struct m2c_err *err);
    void *ctx;
};

struct m2c_generate_result {
    uint32_t n_new;      /* tokens generated, EOS included */
    uint64_t prefill_ns; /* until the first new token is known: TTFT */
    uint64_t decode_ns;  /* for the others */
    uint64_t *token_ns;  /* [n_new - 1], of each decode step; free() it */
};

/* Starts a new sequence. The clock runs from the first prompt token to the
 * last new one, but stands still in the `token` callback; nothing is opened
 * or allocated while it runs. */
M2C_MUST_USE int m2c_generate(struct m2c_engine *e, const struct m2c_generate_cfg *cfg,
                              struct m2c_generate_result *out, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
