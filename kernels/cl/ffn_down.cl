/* SPDX-License-Identifier: MIT */
/* Phase B: acc[row][segment][j] += h[row][k] * down_k[j], k ascending, over the
 * listed neurons of one segment. Every column is its own chain of FMAs, so
 * neither the cut into work-items nor that into calls shows. A work-item has
 * M2C_COLUMNS columns of one segment, for `tile` rows; h is the third
 * dimension's. */
enum { GROUPS = M2C_COLUMNS / 16 };

static inline uint lower_bound(__global const struct m2c_cl_ref *list, uint n, ulong id)
{
    uint lo = 0, hi = n;
    while (lo < hi) {
        uint mid = lo + (hi - lo) / 2;
        if (list[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* acc[r][...] += h[r] * w over the 16 columns from i on. */
#define ADD(LOAD)                                                                         \
    for (uint i = 0; i < whole; i++) {                                                    \
        uint col = begin + i * 16;                                                        \
        float16 c = LOAD(w, col);                                                         \
        float s = scaled ? unit_of(w, col / GROUP) : 1;                                   \
        for (uint r = 0; r < tile; r++)                                                   \
            acc[r][i] = FMA(c, (float16)(s * h[r]), acc[r][i]);                           \
    }

static inline void add_neuron(struct vec w, uint begin, uint whole, uint rest, const float *h,
                              const uint tile, float16 (*acc)[GROUPS])
{
    bool scaled = w.type >= I8;
    switch (w.type) {
    case F32: ADD(of_f32); break;
    case F16: ADD(of_f16); break;
    case BF16: ADD(of_bf16); break;
    case I8: ADD(of_i8); break;
    case I4: ADD(of_i4); break;
    case P16: ADD(of_p16); break;
    case P8: ADD(of_p8); break;
    }
    if (rest) { /* fewer than 16 columns are left, in the last block */
        uint col = begin + whole * 16;
        float16 c, unused;
        load_rest(w, col, rest, &c, &unused);
        float s = scaled ? unit_of(w, col / GROUP) : 1;
        for (uint r = 0; r < tile; r++)
            acc[r][whole] = FMA(c, (float16)(s * h[r]), acc[r][whole]);
    }
}

static inline void down_tile(WINDOWS, bytes list_mem, bytes h_mem, __global uchar *out,
                             struct m2c_cl_ffn_down a, const uint tile)
{
    uint begin = get_global_id(0) * M2C_COLUMNS;
    uint segment = a.first_segment + get_global_id(1);
    ulong row = get_global_id(2) * tile;
    uint n = min((uint)M2C_COLUMNS, a.unit.dim - begin), whole = n / 16, rest = n % 16;
    __global const struct m2c_cl_ref *list = (__global const struct m2c_cl_ref *)(list_mem + a.list);
    uint k = lower_bound(list, a.n, (ulong)segment * a.seg_neurons);
    uint end = lower_bound(list, a.n, ((ulong)segment + 1) * a.seg_neurons);
    if (k == end)
        return;
    floats h_rows = (floats)(h_mem + a.h) + row * a.n;
    __global float *to = (__global float *)(out + a.acc) + begin;
    float16 acc[M2C_ROWS][GROUPS];
    float h[M2C_ROWS];
    for (uint r = 0; r < tile; r++) {
        __global float *p = to + ((row + r) * a.segments + segment) * a.unit.dim;
        float16 unused;
        for (uint i = 0; i < whole; i++)
            acc[r][i] = vload16(i, p);
        if (rest)
            load_rest(floats_vec(p), whole * 16, rest, &acc[r][whole], &unused);
    }
    for (; k < end; k++) {
        struct vec w = neuron(PASS_WINDOWS, &a.unit, list + k, 0);
        for (uint r = 0; r < tile; r++)
            h[r] = h_rows[(ulong)r * a.n + k];
        add_neuron(w, begin, whole, rest, h, tile, acc);
    }
    for (uint r = 0; r < tile; r++) {
        __global float *p = to + ((row + r) * a.segments + segment) * a.unit.dim;
        for (uint i = 0; i < whole; i++)
            vstore16(acc[r][i], i, p);
        float t[16];
        if (rest)
            vstore16(acc[r][whole], 0, t);
        for (uint i = 0; i < rest; i++)
            p[whole * 16 + i] = t[i];
    }
}

#define FFN_DOWN(name, tile)                                                              \
    __kernel void name(WINDOWS, __global const uchar *list, __global const uchar *h,      \
                       __global uchar *acc, struct m2c_cl_ffn_down a)                     \
    {                                                                                     \
        if (get_global_id(0) * M2C_COLUMNS < a.unit.dim)                                  \
            down_tile(PASS_WINDOWS, list, h, acc, a, tile);                               \
    }

FFN_DOWN(ffn_down, 1)
FFN_DOWN(ffn_down_rows, M2C_ROWS)
