/* SPDX-License-Identifier: MIT */
/* What a kernel of kernels/cl is told, beside its memory: one struct an op,
 * read by the C compiler and by the device's. All members are 4 or 8 bytes and
 * lie on multiples of their size, so that both see one layout. (Single bytes come
 * in fours.) A device must take 1024 bytes of arguments, no more.
 *
 * Memory operands are offsets in bytes into the allocation that the kernel
 * gets by itself. Weights may lie in several allocations, "windows"
 * (kernels/cl/common.cl). */
#ifndef M2C_DEV_OPENCL_ARGS_H
#define M2C_DEV_OPENCL_ARGS_H

#ifdef __OPENCL_VERSION__
#define M2C_CL_U32 uint
#define M2C_CL_U64 ulong
#define M2C_CL_U8 uchar
#else
#include <stdint.h>
#define M2C_CL_U32 uint32_t
#define M2C_CL_U64 uint64_t
#define M2C_CL_U8 uint8_t
#endif

/* Four classes of three planes, each in a buffer of its own. */
#define M2C_CL_WINDOWS 12
#define M2C_CL_CLASSES 8

/* struct m2c_neuron_ref of ops/op.h. */
struct m2c_cl_ref {
    M2C_CL_U32 id, slot;
    M2C_CL_U8 cls, pass;
    M2C_CL_U8 pad[6];
};

/* struct m2c_want of ops/want.h, its score as bits. */
struct m2c_cl_want {
    M2C_CL_U32 id, score, cls;
};

/* Row r has its codes at codes + r * code_step from window code_window on. */
struct m2c_cl_matrix {
    M2C_CL_U64 codes, scales, code_step, scale_step;
    M2C_CL_U32 code_window, code_shift, scale_window, scale_shift;
    M2C_CL_U32 type, rows, cols;
    M2C_CL_U32 al; /* every row begins at a multiple of 16 bytes */
};

/* Vector v of the op (phase A: gate, up; phase B: down) of slot s has its codes at
 * base + s * stride + off[v] from window `window` on. */
struct m2c_cl_slots {
    M2C_CL_U64 base;
    M2C_CL_U32 stride, off[2];
    M2C_CL_U8 window, shift, pad[2];
};

/* Scales lie in the slots of the codes; a nested code has further planes. */
struct m2c_cl_class {
    struct m2c_cl_slots slots, plane[2];
    M2C_CL_U32 scale_off[2];
    M2C_CL_U32 type, al;
};

struct m2c_cl_unit {
    struct m2c_cl_class cls[M2C_CL_CLASSES];
    M2C_CL_U32 dim, has_gate, act;
    float act_shift;
};

struct m2c_cl_fill {
    M2C_CL_U64 dst;
    M2C_CL_U32 n;
    float value;
};

struct m2c_cl_embed {
    struct m2c_cl_matrix table;
    M2C_CL_U64 ids, out;
    float scale;
    M2C_CL_U32 pad;
};

struct m2c_cl_norm {
    M2C_CL_U64 x, w, y;
    M2C_CL_U32 n, relu;
    float eps, shift;
};

struct m2c_cl_matmul {
    struct m2c_cl_matrix w;
    M2C_CL_U64 x, y;
    M2C_CL_U32 x_al, add;
};

struct m2c_cl_rope {
    M2C_CL_U64 x, inv_freq;
    M2C_CL_U32 heads, head_dim, pos, split;
};

struct m2c_cl_kv_append {
    M2C_CL_U64 x, cache, first, count; /* first, count: in elements */
    M2C_CL_U32 type, pad;
};

struct m2c_cl_attention {
    M2C_CL_U64 q, k, v, out;
    M2C_CL_U32 type, width, heads, kv_heads, head_dim, pos;
    float scale;
    M2C_CL_U32 pad;
};

struct m2c_cl_ffn_up {
    struct m2c_cl_unit unit;
    M2C_CL_U64 x, list, h;
    M2C_CL_U32 n, pass, x_al, pad;
};

struct m2c_cl_ffn_down {
    struct m2c_cl_unit unit;
    M2C_CL_U64 list, h, acc;
    M2C_CL_U32 n, seg_neurons, first_segment, segments;
};

struct m2c_cl_ffn_sum {
    M2C_CL_U64 acc, y;
    M2C_CL_U32 dim, segments;
};

struct m2c_cl_argmax {
    M2C_CL_U64 x, out;
    M2C_CL_U32 n, pad;
};

struct m2c_cl_select {
    M2C_CL_U64 scores, splits, wants, counts;
    M2C_CL_U32 n, k, n_classes, magnitude, positive_only, pad;
};

struct m2c_cl_lookup {
    M2C_CL_U64 wants, n_wants, table, list, misses, counts;
    M2C_CL_U32 k, n_classes, n_neurons, pad;
};

/* An entry of a gathered batch of copies. */
struct m2c_cl_piece {
    M2C_CL_U64 dst, src, bytes;
};

#endif
