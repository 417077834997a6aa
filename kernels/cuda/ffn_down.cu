/* SPDX-License-Identifier: MIT */
/* Phase B of the sparse FFN: a thread owns eight columns of one segment, and
 * adds the segment's neurons to them in the order of the list. A column's sum
 * is one chain, begun from what is in acc and left there: calls for parts of a
 * list continue it.
 *
 * The parts of a list that are in the segment are prepared in shared memory,
 * BATCH entries at a time; the codes of AHEAD neurons are asked for before the
 * first is used, and those of the next ones brought into the L2. */
#include "ffn.h"

enum { BATCH = M2C_K_DOWN_BLOCK, AHEAD = 8, COLUMNS = M2C_K_DOWN_COLUMNS };

/* A neuron's down vector, and its h in up to M2C_K_DOWN_ROWS rows. */
template <int R> struct entry {
    vec at;
    m2c_u32 type, is_aligned;
    float h[R];
};

/* The first entry whose id is at least `id`: a warp looks at 32 at a time. */
M2C_INLINE m2c_u32 lower_bound(m2c_u64 list, m2c_u32 n, m2c_u64 id)
{
    m2c_u32 lo = 0; /* all before are smaller */
    while (n) {
        const m2c_u32 step = (n + M2C_K_WARP - 1) / M2C_K_WARP, at = lane_id() * step;
        const bool less =
            at < n && ld<m2c_u32>((const m2c_u8 *)list +
                                  (m2c_u64)(lo + at) * sizeof(m2c_k_ref)) < id;
        const m2c_u32 count = __popc(vote(less)); /* lanes that are smaller come first */
        if (count == 0)
            break;
        /* Between the last that is smaller and the next one looked at. */
        const m2c_u32 from = (count - 1) * step + 1;
        const m2c_u32 to = count * step < n ? count * step : n;
        lo += from;
        n = to - from;
    }
    return lo;
}

template <int R>
M2C_INLINE void prepare(const m2c_k_ffn_down &a, m2c_u32 i, m2c_u32 row, entry<R> &e)
{
    const m2c_k_ref ref = load_ref(a.list, i);
    e.at = place_of(a.unit, ref, 2);
    e.type = a.unit.cls[ref.cls].type;
    e.is_aligned = is_aligned_vec(e.at);
#pragma unroll
    for (int r = 0; r < R; r++)
        e.h[r] = row + r < a.rows
                     ? ld<float>((const m2c_u8 *)a.h + ((m2c_u64)(row + r) * a.n + i) * 4)
                     : 0.0f;
}

/* Codes of an octet as they were loaded, and the scale of its group. */
struct loaded {
    m2c_u32 w[4];
    float scale;
};

template <int T>
M2C_INLINE void load_typed(const vec &at, bool is_aligned, m2c_u32 column, m2c_u32 dim,
                           loaded &l)
{
    if constexpr (weights<T>::nested)
        load_planes<T>(at, column, dim, is_aligned, l.w);
    else
        load_octet<T>(at.codes, column, dim, is_aligned, l.w);
    if (weights<T>::grouped)
        l.scale = unit_at<T>(at.scales, column, is_aligned);
}

template <int R>
M2C_INLINE void load(const entry<R> &e, m2c_u32 column, m2c_u32 dim, loaded &l)
{
    switch (e.type) {
    case M2C_K_F32: break; /* does not fit: loaded when used */
    case M2C_K_F16: load_typed<M2C_K_F16>(e.at, e.is_aligned, column, dim, l); break;
    case M2C_K_BF16: load_typed<M2C_K_BF16>(e.at, e.is_aligned, column, dim, l); break;
    case M2C_K_I8: load_typed<M2C_K_I8>(e.at, e.is_aligned, column, dim, l); break;
    case M2C_K_I4: load_typed<M2C_K_I4>(e.at, e.is_aligned, column, dim, l); break;
    case M2C_K_P16: load_typed<M2C_K_P16>(e.at, e.is_aligned, column, dim, l); break;
    case M2C_K_P8: load_typed<M2C_K_P8>(e.at, e.is_aligned, column, dim, l); break;
    }
}

template <int R>
M2C_INLINE void add(const entry<R> &e, m2c_u32 column, m2c_u32 dim, const loaded &l,
                    float acc[R][COLUMNS])
{
    float w[COLUMNS];
    m2c_u32 f32[COLUMNS];
    switch (e.type) {
    case M2C_K_F32:
        load_octet<M2C_K_F32>(e.at.codes, column, dim, e.is_aligned, f32);
        octet_values<M2C_K_F32>(f32, w);
        break;
    case M2C_K_F16: octet_values<M2C_K_F16>(l.w, w); break;
    case M2C_K_BF16: octet_values<M2C_K_BF16>(l.w, w); break;
    case M2C_K_I8: octet_values<M2C_K_I8>(l.w, w); break;
    case M2C_K_P16: octet_values<M2C_K_P16>(l.w, w); break;
    case M2C_K_P8: octet_values<M2C_K_P8>(l.w, w); break;
    default: octet_values<M2C_K_I4>(l.w, w); break;
    }
    const bool grouped = e.type >= M2C_K_I8;
#pragma unroll
    for (int r = 0; r < R; r++) {
        const float f = grouped ? l.scale * e.h[r] : e.h[r];
#pragma unroll
        for (int j = 0; j < COLUMNS; j++)
            acc[r][j] = fmaf(w[j], f, acc[r][j]);
    }
}

template <int R>
M2C_INLINE void ahead(const entry<R> &e, m2c_u32 column)
{
    const m2c_u32 bits = e.type == M2C_K_F32   ? 32
                         : e.type == M2C_K_I8  ? 8
                         : e.type >= M2C_K_I4  ? 4
                                               : 16;
    prefetch(e.at.codes + (m2c_u64)column / 8 * bits);
    if (e.at.d4)
        prefetch(e.at.d4 + column / 2);
    if (e.at.d8)
        prefetch(e.at.d8 + column);
}

/* The entries of a batch, in order, into this thread's columns. */
template <int R>
M2C_INLINE void add_batch(const entry<R> *e, m2c_u32 n, m2c_u32 column, m2c_u32 dim,
                          float acc[R][COLUMNS])
{
    m2c_u32 i = 0;
    for (; i + AHEAD <= n; i += AHEAD) {
        loaded l[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            load(e[i + k], column, dim, l[k]);
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            if (i + AHEAD + k < n)
                ahead(e[i + AHEAD + k], column);
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            add(e[i + k], column, dim, l[k], acc);
    }
    for (; i < n; i++) {
        loaded l;
        load(e[i], column, dim, l);
        add(e[i], column, dim, l, acc);
    }
}

template <int R>
M2C_INLINE float *columns_of(const m2c_k_ffn_down &a, m2c_u32 row, m2c_u32 segment,
                             m2c_u32 column)
{
    return (float *)a.acc + ((m2c_u64)row * a.segments + segment) * a.unit.dim + column;
}

/* Entries [begin, end) of the list, all of one segment, for rows [row, row + R). */
template <int R>
M2C_INLINE void add_segment(const m2c_k_ffn_down &a, entry<R> *batch, m2c_u32 segment,
                            m2c_u32 begin, m2c_u32 end, m2c_u32 row, m2c_u32 column)
{
    const m2c_u32 dim = a.unit.dim;
    float acc[R][COLUMNS];
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int j = 0; j < COLUMNS; j++)
            acc[r][j] = row + r < a.rows && column + j < dim
                            ? ld_word<float>(columns_of<R>(a, row + r, segment, column + j))
                            : 0.0f;
    for (m2c_u32 i = begin; i < end; i += BATCH) {
        const m2c_u32 n = end - i < BATCH ? end - i : (m2c_u32)BATCH;
        __syncthreads(); /* the batch before has been used */
        if (threadIdx.x < n)
            prepare<R>(a, i + threadIdx.x, row, batch[threadIdx.x]);
        __syncthreads();
        if (column < dim)
            add_batch<R>(batch, n, column, dim, acc);
    }
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int j = 0; j < COLUMNS; j++)
            if (row + r < a.rows && column + j < dim)
                st(columns_of<R>(a, row + r, segment, column + j), acc[r][j]);
}

template <int R>
M2C_INLINE void down(const m2c_k_ffn_down &a, entry<R> *batch)
{
    const m2c_u32 column = (blockIdx.x * M2C_K_DOWN_BLOCK + threadIdx.x) * COLUMNS;
    for (m2c_u32 segment = blockIdx.y; segment < a.segments; segment += gridDim.y) {
        const m2c_u64 id = (m2c_u64)segment * a.seg_neurons;
        const m2c_u32 begin = lower_bound(a.list, a.n, id);
        const m2c_u32 end = lower_bound(a.list, a.n, id + a.seg_neurons);
        if (begin == end)
            continue;
        for (m2c_u32 row = blockIdx.z * R; row < a.rows; row += gridDim.z * R)
            add_segment<R>(a, batch, segment, begin, end, row, column);
    }
}

extern "C" __global__ void __launch_bounds__(M2C_K_DOWN_BLOCK)
    m2c_ffn_down(const m2c_k_ffn_down a)
{
    __shared__ entry<1> batch[BATCH];
    down<1>(a, batch);
}

extern "C" __global__ void __launch_bounds__(M2C_K_DOWN_BLOCK)
    m2c_ffn_down_rows(const m2c_k_ffn_down a)
{
    __shared__ entry<M2C_K_DOWN_ROWS> batch[BATCH];
    down<M2C_K_DOWN_ROWS>(a, batch);
}
