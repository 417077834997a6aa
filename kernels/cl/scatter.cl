/* SPDX-License-Identifier: MIT */
/* Puts the pieces of a batch where they belong; a piece a work-group. `from`
 * begins with the table. Pieces begin at multiples of 16 bytes there, so that
 * only where they go decides how wide the words are. */
__kernel __attribute__((reqd_work_group_size(M2C_WIDE, 1, 1))) void
scatter(__global const uchar *from, __global uchar *to)
{
    struct m2c_cl_piece p = ((__global const struct m2c_cl_piece *)from)[get_group_id(0)];
    uint me = get_local_id(0);
    ulong done = 0;
    from += p.src;
    to += p.dst;
    if (p.dst % 16 == 0) {
        for (ulong i = me; i < p.bytes / 16; i += M2C_WIDE)
            ((__global uint4 *)to)[i] = ((__global const uint4 *)from)[i];
        done = p.bytes / 16 * 16;
    } else if (p.dst % 4 == 0) {
        for (ulong i = me; i < p.bytes / 4; i += M2C_WIDE)
            ((__global uint *)to)[i] = ((__global const uint *)from)[i];
        done = p.bytes / 4 * 4;
    }
    for (ulong i = done + me; i < p.bytes; i += M2C_WIDE)
        to[i] = from[i];
}
