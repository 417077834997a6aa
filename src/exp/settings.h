/* SPDX-License-Identifier: MIT */
/* Every config key, in one table, and what the values become.
 *
 * The table drives the ini file, --set, --help and the recorded config.
 * Which experiments read a key stands in its row. */
#ifndef M2C_EXP_SETTINGS_H
#define M2C_EXP_SETTINGS_H

#include "base/opt.h"
#include "infer/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

enum m2c_reuse { M2C_REUSE_EXACT, M2C_REUSE_AT_LEAST };
enum m2c_carbon_model { M2C_CARBON_PAPER, M2C_CARBON_MEASURED };

struct m2c_settings {
    struct {
        const char *kinds, *name;
        int64_t seed, repeat, warmup;
    } experiment;
    struct {
        const char *path, *rank, *synth, *layout, *arrange, *dense;
    } model;
    struct {
        const char *backend, *platform, *isa, *gemm, *copy, *library, *cache, *profile;
        int64_t index, threads;
        uint64_t bytes, max_alloc;
    } device;
    struct {
        const char *dtype;
    } kv;
    struct {
        struct m2c_size bytes;
        const char *policy;
    } hbm;
    struct {
        struct m2c_size bytes;
        int64_t fixed_layers;
    } dram;
    struct {
        const char *engine, *profile;
        bool direct;
        int64_t queue_depth, lookahead, retries;
        uint64_t chunk;
        int verify; /* enum m2c_verify */
    } ssd;
    struct {
        double active;
        struct m2c_ratio ratio;
        const char *layers;
        int assign; /* enum m2c_assign */
        int reuse;  /* enum m2c_reuse */
        double hysteresis;
    } precision;
    struct {
        const char *kind, *trace;
        int64_t lookahead, width;
        int fit; /* enum m2c_process_fit */
        double density, concentration, overlap, spread, class_change;
    } selector;
    struct {
        const char *prompt, *prompt_file, *prefill, *prefill_class;
        int64_t prompt_tokens, new_tokens, ctx, prefill_rows;
        double temperature, top_p;
        bool ignore_eos;
    } decode;
    struct {
        const char *file, *split;
        int64_t tokens;
        bool kl;
    } text;
    struct {
        const char *files;
        int64_t limit;
    } tasks;
    struct {
        const char *text;
        int64_t tokens, prompts, grid;
        double step, start;
        uint64_t bytes;
    } ratio;
    struct {
        const char *system;
    } baseline;
    struct {
        const char *sources, *gpu, *nvml, *powercap, *hwmon, *wall_csv;
        bool gpu_sampled;
        double period_ms, wall_wait_s, idle_s, cpu_busy_w, cpu_idle_w;
    } meter;
    struct {
        const char *region;
        int model; /* enum m2c_carbon_model */
        double g_per_kwh, dram_w_per_gib, dram_j_per_gb, ssd_w, ssd_j_per_gb, gpu_w;
        double embodied_kg, life_years, utilisation;
    } carbon;
    struct {
        const char *dir, *timeline;
    } output;
};

extern const struct m2c_opt m2c_settings_table[];
extern const size_t m2c_settings_rows;

/* Puts the consequences of baseline.system into the set, so that points that
 * mean the same have the same text. */
M2C_MUST_USE int m2c_settings_normalise(struct m2c_optset *set, struct m2c_err *err);
/* The class of fit-resident for this store and these budgets: the widest of which
 * everything stays resident, into tier.ratio. -ENOSPC where there is none. */
M2C_MUST_USE int m2c_settings_fit(const struct m2c_store *store,
                                  struct m2c_engine_cfg *cfg, struct m2c_err *err);

/* Parses the set and checks what a single key's range cannot. */
M2C_MUST_USE int m2c_settings_apply(const struct m2c_optset *set, struct m2c_settings *out,
                                    struct m2c_err *err);

/* The shares of each layer. `text`: a ratio a layer, between blanks; "": `ratio`
 * everywhere. A ratio has a share for each of n_classes, and perhaps one more, of
 * the neurons that are left out: these shares then sum to less than 1. *out
 * [layers] is the caller's to free. -EINVAL names the layer. */
M2C_MUST_USE int m2c_settings_layers(const char *text, const struct m2c_ratio *ratio,
                                     uint32_t layers, uint32_t n_classes,
                                     struct m2c_ratio **out, struct m2c_err *err);

/* Opens the store of model.path, or makes the shape of model.synth. */
M2C_MUST_USE int m2c_settings_store(const struct m2c_settings *s, struct m2c_store **out,
                                    struct m2c_err *err);

/* What the engine gets, for this store: percentages become bytes (of all FFN
 * neurons at the store's widest class, as they lie in units or in DRAM),
 * class names become indices. `rank` is borrowed, or NULL. Where shares differ by
 * layer or leave neurons out, out->layer_ratio is the caller's to free once the
 * engine is open, also after a failure. */
M2C_MUST_USE int m2c_settings_engine(const struct m2c_settings *s,
                                     const struct m2c_store *store,
                                     const struct m2c_rank *rank, uint64_t seed,
                                     struct m2c_engine_cfg *out, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
