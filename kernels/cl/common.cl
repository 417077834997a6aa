/* SPDX-License-Identifier: MIT */
/* What every kernel begins with: loads of each type, dots, fixed sums.
 *
 * A dot is taken by a team of M2C_LANES work-items. Group g of 32 elements
 * belongs to lane g % M2C_LANES, which keeps 16 partial sums; these are added,
 * and then the lanes, in one fixed order. So a dot depends on its operands
 * and on M2C_LANES alone. On CPUs there is one lane, whose vectors are the
 * compiler's to map; on GPUs there is a warp or so. Every product that is
 * added goes through FMA, so that no compiler contracts one kernel and not
 * its twin for more rows. */
#pragma OPENCL FP_CONTRACT OFF

#if M2C_FMA
#define FMA(a, b, c) fma(a, b, c)
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif

enum { F32, F16, BF16, I8, I4, P16, P8 }; /* enum m2c_type, checked by the host */
enum { GROUP = 32 };
#define NO_ID 0xffffffffu /* M2C_NO_ID, M2C_NO_SLOT */
enum { PASS_NONE = 254 }; /* M2C_PASS_NONE */

typedef __global const uchar *bytes;
typedef __global const float *floats;

/* ---- where weights lie ----
 * A large buffer is several allocations, "windows": window i holds what lies
 * from i << shift on, and some more, so that a record or row that begins in it
 * lies in it whole. One allocation has shift 63. */
#define WINDOWS                                                                           \
    bytes w0, bytes w1, bytes w2, bytes w3, bytes w4, bytes w5, bytes w6, bytes w7,       \
        bytes w8, bytes w9, bytes w10, bytes w11
#define PASS_WINDOWS w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11

static inline bytes window(WINDOWS, uint first, uint shift, ulong off)
{
    uint i = first + (uint)(off >> shift);
    bytes p = i == 0   ? w0
              : i == 1 ? w1
              : i == 2 ? w2
              : i == 3 ? w3
              : i == 4 ? w4
              : i == 5 ? w5
              : i == 6 ? w6
              : i == 7 ? w7
              : i == 8 ? w8
              : i == 9 ? w9
              : i == 10 ? w10
                       : w11;
    return p + (off & (((ulong)1 << shift) - 1));
}

/* ---- single elements ---- */

static inline float scale_of(bytes scales, uint group)
{
    return vload_half(group, (__global const half *)scales);
}

static inline float bf16(ushort h)
{
    return as_float((uint)h << 16);
}

/* A vector of weights. A nested code has its first plane at `codes`, an I4, and
 * d4, d8 (P16) behind it: values before scaling are 16 q4 + d4 or 256 times that
 * + d8, in units of scale / 16 or scale / 4096. */
struct vec {
    bytes codes, scales, d4, d8;
    uint type, al;
};

static inline int nibble(bytes codes, uint i)
{
    return (int)((uint)codes[i / 2] << (i % 2 ? 24 : 28)) >> 28;
}

/* Without its scale. */
static inline float code_of(uint type, bytes codes, uint i)
{
    switch (type) {
    case F32: return ((floats)codes)[i];
    case F16: return vload_half(i, (__global const half *)codes);
    case BF16: return bf16(((__global const ushort *)codes)[i]);
    case I8: return (float)((__global const char *)codes)[i];
    default: return (float)nibble(codes, i);
    }
}

static inline float element_of(struct vec w, uint i)
{
#if M2C_NESTED
    if (w.type >= P16) {
        int q8 = 16 * nibble(w.codes, i) + nibble(w.d4, i);
        return (float)(w.type == P8 ? q8 : 256 * q8 + ((__global const char *)w.d8)[i]);
    }
#endif
    return code_of(w.type, w.codes, i);
}

/* What the codes of a grouped vector's group are multiplied by. */
static inline float unit_of(struct vec w, uint group)
{
    float s = scale_of(w.scales, group);
    return w.type == P16 ? s * (1.0f / 4096) : w.type == P8 ? s * (1.0f / 16) : s;
}

/* ---- 16 elements from i on, a multiple of 16; without their scale ----
 * With `al` the vector begins at a multiple of 16 bytes: GPUs then load wide
 * words, where they would load bytes. */
#if M2C_LANES == 1
#define WIDE(wide, any) (any)
#else
#define WIDE(wide, any) (al ? (wide) : (any))
#endif

static inline float8 halves(uint4 u)
{
    return vload_half8(0, (const half *)&u);
}

static inline float16 load_f32(bytes p, uint i, uint al)
{
    floats f = (floats)p + i;
    __global const float4 *q = (__global const float4 *)f;
    return WIDE((float16)(q[0], q[1], q[2], q[3]), vload16(0, f));
}

static inline float16 load_f16(bytes p, uint i, uint al)
{
    __global const half *h = (__global const half *)p + i;
    __global const uint4 *q = (__global const uint4 *)h;
    return WIDE((float16)(halves(q[0]), halves(q[1])), vload_half16(0, h));
}

static inline float16 load_bf16(bytes p, uint i, uint al)
{
    __global const ushort *h = (__global const ushort *)p + i;
    __global const ushort8 *q = (__global const ushort8 *)h;
    return as_float16(convert_uint16(WIDE((ushort16)(q[0], q[1]), vload16(0, h))) << 16);
}

static inline float16 load_i8(bytes p, uint i, uint al)
{
    __global const char *c = (__global const char *)p + i;
    return convert_float16(WIDE(*(__global const char16 *)c, vload16(0, c)));
}

static inline int16 nibbles(bytes p, uint i, uint al)
{
    bytes c = p + i / 2;
    uchar8 b = WIDE(*(__global const uchar8 *)c, vload8(0, c));
    const int16 up = (int16)(28, 24, 28, 24, 28, 24, 28, 24, 28, 24, 28, 24, 28, 24, 28, 24);
    return (convert_int16(b.s0011223344556677) << up) >> 28;
}

static inline float16 load_i4(bytes p, uint i, uint al)
{
    return convert_float16(nibbles(p, i, al));
}

#define OF(type)                                                                          \
    static inline float16 of_##type(struct vec w, uint i)                                 \
    {                                                                                     \
        return load_##type(w.codes, i, w.al);                                             \
    }
OF(f32)
OF(f16)
OF(bf16)
OF(i8)
OF(i4)

#if M2C_NESTED
static inline int16 both_nibbles(struct vec w, uint i)
{
    return nibbles(w.codes, i, w.al) * 16 + nibbles(w.d4, i, w.al);
}

static inline float16 of_p8(struct vec w, uint i)
{
    return convert_float16(both_nibbles(w, i));
}

static inline float16 of_p16(struct vec w, uint i)
{
    uint al = w.al;
    __global const char *c = (__global const char *)w.d8 + i;
    char16 d = WIDE(*(__global const char16 *)c, vload16(0, c));
    return convert_float16(both_nibbles(w, i) * 256 + convert_int16(d));
}
#endif

/* Elements i .. i + n of a short last group, and zeros. */
static inline void load_rest(struct vec w, uint i, uint n, float16 *a, float16 *b)
{
    float t[GROUP];
    for (uint k = 0; k < GROUP; k++)
        t[k] = k < n ? element_of(w, i + k) : 0;
    *a = vload16(0, t);
    *b = vload16(1, t);
}

static inline struct vec floats_vec(floats x)
{
    struct vec w = {(bytes)x, (bytes)x, (bytes)x, (bytes)x, F32, 0};
    return w;
}

/* ---- sums ---- */

static inline float sum16(float16 v)
{
    float8 a = v.lo + v.hi;
    float4 b = a.lo + a.hi;
    float2 c = b.lo + b.hi;
    return c.x + c.y;
}

/* Sum over the lanes of a team; `part` has a float for each work-item. For all
 * work-items of the group together. The result is lane 0's. */
#if M2C_LANES == 1
#define SUM_LANES(v, part) (v)
#else
#define SUM_LANES(v, part) sum_lanes(v, part)
static inline float sum_lanes(float v, __local float *part)
{
    uint me = get_local_id(0), lane = me % M2C_LANES;
    barrier(CLK_LOCAL_MEM_FENCE);
    part[me] = v;
    for (uint step = M2C_LANES / 2; step; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lane < step)
            part[me] += part[me + step];
    }
    return part[me];
}
#endif

/* ---- dots ---- */

/* acc[r] += w · x[r], the share of this lane, for ROWS rows of x. */
#define DOT(LOAD, SCALED)                                                                 \
    for (uint i = lane * GROUP; i + GROUP <= n; i += M2C_LANES * GROUP) {                 \
        float16 a = LOAD(w, i), b = LOAD(w, i + 16);                                      \
        float s = SCALED ? unit_of(w, i / GROUP) : 1;                                     \
        for (uint r = 0; r < rows; r++) {                                                 \
            bytes xr = (bytes)(x + (ulong)r * x_step);                                    \
            float16 t = a * load_f32(xr, i, x_al);                                        \
            t = FMA(b, load_f32(xr, i + 16, x_al), t);                                    \
            acc[r] = SCALED ? FMA(t, (float16)(s), acc[r]) : acc[r] + t;                  \
        }                                                                                 \
    }

/* rows is a constant where this is inlined. x_step in floats. */
static inline void dot(struct vec w, floats x, ulong x_step, uint x_al, uint n, uint rows, uint lane,
                float16 *acc)
{
    for (uint r = 0; r < rows; r++)
        acc[r] = 0;
    switch (w.type) {
    case F32: DOT(of_f32, 0); break;
    case F16: DOT(of_f16, 0); break;
    case BF16: DOT(of_bf16, 0); break;
    case I8: DOT(of_i8, 1); break;
    case I4: DOT(of_i4, 1); break;
#if M2C_NESTED
    case P16: DOT(of_p16, 1); break;
    case P8: DOT(of_p8, 1); break;
#endif
    }
    uint rest = n % GROUP, at = n - rest;
    if (rest && at / GROUP % M2C_LANES == lane) {
        float16 a, b, xa, xb;
        load_rest(w, at, rest, &a, &b);
        float s = w.type >= I8 ? unit_of(w, at / GROUP) : 1;
        for (uint r = 0; r < rows; r++) {
            load_rest(floats_vec(x + (ulong)r * x_step), at, rest, &xa, &xb);
            acc[r] = FMA(FMA(b, xb, a * xa), (float16)(s), acc[r]);
        }
    }
}
