/* SPDX-License-Identifier: MIT */
/* Real time. Code that must also run simulated uses base/vclock.h. */
#ifndef M2C_BASE_CLOCK_H
#define M2C_BASE_CLOCK_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

uint64_t m2c_now_ns(void);    /* CLOCK_MONOTONIC */
uint64_t m2c_thread_ns(void); /* that the calling thread has computed */

/* UTC wall time as 2026-01-31T23:59:59Z. */
void m2c_utc(char out[21]);

#ifdef __cplusplus
}
#endif
#endif
