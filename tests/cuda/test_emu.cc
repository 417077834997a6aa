/* SPDX-License-Identifier: MIT */
/* The emulation finds what it is there to find: kernels that are wrong in one
 * way each, and their right twins. */
#include "emu.h"

#include "args.h"
#include "launch.h"

#include "emu_arch.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

struct probe {
    m2c_u64 p;
    m2c_u32 n, how;
};

/* How the kernels below are wrong. */
enum {
    RIGHT,
    NO_BARRIER,
    NO_SECOND_BARRIER,
    SOME_RETURN,
    TWO_BARRIERS,
    SOME_SHUFFLE,
    BEYOND,
    BEFORE,
    MISALIGNED,
    UNSET_SHARED
};

enum { THREADS = 64 };

/* p u32[n][THREADS], each row reversed twice over by way of shared memory. */
static void reverse(const probe &a)
{
    __shared__ m2c_u32 s[THREADS];
    m2c_u32 *p = (m2c_u32 *)a.p + (m2c_u64)blockIdx.x * THREADS;
    const m2c_u32 i = threadIdx.x, j = THREADS - 1 - i;
    for (int round = 0; round < 3; round++) {
        s[i] = ld_word<m2c_u32>(p + i);
        if (a.how == TWO_BARRIERS && i == 7)
            __syncthreads();
        else if (a.how != NO_BARRIER)
            __syncthreads();
        st(p + i, s[a.how == UNSET_SHARED ? i : j]);
        if (a.how != NO_SECOND_BARRIER)
            __syncthreads();
    }
}

static void other(const probe &a)
{
    m2c_u32 *p = (m2c_u32 *)a.p;
    if (a.how == SOME_RETURN && threadIdx.x >= THREADS - 32)
        return;
    if (a.how == SOME_SHUFFLE && threadIdx.x == 5)
        return;
    const m2c_u32 sum = shuffle_xor(threadIdx.x, 1) + threadIdx.x;
    __syncthreads();
    if (a.how == BEYOND && threadIdx.x == 63)
        ld<m2c_u32>(p + a.n);
    if (a.how == BEFORE && threadIdx.x == 0)
        st(p - 1, sum);
    if (a.how == MISALIGNED)
        ld<uint4>(p + 1);
    atomicAdd(p, sum);
}

/* Dynamic shared memory, and a block of two dimensions. */
static void dynamic(const probe &a)
{
    m2c_u32 *s = (m2c_u32 *)m2c_emu_now.dynamic;
    const m2c_u32 i = threadIdx.y * blockDim.x + threadIdx.x;
    s[i] = i;
    __syncwarp();
    __syncthreads();
    st((m2c_u32 *)a.p + i, s[THREADS - 1 - i] + a.how);
}

static void run_reverse(const void *a)
{
    reverse(*(const probe *)a);
}
static void run_other(const void *a)
{
    other(*(const probe *)a);
}
static void run_dynamic(const void *a)
{
    dynamic(*(const probe *)a);
}

static const m2c_emu_kernel k_reverse = {"reverse", "", "", sizeof(probe), run_reverse};
static const m2c_emu_kernel k_other = {"other", "", "", sizeof(probe), run_other};
static const m2c_emu_kernel k_dynamic = {"dynamic", "", "", sizeof(probe), run_dynamic};

static unsigned failed, passed;

static void expect(bool ok, const char *what, const char *detail)
{
    printf("%s: %s%s%s\n", ok ? "ok" : "FAILED", what, detail[0] ? ": " : "", detail);
    (ok ? passed : failed)++;
}

/* Whether three blocks of `reverse` run and turn every row round. */
static void test_barriers(unsigned how, const char *what)
{
    enum { N = 3 * THREADS };
    m2c_u32 p[N];
    char err[400] = "";
    for (m2c_u32 i = 0; i < N; i++)
        p[i] = i;
    m2c_emu_memory_add(p, sizeof(p));
    const probe a = {(m2c_u64)p, N, how};
    const unsigned grid[3] = {3, 1, 1}, block[3] = {THREADS, 1, 1};
    const int r = m2c_emu_launch(&k_reverse, grid, block, 0, &a, sizeof(a), err, sizeof(err));
    bool same = true;
    for (m2c_u32 i = 0; i < N; i++)
        same = same && p[i] == i / THREADS * THREADS + THREADS - 1 - i % THREADS;
    m2c_emu_memory_drop(p);
    if (how == RIGHT)
        expect(r == 0 && same, what, err);
    else
        expect(r == -EIO || !same, what, err[0] ? err : "the numbers are wrong, as they are");
}

static void test_access(unsigned how, const char *what, const char *word)
{
    enum { N = 16 };
    alignas(16) m2c_u32 p[N + 2] = {};
    char err[400] = "";
    m2c_emu_memory_add(p + 1, N * 4); /* at a multiple of 4 */
    const probe a = {(m2c_u64)(p + 1), N, how};
    const unsigned grid[3] = {1, 1, 1}, block[3] = {THREADS, 1, 1};
    const int r = m2c_emu_launch(&k_other, grid, block, 0, &a, sizeof(a), err, sizeof(err));
    m2c_emu_memory_drop(p + 1);
    if (how == RIGHT) /* each sum of two neighbours, twice */
        expect(r == 0 && p[1] == THREADS * (THREADS - 1), what, err);
    else
        expect(r == -EIO && strstr(err, word), what, err);
}

static void test_sizes()
{
    m2c_u32 p[THREADS];
    char err[400];
    m2c_emu_memory_add(p, sizeof(p));
    const probe a = {(m2c_u64)p, THREADS, 3};
    const unsigned grid[3] = {1, 1, 1}, block[3] = {8, 8, 1}, odd[3] = {33, 1, 1},
                   large[3] = {2048, 1, 1}, none[3] = {1, 0, 1};
    err[0] = 0;
    int r = m2c_emu_launch(&k_dynamic, grid, block, sizeof(p), &a, sizeof(a), err, sizeof(err));
    bool same = true;
    for (m2c_u32 i = 0; i < THREADS; i++)
        same = same && p[i] == THREADS - 1 - i + 3;
    expect(r == 0 && same, "dynamic shared memory, a block of 8 by 8", err);
    const struct {
        const char *what;
        const unsigned *grid, *block;
        size_t smem, bytes;
    } bad[] = {{"a block of 33 threads", grid, odd, 0, sizeof(a)},
               {"a block of 2048 threads", grid, large, 0, sizeof(a)},
               {"an empty grid", none, block, 0, sizeof(a)},
               {"49 KiB of shared memory", grid, block, 49 << 10, sizeof(a)},
               {"a parameter that is too short", grid, block, 0, sizeof(a) - 1}};
    for (const auto &b : bad) {
        err[0] = 0;
        r = m2c_emu_launch(&k_dynamic, b.grid, b.block, b.smem, &a, b.bytes, err, sizeof(err));
        expect(r == -EINVAL && err[0], b.what, err);
    }
    m2c_emu_memory_drop(p);
}

static void test_table()
{
    unsigned n = 0;
    bool found = true;
    for (const m2c_emu_kernel *k; (k = m2c_emu_kernel_at(n)); n++)
        found = found && m2c_emu_find(k->entry) == k && k->run && k->arg_bytes;
    expect(n > 30 && found && !m2c_emu_find("m2c_nothing"), "kernels by name", "");
}

int main()
{
    test_barriers(RIGHT, "two barriers a round");
    test_barriers(NO_BARRIER, "no barrier between writing and reading");
    test_barriers(NO_SECOND_BARRIER, "no barrier between reading and writing again");
    test_barriers(TWO_BARRIERS, "a thread at another barrier");
    test_barriers(UNSET_SHARED, "what another index gives");
    test_access(RIGHT, "shuffles, a barrier, an atomic", "");
    test_access(SOME_RETURN, "a warp that returns before a barrier", "waits");
    test_access(SOME_SHUFFLE, "a lane that returns before a shuffle", "shuffle_xor");
    test_access(BEYOND, "a read beyond memory", "read of 4 bytes");
    test_access(BEFORE, "a write before memory", "write of 4 bytes");
    test_access(MISALIGNED, "a read that is not aligned", "not aligned");
    test_sizes();
    test_table();
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
