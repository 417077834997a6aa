/* SPDX-License-Identifier: MIT */
/* Processes that draw active sets where there is no model to have them: for stores
 * of random weights, for simulated runs, for traces of a larger shape.
 *
 * Two kinds. *By numbers*: density, concentration, overlap, spread of the active
 * count and class changes are given, and refused where no set can have them.
 * *Scaled*: a recorded trace is taken to another shape by drawing its blocks of
 * co-active neurons again (process_scaled.c), or by its numbers, layer by layer, with
 * its own frequencies in place of density and concentration (process_measure.c).
 *
 * A set depends on (seed, token, layer) and on the configuration, not on what was
 * asked before; asking for one token after the other is fast. No engine, no clock,
 * no thread: one instance a thread. */
#ifndef M2C_SELECT_PROCESS_H
#define M2C_SELECT_PROCESS_H

#include "base/opt.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_trace; /* store/trace.h */

/* NAN: the default; -EINVAL where the others leave no room for it. */
struct m2c_process_numbers {
    /* Mean share of the neurons that a token activates. 0.3: PowerInfer (SOSP 2024) for
     * ReGLU-7B. */
    double density;
    /* Share of the neurons that makes 80 % of all activations, in (0.8 · density, 0.8).
     * 0.43: PowerInfer for a block of LLaMA2-ReGLU-70B. */
    double concentration;
    /* Mean share of a token's set that the token before had, too. 0.8: M2Cache §5.3. */
    double overlap;
    /* Standard deviation of the active count over its mean. 0.2: about what relu2M's
     * layers but the first have. */
    double spread;
    /* Of neurons that stay active, the share whose class changes, when classes go by
     * rank in the shares of `ratio` (some 0.05 change at least, since the borders between
     * ranks move with the set). 0.95 of what independence gives: as relu2M. */
    double class_change;
};

/* How a recording is taken to another shape. */
enum m2c_process_fit { M2C_FIT_BLOCKS, M2C_FIT_NUMBERS };

struct m2c_process_cfg {
    uint32_t layers, n; /* neurons a layer */
    uint64_t seed;
    struct m2c_ratio ratio;         /* for class_change */
    struct m2c_process_numbers num; /* all NAN where there is a source */
    const struct m2c_trace *source; /* borrowed until closed; NULL: by numbers */
    enum m2c_process_fit fit;       /* of a source; numbers that the copula cannot have
                                       become the nearest that it can */
};

struct m2c_process;

/* -EINVAL names the number (a key of [selector]) and the range that is possible. */
M2C_MUST_USE int m2c_process_open(struct m2c_process **out,
                                  const struct m2c_process_cfg *cfg, struct m2c_err *err);
void m2c_process_close(struct m2c_process *p); /* accepts NULL */

/* Scores of the neurons, f32[n]: above 0 where active, higher matters more. */
void m2c_process_scores(struct m2c_process *p, uint64_t token, uint32_t layer,
                        float *scores);

/* What was settled for a layer: given, by default, or fitted; all NAN where blocks are
 * drawn. */
const struct m2c_process_numbers *m2c_process_numbers(const struct m2c_process *p,
                                                      uint32_t layer);

#ifdef __cplusplus
}
#endif
#endif
