/* SPDX-License-Identifier: MIT */
/* MATMUL for few rows: two rows of w a warp, and one row of x (matvec) or tiles
 * of them (matrows), with the same bits. For many rows see gemm.cu. */
#include "dot.h"

enum { OUTS = M2C_K_WARPS * M2C_K_UP_VECTORS }; /* that a block takes at once */

M2C_INLINE void put(const m2c_k_matmul &a, m2c_u32 row, m2c_u32 out, float v)
{
    m2c_u8 *y = (m2c_u8 *)a.y + ((m2c_u64)row * a.outs + out) * 4;
    if (row < a.rows && out < a.outs)
        st(y, a.add ? ld_word<float>(y) + v : v);
}

/* Rows [row, row + R) of y for one group of outs after another. */
template <int R>
M2C_INLINE void rows_tile(const m2c_k_matmul &a, float4 *xs, m2c_u32 row, m2c_u32 group,
                          m2c_u32 groups_at_once)
{
    const bool is_aligned =
        aligned(a.codes, a.code_step) && ((a.scales | a.scale_step) & 1) == 0;
    bool staged = false;
    for (; (m2c_u64)group * OUTS < a.outs; group += groups_at_once) {
        const m2c_u32 out = group * OUTS + warp_id() * M2C_K_UP_VECTORS;
        float acc[M2C_K_UP_VECTORS][R] = {};
        vec v[M2C_K_UP_VECTORS];
#pragma unroll
        for (int i = 0; i < M2C_K_UP_VECTORS; i++) {
            /* A vector beyond the last is the last again, and dropped. */
            const m2c_u64 o = out + i < a.outs ? out + i : a.outs - 1;
            v[i].codes = (const m2c_u8 *)(a.codes + o * a.code_step);
            v[i].scales = (const m2c_u8 *)(a.scales + o * a.scale_step);
            v[i].d4 = v[i].d8 = 0;
        }
        for (m2c_u32 at = 0; at < a.cols; at += x_tile<R>::length) {
            if (!staged || a.cols > x_tile<R>::length) {
                __syncthreads(); /* the tile before has been read */
                stage_x<R>(xs, a.x, row, a.rows, a.cols, at);
                __syncthreads();
                staged = true;
            }
            if (out < a.outs)
                add_tile<M2C_TYPE, M2C_K_UP_VECTORS, R>(v, at, a.cols, is_aligned, xs, acc);
        }
#pragma unroll
        for (int i = 0; i < M2C_K_UP_VECTORS; i++)
#pragma unroll
            for (int r = 0; r < R; r++) {
                const float sum = warp_sum(acc[i][r]);
                if (lane_id() == (m2c_u32)(i * R + r))
                    put(a, row + r, out + i, sum);
            }
    }
}

extern "C" __global__ void __launch_bounds__(M2C_K_BLOCK)
    M2C_ENTRY(matvec)(const m2c_k_matmul a)
{
    __shared__ float4 xs[x_tile<1>::room];
    rows_tile<1>(a, xs, 0, blockIdx.x, gridDim.x);
}

extern "C" __global__ void __launch_bounds__(M2C_K_BLOCK)
    M2C_ENTRY(matrows)(const m2c_k_matmul a)
{
    __shared__ float4 xs[x_tile<M2C_K_ROW_TILE>::room];
    for (m2c_u32 row = blockIdx.x * M2C_K_ROW_TILE; row < a.rows;
         row += gridDim.x * M2C_K_ROW_TILE)
        rows_tile<M2C_K_ROW_TILE>(a, xs, row, blockIdx.y, gridDim.y);
}
