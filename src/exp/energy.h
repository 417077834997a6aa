/* SPDX-License-Identifier: MIT */
/* Energy of a window of a run, from the meters that the config names. */
#ifndef M2C_EXP_ENERGY_H
#define M2C_EXP_ENERGY_H

#include "exp/exp.h"

struct m2c_window;

/* Opens the meters and, where meter.idle_s asks for it, waits that long to see
 * what the machine takes with the model loaded and nothing to do. `e` supplies
 * the bytes moved; both are borrowed. A source that is asked for by name and is
 * not there fails; `auto` takes for each component the best there is, GPUs where
 * one computes. */
M2C_MUST_USE int m2c_window_open(struct m2c_window **out, struct m2c_run *run,
                                 struct m2c_engine *e, struct m2c_err *err);
/* Takes the first reading. Once. */
M2C_MUST_USE int m2c_window_start(struct m2c_window *w, struct m2c_err *err);
bool m2c_window_started(const struct m2c_window *w);
/* Between the two readings, as often as convenient: counters that wrap round are
 * kept up with. */
void m2c_window_keep(struct m2c_window *w);
/* Takes the last reading and puts energy.<component>, energy_total and carbon
 * for each of n_tokens new tokens, how far they may be off and what is above the
 * idle power. Windows that a source cannot resolve are unavailable, as is one
 * whose source fails; the total is labelled as its weakest part. The samples
 * window_unix_s are when it began and ended, on a machine that is real. */
M2C_MUST_USE int m2c_window_put(struct m2c_window *w, uint32_t n_tokens,
                                struct m2c_err *err);
void m2c_window_close(struct m2c_window *w); /* accepts NULL */

#endif
