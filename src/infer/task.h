/* SPDX-License-Identifier: MIT */
/* Tasks: files of questions (JSON lines), their scoring by likelihood, and what
 * the scores say. The conventions are those of EleutherAI's
 * lm-evaluation-harness: text before and after the seam is tokenised together,
 * blanks at the end of the first go to the second; `acc` takes the option of the
 * highest log-likelihood, `acc_norm` that of the highest per character. Every
 * sequence begins with BOS, as everywhere in m2c.
 *
 *   choice    {"query", "choices": [...], "gold": i}
 *   partial   {"context_options": [...], "continuation", "gold": i}: which context
 *             makes what follows likeliest (winogrande's partial evaluation)
 *   last      {"context", "continuation"}: whether greedy decoding gives exactly
 *             the continuation (lambada)
 *   code      {"task_id", "prompt"}: text to be completed (HumanEval); not scored */
#ifndef M2C_INFER_TASK_H
#define M2C_INFER_TASK_H

#include "base/hash.h"
#include "base/log.h"
#include "infer/engine.h"
#include "infer/text.h"

#ifdef __cplusplus
extern "C" {
#endif

enum m2c_task_kind { M2C_TASK_CHOICE, M2C_TASK_PARTIAL, M2C_TASK_LAST, M2C_TASK_CODE };

/* One way on: ids without BOS, of which those from n_ctx on are scored. */
struct m2c_task_option {
    uint32_t *ids;
    uint32_t n, n_ctx;
    uint32_t chars; /* of the choice as the file has it, for acc_norm */
};

struct m2c_task_item {
    struct m2c_task_option *option; /* [n] */
    uint32_t n, gold;
    char *id; /* code: its name */
};

struct m2c_task {
    enum m2c_task_kind kind;
    char name[64]; /* of the file, without folder and extension */
    struct m2c_task_item *item;
    uint32_t n;
    uint64_t options, tokens; /* of all items */
    struct m2c_hash128 hash;  /* of the lines that were read */
};

/* "choice" and so on. */
const char *m2c_task_kind_name(enum m2c_task_kind kind);

/* At most `limit` items (0: all). `seam` stands between the two texts (NULL: a
 * space). Errors name file and line. */
M2C_MUST_USE int m2c_task_load(const char *path, uint64_t limit, const char *seam,
                               struct m2c_tok *tok, struct m2c_task *out,
                               struct m2c_err *err);
void m2c_task_free(struct m2c_task *t);

/* Scores, in the order of items and options. */
struct m2c_task_score {
    double *ll;          /* [options] nats, sums over the continuation */
    uint8_t *exact;      /* [options] greedy decoding gives the continuation */
    uint8_t *right;      /* [n] */
    uint8_t *right_norm; /* [n]; equal to `right` where acc_norm means nothing */
    double *gold_ll;     /* [n] of the right option */
};

/* A context longer than the engine's loses its beginning. `dense`: contexts go
 * by dense prefill. -EINTR when *stop is set (it may be NULL), -EINVAL for code. */
M2C_MUST_USE int m2c_task_run(struct m2c_engine *e, const struct m2c_task *t, int32_t bos,
                              bool dense, struct m2c_progress *progress,
                              const volatile bool *stop, struct m2c_task_score *out,
                              struct m2c_err *err);
void m2c_task_score_free(struct m2c_task_score *s);

struct m2c_task_figures {
    double acc, acc_err;           /* binomial: sqrt(p (1 - p) / n) */
    double acc_norm, acc_norm_err; /* NAN but for `choice` */
    double gold_ll;                /* mean, nats an item */
    double chance;                 /* of guessing; NAN for `last` */
    double perplexity;             /* exp(-gold_ll), of `last`; NAN else */
};
void m2c_task_figures(const struct m2c_task *t, const struct m2c_task_score *s,
                      struct m2c_task_figures *out);

/* Two runs on the same items. */
struct m2c_task_paired {
    uint32_t only_a, only_b;     /* right in one of them alone */
    double diff, diff_err;       /* accuracy a - b, standard error over items */
    double p;                    /* exact two-sided McNemar test */
    double ll_diff, ll_diff_err; /* mean of gold_ll a - b, standard error */
};
void m2c_task_pair(uint32_t n, const uint8_t *a, const uint8_t *b, const double *ll_a,
                   const double *ll_b, struct m2c_task_paired *out);

#ifdef __cplusplus
}
#endif
#endif
