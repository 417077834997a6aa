/* SPDX-License-Identifier: MIT */
/* SELECT: the exact top k with classes by rank, in one block.
 *
 * Scores become keys whose order as numbers is theirs. Where a class ends (and
 * where the chosen end) after t of them, the key of the last one inside is
 * found by its digits, of 11, 11 and 10 bits, from the top: a histogram of the
 * keys that begin like it so far, and the bin in which the t-th lies. The first
 * histogram serves all ends. Of keys equal to that one, those of the lowest ids
 * are inside; only where not all of them are must they be counted in order. */
#include "choose.h"

enum { BINS = 2048, ENDS = M2C_K_CLASSES };

/* The first t in the order of rank: keys above `key`, and `equal` of those
 * equal to it. */
struct end {
    m2c_u32 t, key, equal, counted; /* counted: equal ones must be told apart */
};

struct work {
    m2c_u32 bins[BINS], warps[CHOOSE_WARPS];
    m2c_u32 candidates, nan, bin, above, in_bin;
    m2c_u32 counts[ENDS];
    struct end ends[ENDS];
};

M2C_INLINE float score_at(const m2c_k_select &a, m2c_u32 i)
{
    const float x = ld<float>((const float *)a.scores + i);
    return a.magnitude ? fabsf(x) : x;
}

/* Ascending with the score, -0 like 0; NaN aside. */
M2C_INLINE m2c_u32 key_of(float score)
{
    const m2c_u32 bits = as_bits(score + 0.0f);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

M2C_INLINE bool candidate(const m2c_k_select &a, float score)
{
    return !a.positive_only || score > 0;
}

/* The bin in which the t-th key (t >= 1) from the top lies: w.bin, the keys in
 * bins above it: w.above, and in it: w.in_bin. Thread i has two bins. */
M2C_INLINE void find_bin(work &w, m2c_u32 t)
{
    const m2c_u32 high = BINS - 1 - 2 * threadIdx.x, low = high - 1;
    m2c_u32 total, in_high = w.bins[high], in_low = w.bins[low];
    const m2c_u32 before = sum_before(in_high + in_low, w.warps, &total);
    if (before < t && t <= before + in_high) {
        w.bin = high;
        w.above = before;
        w.in_bin = in_high;
    } else if (before + in_high < t && t <= before + in_high + in_low) {
        w.bin = low;
        w.above = before + in_high;
        w.in_bin = in_low;
    }
    __syncthreads();
}

M2C_INLINE void clear_bins(work &w)
{
    for (m2c_u32 i = threadIdx.x; i < BINS; i += M2C_K_CHOOSE_BLOCK)
        w.bins[i] = 0;
    __syncthreads();
}

/* Histogram of the digit at `shift` of the keys that agree with `prefix` in the
 * bits of `mask`. */
M2C_INLINE void count_digits(const m2c_k_select &a, work &w, m2c_u32 prefix, m2c_u32 mask,
                             m2c_u32 shift)
{
    clear_bins(w);
    for (m2c_u32 i = threadIdx.x; i < a.n; i += M2C_K_CHOOSE_BLOCK) {
        const float s = score_at(a, i);
        const m2c_u32 key = key_of(s);
        if (candidate(a, s) && (key & mask) == prefix)
            atomicAdd(&w.bins[key >> shift & (BINS - 1)], 1u);
    }
    __syncthreads();
}

/* The first histogram, the number of candidates, and the lowest id of a NaN. */
M2C_INLINE void count_first(const m2c_k_select &a, work &w)
{
    m2c_u32 mine = 0;
    clear_bins(w);
    for (m2c_u32 i = threadIdx.x; i < a.n; i += M2C_K_CHOOSE_BLOCK) {
        const float s = score_at(a, i);
        if (s != s)
            atomicMin(&w.nan, i);
        else if (candidate(a, s)) {
            atomicAdd(&w.bins[key_of(s) >> 21], 1u);
            mine++;
        }
    }
    atomicAdd(&w.candidates, mine);
    __syncthreads();
}

/* Where the first t candidates end, 1 <= t <= candidates: digit by digit, each
 * with the rank that is left within the bin before. */
M2C_INLINE void find_end(const m2c_k_select &a, work &w, m2c_u32 e)
{
    m2c_u32 left = w.ends[e].t, key = w.ends[e].key; /* its first digit is known */
    left -= w.ends[e].equal;                         /* keys above its first bin */
    for (int digit = 0; digit < 2; digit++) {
        const m2c_u32 shift = digit ? 0 : 10, mask = digit ? 0xfffffc00u : 0xffe00000u;
        count_digits(a, w, key, mask, shift);
        if (digit) /* ten bits: the upper half of the bins repeats a key's 11th bit */
            for (m2c_u32 i = threadIdx.x; i < BINS / 2; i += M2C_K_CHOOSE_BLOCK) {
                w.bins[i] += w.bins[i + BINS / 2];
                w.bins[i + BINS / 2] = 0;
            }
        __syncthreads();
        find_bin(w, left);
        key |= w.bin << shift;
        left -= w.above;
    }
    const m2c_u32 in_bin = w.in_bin;
    __syncthreads(); /* all have read the bin */
    if (threadIdx.x == 0) {
        w.ends[e].key = key;
        w.ends[e].equal = left;
        w.ends[e].counted = left < in_bin;
    }
    __syncthreads();
}

/* The ends of all classes, the last of them that of the chosen. */
M2C_INLINE void find_ends(const m2c_k_select &a, work &w, m2c_u32 chosen)
{
    /* First digits of all, while the first histogram is there. */
    for (m2c_u32 e = 0; e < a.n_classes; e++) {
        const m2c_u32 *row = (const m2c_u32 *)a.splits + (m2c_u64)chosen * a.n_classes;
        m2c_u32 t = e + 1 < a.n_classes ? ld<m2c_u32>(row + e) : chosen;
        t = t < chosen ? t : chosen;
        if (t)
            find_bin(w, t);
        if (threadIdx.x == 0) {
            w.ends[e].t = t;
            w.ends[e].key = w.bin << 21;
            w.ends[e].equal = w.above;
        }
        __syncthreads();
    }
    for (m2c_u32 e = 0; e < a.n_classes; e++)
        if (w.ends[e].t)
            find_end(a, w, e);
}

/* Whether this thread's element is among the first t; `equal_before`: how many
 * of earlier tiles were equal. All threads take part. */
M2C_INLINE bool inside(work &w, m2c_u32 e, bool is_candidate, m2c_u32 key,
                       m2c_u32 *equal_before)
{
    const end at = w.ends[e];
    if (at.t == 0)
        return false;
    if (!at.counted)
        return is_candidate && key >= at.key;
    m2c_u32 total;
    const bool equal = is_candidate && key == at.key;
    const m2c_u32 rank = *equal_before + count_before(equal, w.warps, &total);
    __syncthreads(); /* the counts have been read */
    *equal_before += total;
    return is_candidate && (key > at.key || (equal && rank < at.equal));
}

M2C_INLINE void put_wants(const m2c_k_select &a, work &w)
{
    m2c_u32 equal_before[ENDS] = {}, written = 0, total;
    for (m2c_u32 base = 0; base < a.n; base += M2C_K_CHOOSE_BLOCK) {
        const m2c_u32 i = base + threadIdx.x;
        const float s = i < a.n ? score_at(a, i) : 0.0f;
        const bool is_candidate = i < a.n && candidate(a, s);
        bool chosen = false;
        m2c_u32 cls = 0;
#pragma unroll
        for (m2c_u32 e = 0; e < ENDS; e++)
            if (e < a.n_classes) {
                chosen = inside(w, e, is_candidate, key_of(s), &equal_before[e]);
                cls += !chosen && e + 1 < a.n_classes;
            }
        const m2c_u32 at = written + count_before(chosen, w.warps, &total);
        __syncthreads(); /* the counts have been read */
        written += total;
        if (chosen) {
            m2c_u8 *p = (m2c_u8 *)a.wants + (m2c_u64)at * sizeof(m2c_k_want);
            st(p, i);
            st(p + 4, s);
            st(p + 8, cls);
            atomicAdd(&w.counts[cls], 1u);
        }
    }
}

extern "C" __global__ void __launch_bounds__(M2C_K_CHOOSE_BLOCK)
    m2c_select(const m2c_k_select a)
{
    __shared__ work w;
    m2c_u32 *counts = (m2c_u32 *)a.counts;
    if (threadIdx.x == 0) {
        w.candidates = w.bin = w.above = 0;
        w.nan = M2C_K_NO_ID;
    }
    if (threadIdx.x < ENDS)
        w.counts[threadIdx.x] = 0;
    __syncthreads();
    count_first(a, w);
    const bool nan = w.nan != M2C_K_NO_ID;
    const m2c_u32 chosen = w.candidates < a.k ? w.candidates : a.k;
    if (!nan) {
        find_ends(a, w, chosen);
        put_wants(a, w);
    }
    __syncthreads();
    if (threadIdx.x < a.n_classes)
        st(counts + 1 + threadIdx.x,
           !nan ? w.counts[threadIdx.x] : threadIdx.x == 0 ? w.nan : 0u);
    if (threadIdx.x == 0)
        st(counts, nan ? M2C_K_NO_ID : chosen);
}
