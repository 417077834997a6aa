/* SPDX-License-Identifier: MIT */
/* dst[0 .. n) = value; 16 elements a work-item. */
__kernel void fill(__global uchar *dst, struct m2c_cl_fill a)
{
    __global float *p = (__global float *)(dst + a.dst);
    ulong i = (ulong)get_global_id(0) * 16;
    if (i + 16 <= a.n) {
        vstore16((float16)(a.value), 0, p + i);
        return;
    }
    for (; i < a.n; i++)
        p[i] = a.value;
}
