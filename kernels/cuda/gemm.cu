/* SPDX-License-Identifier: MIT */
/* MATMUL for many rows: a block makes 64 rows by 128 outs of y, a thread 4 by
 * 8 of them, from tiles of 16 columns in shared memory, decoded to f32. Each
 * element of y is one chain of fused additions over the columns in their order,
 * so its bits depend on its row of x and of w alone. The next tile is loaded
 * while the current one is multiplied. */
#include "weights.h"

enum {
    ROWS = M2C_K_GEMM_TILE_ROWS,
    OUTS = M2C_K_GEMM_TILE_OUTS,
    DEPTH = 16,
    MY_ROWS = 4,
    MY_OUTS = 8,
    PAD = 4 /* keeps quads aligned and spreads a column's writes over the banks */
};

struct tiles {
    float x[DEPTH][ROWS + PAD], w[DEPTH][OUTS + PAD];
};

/* What a thread brings of the next tile: four elements of a row of x, eight of
 * a row of w. */
struct part {
    float x[4], w[8];
};

M2C_INLINE void load_part(const m2c_k_matmul &a, m2c_u32 row0, m2c_u32 out0, m2c_u32 at,
                          part &p)
{
    const m2c_u32 row = row0 + threadIdx.x / 4, c = at + threadIdx.x % 4 * 4;
    const float *x = (const float *)a.x + (m2c_u64)row * a.cols + c;
    const m2c_u32 there = row < a.rows && c < a.cols ? a.cols - c : 0;
    if (there >= 4 && aligned(a.x, 4ull * a.cols)) {
        const float4 v = ld<float4>(x);
        p.x[0] = v.x;
        p.x[1] = v.y;
        p.x[2] = v.z;
        p.x[3] = v.w;
    } else {
#pragma unroll
        for (int k = 0; k < 4; k++)
            p.x[k] = (m2c_u32)k < there ? ld<float>(x + k) : 0.0f;
    }
    const m2c_u32 out = out0 + threadIdx.x / 2, e = at + threadIdx.x % 2 * 8;
    m2c_u32 w[8];
    const bool exists = out < a.outs && e < a.cols;
    load_octet<M2C_TYPE>((const m2c_u8 *)(a.codes + (exists ? out : 0) * a.code_step), e,
                         exists ? a.cols : 0, aligned(a.codes, a.code_step), w);
    octet_values<M2C_TYPE>(w, p.w);
    if (weights<M2C_TYPE>::grouped) {
        const float s =
            exists ? scale_at((const m2c_u8 *)(a.scales + out * a.scale_step), e, true) : 0.0f;
#pragma unroll
        for (int k = 0; k < 8; k++)
            p.w[k] *= s;
    }
    /* An octet's elements beyond the last column may be codes of nothing. */
#pragma unroll
    for (int k = 0; k < 8; k++)
        p.w[k] = e + k < a.cols ? p.w[k] : 0.0f;
}

M2C_INLINE void store_part(tiles &t, const part &p)
{
#pragma unroll
    for (int k = 0; k < 4; k++)
        t.x[threadIdx.x % 4 * 4 + k][threadIdx.x / 4] = p.x[k];
#pragma unroll
    for (int k = 0; k < 8; k++)
        t.w[threadIdx.x % 2 * 8 + k][threadIdx.x / 2] = p.w[k];
}

M2C_INLINE void multiply(const tiles &t, m2c_u32 r, m2c_u32 o, float acc[MY_ROWS][MY_OUTS])
{
#pragma unroll
    for (int k = 0; k < DEPTH; k++) {
        const float4 x = *(const float4 *)&t.x[k][r];
        const float4 w0 = *(const float4 *)&t.w[k][o], w1 = *(const float4 *)&t.w[k][o + 64];
        const float xs[MY_ROWS] = {x.x, x.y, x.z, x.w};
        const float ws[MY_OUTS] = {w0.x, w0.y, w0.z, w0.w, w1.x, w1.y, w1.z, w1.w};
#pragma unroll
        for (int i = 0; i < MY_ROWS; i++)
#pragma unroll
            for (int j = 0; j < MY_OUTS; j++)
                acc[i][j] = fmaf(xs[i], ws[j], acc[i][j]);
    }
}

extern "C" __global__ void __launch_bounds__(M2C_K_BLOCK) M2C_ENTRY(gemm)(const m2c_k_matmul a)
{
    __shared__ tiles t[2];
    const m2c_u32 row0 = blockIdx.x * ROWS;
    const m2c_u32 r = threadIdx.x / 16 * MY_ROWS, o = threadIdx.x % 16 * 4;
    for (m2c_u32 out0 = blockIdx.y * OUTS; out0 < a.outs; out0 += gridDim.y * OUTS) {
        float acc[MY_ROWS][MY_OUTS] = {};
        part p;
        load_part(a, row0, out0, 0, p);
        __syncthreads(); /* the tiles of the block of outs before have been read */
        store_part(t[0], p);
        __syncthreads();
        for (m2c_u32 at = 0, now = 0; at < a.cols; at += DEPTH, now ^= 1) {
            const bool more = at + DEPTH < a.cols;
            if (more)
                load_part(a, row0, out0, at + DEPTH, p);
            multiply(t[now], r, o, acc);
            if (more)
                store_part(t[now ^ 1], p);
            __syncthreads();
        }
#pragma unroll
        for (int i = 0; i < MY_ROWS; i++)
#pragma unroll
            for (int j = 0; j < MY_OUTS; j++) {
                const m2c_u32 row = row0 + r + i, out = out0 + o + j % 4 + j / 4 * 64;
                float *y = (float *)a.y + (m2c_u64)row * a.outs + out;
                if (row < a.rows && out < a.outs)
                    st(y, a.add ? ld_word<float>(y) + acc[i][j] : acc[i][j]);
            }
    }
}
