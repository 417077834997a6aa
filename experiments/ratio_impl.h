/* SPDX-License-Identifier: MIT */
/* What the files of experiment `ratio` share. */
#ifndef M2C_EXPERIMENTS_RATIO_IMPL_H
#define M2C_EXPERIMENTS_RATIO_IMPL_H

#include "exp/exp.h"
#include "exp/search.h"
#include "infer/task.h"

enum { RATIO_ROWS = M2C_LAYOUT_CLASSES + 8, RATIO_TASKS = 16 };

/* A line of the table. */
struct ratio_row {
    char name[24];
    struct m2c_ratio *by_layer; /* [layers] */
    double kl_calib;            /* on the calibration text; NAN: not measured */
};

struct ratio {
    struct m2c_run *run;
    struct m2c_engine *engine, *dense;
    struct m2c_text calib, test;
    struct m2c_task task[RATIO_TASKS];
    uint32_t n_tasks;
    uint32_t layers, classes, vocab;
    uint64_t n_calib; /* tokens of calib that are scored */
    float *ref;       /* [n_calib][vocab] logits of the dense model */
    uint32_t *prompt, n_prompt; /* [ratio.prompts][n_prompt], BOS first */
    uint64_t *count;  /* [layers][classes] neurons wanted since it was cleared */
    double *entropy;  /* [ratio.prompts · decode.new_tokens] of the last UQEst */
    struct ratio_row row[RATIO_ROWS];
    uint32_t n_rows;
};

/* ---- measuring (ratio_measure.c) ---- */

/* Prompts, and the dense model's logits on the calibration text. */
M2C_MUST_USE int ratio_prepare(struct ratio *p, struct m2c_err *err);
/* Equation 2 of the paper: the summed entropy of the next token over all generated
 * positions, nats; each goes into p->entropy. */
M2C_MUST_USE int ratio_uq(struct ratio *p, const struct m2c_ratio *by_layer, double *out,
                          struct m2c_err *err);
/* KL(dense || plan), mean over the calibration tokens, and FFN bytes a token. */
M2C_MUST_USE int ratio_kl(struct ratio *p, const struct m2c_ratio *by_layer, double *kl,
                          double *bytes, struct m2c_err *err);
/* Packed bytes of a neuron at class c. */
double ratio_class_bytes(const struct ratio *p, uint32_t c);
/* The same shares in every layer; *out [layers] is the caller's to free. */
M2C_MUST_USE int ratio_uniform(const struct ratio *p, const struct m2c_ratio *ratio,
                               struct m2c_ratio **out, struct m2c_err *err);

/* ---- the search by KL (ratio_least.c) ---- */

struct ratio_least {
    uint32_t n_plans;
    uint8_t *part;  /* [n_plans][classes + 1] of `grid`; the last: left out */
    double *loss;   /* [layers][n_plans] */
    double *bytes;  /* [layers][n_plans] a token */
};

/* Measures what each rank of each layer loses at each class, and from that the loss
 * of every plan of one layer. */
M2C_MUST_USE int ratio_least_open(struct ratio *p, struct ratio_least *l,
                                  struct m2c_err *err);
void ratio_least_close(struct ratio_least *l);
/* The best plan that reads at most `budget` bytes a token on the calibration text;
 * becomes a row. */
M2C_MUST_USE int ratio_least_row(struct ratio *p, const struct ratio_least *l,
                                 const char *name, double budget, struct m2c_err *err);

/* ---- the table (ratio_table.c) ---- */

/* Adds a row; takes by_layer, also when it fails. */
M2C_MUST_USE int ratio_row_add(struct ratio *p, const char *name,
                               struct m2c_ratio *by_layer, double kl_calib,
                               struct m2c_err *err);
/* Scores all rows on the test text and writes the figures. */
M2C_MUST_USE int ratio_table(struct ratio *p, struct m2c_err *err);
/* "precision.ratio = 25:25:50", or precision.layers; malloc'd, NULL: out of memory. */
char *ratio_text(const struct ratio *p, const struct m2c_ratio *by_layer);

#endif
