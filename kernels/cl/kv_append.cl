/* SPDX-License-Identifier: MIT */
/* cache[pos * n ...] = x, in f32 or f16; an element a work-item. */
__kernel void kv_append(__global const uchar *x, __global uchar *cache,
                        struct m2c_cl_kv_append a)
{
    ulong i = get_global_id(0);
    if (i >= a.count)
        return;
    float v = ((floats)(x + a.x))[i];
    if (a.type == F32)
        ((__global float *)(cache + a.cache))[a.first + i] = v;
    else
        vstore_half_rte(v, a.first + i, (__global half *)(cache + a.cache));
}
