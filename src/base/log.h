/* SPDX-License-Identifier: MIT */
/* Messages and progress, on stderr or wherever the tool points them. This
 * is the only library file that writes to a stream it did not open. */
#ifndef M2C_BASE_LOG_H
#define M2C_BASE_LOG_H

#include "base/base.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum m2c_log_level { M2C_LOG_ERROR, M2C_LOG_WARN, M2C_LOG_INFO, M2C_LOG_DEBUG };

/* A sink that a tool makes and passes down; NULL everywhere means silence. */
struct m2c_log;
M2C_MUST_USE int m2c_log_open(struct m2c_log **out, FILE *stream, enum m2c_log_level level);
void m2c_log_close(struct m2c_log *log); /* accepts NULL; does not close the stream */
/* One line, "error: ", "warning: " or nothing before it; clears a bar first. */
void m2c_log(struct m2c_log *log, enum m2c_log_level level, const char *fmt, ...)
    M2C_PRINTF(3, 4);

/* Progress of one job: a bar with rate and time left on a terminal, one line
 * every few seconds elsewhere. `unit` is "B" (printed as MiB, GiB) or a noun. */
struct m2c_progress;
M2C_MUST_USE int m2c_progress_open(struct m2c_progress **out, struct m2c_log *log,
                                   const char *what, uint64_t total, const char *unit);
void m2c_progress_set(struct m2c_progress *p, uint64_t done); /* cheap; accepts NULL */
/* Ends the bar; with `done` < total it says how far it came. Accepts NULL. */
void m2c_progress_close(struct m2c_progress *p);

#ifdef __cplusplus
}
#endif
#endif
