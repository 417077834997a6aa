/* SPDX-License-Identifier: MIT */
/* Causal attention: one head of one row a work-group. An online softmax over
 * blocks of KEYS keys from position 0 on, so that a row's bits do not depend
 * on how many rows came with it. `out` holds the sum of values so far; an
 * element of it belongs to one work-item. */
#if M2C_WIDE == 1
#define KEYS 64
#define SHARED
#else
#define KEYS M2C_WIDE
#define SHARED __local
#endif

static inline float16 load_key(uint type, bytes p, uint i)
{
    return type == F32 ? vload16(0, (floats)p + i) : vload_half16(0, (__global const half *)p + i);
}

static inline float score(floats q, uint type, bytes k, uint dim)
{
    float16 acc = 0;
    float rest = 0;
    uint i = 0;
    for (; i + 16 <= dim; i += 16)
        acc = FMA(load_key(type, k, i), vload16(0, q + i), acc);
    for (; i < dim; i++)
        rest = FMA(code_of(type, k, i), q[i], rest);
    return sum16(acc) + rest;
}

/* The largest, or the sum, over the group of one value a work-item. */
#if M2C_WIDE > 1
static inline float over_group(float v, bool largest, __local float *part)
{
    uint me = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    part[me] = v;
    for (uint step = M2C_WIDE / 2; step; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (me < step)
            part[me] = largest ? fmax(part[me], part[me + step]) : part[me] + part[me + step];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return part[0];
}
#endif

/* out += sum of p[i] * v[i] over m keys, this work-item's elements. */
static inline void add_values(__global float *out, float keep, const SHARED float *p, uint type,
                       bytes v, ulong step, uint m, uint dim)
{
    uint i = 0, me = get_local_id(0);
#if M2C_WIDE == 1
    for (; i + 16 <= dim; i += 16) {
        float16 acc = vload16(0, out + i) * keep;
        for (uint k = 0; k < m; k++)
            acc = FMA(load_key(type, v + k * step, i), (float16)(p[k]), acc);
        vstore16(acc, 0, out + i);
    }
#endif
    for (i += me; i < dim; i += M2C_WIDE) {
        float acc = out[i] * keep;
        for (uint k = 0; k < m; k++)
            acc = FMA(code_of(type, v + k * step, i), p[k], acc);
        out[i] = acc;
    }
}

__kernel __attribute__((reqd_work_group_size(M2C_WIDE, 1, 1))) void
attention(__global const uchar *q, __global const uchar *k, __global const uchar *v,
          __global uchar *out, struct m2c_cl_attention a)
{
    uint head = get_group_id(0), row = get_group_id(1), me = get_local_id(0);
    ulong at = ((ulong)row * a.heads + head) * a.head_dim;
    ulong kv = (ulong)(head / (a.heads / a.kv_heads)) * a.head_dim * a.width;
    ulong step = (ulong)a.kv_heads * a.head_dim * a.width;
    floats qr = (floats)(q + a.q) + at;
    bytes kr = k + a.k + kv, vr = v + a.v + kv;
    __global float *o = (__global float *)(out + a.out) + at;
    uint n = a.pos + row + 1;
    float top = -INFINITY, sum = 0;
#if M2C_WIDE > 1
    __local float part[M2C_WIDE], s[KEYS];
#else
    float s[KEYS];
#endif
    for (uint i = me; i < a.head_dim; i += M2C_WIDE)
        o[i] = 0;
    for (uint p = 0; p < n; p += KEYS, kr += KEYS * step, vr += KEYS * step) {
        uint m = min(n - p, (uint)KEYS);
        float before = top;
#if M2C_WIDE > 1
        float mine = me < m ? score(qr, a.type, kr + me * step, a.head_dim) * a.scale : -INFINITY;
        top = fmax(top, over_group(mine, true, part));
        float keep = exp(before - top), e = exp(mine - top);
        s[me] = e;
        sum = sum * keep + over_group(e, false, part);
#else
        for (uint i = 0; i < KEYS; i++)
            s[i] = i < m ? score(qr, a.type, kr + i * step, a.head_dim) * a.scale : -INFINITY;
        for (uint i = 0; i < m; i++)
            top = fmax(top, s[i]);
        float keep = exp(before - top);
        float16 all = 0;
        for (uint i = 0; i < KEYS / 16; i++) {
            float16 e = exp(vload16(i, s) - top);
            vstore16(e, i, s);
            all += e;
        }
        sum = sum * keep + sum16(all);
#endif
        add_values(o, keep, s, a.type, vr, step, m, a.head_dim);
    }
    for (uint i = me; i < a.head_dim; i += M2C_WIDE)
        o[i] /= sum;
}
