/* SPDX-License-Identifier: MIT */
/* A CUDA driver for tests: libcuda.so.1, libnvrtc.so.12 and libcublas.so.12 with
 * the entry points that m2c uses, and no card.
 *
 * Work is deferred: it runs when the host waits for it (cuEventSynchronize,
 * cuStreamSynchronize, destroying its stream, the second cuEventQuery), then
 * only as far as that wait and the events it depends on need. So a wait that
 * is missing reads what was there before. Device memory, and the device's view
 * of pinned memory, cannot be touched by the host outside of such a run;
 * addresses are never used again. Kernels are those of kernels/cuda, emulated.
 *
 * What a card or driver would not do, or what m2c owes, is a fault: told on
 * stderr, and the process ends with 99 whatever it returned. So do memory,
 * streams, events, modules and contexts that are left at its end.
 *
 * Found only by those who name its folder (device.library). M2C_FAKE_CUDA in
 * the environment, or m2c_fake_configure, sets "name=value,…":
 *     devices, arch (86), sms, memory (bytes), driver (12040)
 *     fail=N      the Nth call that can fail does: out of memory where it
 *                 allocates, else an unknown error
 *     lost=N      from the Nth call on, all fail: the device is gone
 *     tell=1      says on stderr which call failed, and how many there were
 *     broken=FILE NVRTC finds an error in FILE.cu
 *     wrong=1     kernels do nothing: a card that computes wrong numbers
 *     unwaited=1  events let through what they should hold back: what a test
 *                 must notice */
#ifndef M2C_TESTS_CUDA_FAKE_H
#define M2C_TESTS_CUDA_FAKE_H

#include "dev/cuda_abi.h"
#include "emu.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- what tests call ---- */

/* Sets options, as above, and begins to count calls anew. */
int m2c_fake_configure(const char *options);
/* Calls that could fail since then. */
unsigned m2c_fake_calls(void);
/* Faults so far. */
unsigned m2c_fake_faults(void);
/* Objects and bytes that are alive; what tests compare before and after. */
unsigned m2c_fake_alive(void);

/* ---- fake_mem.c ---- */

enum fake_kind { FAKE_DEVICE, FAKE_PINNED, FAKE_HOST };

/* Addresses as the device sees them; *host for FAKE_PINNED. NULL: no memory. */
unsigned char *fake_alloc(enum fake_kind kind, size_t bytes, void **host);
bool fake_free(enum fake_kind kind, const void *p); /* false: it is not alive */
/* The device's address of a pinned allocation's beginning, or NULL. */
unsigned char *fake_device_view(const void *host);
/* Whether [p, p + n) lies in one live allocation; else *why says what it is.
 * What is no memory of the fake is the host's, and fine. */
bool fake_inside(const void *p, size_t n, const char **why);
/* The device's memory can be touched in between. Nests. */
void fake_unlock(void);
void fake_lock(void);
size_t fake_used(void);      /* bytes of device memory */
unsigned fake_live(void);    /* allocations */

/* ---- fake_exec.c ---- */

struct fake_record; /* one cuEventRecord */

struct CUevent_st {
    struct CUevent_st *next, **link;
    struct fake_record *last; /* NULL: never recorded */
    unsigned asked;
};

struct CUstream_st {
    struct CUstream_st *next, **link;
    struct fake_op *head, **tail;
};

enum fake_what { FAKE_COPY, FAKE_SET, FAKE_KERNEL, FAKE_RECORD, FAKE_WAIT, FAKE_GEMM };

struct fake_gemm {
    int m, n, k, lda, ldb, ldc;
    const float *a, *b;
    float *c;
    bool ta, tb;
    float alpha, beta;
};

enum { FAKE_PARAM_BYTES = 4096 };

struct fake_op {
    struct fake_op *next;
    enum fake_what what;
    unsigned char *dst;
    const unsigned char *src;
    size_t bytes;
    unsigned char value;
    struct fake_record *record;
    const struct m2c_emu_kernel *kernel;
    unsigned grid[3], block[3], smem;
    struct fake_gemm gemm;
    unsigned char params[];
};

/* NULL: no memory. `extra` bytes of params. */
struct fake_op *fake_op_new(enum fake_what what, size_t extra);
void fake_push(struct CUstream_st *s, struct fake_op *op);
bool fake_record(struct CUstream_st *s, struct CUevent_st *ev);
bool fake_wait(struct CUstream_st *s, const struct CUevent_st *ev);
void fake_run(struct CUstream_st *s);       /* all of it */
void fake_run_event(struct CUevent_st *ev); /* as far as its last record */
bool fake_passed(const struct CUevent_st *ev);
uint64_t fake_time_ns(const struct CUevent_st *ev);
void fake_forget(struct CUevent_st *ev); /* drops its record */
void fake_drop(struct CUstream_st *s);   /* what has not run */

/* ---- fake_cuda.c ---- */
__attribute__((format(printf, 1, 2))) void fake_fault(const char *fmt, ...);
void fake_break(int code); /* the context is of no use from here on */
bool fake_is_unwaited(void);
bool fake_is_wrong(void);
/* 0, or the code with which the call called `name` fails. */
int fake_call(const char *name, int code);
const char *fake_broken(void); /* a file's name, or "" */
int fake_arch(void);
/* For cuBLAS. */
int fake_push_gemm(struct CUstream_st *s, const struct fake_gemm *g);

#endif
