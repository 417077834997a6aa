/* SPDX-License-Identifier: MIT */
/* out[row][col] = table[ids[row]][col] * scale; an element a work-item. */
__kernel void embed(WINDOWS, __global const uchar *ids, __global uchar *out,
                    struct m2c_cl_embed a)
{
    uint col = get_global_id(0), row = get_global_id(1);
    if (col >= a.table.cols)
        return;
    uint id = ((__global const uint *)(ids + a.ids))[row];
    struct m2c_cl_matrix m = a.table;
    bytes codes = window(PASS_WINDOWS, m.code_window, m.code_shift,
                         m.codes + (ulong)id * m.code_step);
    float w = code_of(m.type, codes, col);
    if (m.scale_step) {
        bytes scales = window(PASS_WINDOWS, m.scale_window, m.scale_shift,
                              m.scales + (ulong)id * m.scale_step);
        w *= scale_of(scales, col / GROUP);
    }
    ((__global float *)(out + a.out))[(ulong)row * m.cols + col] = w * a.scale;
}
