/* SPDX-License-Identifier: MIT */
/* What the files of the cuda backend share: cuda.c has the device and its
 * memory, cuda_lib.c the libraries, cuda_program.c the kernels' code,
 * cuda_queue.c queues and events, cuda_copy.c copies, cuda_launch.c the ops,
 * cuda_gemm.c products through cuBLAS. */
#ifndef M2C_DEV_CUDA_IMPL_H
#define M2C_DEV_CUDA_IMPL_H

#include "dev/cuda_abi.h"
#include "dev/dev_impl.h"
#include "dev/progcache.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/manifest.h"

#ifdef __cplusplus
extern "C" {
#endif

#define M2C_CUDA_ID(entry, file, type, args) M2C_CUDA_##entry,
enum m2c_cuda_kernel { M2C_K_MANIFEST(M2C_CUDA_ID) M2C_CUDA_KERNELS };

/* How the pieces of a batch travel. */
enum m2c_cuda_copy {
    M2C_CUDA_EACH,   /* one cuMemcpyAsync a piece */
    M2C_CUDA_GATHER, /* a kernel that reads and writes mapped host memory */
    M2C_CUDA_BATCH,  /* cuMemcpyBatchAsync */
    M2C_CUDA_COPIES
};
/* Pieces of up to (2048 << 2i) bytes are of size class i, larger ones of the last. */
enum { M2C_CUDA_SIZES = 4 };

enum { M2C_CUDA_EVENTS = 256, M2C_CUDA_DRIVER_MIN = 11000 };

struct m2c_cuda {
    struct m2c_cu cu;
    struct m2c_nvrtc nvrtc;   /* .lib NULL: not opened */
    struct m2c_cublas cublas; /* the same */
    int device;
    m2c_cu_ctx ctx;
    int driver;            /* 12040: CUDA 12.4 */
    unsigned arch;         /* 86 */
    unsigned code_arch;    /* what NVRTC makes code for, PTX or not */
    bool ptx;
    struct m2c_k_card card;
    m2c_cu_stream stream;  /* the backend's own: zeroing, measuring */
    struct m2c_progcache *cache;
    m2c_cu_module module[M2C_CUDA_KERNELS];
    unsigned n_modules;
    m2c_cu_function kernel[M2C_CUDA_KERNELS];
    enum m2c_cuda_copy copy[M2C_CUDA_SIZES]; /* by the size of a batch's pieces */
    m2c_cu_event base;     /* passed when the host's clock was base_ns */
    uint64_t base_ns;
    m2c_cu_event idle[M2C_CUDA_EVENTS]; /* for use again */
    unsigned n_idle;
};

/* A buffer's handle. */
struct m2c_cuda_mem {
    m2c_cu_ptr at;      /* for kernels and copies; of plain host memory the address */
    m2c_cu_ptr raw;     /* what the driver gave, for it to free; 0: host memory */
};

/* Lists of pieces for the gather kernel, in mapped host memory: a ring of
 * blocks, each free again when its event has passed. */
enum { M2C_CUDA_BLOCKS = 8, M2C_CUDA_PIECES = 1024 };

/* Device memory of a queue's own, beside the budget. */
struct m2c_cuda_scratch {
    m2c_cu_ptr at; /* 0: none */
    uint64_t bytes;
};

struct m2c_cuda_queue {
    struct m2c_cuda *c;
    m2c_cu_stream stream;
    void *lists; /* M2C_CUDA_BLOCKS * M2C_CUDA_PIECES pieces; NULL until needed */
    m2c_cu_ptr lists_at;
    m2c_cu_event block[M2C_CUDA_BLOCKS]; /* NULL: never used */
    unsigned next_block;
    struct m2c_cuda_scratch part; /* attention's splits */
    struct m2c_cuda_scratch gemm; /* weights in f32, rows up to a whole tile */
    m2c_cublas_handle blas;       /* NULL until needed */
};

static inline m2c_cu_ptr m2c_cuda_at(struct m2c_mem m)
{
    return m.buf ? ((const struct m2c_cuda_mem *)(uintptr_t)m.buf->handle)->at + m.off : 0;
}

/* ---- cuda_lib.c ---- */
/* `dir`: "" or NULL, or a folder that is looked into first. -ENODEV where the
 * driver is not there, or is none. */
int m2c_cuda_open_driver(struct m2c_cu *cu, const char *dir, struct m2c_err *err);
/* The newest NVRTC that the driver can take code from and that makes code for
 * c->arch, or PTX for it; sets c->nvrtc, code_arch and ptx. -ENOTSUP says what was
 * found and which package has it. */
int m2c_cuda_open_nvrtc(struct m2c_cuda *c, const char *dir, struct m2c_err *err);
/* -ENOTSUP, as above. */
int m2c_cuda_open_cublas(struct m2c_cublas *blas, const char *dir, int driver,
                         struct m2c_err *err);
void m2c_cuda_close_libs(struct m2c_cuda *c);
/* "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (out of memory)"; the errno of `code`,
 * 0 for M2C_CU_OK. */
int m2c_cuda_check(const struct m2c_cu *cu, int code, const char *what,
                   struct m2c_err *err);

/* ---- cuda_program.c ---- */
/* Loads every kernel of the manifest: from the cubins that are built in, from
 * the cache, or by NVRTC (opened then). */
int m2c_cuda_load_kernels(struct m2c_cuda *c, const struct m2c_dev *dev,
                          struct m2c_err *err);

/* ---- cuda_queue.c ---- */
int m2c_cuda_event_take(struct m2c_cuda *c, m2c_cu_event *out, struct m2c_err *err);
void m2c_cuda_event_drop(struct m2c_cuda *c, m2c_cu_event ev); /* accepts NULL */
int m2c_cuda_queue_open(struct m2c_queue *q, struct m2c_err *err);
void m2c_cuda_queue_close(struct m2c_queue *q);
int m2c_cuda_record(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err);
int m2c_cuda_after(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err);
int m2c_cuda_event_wait(struct m2c_event *ev, uint64_t *ns, struct m2c_err *err);
bool m2c_cuda_event_passed(struct m2c_event *ev);
void m2c_cuda_event_free(struct m2c_event *ev);

/* ---- cuda_copy.c ---- */
/* Sets c->copy as cfg.copy says; "auto" measures. */
int m2c_cuda_copy_choose(struct m2c_dev *dev, struct m2c_err *err);
int m2c_cuda_copy_hook(struct m2c_queue *q, const struct m2c_copy *batch, size_t n,
                       struct m2c_err *err);
void m2c_cuda_copy_fini(struct m2c_cuda_queue *q);

/* ---- cuda_launch.c ---- */
/* At least `need` bytes, of unknown contents; waits for the queue when it has to
 * grow. */
int m2c_cuda_want(struct m2c_cuda_queue *q, struct m2c_cuda_scratch *s, uint64_t need,
                  struct m2c_err *err);
int m2c_cuda_run(struct m2c_cuda_queue *q, enum m2c_cuda_kernel kernel,
                 const struct m2c_k_shape *shape, const void *args, size_t bytes,
                 struct m2c_err *err);
int m2c_cuda_launch(struct m2c_queue *q, const struct m2c_call *call, struct m2c_err *err);
bool m2c_cuda_supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type);
/* The kernel of an op's family for a type: the families lie in the manifest in
 * the order of the types. */
static inline enum m2c_cuda_kernel m2c_cuda_of_type(enum m2c_cuda_kernel f32,
                                                    enum m2c_type type)
{
    return (enum m2c_cuda_kernel)((int)f32 + (int)type);
}

/* ---- cuda_gemm.c ---- */
int m2c_cuda_gemm(struct m2c_cuda_queue *q, const struct m2c_matmul_args *a,
                  struct m2c_err *err);
void m2c_cuda_gemm_fini(struct m2c_cuda_queue *q);

#ifdef __cplusplus
}
#endif
#endif
