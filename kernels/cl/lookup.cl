/* SPDX-License-Identifier: MIT */
/* Wants against the table of slots: a list of where each lies, and the misses
 * in order; one work-group does all, a range of the wants a work-item. */
__kernel __attribute__((reqd_work_group_size(M2C_WIDE, 1, 1))) void
lookup(__global const uchar *wants_mem, __global const uchar *n_wants,
       __global const uchar *table_mem, __global uchar *list_mem, __global uchar *misses_mem,
       __global uchar *counts_mem, struct m2c_cl_lookup a)
{
    __local uint count[3][M2C_WIDE]; /* pass 0, pass 1, misses */
    __global const struct m2c_cl_want *wants =
        (__global const struct m2c_cl_want *)(wants_mem + a.wants);
    __global const uint *table = (__global const uint *)(table_mem + a.table);
    __global struct m2c_cl_ref *list = (__global struct m2c_cl_ref *)(list_mem + a.list);
    __global struct m2c_cl_want *misses =
        (__global struct m2c_cl_want *)(misses_mem + a.misses);
    __global uint *counts = (__global uint *)(counts_mem + a.counts);
    uint me = get_local_id(0), asked = *(__global const uint *)(n_wants + a.n_wants);
    uint n = asked > a.k ? 0 : asked, share = (a.k + M2C_WIDE - 1) / M2C_WIDE;
    uint begin = min(me * share, a.k), end = min(begin + share, a.k), mine[3] = {0, 0, 0};
    for (uint i = begin; i < end; i++) {
        struct m2c_cl_ref r = {NO_ID, NO_ID, 0, PASS_NONE, {0}};
        if (i < n) {
            struct m2c_cl_want w = wants[i];
            uint t = table[(ulong)w.cls * a.n_neurons + w.id];
            bool held = t != NO_ID;
            r.id = w.id;
            r.cls = held ? t >> 28 & 7 : w.cls;
            r.slot = held ? t & 0x0fffffff : NO_ID;
            r.pass = held ? t >> 31 : PASS_NONE;
            mine[held ? t >> 31 : 2]++;
        }
        list[i] = r;
    }
    for (uint c = 0; c < 3; c++)
        count[c][me] = mine[c];
    barrier(CLK_LOCAL_MEM_FENCE);
    uint at = 0;
    for (uint l = 0; l < me; l++)
        at += count[2][l];
    for (uint i = begin; i < min(end, n); i++) {
        struct m2c_cl_want w = wants[i];
        if (table[(ulong)w.cls * a.n_neurons + w.id] == NO_ID)
            misses[at++] = w;
    }
    if (me != 0)
        return;
    counts[0] = asked;
    for (uint c = 0; c < 3; c++) {
        uint sum = 0;
        for (uint l = 0; l < M2C_WIDE; l++)
            sum += count[c][l];
        counts[1 + c] = sum;
    }
}
