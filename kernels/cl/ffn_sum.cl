/* SPDX-License-Identifier: MIT */
/* y[row][j] += acc[row][0][j] + acc[row][1][j] + ..., from left to right; four
 * columns a work-item. */
__kernel void ffn_sum(__global const uchar *acc, __global uchar *y, struct m2c_cl_ffn_sum a)
{
    uint j = get_global_id(0) * 4;
    ulong row = get_global_id(1);
    floats p = (floats)(acc + a.acc) + row * a.segments * a.dim + j;
    __global float *to = (__global float *)(y + a.y) + row * a.dim + j;
    if (j + 4 <= a.dim) {
        float4 t = vload4(0, p);
        for (uint s = 1; s < a.segments; s++)
            t += vload4(0, p + (ulong)s * a.dim);
        vstore4(vload4(0, to) + t, 0, to);
        return;
    }
    for (uint i = 0; j + i < a.dim; i++) {
        float t = p[i];
        for (uint s = 1; s < a.segments; s++)
            t += p[(ulong)s * a.dim + i];
        to[i] += t;
    }
}
