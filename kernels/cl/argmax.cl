/* SPDX-License-Identifier: MIT */
/* out[row] = index of the row's largest element, the lowest of equal ones, or
 * no index if there is a NaN; a row a work-group. */
struct best {
    float x;
    uint i;
};

static inline struct best better(struct best a, struct best b)
{
    return b.x > a.x || (b.x == a.x && b.i < a.i) ? b : a;
}

__kernel __attribute__((reqd_work_group_size(M2C_WIDE, 1, 1))) void
argmax(__global const uchar *x, __global uchar *out, struct m2c_cl_argmax a)
{
    __local struct best part[M2C_WIDE];
    __local uint nans;
    uint me = get_local_id(0), row = get_group_id(0);
    floats p = (floats)(x + a.x) + (ulong)row * a.n;
    struct best mine = {-INFINITY, NO_ID};
    bool nan = false;
    if (me == 0)
        nans = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = me; i < a.n; i += M2C_WIDE) {
        struct best it = {p[i], i};
        nan |= (as_uint(it.x) & 0x7fffffff) > 0x7f800000;
        mine = better(mine, it);
    }
    part[me] = mine;
    if (nan)
        atomic_inc(&nans);
    for (uint step = M2C_WIDE / 2; step; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (me < step)
            part[me] = better(part[me], part[me + step]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (me == 0)
        ((__global uint *)(out + a.out))[row] = nans ? NO_ID : part[0].i;
}
