/* SPDX-License-Identifier: MIT */
/* What the files of the opencl backend share: opencl.c has the device,
 * opencl_mem.c its memory, opencl_queue.c queues, copies and events,
 * opencl_program.c the building of kernels, opencl_launch.c the ops,
 * opencl_operands.c their arguments, opencl_gemm.c products of many rows. */
#ifndef M2C_DEV_OPENCL_IMPL_H
#define M2C_DEV_OPENCL_IMPL_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "dev/dev_impl.h"
#include "dev/opencl_args.h"
#include "dev/progcache.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How kernels are built for a device. */
struct m2c_cl_shape {
    unsigned lanes;   /* work-items that share a dot; a power of two */
    unsigned teams;   /* dots a work-group */
    unsigned wide;    /* work-items of attention and norm; a power of two */
    unsigned columns; /* of phase B a work-item; a multiple of 16 */
    bool fma;         /* the device has one */
};

/* The programs: one an op, and those of no op. */
enum { M2C_CL_SCATTER = M2C_N_OPS, M2C_CL_PROGRAMS };

struct m2c_cl_program {
    cl_program program;
    cl_kernel kernel[2]; /* for one row; for M2C_CL_ROWS rows, where there is one */
};

enum { M2C_CL_ROWS = 4, M2C_CL_TINY = 1 << 16 /* bytes of a bounce */ };

struct m2c_cl {
    cl_device_id device;
    bool sub_device;
    cl_context context;
    cl_command_queue queue; /* the backend's own: zeroing, mapping */
    struct m2c_cl_shape shape;
    bool marker_time;       /* markers have times; else a small fill marks */
    uint64_t max_alloc;     /* of one cl_mem */
    unsigned shift;         /* large buffers: a window begins at each 1 << shift */
    uint64_t overlap;       /* and has so much of the next one */
    cl_mem tiny;            /* what such a fill writes */
    struct m2c_progcache *cache;
    struct m2c_cl_program program[M2C_CL_PROGRAMS];
    uint32_t gemm_rows;     /* MATMUL of so many rows goes through CLBlast; 0: none */
    bool gemm_used;
    struct m2c_err fault;   /* of the first work that failed after it was enqueued */
};

/* A buffer's handle. Device memory is one cl_mem, or windows of a buffer that
 * is larger than the device allocates at once: the bytes of the overlap are in
 * two windows, and whoever writes them writes both. Host memory has none or,
 * where the driver pinned it, one that stays mapped. */
struct m2c_cl_buf {
    size_t n;
    uint64_t window_bytes; /* of all but the last, overlap included */
    void *pages;           /* host memory that no driver knows */
    bool written;          /* host memory that the device has written to */
    cl_mem *mem;           /* [n], in the same block as this */
};

static inline struct m2c_cl_buf *m2c_cl_buf(const struct m2c_buf *b)
{
    return (struct m2c_cl_buf *)(uintptr_t)b->handle;
}

/* ---- opencl.c ---- */
const char *m2c_cl_strerror(cl_int code); /* "CL_OUT_OF_RESOURCES"; never NULL */
/* Fails as `code` says: -ENOMEM, -ENODEV or -EIO. */
int m2c_cl_fail(struct m2c_err *err, cl_int code, const char *what);

/* ---- opencl_mem.c ---- */
int m2c_cl_alloc(struct m2c_dev *dev, struct m2c_buf *buf, struct m2c_err *err);
void m2c_cl_free(struct m2c_dev *dev, struct m2c_buf *buf);
/* Where a byte of device memory lies: its window and the offset there, `whole`
 * bytes before the window's end, of which `left` are in the same windows as
 * this one. `also`: another window that has it in its overlap, and where. */
struct m2c_cl_place {
    cl_mem mem, also; /* also: NULL, mostly */
    uint64_t off, also_off, left, whole;
};
void m2c_cl_locate(const struct m2c_cl *c, struct m2c_mem m, struct m2c_cl_place *out);

/* ---- opencl_program.c ---- */
/* The op's kernels, built at the first call. */
int m2c_cl_build(struct m2c_dev *dev, unsigned program, struct m2c_err *err);
void m2c_cl_drop_programs(struct m2c_cl *c);

/* ---- opencl_queue.c, opencl_launch.c: hooks; see dev_impl.h ---- */
void m2c_cl_queue_release(const struct m2c_cl *c, cl_command_queue queue); /* finished first */
int m2c_cl_queue_open(struct m2c_queue *q, struct m2c_err *err);
void m2c_cl_queue_close(struct m2c_queue *q);
int m2c_cl_copy(struct m2c_queue *q, const struct m2c_copy *batch, size_t n,
                struct m2c_err *err);
int m2c_cl_record(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err);
int m2c_cl_after(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err);
int m2c_cl_event_wait(struct m2c_event *ev, uint64_t *ns, struct m2c_err *err);
bool m2c_cl_event_passed(struct m2c_event *ev);
void m2c_cl_event_free(struct m2c_event *ev);
int m2c_cl_launch(struct m2c_queue *q, const struct m2c_call *call, struct m2c_err *err);
bool m2c_cl_supports(const struct m2c_dev *dev, enum m2c_op op, enum m2c_type type);

#ifdef __cplusplus
}
#endif
#endif
