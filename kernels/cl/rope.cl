/* SPDX-License-Identifier: MIT */
/* Rotary positions in place; a work-item turns pair j of every head h with
 * h % get_global_size(1) == get_global_id(1) in row get_global_id(2).
 *
 * Not every device has doubles, and at position 100,000 an angle in f32 is off
 * by 0.004: the angle is a sum of two floats, taken modulo pi/2 in four steps
 * of which all but the last are exact, and sine and cosine are polynomials
 * (Cephes sinf and cosf) on [-pi/4, pi/4]. */
static inline void sine_cosine(float hi, float lo, float *sine, float *cosine)
{
    float k = rint(hi * 0.636619772f);
    float r = fma(-k, 1.5703125f, hi); /* 8 bits of pi/2: exact */
    r = fma(-k, 4.837512969970703125e-4f, r);
    r = fma(-k, 7.549789954891882e-8f, r);
    float t = fma(k, 1.7151245e-15f, lo); /* and what three floats lack of pi/2 */
    float z = r + t;
    float z2 = z * z;
    float s = fma(fma(fma(-1.9515295891e-4f, z2, 8.3321608736e-3f), z2, -1.6666654611e-1f),
                  z2 * z, z);
    float c = fma(fma(fma(2.443315711809948e-5f, z2, -1.388731625493765e-3f), z2,
                      4.166664568298827e-2f),
                  z2 * z2, fma(-0.5f, z2, 1.0f));
    int q = (int)k & 3;
    float u = q & 1 ? c : s, v = q & 1 ? s : c;
    *sine = q & 2 ? -u : u;
    *cosine = q == 1 || q == 2 ? -v : v;
}

__kernel void rope(__global uchar *x, __global const uchar *inv_freq, struct m2c_cl_rope a)
{
    uint j = get_global_id(0), half_dim = a.head_dim / 2;
    ulong row = get_global_id(2);
    if (j >= half_dim)
        return;
    float freq = ((floats)(inv_freq + a.inv_freq))[j];
    uint pos = a.pos + (uint)row;
    /* A position of up to 32 bits is two floats; each product's rest is exact. */
    float p1 = (float)(pos & 0xfffff000u), p0 = (float)(pos & 0xfffu);
    float h1 = p1 * freq, h0 = p0 * freq, hi = h1 + h0, b = hi - h1;
    float lo = (h1 - (hi - b)) + (h0 - b);
    lo += fma(p1, freq, -h1) + fma(p0, freq, -h0);
    float s, c;
    sine_cosine(hi, lo, &s, &c);
    for (uint h = get_global_id(1); h < a.heads; h += get_global_size(1)) {
        __global float *p = (__global float *)(x + a.x) + (row * a.heads + h) * a.head_dim;
        uint i = a.split ? j : 2 * j, k = a.split ? j + half_dim : i + 1;
        float u = p[i], v = p[k];
        p[i] = FMA(u, c, -(v * s));
        p[k] = FMA(u, s, v * c);
    }
}
