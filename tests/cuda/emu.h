/* SPDX-License-Identifier: MIT */
/* The CUDA kernels run on the CPU, for tests.
 *
 * kernels/cuda/FILE.cu are compiled as C++ against cuda_emu.h: the threads of a block are
 * fibers of the calling thread, so barriers, shuffles, shared memory and
 * atomics do what they do on a card, in an order that differs from block to
 * block. Device memory is host memory that has been registered here: an
 * access outside of it, a barrier that some threads do not reach, or a warp
 * operation that some lanes do not reach fails the launch. Not for use from
 * several threads at once. */
#ifndef M2C_TESTS_CUDA_EMU_H
#define M2C_TESTS_CUDA_EMU_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_emu_kernel {
    const char *entry; /* "m2c_ffn_up" */
    const char *file;  /* "ffn_up" */
    const char *type; /* "f16": the M2C_T that the file is compiled with, or "any" */
    size_t arg_bytes;  /* of its one parameter */
    void (*run)(const void *args);
};

/* Kernels of the manifest, in its order; NULL beyond the last. */
const struct m2c_emu_kernel *m2c_emu_kernel_at(size_t i);
/* NULL when there is no such kernel. */
const struct m2c_emu_kernel *m2c_emu_find(const char *entry);

/* Memory that kernels may touch, from now until it is dropped; ranges may be
 * adjacent but do not overlap. 0, or -ENOMEM. */
int m2c_emu_memory_add(const void *p, size_t bytes);
void m2c_emu_memory_drop(const void *p); /* by its beginning */

/* Runs the whole grid, and returns when it is done. 0, or -EINVAL for sizes
 * that a card would refuse (blocks of over 1024 threads, or not of whole
 * warps; over 48 KiB of shared memory; a parameter of another size), or -EIO
 * for what a kernel did wrong; `err` then says what, where and which thread.
 * `params` need not be aligned. */
int m2c_emu_launch(const struct m2c_emu_kernel *k, const unsigned grid[3],
                   const unsigned block[3], size_t smem, const void *params,
                   size_t param_bytes, char *err, size_t err_n);

#ifdef __cplusplus
}
#endif
#endif
