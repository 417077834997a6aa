/* SPDX-License-Identifier: MIT */
/* The operations that a backend runs, their operands, and their meaning.
 *
 * Each op has a plain C reference (ops/ref.h) that accumulates in double and
 * defines it. Activations are f32. `rows` is the number of tokens computed
 * together: 1 in decode. Operands of one call never overlap unless an op
 * says so. All device memory; the CPU must not touch it until an event
 * recorded after the call has passed. */
#ifndef M2C_OPS_OP_H
#define M2C_OPS_OP_H

#include "ops/tensor.h"
#include "ops/want.h"

#ifdef __cplusplus
extern "C" {
#endif

enum m2c_op {
    M2C_OP_FILL,
    M2C_OP_EMBED,
    M2C_OP_NORM,
    M2C_OP_MATMUL,
    M2C_OP_ROPE,
    M2C_OP_KV_APPEND,
    M2C_OP_ATTENTION,
    M2C_OP_FFN_UP,
    M2C_OP_FFN_DOWN,
    M2C_OP_FFN_SUM,
    M2C_OP_ARGMAX,
    M2C_OP_SELECT,
    M2C_OP_LOOKUP,
    M2C_N_OPS
};

const char *m2c_op_name(enum m2c_op op); /* "ffn_up"; never NULL */

enum m2c_act { M2C_ACT_SILU, M2C_ACT_GELU, M2C_ACT_RELU, M2C_N_ACTS };
const char *m2c_act_name(enum m2c_act act); /* "silu", "gelu" (tanh form), "relu" */

/* dst[0 .. n) = value, f32. */
struct m2c_fill_args {
    struct m2c_mem dst;
    uint32_t n;
    float value;
};

/* out[rows][cols] f32 = table row ids[r], times `scale`. ids u32[rows]; an
 * id >= table.rows is the caller's fault (checked on the host before). */
struct m2c_embed_args {
    struct m2c_tensor table;
    struct m2c_mem ids, out;
    uint32_t rows;
    float scale;
};

/* RMS norm of each row: y = x / sqrt(mean(x^2) + eps) * w; with `relu`:
 * y = max(0, y - shift). x, y f32[rows][n], w f32[n]; y may be x. */
struct m2c_norm_args {
    struct m2c_mem x, w, y;
    uint32_t rows, n;
    float eps, shift;
    bool relu;
};

/* y[rows][w.rows] (+)= x[rows][w.cols] · wᵀ, f32 activations. A row's sums
 * depend on w and that row only, as long as `rows` is on the same side of
 * the backend's GEMM threshold (dev info). */
struct m2c_matmul_args {
    struct m2c_tensor w;
    struct m2c_mem x, y;
    uint32_t rows;
    bool add; /* y += instead of y = */
};

enum m2c_rope { M2C_ROPE_HALF, M2C_ROPE_INTERLEAVED };

/* In place: x f32[rows][heads][head_dim], row r at position pos + r. Pair j
 * of a head turns by angle (pos + r) · inv_freq[j] (f32[head_dim / 2]); its
 * members are (2j, 2j+1) interleaved, or (j, j + head_dim/2) half-split. */
struct m2c_rope_args {
    struct m2c_mem x, inv_freq;
    uint32_t rows, heads, head_dim, pos;
    enum m2c_rope style;
};

/* cache[pos + r][n] = x[r][n] for `rows` rows; x f32, cache f32 or f16 in
 * [ctx][n]. */
struct m2c_kv_append_args {
    struct m2c_mem x, cache;
    enum m2c_type type;
    uint32_t rows, n, pos;
};

/* Causal attention: row r is at position pos + r and sees cache positions
 * 0 .. pos + r. q, out f32[rows][heads][head_dim]; k, v of type f32 or f16
 * in [ctx][kv_heads][head_dim]; head h reads kv head h / (heads / kv_heads).
 * Scores are scaled by 1/sqrt(head_dim). */
struct m2c_attention_args {
    struct m2c_mem q, k, v, out;
    enum m2c_type type;
    uint32_t rows, heads, kv_heads, head_dim, pos;
};

/* ---- the sparse FFN ---- */

enum {
    M2C_FFN_CLASSES = 8,
    M2C_FFN_VECTORS = 3, /* gate, up, down */
    M2C_FFN_PLANES = 2   /* of a nested code, beyond the first */
};

/* One active neuron. Lists are sorted by id, ids are unique. */
struct m2c_neuron_ref {
    uint32_t id;
    uint32_t slot;  /* index into the class's slots */
    uint8_t cls;    /* of the unit: what is computed, from which slots */
    uint8_t pass;   /* 0: resident at once; 1: arrives by copy; or M2C_PASS_NONE */
    uint16_t pad;
    uint32_t pad2;
};

/* A further plane of a nested code: that of vector v of slot s lies at
 * base + s·stride + off[v]. */
struct m2c_ffn_plane {
    struct m2c_mem base;
    size_t stride;
    uint32_t off[M2C_FFN_VECTORS];
};

/* How a class's slots lie in memory. Vector v of slot s has its codes at
 * base + s·stride + code_off[v] and its scales at … + scale_off[v]. No
 * alignment beyond the element's own may be assumed: the same op computes
 * straight from packed records.
 *
 * A nested type has plane 0 there, an I4, and its other planes (one of P8, two
 * of P16) at plane[0] and plane[1]: in a slot all lie behind each other, of
 * records each may lie in a buffer of its own. Slots may hold more than is
 * computed: a unit lists a class once more for each kind of slot that it is
 * read from. What a neuron gives depends on the type, not on the entry. */
struct m2c_ffn_class {
    enum m2c_type type; /* F16, I8, I4, P16, P8 (and F32) */
    struct m2c_mem base;
    size_t stride;
    uint32_t code_off[M2C_FFN_VECTORS], scale_off[M2C_FFN_VECTORS];
    struct m2c_ffn_plane plane[M2C_FFN_PLANES];
};

struct m2c_ffn_unit {
    uint32_t dim;       /* length of every vector */
    uint32_t n_neurons; /* of the layer, active or not */
    bool has_gate;      /* false: vector 0 (gate) does not exist */
    enum m2c_act act;
    float act_shift;    /* the activation is act(g - act_shift) */
    uint32_t n_classes;
    struct m2c_ffn_class cls[M2C_FFN_CLASSES];
};

/* Phase A. For each list entry i with pass == `pass` (or any, with
 * M2C_PASS_ANY): g = gate·x[r], u = up·x[r],
 *     h[r][i] = act(g - shift) · u        (no gate: act(u - shift))
 * x f32[rows][dim]; h f32[rows][n]. Entries of another pass: h untouched.
 * h[r][i] depends on the neuron, its class and x[r] only, not on the list. With
 * a pass, the list may end in entries of id M2C_NO_ID and pass M2C_PASS_NONE. */
enum { M2C_PASS_ANY = 255, M2C_PASS_NONE = 254 /* nowhere: a miss, or no entry */ };
struct m2c_ffn_up_args {
    const struct m2c_ffn_unit *unit; /* copied at launch */
    struct m2c_mem x, list, h;
    uint32_t rows, n;
    uint8_t pass; /* 0, 1 or M2C_PASS_ANY */
};

/* Phase B. Neurons are summed in ascending id inside fixed segments of
 * `seg_neurons` ids: segment s = id / seg_neurons,
 *     acc[r][s][j] += h[r][i] · down_i[j], i ascending.
 * acc f32[rows][segments][dim], segments = ceil(n_neurons / seg_neurons),
 * zeroed by the caller before a layer's first wave; several calls with
 * ascending lists give the bits of one call with all of them. */
struct m2c_ffn_down_args {
    const struct m2c_ffn_unit *unit;
    struct m2c_mem list, h, acc;
    uint32_t rows, n, seg_neurons;
};

/* y[r][j] += acc[r][0][j] + acc[r][1][j] + …, the sum from left to right in
 * f32 starting at segment 0, then added to y. */
struct m2c_ffn_sum_args {
    struct m2c_mem acc, y;
    uint32_t rows, dim, segments;
};

/* ---- choosing on the device: only what was chosen goes back to the host ---- */

#define M2C_NO_ID UINT32_MAX

/* out u32[rows]: the index of the largest of x[r][0 .. n), f32, n >= 1; among
 * equal ones (0 and -0 are) the lowest. M2C_NO_ID where the row holds a NaN. */
struct m2c_argmax_args {
    struct m2c_mem x, out;
    uint32_t rows, n;
};

/* The k best of scores f32[n], with classes by rank. A score is x, or |x| with
 * `magnitude`; with `positive_only` those <= 0 are no candidates. Higher is
 * better, of equal scores (0 and -0 are) the lower id is; the m = min(k,
 * candidates) best are chosen, and the one of rank i (best: 0) has as its class
 * the number of c < n_classes - 1 with i >= splits[m][c]. So row m of splits
 * u32[k + 1][n_classes] is where the classes end when m are chosen, and m itself
 * in the last column (m2c_class_splits of select/ makes the table). Then
 *     wants m2c_want[k]: the m chosen, sorted by id, `score` as above; entries
 *                        from m on are not written
 *     counts u32[1 + n_classes]: m, then how many of each class.
 * A NaN among the scores, candidate or not: counts = {M2C_NO_ID, lowest id of a
 * NaN, 0 …} and no want is written. k <= n; 1 <= n_classes <= M2C_FFN_CLASSES. */
struct m2c_select_args {
    struct m2c_mem scores, splits, wants, counts;
    uint32_t n, k, n_classes;
    bool magnitude, positive_only;
};

/* An entry of the table of slots: where a neuron lies, for one class that may
 * be wanted. `cls` is the class it is computed at, `pass` 1 while its bytes
 * travel. slot < M2C_SLOTS_MAX. */
enum { M2C_SLOTS_MAX = (1 << 28) - 1 };
#define M2C_NO_SLOT UINT32_MAX
static inline uint32_t m2c_slot_entry(uint32_t slot, unsigned cls, unsigned pass)
{
    return (uint32_t)pass << 31 | (uint32_t)cls << 28 | slot;
}

/* The wants against the table of slots u32[n_classes][n_neurons], M2C_NO_SLOT
 * where a neuron is not held for a class. n = n_wants[0] (u32, as SELECT's
 * counts begin) wants, sorted by id, ids < n_neurons, classes < n_classes. For
 * want i with entry t = table[cls][id]:
 *     list[i] = {id, slot, cls, pass} of t: phase A of pass 0 can start on the
 *               list at once. Without an entry: {id, M2C_NO_SLOT, its class,
 *               M2C_PASS_NONE}, and the want is a miss
 *     misses: the wants that miss, m2c_want[k], in the order of ids; entries
 *             beyond are not written
 *     counts u32[4] = {n, of pass 0, of pass 1, misses}.
 * Hits keep the want's place, so that h and phase B see one list in the order
 * of ids: when the host has given the misses slots and brought the table up to
 * date, a second LOOKUP gives the whole list, with pass 1 for what arrives.
 * list m2c_neuron_ref[k]: entries from n on are {M2C_NO_ID, M2C_NO_SLOT, 0,
 * M2C_PASS_NONE}, so that FFN_UP can be launched on k entries by a host that
 * does not know n. n > k (a SELECT that failed): counts = {n, 0, 0, 0}, and the
 * list is as for n = 0. */
struct m2c_lookup_args {
    struct m2c_mem wants, n_wants, table, list, misses, counts;
    uint32_t k, n_classes, n_neurons;
};

struct m2c_call {
    enum m2c_op op;
    union {
        struct m2c_fill_args fill;
        struct m2c_embed_args embed;
        struct m2c_norm_args norm;
        struct m2c_matmul_args matmul;
        struct m2c_rope_args rope;
        struct m2c_kv_append_args kv_append;
        struct m2c_attention_args attention;
        struct m2c_ffn_up_args ffn_up;
        struct m2c_ffn_down_args ffn_down;
        struct m2c_ffn_sum_args ffn_sum;
        struct m2c_argmax_args argmax;
        struct m2c_select_args select;
        struct m2c_lookup_args lookup;
    } u;
};

static inline uint32_t m2c_ffn_segments(uint32_t n_neurons, uint32_t seg_neurons)
{
    return n_neurons / seg_neurons + (n_neurons % seg_neurons != 0);
}

#ifdef __cplusplus
}
#endif
#endif
