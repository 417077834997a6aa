/* SPDX-License-Identifier: MIT */
/* Many small copies in one launch: neurons from mapped host memory into slots.
 * A block takes a piece at a time, in the widest words that both ends allow. */
#include "arch.h"

/* Words of type T from src to dst; four a thread are under way at once. */
template <class T> M2C_INLINE void copy_words(m2c_u8 *dst, const m2c_u8 *src, m2c_u64 n)
{
    enum { AHEAD = 4 };
    for (m2c_u64 i = threadIdx.x; i < n; i += AHEAD * M2C_K_BLOCK) {
        T v[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            if (i + k * M2C_K_BLOCK < n)
                v[k] = ld_word<T>(src + (i + k * M2C_K_BLOCK) * sizeof(T));
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            if (i + k * M2C_K_BLOCK < n)
                st(dst + (i + k * M2C_K_BLOCK) * sizeof(T), v[k]);
    }
}

/* Bytes up to the first whole word, words, bytes after the last. */
template <class T> M2C_INLINE void copy_piece(m2c_u8 *dst, const m2c_u8 *src, m2c_u64 bytes)
{
    m2c_u64 head = (0 - (m2c_u64)dst) % sizeof(T);
    head = head < bytes ? head : bytes;
    const m2c_u64 words = (bytes - head) / sizeof(T), tail = head + words * sizeof(T);
    copy_words<m2c_u8>(dst, src, head);
    copy_words<T>(dst + head, src + head, words);
    copy_words<m2c_u8>(dst + tail, src + tail, bytes - tail);
}

extern "C" __global__ void __launch_bounds__(M2C_K_BLOCK) m2c_gather(const m2c_k_gather a)
{
    for (m2c_u32 i = blockIdx.x; i < a.n; i += gridDim.x) {
        const m2c_u8 *p = (const m2c_u8 *)a.list + (m2c_u64)i * sizeof(m2c_k_piece);
        m2c_u8 *dst = (m2c_u8 *)ld<m2c_u64>(p);
        const m2c_u8 *src = (const m2c_u8 *)ld<m2c_u64>(p + 8);
        const m2c_u64 bytes = ld<m2c_u64>(p + 16), apart = (m2c_u64)dst ^ (m2c_u64)src;
        if (apart % 16 == 0)
            copy_piece<uint4>(dst, src, bytes);
        else if (apart % 4 == 0)
            copy_piece<m2c_u32>(dst, src, bytes);
        else
            copy_piece<m2c_u8>(dst, src, bytes);
    }
}
