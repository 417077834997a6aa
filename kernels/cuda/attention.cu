/* SPDX-License-Identifier: MIT */
/* Causal attention over one split of the keys, for up to four queries that
 * share a kv head: rows, and heads of a group.
 *
 * A key is read by as many lanes as it has octets (a power of two), a warp
 * takes several keys at once, and four of these before its running maximum
 * moves (an online softmax). Which lane sees which key depends on the key's
 * position and on head_dim alone; keys that a query does not see change
 * nothing. So a query's bits do not depend on the queries beside it. */
#include "weights.h"

enum { QUERIES = M2C_K_ATT_QUERIES, WARPS = M2C_K_ATT_BLOCK / M2C_K_WARP, KEYS_AHEAD = 4 };

/* A query's softmax so far: of this lane's keys, and its octet of the output. */
struct softmax {
    float top, sum, out[8];
};

struct query {
    m2c_u32 row, head, seen; /* seen: number of keys */
};

/* A warp's result for one query. */
struct warp_part {
    float top, sum, out[M2C_K_HEAD_DIM_MAX];
};

M2C_INLINE query query_of(const m2c_k_attention &a, m2c_u32 i)
{
    const m2c_u32 group = a.heads / a.kv_heads;
    query q;
    q.row = i / group;
    q.head = blockIdx.z * group + i % group;
    q.seen = q.row < a.rows ? a.pos + q.row + 1 : 0;
    return q;
}

/* Each lane's octet of key or value p; zeros beyond the split. */
M2C_INLINE void load_values(const m2c_k_attention &a, m2c_u64 cache, m2c_u32 p, bool there,
                            m2c_u32 element, float v[8])
{
    const m2c_u64 step = (m2c_u64)a.head_dim * (weights<M2C_TYPE>::bits / 8);
    m2c_u32 w[8];
    load_octet<M2C_TYPE>(
        (const m2c_u8 *)cache + ((m2c_u64)p * a.kv_heads + blockIdx.z) * step, element,
        there ? a.head_dim : 0, aligned(cache, step), w);
    octet_values<M2C_TYPE>(w, v);
}

/* Four keys for one query: keys p[i] with values v[i]. */
M2C_INLINE void add_keys(const m2c_k_attention &a, m2c_u32 lanes, m2c_u32 seen,
                         const m2c_u32 *p, const float (*k)[8], const float (*v)[8],
                         const float q[8], softmax &s)
{
    float score[KEYS_AHEAD], top = s.top;
#pragma unroll
    for (int i = 0; i < KEYS_AHEAD; i++) {
        float dot = 0;
#pragma unroll
        for (int j = 0; j < 8; j++)
            dot = fmaf(k[i][j], q[j], dot);
        for (m2c_u32 mask = lanes / 2; mask; mask /= 2)
            dot += shuffle_xor(dot, mask);
        score[i] = dot * a.scale;
        if (p[i] < seen)
            top = fmaxf(top, score[i]);
    }
    if (p[0] >= seen) /* none is seen: p ascends */
        return;
    const float keep = expf(s.top - top);
    s.top = top;
    s.sum *= keep;
#pragma unroll
    for (int j = 0; j < 8; j++)
        s.out[j] *= keep;
#pragma unroll
    for (int i = 0; i < KEYS_AHEAD; i++)
        if (p[i] < seen) {
            const float e = expf(score[i] - top);
            s.sum += e;
#pragma unroll
            for (int j = 0; j < 8; j++)
                s.out[j] = fmaf(e, v[i][j], s.out[j]);
        }
}

/* Over the lanes that hold the same octet for other keys. */
M2C_INLINE void join_lanes(m2c_u32 lanes, softmax &s)
{
    float top = s.top;
    for (m2c_u32 mask = lanes; mask < M2C_K_WARP; mask *= 2)
        top = fmaxf(top, shuffle_xor(top, mask));
    const float keep = s.sum > 0 ? expf(s.top - top) : 0.0f;
    s.top = top;
    s.sum *= keep;
#pragma unroll
    for (int j = 0; j < 8; j++)
        s.out[j] *= keep;
    for (m2c_u32 mask = lanes; mask < M2C_K_WARP; mask *= 2) {
        s.sum += shuffle_xor(s.sum, mask);
#pragma unroll
        for (int j = 0; j < 8; j++)
            s.out[j] += shuffle_xor(s.out[j], mask);
    }
}

/* The split's result from those of the warps, to `out` or to `part`. */
M2C_INLINE void finish(const m2c_k_attention &a, const query &q, const warp_part *w)
{
    float top = M2C_MINUS_INFINITY, sum = 0, keep[WARPS];
#pragma unroll
    for (int i = 0; i < WARPS; i++)
        top = w[i].sum > 0 ? fmaxf(top, w[i].top) : top;
#pragma unroll
    for (int i = 0; i < WARPS; i++) {
        keep[i] = w[i].sum > 0 ? expf(w[i].top - top) : 0.0f;
        sum = fmaf(w[i].sum, keep[i], sum);
    }
    const m2c_u64 at = (m2c_u64)q.row * a.heads + q.head;
    const m2c_u64 place = (at * a.splits + blockIdx.y) * (a.head_dim + 2);
    float *part = a.splits > 1 ? (float *)a.part + place : nullptr; /* else there is none */
    float *out = a.splits > 1 ? part : (float *)a.out + at * a.head_dim;
    for (m2c_u32 j = threadIdx.x; j < a.head_dim; j += M2C_K_ATT_BLOCK) {
        float o = 0;
#pragma unroll
        for (int i = 0; i < WARPS; i++)
            o = fmaf(w[i].out[j], keep[i], o);
        st(out + j, a.splits > 1 ? o : o / sum);
    }
    if (a.splits > 1 && threadIdx.x == 0) {
        st(part + a.head_dim, top);
        st(part + a.head_dim + 1, sum);
    }
}

extern "C" __global__ void __launch_bounds__(M2C_K_ATT_BLOCK)
    M2C_ENTRY(attention)(const m2c_k_attention a)
{
    __shared__ warp_part parts[QUERIES][WARPS];
    m2c_u32 lanes = 1; /* of a key */
    while (lanes * 8 < a.head_dim)
        lanes *= 2;
    const m2c_u32 keys = M2C_K_WARP / lanes; /* that a warp reads at once */
    const m2c_u32 element = lane_id() % lanes * 8, mine = lane_id() / lanes;
    const m2c_u32 first = blockIdx.y * M2C_K_KEYS;
    softmax s[QUERIES];
    float q[QUERIES][8];
    m2c_u32 end = 0;
#pragma unroll
    for (int i = 0; i < QUERIES; i++) {
        const query at = query_of(a, blockIdx.x * QUERIES + i);
        end = at.seen > end ? at.seen : end;
        s[i].top = M2C_MINUS_INFINITY;
        s[i].sum = 0;
#pragma unroll
        for (int j = 0; j < 8; j++) {
            s[i].out[j] = 0;
            q[i][j] = at.seen && element + j < a.head_dim
                          ? ld<float>((const float *)a.q +
                                      ((m2c_u64)at.row * a.heads + at.head) * a.head_dim +
                                      element + j)
                          : 0.0f;
        }
    }
    end = end < first + M2C_K_KEYS ? end : first + M2C_K_KEYS;
    for (m2c_u32 base = first + warp_id() * keys * KEYS_AHEAD; base < end;
         base += WARPS * keys * KEYS_AHEAD) {
        float k[KEYS_AHEAD][8], v[KEYS_AHEAD][8];
        m2c_u32 p[KEYS_AHEAD];
#pragma unroll
        for (int i = 0; i < KEYS_AHEAD; i++) {
            p[i] = base + i * keys + mine;
            load_values(a, a.k, p[i], p[i] < end, element, k[i]);
        }
#pragma unroll
        for (int i = 0; i < KEYS_AHEAD; i++)
            load_values(a, a.v, p[i], p[i] < end, element, v[i]);
#pragma unroll
        for (int i = 0; i < QUERIES; i++)
            add_keys(a, lanes, query_of(a, blockIdx.x * QUERIES + i).seen, p, k, v, q[i],
                     s[i]);
    }
#pragma unroll
    for (int i = 0; i < QUERIES; i++) {
        warp_part &w = parts[i][warp_id()];
        join_lanes(lanes, s[i]);
        if (lane_id() == 0) {
            w.top = s[i].top;
            w.sum = s[i].sum;
        }
#pragma unroll
        for (int j = 0; j < 8; j++)
            if (mine == 0 && element + j < a.head_dim)
                w.out[element + j] = s[i].out[j];
    }
    __syncthreads();
    for (int i = 0; i < QUERIES; i++) {
        const query at = query_of(a, blockIdx.x * QUERIES + i);
        if (at.seen > first)
            finish(a, at, parts[i]);
    }
}
