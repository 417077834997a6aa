/* SPDX-License-Identifier: MIT */
/* RMS norm; a row a work-group, which is one team. y may be x: the sum is
 * complete before the first element is written, and each element is read by
 * the lane that writes it. */
__kernel __attribute__((reqd_work_group_size(M2C_LANES, 1, 1))) void
norm(__global const uchar *x, __global const uchar *w, __global uchar *y,
     struct m2c_cl_norm a)
{
    __local float part[M2C_LANES];
    uint lane = get_local_id(0);
    ulong row = (ulong)get_group_id(0) * a.n;
    floats xr = (floats)(x + a.x) + row, wr = (floats)(w + a.w);
    __global float *yr = (__global float *)(y + a.y) + row;
    float16 acc;
    dot(floats_vec(xr), xr, 0, 0, a.n, 1, lane, &acc);
    float sum = SUM_LANES(sum16(acc), part);
#if M2C_LANES > 1
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE); /* x has been read */
    sum = part[0];
#endif
    /* One Newton step takes the few ulp from what a device calls rsqrt. */
    float mean = sum / (float)a.n + a.eps, f = rsqrt(mean);
    f = FMA(0.5f * f, FMA(-mean * f, f, 1.0f), f);
    for (uint i = lane; i < a.n; i += M2C_LANES) {
        float t = xr[i] * f * wr[i];
        yr[i] = a.relu ? (t - a.shift < 0 ? 0 : t - a.shift) : t;
    }
}
