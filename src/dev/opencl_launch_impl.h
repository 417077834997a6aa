/* SPDX-License-Identifier: MIT */
/* One launch on the opencl backend: from operands to arguments, and enqueuing;
 * for opencl_launch.c and opencl_gemm.c. */
#ifndef M2C_DEV_OPENCL_LAUNCH_IMPL_H
#define M2C_DEV_OPENCL_LAUNCH_IMPL_H

#include "dev/opencl_queue_impl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Arguments of one launch, in the order of the kernel's parameters. */
struct m2c_cl_args {
    struct m2c_cl *c;
    struct m2c_cl_queue *q;
    const struct m2c_cl_program *program;
    cl_mem mem[M2C_CL_WINDOWS + 4]; /* no op has more than six without windows */
    unsigned n_mem, n_windows;      /* windows come first; all are given, or none */
    const void *params;
    size_t param_bytes;
};

#define M2C_CL_PARAMS(a, p) ((a)->params = &(p), (a)->param_bytes = sizeof(p))

/* An operand in one allocation; returns its offset there in *off. What is
 * written must not lie in two windows. */
int m2c_cl_add_mem(struct m2c_cl_args *a, const char *name, struct m2c_mem m,
                   uint64_t bytes, bool written, uint64_t *off, struct m2c_err *err);
/* Operands in windows, before all others. */
int m2c_cl_add_matrix(struct m2c_cl_args *a, const char *name, const struct m2c_tensor *t,
                      struct m2c_cl_matrix *out, struct m2c_err *err);
/* Vectors [first, first + n) of every neuron are what the op reads. */
int m2c_cl_add_unit(struct m2c_cl_args *a, const struct m2c_ffn_unit *u, unsigned first,
                    unsigned n, struct m2c_cl_unit *out, struct m2c_err *err);
/* After the last window. */
void m2c_cl_end_windows(struct m2c_cl_args *a);
static inline bool m2c_cl_aligned(uint64_t x) /* as kernels load wide words */
{
    return x % 16 == 0;
}

/* Enqueues; variant: of the program's kernels. */
int m2c_cl_run(struct m2c_cl_args *a, int variant, const size_t *global,
               const size_t *local, struct m2c_err *err);
/* n0 work-items at least, and n1 × n2. */
int m2c_cl_run_items(struct m2c_cl_args *a, uint64_t n0, uint64_t n1, uint64_t n2,
                     struct m2c_err *err);
/* n0 × n1 work-groups of `size`. */
int m2c_cl_run_groups(struct m2c_cl_args *a, int variant, unsigned size, uint64_t n0,
                      uint64_t n1, struct m2c_err *err);

/* ---- opencl_gemm.c ---- */
/* Decides by device.gemm from how many rows on (c->gemm_rows; 0: never). */
int m2c_cl_gemm_open(struct m2c_dev *dev, struct m2c_err *err);
void m2c_cl_gemm_close(struct m2c_cl *c);
/* MATMUL of that many rows. */
int m2c_cl_gemm(struct m2c_queue *mq, const struct m2c_matmul_args *m,
                struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
