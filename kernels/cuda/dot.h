/* SPDX-License-Identifier: MIT */
/* Products of weight vectors with rows of x: a warp reads along V vectors of
 * one type at once, x lies in shared memory, R rows of it.
 *
 * In a step lane l holds the chunk at (step·32 + l)·chunk of each vector. A
 * lane adds its products in the order of the elements: for grouped types the
 * products of codes first, then their sum times the scale. The lanes' sums are
 * added as a tree. So a product's bits depend on the vector and the row of x
 * alone: not on V, R, the tiles of x, or what other warps do. */
#ifndef M2C_KERNELS_CUDA_DOT_H
#define M2C_KERNELS_CUDA_DOT_H

#include "weights.h"

/* Elements of x that shared memory holds of each row: 16 KiB for one row, 32
 * KiB for eight. A multiple of the longest step (I4's, of 1024 elements). */
enum { X_STEP = 1024 };
template <int R> struct x_tile {
    enum { length = R == 1 ? 4 * X_STEP : X_STEP, quads = length / 4, room = R * quads };
};

/* Where a row's quad q lies: lanes that read every first, second, fourth or
 * eighth quad all meet different banks. */
M2C_INLINE m2c_u32 x_quad(m2c_u32 q)
{
    return q ^ (q >> 3 & 7);
}

M2C_INLINE float4 load_quad(const m2c_u8 *x, m2c_u32 at, m2c_u32 n, bool is_aligned)
{
    const m2c_u8 *p = x + 4ull * at;
    if (is_aligned && at + 4 <= n)
        return ld<float4>(p);
    float4 v = {0, 0, 0, 0};
    if (at < n)
        v.x = ld<float>(p);
    if (at + 1 < n)
        v.y = ld<float>(p + 4);
    if (at + 2 < n)
        v.z = ld<float>(p + 8);
    if (at + 3 < n)
        v.w = ld<float>(p + 12);
    return v;
}

/* Elements [at, at + tile) of rows [row, row + R) into xs, with zeros up to a
 * whole step and for rows that do not exist. All threads of the block; barriers
 * before and after are the caller's. */
template <int R>
M2C_INLINE void stage_x(float4 *xs, m2c_u64 x, m2c_u32 row, m2c_u32 rows, m2c_u32 n,
                        m2c_u32 at)
{
    const m2c_u32 left = n - at;
    const m2c_u32 length = left < x_tile<R>::length ? left : (m2c_u32)x_tile<R>::length;
    const m2c_u32 quads = (length + X_STEP - 1) / X_STEP * (X_STEP / 4);
    const bool is_aligned = aligned(x, 4ull * n);
#pragma unroll
    for (int r = 0; r < R; r++) {
        const bool there = row + r < rows;
        const m2c_u8 *p = (const m2c_u8 *)x + 4ull * n * (there ? row + r : row);
        for (m2c_u32 q = threadIdx.x; q < quads; q += M2C_K_BLOCK)
            xs[r * x_tile<R>::quads + x_quad(q)] =
                load_quad(p, at + 4 * q, there ? n : 0, is_aligned);
    }
}

/* is_aligned, below: of the codes of all planes to 16 bytes, of the scales to 2. */
template <int T, int V> struct chunks {
    m2c_u32 w[V][weights<T>::words];
    float scale[V];
};

/* The products of one step; q0: the lane's first quad in the tile. */
template <int T, int V, int R>
M2C_INLINE void add_step(const chunks<T, V> &c, const float4 *xs, m2c_u32 q0, float acc[V][R])
{
    float sum[V][R];
#pragma unroll
    for (int v = 0; v < V; v++)
#pragma unroll
        for (int r = 0; r < R; r++)
            sum[v][r] = weights<T>::grouped ? 0.0f : acc[v][r];
#pragma unroll
    for (int i = 0; i < weights<T>::chunk / 4; i++) {
        float w[V][4];
#pragma unroll
        for (int v = 0; v < V; v++)
            quad_of<T>(c.w[v], weights<T>::chunk, i, w[v]);
#pragma unroll
        for (int r = 0; r < R; r++) {
            const float4 x = xs[r * x_tile<R>::quads + x_quad(q0 + i)];
#pragma unroll
            for (int v = 0; v < V; v++) {
                sum[v][r] = fmaf(w[v][0], x.x, sum[v][r]);
                sum[v][r] = fmaf(w[v][1], x.y, sum[v][r]);
                sum[v][r] = fmaf(w[v][2], x.z, sum[v][r]);
                sum[v][r] = fmaf(w[v][3], x.w, sum[v][r]);
            }
        }
    }
#pragma unroll
    for (int v = 0; v < V; v++)
#pragma unroll
        for (int r = 0; r < R; r++)
            acc[v][r] = weights<T>::grouped ? fmaf(sum[v][r], c.scale[v], acc[v][r])
                                            : sum[v][r];
}

template <int T, int V>
M2C_INLINE void load_step(const vec *v, m2c_u32 at, m2c_u32 n, bool is_aligned,
                          chunks<T, V> &c)
{
#pragma unroll
    for (int k = 0; k < V; k++) {
        load_chunk<T>(v[k], at, n, is_aligned, c.w[k]);
        c.scale[k] = 0;
        if (weights<T>::grouped && at < n)
            c.scale[k] = unit_at<T>(v[k].scales, at, is_aligned);
    }
}

/* acc[v][r] += this lane's part of v·x[r] over the tile of x that begins at
 * element `at`. Steps that lie wholly inside are loaded some at a time: these
 * are the bytes in flight that hide the memory's latency. */
template <int T, int V, int R>
M2C_INLINE void add_tile(const vec *v, m2c_u32 at, m2c_u32 n, bool is_aligned,
                         const float4 *xs, float acc[V][R])
{
    enum { step = M2C_K_WARP * weights<T>::chunk, ahead = R > 1 ? 1 : 16 / weights<T>::words };
    const m2c_u32 left = n - at;
    const m2c_u32 length = left < x_tile<R>::length ? left : (m2c_u32)x_tile<R>::length;
    m2c_u32 e = lane_id() * weights<T>::chunk, done = 0;
    if (is_aligned) {
        for (; done + ahead * step <= length; done += ahead * step) {
            chunks<T, V> c[ahead];
#pragma unroll
            for (int k = 0; k < ahead; k++)
#pragma unroll
                for (int i = 0; i < V; i++) {
                    const m2c_u32 el = at + done + k * step + e;
                    load_whole<T>(v[i], el, c[k].w[i]);
                    c[k].scale[i] =
                        weights<T>::grouped ? unit_at<T>(v[i].scales, el, true) : 0.0f;
                }
#pragma unroll
            for (int k = 0; k < ahead; k++)
                add_step<T, V, R>(c[k], xs, (done + k * step + e) / 4, acc);
        }
    }
    for (; done < length; done += step) {
        chunks<T, V> c;
        load_step<T, V>(v, at + done + e, n, is_aligned, c);
        add_step<T, V, R>(c, xs, (done + e) / 4, acc);
    }
}

#endif
