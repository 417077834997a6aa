/* SPDX-License-Identifier: MIT */
/* Experiments: what is measured at a point of a sweep.
 *
 * The runner owns points, order, repetitions, seeds, records and resuming; an
 * experiment owns its timing window, which its top comment states. One file
 * in experiments/, one line in the registry of the tool. */
#ifndef M2C_EXP_EXP_H
#define M2C_EXP_EXP_H

#include "base/log.h"
#include "exp/figure.h"
#include "exp/settings.h"
#include "exp/sweep.h"
#include "infer/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What an experiment sees of one (point, repetition). Borrowed throughout. */
struct m2c_run {
    const struct m2c_settings *cfg;
    const struct m2c_store *store;
    const struct m2c_rank *rank; /* or NULL */
    struct m2c_tok *tok;         /* of the store; NULL: it has none */
    uint32_t index; /* of the point, in the sweep's order */
    int64_t rep;
    uint64_t workload_seed;  /* of (seed, repetition) only: the same at every point */
    uint64_t mechanism_seed; /* of the point too */
    const volatile bool *stop;
    struct m2c_log *log;
    struct m2c_timeline *timeline; /* or NULL */
    /* the record's parts; written by the experiment */
    json_t *figures; /* through m2c_figure_put */
    json_t *samples; /* name -> array of numbers */
    json_t *labels;  /* array of words, such as "informed" */
    bool simulated;  /* set by m2c_run_engine: figures are of a simulated machine */
    void *priv;      /* ops->p.priv_size bytes, zeroed */
};

struct m2c_exp_ops {
    struct m2c_plugin p;
    /* All mandatory. setup is untimed: opens, warms up. step measures and
     * writes figures. teardown runs after any setup, whole or half. */
    int (*setup)(struct m2c_run *run, struct m2c_err *err);
    int (*step)(struct m2c_run *run, struct m2c_err *err);
    void (*teardown)(struct m2c_run *run);
};

/* What a sweep needs beside its config. */
struct m2c_exp_cfg {
    const struct m2c_exp_ops *const *registry; /* NULL-terminated */
    const char *dir;                           /* results folder */
    bool resume;
    uint32_t shard, shards; /* points with index % shards == shard; 0 of 1: all */
    const volatile bool *stop;
    struct m2c_log *log;
    struct m2c_timeline *timeline; /* borrowed; NULL: none */
};

struct m2c_exp_result {
    uint32_t ran, failed, skipped; /* (point, repetition) pairs; skipped: had a record */
    uint64_t dropped_bytes;        /* of a torn last line */
};

/* Runs a sweep: one record a (point, repetition). A point that fails is
 * recorded with its error and the others run. -EINTR when stopped: what is
 * finished is kept. Writes config.ini, results.jsonl, and at the end
 * results.csv and results.h5. */
M2C_MUST_USE int m2c_exp_sweep(const struct m2c_optset *config,
                               const struct m2c_exp_cfg *cfg, struct m2c_exp_result *out,
                               struct m2c_err *err);

/* Checks a registry and the `kinds` of a config. -EINVAL names the nearest. */
M2C_MUST_USE int m2c_exp_check_kinds(const struct m2c_exp_ops *const *registry,
                                     const char *kinds, struct m2c_err *err);

/* results.csv and results.h5 from the journal of a folder. */
M2C_MUST_USE int m2c_exp_export(const char *dir, struct m2c_err *err);
/* One folder from several that ran shards of the same config. */
M2C_MUST_USE int m2c_exp_merge(const char *const *dirs, size_t n, const char *out,
                               struct m2c_err *err);

/* ---- shared by experiments ---- */

/* The engine of this point, opened on the run's settings. */
M2C_MUST_USE int m2c_run_engine(struct m2c_run *run, struct m2c_engine **out,
                                struct m2c_err *err);
/* The dense reference: every neuron at the widest class, resident. */
M2C_MUST_USE int m2c_run_dense(struct m2c_run *run, struct m2c_engine **out,
                               struct m2c_err *err);
/* The text that [text] names. */
M2C_MUST_USE int m2c_run_text(struct m2c_run *run, struct m2c_text *out,
                              struct m2c_err *err);
/* What a time or count of this run is, and the clock that its times are by. */
enum m2c_how m2c_run_how(const struct m2c_run *run);
const char *m2c_run_clock(const struct m2c_run *run);

/* Figures about tiers, times and selection, per token, from an engine's sums
 * since its last reset. */
M2C_MUST_USE int m2c_run_put_tiers(struct m2c_run *run, struct m2c_engine *e,
                                   struct m2c_err *err);
M2C_MUST_USE int m2c_run_put_times(struct m2c_run *run, struct m2c_engine *e,
                                   struct m2c_err *err);
M2C_MUST_USE int m2c_run_put_selection(struct m2c_run *run, struct m2c_engine *e,
                                       struct m2c_err *err);
/* samples.<name> = values. */
M2C_MUST_USE int m2c_run_samples(struct m2c_run *run, const char *name,
                                 const double *values, size_t n, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
