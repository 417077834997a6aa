/* SPDX-License-Identifier: MIT */
/* Phase A: h[row][k] = act(gate . x[row]) * (up . x[row]) of list entry k. An
 * entry a team, M2C_TEAMS teams a work-group; the second dimension goes over
 * tiles of rows of x, all full. */
static inline float activate(uint act, float x)
{
    switch (act) {
    case SILU: return x / (1.0f + exp(-x));
    case GELU: /* x times the logistic function of 2 sqrt(2 / pi) (x + 0.044715 x^3) */
        return x / (1.0f + exp(-1.5957691216057308f * (x + 0.044715f * x * x * x)));
    default: return x > 0 ? x : x < 0 ? 0 : x; /* a NaN stays */
    }
}

static inline void up_tile(WINDOWS, bytes x, bytes list, __global uchar *h,
                           struct m2c_cl_ffn_up a, const uint tile, __local float *part)
{
    uint lane = get_local_id(0) % M2C_LANES;
    uint k = get_group_id(0) * M2C_TEAMS + get_local_id(0) / M2C_LANES;
    ulong first = get_global_id(1) * tile;
    bool ours = k < a.n;
    __global const struct m2c_cl_ref *ref =
        (__global const struct m2c_cl_ref *)(list + a.list) + (ours ? k : 0);
    ours = ours && (a.pass == 255 || ref->pass == a.pass);
    float16 gate[M2C_ROWS], up[M2C_ROWS];
    for (uint r = 0; r < tile; r++)
        gate[r] = up[r] = 0;
    if (ours) {
        floats xr = (floats)(x + a.x) + first * a.unit.dim;
        struct vec w = neuron(PASS_WINDOWS, &a.unit, ref, 1);
        dot(w, xr, a.unit.dim, a.x_al, a.unit.dim, tile, lane, up);
        if (a.unit.has_gate) {
            w = neuron(PASS_WINDOWS, &a.unit, ref, 0);
            dot(w, xr, a.unit.dim, a.x_al, a.unit.dim, tile, lane, gate);
        }
    }
    for (uint r = 0; r < tile; r++) {
        float u = SUM_LANES(sum16(up[r]), part), g = u;
        if (a.unit.has_gate)
            g = SUM_LANES(sum16(gate[r]), part);
        float v = activate(a.unit.act, g - a.unit.act_shift);
        if (lane == 0 && ours)
            ((__global float *)(h + a.h))[(first + r) * a.n + k] = a.unit.has_gate ? v * u : v;
    }
}

#define FFN_UP(name, tile)                                                                \
    __kernel __attribute__((reqd_work_group_size(M2C_LANES * M2C_TEAMS, 1, 1))) void      \
    name(WINDOWS, __global const uchar *x, __global const uchar *list, __global uchar *h, \
         struct m2c_cl_ffn_up a)                                                          \
    {                                                                                     \
        __local float part[M2C_LANES * M2C_TEAMS];                                        \
        up_tile(PASS_WINDOWS, x, list, h, a, tile, part);                                 \
    }

FFN_UP(ffn_up, 1)
FFN_UP(ffn_up_rows, M2C_ROWS)
