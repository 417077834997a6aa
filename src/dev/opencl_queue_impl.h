/* SPDX-License-Identifier: MIT */
/* A queue of the opencl backend, for opencl_queue.c and opencl_gather.c. */
#ifndef M2C_DEV_OPENCL_QUEUE_IMPL_H
#define M2C_DEV_OPENCL_QUEUE_IMPL_H

#include "dev/opencl_impl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Memory that a gathered batch travels through: filled by the host, written to
 * the device in one piece. In use until `done` has passed. */
struct m2c_cl_stage {
    cl_mem pinned, device;
    unsigned char *host;
    cl_event done; /* NULL: not in use */
};

enum { M2C_CL_STAGES = 3 };

/* Memory of products through a library: a row's numbers, the last rows, decoded
 * weights. Made when first needed; never shrinks. */
enum { M2C_CL_GEMM_IDS, M2C_CL_GEMM_X, M2C_CL_GEMM_Y, M2C_CL_GEMM_W, M2C_CL_GEMM_N };
struct m2c_cl_scratch {
    cl_mem mem; /* NULL: not made */
    uint64_t bytes;
};

struct m2c_cl_queue {
    cl_command_queue queue;
    cl_mem bounce; /* made when it is first needed */
    struct m2c_cl_stage stage[M2C_CL_STAGES];
    unsigned next; /* stage to use next */
    struct m2c_cl_scratch gemm[M2C_CL_GEMM_N];
};

/* Takes the small copies from host to device that a batch begins with, if they
 * are many enough; *taken is how many (0: none). */
int m2c_cl_gather(struct m2c_queue *mq, const struct m2c_copy *batch, size_t n, size_t *taken,
                  struct m2c_err *err);
void m2c_cl_stages_free(struct m2c_cl *c, struct m2c_cl_queue *q);

#ifdef __cplusplus
}
#endif
#endif
