/* SPDX-License-Identifier: MIT */
/* Phase A of the sparse FFN: a warp a neuron, all classes of a unit in one
 * pass. Gate and up are read side by side. */
#include "dot.h"
#include "ffn.h"

struct neuron {
    m2c_u32 type;
    bool is_aligned;
    vec v[2]; /* gate and up; up alone where there is no gate */
};

M2C_INLINE void find(const m2c_k_unit &u, const m2c_k_ref &ref, neuron &n)
{
    n.type = u.cls[ref.cls].type;
    n.v[0] = place_of(u, ref, u.has_gate ? 0 : 1);
    n.v[1] = place_of(u, ref, 1);
    n.is_aligned = is_aligned_vec(n.v[0]) && is_aligned_vec(n.v[1]);
}

M2C_INLINE float activate(m2c_u32 act, float x)
{
    if (act == M2C_K_SILU)
        return x / (1.0f + expf(-x));
    if (act == M2C_K_GELU) /* 0.797… = sqrt(2 / pi) */
        return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    return x > 0 ? x : x < 0 ? 0.0f : x; /* a NaN stays */
}

template <int V, int R>
M2C_INLINE void add_typed(const neuron &n, m2c_u32 at, m2c_u32 dim, const float4 *xs,
                          float acc[V][R])
{
    switch (n.type) {
    case M2C_K_F32: add_tile<M2C_K_F32, V, R>(n.v, at, dim, n.is_aligned, xs, acc); break;
    case M2C_K_F16: add_tile<M2C_K_F16, V, R>(n.v, at, dim, n.is_aligned, xs, acc); break;
    case M2C_K_BF16: add_tile<M2C_K_BF16, V, R>(n.v, at, dim, n.is_aligned, xs, acc); break;
    case M2C_K_I8: add_tile<M2C_K_I8, V, R>(n.v, at, dim, n.is_aligned, xs, acc); break;
    case M2C_K_I4: add_tile<M2C_K_I4, V, R>(n.v, at, dim, n.is_aligned, xs, acc); break;
    case M2C_K_P16: add_tile<M2C_K_P16, V, R>(n.v, at, dim, n.is_aligned, xs, acc); break;
    case M2C_K_P8: add_tile<M2C_K_P8, V, R>(n.v, at, dim, n.is_aligned, xs, acc); break;
    }
}

/* h of rows [row, row + R) for entry i, from the lanes' sums. */
template <int V, int R>
M2C_INLINE void put(const m2c_k_ffn_up &a, m2c_u32 row, m2c_u32 i, float acc[V][R])
{
    float g = 0, u = 1;
#pragma unroll
    for (int r = 0; r < R; r++) { /* lane r keeps row r */
        const float first = warp_sum(acc[0][r]);
        const float second = V == 2 ? warp_sum(acc[V - 1][r]) : 1.0f;
        if (lane_id() == (m2c_u32)r) {
            g = first;
            u = second;
        }
    }
    if (lane_id() < R && row + lane_id() < a.rows) {
        const float h = activate(a.unit.act, g - a.unit.act_shift);
        st((m2c_u8 *)a.h + ((m2c_u64)(row + lane_id()) * a.n + i) * 4, V == 2 ? h * u : h);
    }
}

/* Rows [row, row + R) for one group of neurons after another. */
template <int V, int R>
M2C_INLINE void rows_tile(const m2c_k_ffn_up &a, float4 *xs, m2c_u32 row, m2c_u32 group,
                          m2c_u32 groups_at_once)
{
    const m2c_u32 dim = a.unit.dim;
    bool staged = false;
    for (; (m2c_u64)group * M2C_K_WARPS < a.n; group += groups_at_once) {
        const m2c_u32 i = group * M2C_K_WARPS + warp_id();
        float acc[V][R] = {};
        neuron n = {};
        bool wanted = i < a.n;
        if (wanted) {
            const m2c_k_ref ref = load_ref(a.list, i);
            wanted = a.pass == M2C_K_PASS_ANY || ref.pass == a.pass;
            if (wanted)
                find(a.unit, ref, n);
        }
        for (m2c_u32 at = 0; at < dim; at += x_tile<R>::length) {
            if (!staged || dim > x_tile<R>::length) {
                __syncthreads(); /* the tile before has been read */
                stage_x<R>(xs, a.x, row, a.rows, dim, at);
                __syncthreads();
                staged = true;
            }
            if (wanted)
                add_typed<V, R>(n, at, dim, xs, acc);
        }
        if (wanted)
            put<V, R>(a, row, i, acc);
    }
}

extern "C" __global__ void __launch_bounds__(M2C_K_BLOCK) m2c_ffn_up(const m2c_k_ffn_up a)
{
    __shared__ float4 xs[x_tile<1>::room];
    if (a.unit.has_gate)
        rows_tile<2, 1>(a, xs, 0, blockIdx.x, gridDim.x);
    else
        rows_tile<1, 1>(a, xs, 0, blockIdx.x, gridDim.x);
}

extern "C" __global__ void __launch_bounds__(M2C_K_BLOCK)
    m2c_ffn_up_rows(const m2c_k_ffn_up a)
{
    __shared__ float4 xs[x_tile<M2C_K_ROW_TILE>::room];
    for (m2c_u32 row = blockIdx.x * M2C_K_ROW_TILE; row < a.rows;
         row += gridDim.x * M2C_K_ROW_TILE) {
        if (a.unit.has_gate)
            rows_tile<2, M2C_K_ROW_TILE>(a, xs, row, blockIdx.y, gridDim.y);
        else
            rows_tile<1, M2C_K_ROW_TILE>(a, xs, row, blockIdx.y, gridDim.y);
    }
}
