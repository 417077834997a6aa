/* SPDX-License-Identifier: MIT */
/* What the kernels' sources need to be C++: CUDA's words, types and built-ins,
 * for code that runs as fibers under emu.cc. Included by kernels through
 * emu_arch.h only.
 *
 * Shared memory is static storage in a section of its own, which is filled with
 * NaNs before each block. Every access to device memory that goes through the
 * functions of emu_arch.h is checked against the registered ranges. */
#ifndef M2C_TESTS_CUDA_CUDA_EMU_H
#define M2C_TESTS_CUDA_CUDA_EMU_H

#include <cmath>
#include <cstddef>
#include <cstring>

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("m2c_shared")))

struct m2c_emu_dim {
    unsigned x, y, z;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

/* The thread that runs. */
struct m2c_emu_here {
    m2c_emu_dim thread, block, grid_size, block_size;
    void *dynamic; /* shared memory */
};
extern m2c_emu_here m2c_emu_now;
#define threadIdx (m2c_emu_now.thread)
#define blockIdx (m2c_emu_now.block)
#define gridDim (m2c_emu_now.grid_size)
#define blockDim (m2c_emu_now.block_size)

/* A thread that calls one of these goes on when all that take part have called
 * it: of the block, or of the warp. All lanes of a warp must take part. */
void m2c_emu_sync(const char *file, int line);
void m2c_emu_sync_warp(const char *file, int line);
#define __syncthreads() m2c_emu_sync(__FILE__, __LINE__)
#define __syncwarp() m2c_emu_sync_warp(__FILE__, __LINE__)
/* Gives v (of at most 16 bytes) to the warp; the array of what the lanes gave,
 * 16 bytes apart, good until the lane's next warp operation but one. `what`
 * must be the same in all lanes. */
const unsigned char *m2c_emu_share(const char *what, const void *v, size_t bytes);

/* The launch fails unless [p, p + bytes) is device memory, p a multiple of
 * `bytes`. Returns only if so. */
void m2c_emu_check(const void *p, size_t bytes, bool write);

template <class T> static inline T m2c_emu_load(const void *p)
{
    T v;
    m2c_emu_check(p, sizeof(T), false);
    memcpy(&v, p, sizeof(T));
    return v;
}

template <class T> static inline void m2c_emu_store(void *p, const T &v)
{
    m2c_emu_check(p, sizeof(T), true);
    memcpy(p, &v, sizeof(T));
}

/* Fibers of one thread run one at a time, so these are plain. They return what
 * was there before. */
template <class T> static inline T atomicAdd(T *p, T v)
{
    T old = *p;
    *p = old + v;
    return old;
}

template <class T> static inline T atomicMax(T *p, T v)
{
    T old = *p;
    *p = old < v ? v : old;
    return old;
}

template <class T> static inline T atomicMin(T *p, T v)
{
    T old = *p;
    *p = v < old ? v : old;
    return old;
}

template <class T> static inline T atomicCAS(T *p, T expected, T v)
{
    T old = *p;
    if (old == expected)
        *p = v;
    return old;
}

static inline int __popc(unsigned v)
{
    return __builtin_popcount(v);
}

static inline int __clz(unsigned v)
{
    return v ? __builtin_clz(v) : 32;
}

static inline int __ffs(unsigned v)
{
    return __builtin_ffs((int)v);
}

#endif
