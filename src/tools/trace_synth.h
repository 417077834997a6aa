/* SPDX-License-Identifier: MIT */
/* m2c trace --synthetic: a trace of sets that a process draws, without running a
 * model. */
#ifndef M2C_TOOLS_TRACE_SYNTH_H
#define M2C_TOOLS_TRACE_SYNTH_H

#include "tools/cli.h"
#include "tools/session.h"

struct m2c_trace_synth {
    const char *model;       /* a store whose shape it is, or NULL: */
    const char *preset;      /* a known model's */
    int64_t layers, neurons; /* instead of the model's; 0: its own */
    int64_t tokens;
    const char *out;
};

/* Returns an exit code. */
int m2c_trace_synthetic(const struct m2c_trace_synth *a,
                        const struct m2c_session_flags *f, const char *const *defaults,
                        size_t n_defaults, struct m2c_log *log);

#endif
