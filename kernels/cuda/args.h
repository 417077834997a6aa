/* SPDX-License-Identifier: MIT */
/* What the CUDA kernels are given: one struct a kernel, passed by value.
 *
 * Read by the kernels (NVRTC, C++), by the host (C11) and by the emulation, so
 * it includes nothing and has no types but its own. An address is a u64: a
 * device pointer, or the device's view of mapped host memory. Strides are in
 * bytes, shapes in elements. Every struct has the same layout everywhere:
 * members lie on multiples of their size, and the padding is named. The ops
 * are those of src/ops/op.h; what is said there is not said again. */
#ifndef M2C_KERNELS_CUDA_ARGS_H
#define M2C_KERNELS_CUDA_ARGS_H

typedef unsigned char m2c_u8;
typedef unsigned short m2c_u16;
typedef unsigned int m2c_u32;
typedef unsigned long long m2c_u64;

/* The values of enum m2c_type, enum m2c_act and enum m2c_rope; the host
 * asserts that they are. */
enum { M2C_K_F32, M2C_K_F16, M2C_K_BF16, M2C_K_I8, M2C_K_I4, M2C_K_P16, M2C_K_P8 };
enum { M2C_K_SILU, M2C_K_GELU, M2C_K_RELU };
enum { M2C_K_ROPE_HALF, M2C_K_ROPE_INTERLEAVED };
enum { M2C_K_GROUP = 32, M2C_K_CLASSES = 8, M2C_K_VECTORS = 3, M2C_K_PASS_ANY = 255 };

/* Like struct m2c_neuron_ref. */
struct m2c_k_ref {
    m2c_u32 id, slot;
    m2c_u8 cls, pass;
    m2c_u16 pad;
    m2c_u32 pad2;
};

/* dst f32[n] = value */
struct m2c_k_fill {
    m2c_u64 dst, n;
    float value;
    m2c_u32 pad;
};

/* out f32[rows][cols] = scale · table[ids[r]]; ids u32[rows]. Row i of the
 * table has its codes at codes + i·code_step, its scales likewise. */
struct m2c_k_embed {
    m2c_u64 codes, scales, ids, out, code_step, scale_step;
    m2c_u32 rows, cols;
    float scale;
    m2c_u32 pad;
};

/* x, y f32[rows][n], w f32[n]; y may be x */
struct m2c_k_norm {
    m2c_u64 x, w, y;
    m2c_u32 rows, n;
    float eps, shift;
    m2c_u32 relu, pad;
};

/* y f32[rows][outs] (+)= x f32[rows][cols] · wᵀ; w is [outs][cols]. */
struct m2c_k_matmul {
    m2c_u64 codes, scales, x, y, code_step, scale_step;
    m2c_u32 rows, cols, outs, add;
};

/* x f32[rows][heads][head_dim], in place; inv_freq f32[head_dim / 2] */
struct m2c_k_rope {
    m2c_u64 x, inv_freq;
    m2c_u32 rows, heads, head_dim, pos, style, pad;
};

/* cache[at .. at + n) = x f32[n], the cache in its type; at, n in elements */
struct m2c_k_kv_append {
    m2c_u64 x, cache, at, n;
};

/* Keys are taken in splits of M2C_K_KEYS positions, counted from position 0.
 * `splits` is of the last row: ceil((pos + rows) / M2C_K_KEYS). With one, the
 * kernel m2c_attention_* writes out and m2c_attention_join is not needed;
 * with more it leaves each split's (out f32[head_dim], maximum, sum) in
 * part f32[rows·heads][splits][head_dim + 2] for m2c_attention_join, which
 * takes the same arguments. scale = 1 / sqrt(head_dim). */
enum { M2C_K_KEYS = 256, M2C_K_HEAD_DIM_MAX = 256 };
struct m2c_k_attention {
    m2c_u64 q, k, v, out, part;
    m2c_u32 rows, heads, kv_heads, head_dim, pos, splits;
    float scale;
    m2c_u32 pad;
};

/* Vector v of slot s: codes at base + s·stride + code_off[v], scales likewise. A
 * nested code's first plane is there, the others (one of P8, two of P16) are at
 * plane[0] and plane[1]. */
struct m2c_k_plane {
    m2c_u64 base, stride;
    m2c_u32 off[M2C_K_VECTORS], pad;
};
struct m2c_k_class {
    m2c_u64 base, stride;
    m2c_u32 code_off[M2C_K_VECTORS], scale_off[M2C_K_VECTORS];
    m2c_u32 type, pad;
    struct m2c_k_plane plane[2];
};

struct m2c_k_unit {
    m2c_u32 dim, n_neurons, has_gate, act;
    float act_shift;
    m2c_u32 n_classes;
    struct m2c_k_class cls[M2C_K_CLASSES];
};

/* x f32[rows][dim], list m2c_k_ref[n], h f32[rows][n] */
struct m2c_k_ffn_up {
    m2c_u64 x, list, h;
    m2c_u32 rows, n, pass, pad;
    struct m2c_k_unit unit;
};

/* list m2c_k_ref[n], h f32[rows][n], acc f32[rows][segments][dim] */
struct m2c_k_ffn_down {
    m2c_u64 list, h, acc;
    m2c_u32 rows, n, seg_neurons, segments;
    struct m2c_k_unit unit;
};

/* acc f32[rows][segments][dim], y f32[rows][dim] */
struct m2c_k_ffn_sum {
    m2c_u64 acc, y;
    m2c_u32 rows, dim, segments, pad;
};

/* ---- ops that choose: one block each, and a row is a block for argmax ---- */

/* Like struct m2c_want. */
struct m2c_k_want {
    m2c_u32 id;
    float score;
    m2c_u32 cls;
};

enum { M2C_K_PASS_NONE = 254 };
#define M2C_K_NO_ID 0xffffffffu
#define M2C_K_NO_SLOT 0xffffffffu

/* x f32[rows][n], n >= 1; out u32[rows]: the index of the largest, of equal ones
 * (0 and -0 are) the lowest; M2C_K_NO_ID where the row holds a NaN. */
struct m2c_k_argmax {
    m2c_u64 x, out;
    m2c_u32 rows, n;
};

/* The min(k, candidates) best of scores f32[n], classes by rank as splits
 * u32[k + 1][n_classes] says: wants m2c_k_want[k] by id, counts u32[1 +
 * n_classes]. A NaN: counts = {M2C_K_NO_ID, lowest id of one, 0 …}, no wants. */
struct m2c_k_select {
    m2c_u64 scores, splits, wants, counts;
    m2c_u32 n, k, n_classes, magnitude, positive_only, pad;
};

/* The n_wants u32 wants m2c_k_want[k] in table u32[n_classes][n_neurons], whose
 * entries are slot | class << 28 | pass << 31 or M2C_K_NO_SLOT: list
 * m2c_k_ref[k], misses m2c_k_want[k], counts u32[4] = {n, of pass 0, of pass 1,
 * misses}; list entries from n on are {M2C_K_NO_ID, M2C_K_NO_SLOT, 0,
 * M2C_K_PASS_NONE}. n_wants > k counts as 0 there, but in counts[0]. */
struct m2c_k_lookup {
    m2c_u64 wants, n_wants, table, list, misses, counts;
    m2c_u32 k, n_classes, n_neurons, pad;
};

/* list m2c_k_piece[n] (device or mapped memory): n copies, of any size and
 * alignment, that do not overlap. Sources may be mapped pinned host memory. */
struct m2c_k_piece {
    m2c_u64 dst, src, bytes;
};
struct m2c_k_gather {
    m2c_u64 list;
    m2c_u32 n, pad;
};

#endif
