/* SPDX-License-Identifier: MIT */
/* Scoring text: NLL, and KL divergence against a dense reference. */
#ifndef M2C_INFER_SCORE_H
#define M2C_INFER_SCORE_H

#include "base/log.h"
#include "infer/engine.h"
#include "infer/text.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_score {
    uint64_t n;      /* scored tokens: every token but BOS */
    double nll;      /* sum, nats */
    bool has_kl;     /* a reference ran beside */
    double kl_sum;   /* KL(reference || engine), nats, over the same positions */
    double ref_nll;  /* the reference's sum */
    uint64_t agree;  /* positions at which both have the same arg-max */
    float *kl;       /* [n] for quantiles; freed by m2c_score_free */
    float *token_nll; /* [n] in the order scored */
};

/* Each piece starts afresh with BOS; a piece longer than the context goes in
 * consecutive windows, each starting with BOS. Tokens go one by one, as in decode
 * (prefill = sparse). `ref`, of the same vocabulary, and `stop` (-EINTR when
 * set) may be NULL. */
M2C_MUST_USE int m2c_score_text(struct m2c_engine *e, struct m2c_engine *ref,
                                const struct m2c_text *text, int32_t bos,
                                struct m2c_progress *progress, const volatile bool *stop,
                                struct m2c_score *out, struct m2c_err *err);
void m2c_score_free(struct m2c_score *s);
/* Quantile q of the KL values by linear interpolation; sorts them. */
double m2c_score_kl_quantile(struct m2c_score *s, double q);

/* KL(p || q) and the entropy of rows of logits, nats, computed in double. */
double m2c_divergence(const float *p, const float *q, uint32_t n);
double m2c_entropy(const float *logits, uint32_t n);
/* -log softmax(logits)[id], computed in double. */
double m2c_nll(const float *logits, uint32_t n, uint32_t id);

#ifdef __cplusplus
}
#endif
#endif
