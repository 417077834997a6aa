/* SPDX-License-Identifier: MIT */
/* y[row][i] (+)= x[row] . w[i]; a row of w a team, M2C_TEAMS teams a
 * work-group. The second dimension goes over tiles of rows of x, all full. */
static inline void matmul_tile(WINDOWS, bytes x, __global uchar *y, struct m2c_cl_matmul a,
                        const uint tile, __local float *part)
{
    uint lane = get_local_id(0) % M2C_LANES;
    uint i = get_group_id(0) * M2C_TEAMS + get_local_id(0) / M2C_LANES;
    uint first = get_global_id(1) * tile;
    uint row = min(i, a.w.rows - 1); /* teams past the end add up, and write nothing */
    struct vec w;
    w.type = a.w.type;
    w.al = a.w.al;
    w.codes = window(PASS_WINDOWS, a.w.code_window, a.w.code_shift,
                     a.w.codes + (ulong)row * a.w.code_step);
    w.scales = w.d4 = w.d8 = w.codes;
    if (a.w.scale_step)
        w.scales = window(PASS_WINDOWS, a.w.scale_window, a.w.scale_shift,
                          a.w.scales + (ulong)row * a.w.scale_step);
    floats xr = (floats)(x + a.x) + (ulong)first * a.w.cols;
    float16 acc[M2C_ROWS];
    dot(w, xr, a.w.cols, a.x_al, a.w.cols, tile, lane, acc);
    for (uint r = 0; r < tile; r++) {
        float v = SUM_LANES(sum16(acc[r]), part);
        if (lane == 0 && i < a.w.rows) {
            __global float *p = (__global float *)(y + a.y) + (ulong)(first + r) * a.w.rows;
            p[i] = a.add ? p[i] + v : v;
        }
    }
}

#define MATMUL(name, tile)                                                                \
    __kernel __attribute__((reqd_work_group_size(M2C_LANES * M2C_TEAMS, 1, 1))) void      \
    name(WINDOWS, __global const uchar *x, __global uchar *y, struct m2c_cl_matmul a)     \
    {                                                                                     \
        __local float part[M2C_LANES * M2C_TEAMS];                                        \
        matmul_tile(PASS_WINDOWS, x, y, a, tile, part);                                   \
    }

MATMUL(matmul, 1)
MATMUL(matmul_rows, M2C_ROWS)
