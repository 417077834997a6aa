/* SPDX-License-Identifier: MIT */
/* LOOKUP: wants against the table of slots, in one block. */
#include "choose.h"

M2C_INLINE void put_ref(m2c_u8 *p, m2c_u32 id, m2c_u32 slot, m2c_u32 cls, m2c_u32 pass)
{
    st(p, id);
    st(p + 4, slot);
    st(p + 8, cls | pass << 8);
    st(p + 12, 0u);
}

extern "C" __global__ void __launch_bounds__(M2C_K_CHOOSE_BLOCK)
    m2c_lookup(const m2c_k_lookup a)
{
    __shared__ m2c_u32 warps[CHOOSE_WARPS], passes[2];
    const m2c_u32 asked = ld<m2c_u32>((const void *)a.n_wants), n = asked > a.k ? 0 : asked;
    m2c_u32 missed = 0, total;
    if (threadIdx.x < 2)
        passes[threadIdx.x] = 0;
    __syncthreads();
    for (m2c_u32 base = 0; base < a.k; base += M2C_K_CHOOSE_BLOCK) {
        const m2c_u32 i = base + threadIdx.x;
        m2c_u8 *ref = (m2c_u8 *)a.list + (m2c_u64)i * sizeof(m2c_k_ref);
        m2c_u32 id = M2C_K_NO_ID, slot = M2C_K_NO_SLOT, cls = 0, pass = M2C_K_PASS_NONE;
        float score = 0;
        bool miss = false;
        if (i < n) {
            const m2c_u8 *want = (const m2c_u8 *)a.wants + (m2c_u64)i * sizeof(m2c_k_want);
            id = ld<m2c_u32>(want);
            score = ld<float>(want + 4);
            cls = ld<m2c_u32>(want + 8);
            const m2c_u32 t =
                ld<m2c_u32>((const m2c_u32 *)a.table + (m2c_u64)cls * a.n_neurons + id);
            miss = t == M2C_K_NO_SLOT;
            if (!miss) {
                slot = t & 0x0fffffffu;
                pass = t >> 31;
                atomicAdd(&passes[pass], 1u);
            }
            if (i < a.k)
                put_ref(ref, id, slot, miss ? cls : t >> 28 & 7, pass);
        } else if (i < a.k) {
            put_ref(ref, id, slot, cls, pass);
        }
        const m2c_u32 at = missed + count_before(miss, warps, &total);
        __syncthreads(); /* the counts have been read */
        missed += total;
        if (miss) {
            m2c_u8 *p = (m2c_u8 *)a.misses + (m2c_u64)at * sizeof(m2c_k_want);
            st(p, id);
            st(p + 4, score);
            st(p + 8, cls);
        }
    }
    __syncthreads();
    if (threadIdx.x < 4)
        st((m2c_u32 *)a.counts + threadIdx.x, threadIdx.x == 0   ? asked
                                              : threadIdx.x == 3 ? missed
                                                                 : passes[threadIdx.x - 1]);
}
