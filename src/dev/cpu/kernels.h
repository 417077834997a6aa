/* SPDX-License-Identifier: MIT */
/* The cpu backend's kernels: one call at a time, on host memory.
 *
 * Owns the arithmetic and its split over a thread pool; queues, events,
 * memory and bounds are the backend's (dev/cpu.c). Invariant: a result
 * depends on the operands and the ISA only, bit for bit, never on the number
 * of threads, on alignment, on how many rows or list entries go together, or
 * on how a list is cut into calls. */
#ifndef M2C_DEV_CPU_KERNELS_H
#define M2C_DEV_CPU_KERNELS_H

#include "base/pool.h"
#include "ops/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A set of kernels; const, lives as long as the program. */
struct m2c_cpu_isa;

/* "auto" takes the best this CPU can run; "c", "avx2" (AVX2, FMA, F16C),
 * "avx512" (F, BW, VL, DQ and what avx2 needs). NULL with -ENOENT for an
 * unknown name (err names the choices) and -ENODEV for a set that this CPU
 * or this build lacks. */
const struct m2c_cpu_isa *m2c_cpu_isa_find(const char *name, struct m2c_err *err);
const char *m2c_cpu_isa_name(const struct m2c_cpu_isa *isa);
/* The i-th set in probing order, best first, whether or not it can run here;
 * NULL at the end. */
const char *m2c_cpu_isa_list(unsigned i);

/* Once, before the first call in a process that uses OpenBLAS: its own
 * threads are turned off, since the pool's threads call it. */
void m2c_cpu_kernels_init(void);

/* Ids a segment of the FFN sums: at most 32 segments a layer, each a
 * multiple of m2c_cpu_seg_min ids. */
uint32_t m2c_cpu_seg_neurons(const struct m2c_cpu_isa *isa, uint32_t n_neurons);
uint32_t m2c_cpu_seg_min(const struct m2c_cpu_isa *isa);
/* MATMUL with rows >= this may go through a GEMM (m2c_dev_info.gemm_rows). */
uint32_t m2c_cpu_gemm_rows(const struct m2c_cpu_isa *isa);

/* As m2c_dev_supports. */
bool m2c_cpu_supports(const struct m2c_cpu_isa *isa, enum m2c_op op, enum m2c_type type);

/* Runs the call to its end, using every thread of `pool`. All operands are
 * host addresses inside their bounds (the caller has checked). -ENOTSUP for
 * types that m2c_cpu_supports denies; 0 otherwise. One call at a time a
 * pool; several pools may run at once. */
M2C_MUST_USE int m2c_cpu_run(const struct m2c_cpu_isa *isa, struct m2c_pool *pool,
                             const struct m2c_call *call);

/* Reads `bytes` at `p` with every thread of the pool, as fast as memory gives
 * them: the bandwidth that kernels are measured against. The result is of no
 * use but to keep the reads alive. */
uint64_t m2c_cpu_read(const struct m2c_cpu_isa *isa, struct m2c_pool *pool, const void *p,
                      size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
