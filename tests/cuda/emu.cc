/* SPDX-License-Identifier: MIT */
/* Blocks of threads as fibers.
 *
 * The threads of a block run one at a time, each until it waits for others or
 * returns. The order is that of the block's number: upwards, downwards or
 * shuffled, so that a result that needs a barrier which is not there comes out
 * wrong in some block. When nobody can go on, the launch fails and says who
 * waits where. After a fault the other fibers are abandoned where they are:
 * kernels own nothing. */
#include "emu.h"

#include "cuda_emu.h"
#include "launch.h"

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <vector>

#include "fiber.h"

m2c_emu_here m2c_emu_now;

extern unsigned char __start_m2c_shared[], __stop_m2c_shared[];

enum { STACK = 64 << 10, MAX_THREADS = 1024, MAX_SHARED = 48 << 10, POISON = 0xff };
enum state { READY, AT_BLOCK, AT_WARP, DONE };

struct thread {
    m2c_fiber fiber;
    m2c_emu_dim index;
    enum state state;
    const char *file; /* or the name of the warp operation */
    int line;
    unsigned shared; /* warp operations so far */
};

struct warp {
    unsigned arrived;
    unsigned char given[2][M2C_K_WARP][16];
};

/* One launch. */
struct launch {
    const m2c_emu_kernel *kernel;
    const void *args;
    unsigned threads, arrived, done;
    thread *order[MAX_THREADS]; /* of the threads in a pass over the block */
    unsigned turn;              /* in it, of the one that runs */
    thread *now;
    bool failed;
    char *err;
    size_t err_n;
};

static std::map<uintptr_t, size_t> memory;
static std::vector<thread> pool;
static std::vector<warp> warps;
static launch *running;
static uintptr_t last_begin, last_end; /* the range that the last access was in */

/* ---- memory ---- */

int m2c_emu_memory_add(const void *p, size_t bytes)
{
    try {
        memory[(uintptr_t)p] = bytes;
    } catch (const std::bad_alloc &) {
        return -ENOMEM;
    }
    last_begin = last_end = 0;
    return 0;
}

void m2c_emu_memory_drop(const void *p)
{
    memory.erase((uintptr_t)p);
    last_begin = last_end = 0;
}

/* Ends the launch from within a fiber. */
__attribute__((format(printf, 1, 2))) static void fault(const char *fmt, ...)
{
    launch *l = running;
    const m2c_emu_here &h = m2c_emu_now;
    int n = snprintf(l->err, l->err_n, "%s, block (%u, %u, %u), thread %u: ",
                     l->kernel->entry, h.block.x, h.block.y, h.block.z, h.thread.x);
    va_list ap;
    va_start(ap, fmt);
    if (n >= 0 && (size_t)n < l->err_n)
        vsnprintf(l->err + n, l->err_n - (size_t)n, fmt, ap);
    va_end(ap);
    l->failed = true;
    m2c_fiber_leave(&l->now->fiber);
}

void m2c_emu_check(const void *p, size_t bytes, bool write)
{
    const uintptr_t at = (uintptr_t)p;
    if (at % bytes)
        fault("%s of %zu bytes at %p, which is not aligned", write ? "write" : "read", bytes,
              p);
    if (at >= last_begin && at < last_end && bytes <= last_end - at)
        return;
    auto r = memory.upper_bound(at);
    if (r != memory.begin()) {
        --r;
        if (at - r->first < r->second && bytes <= r->second - (at - r->first)) {
            last_begin = r->first;
            last_end = r->first + r->second;
            return;
        }
        fault("%s of %zu bytes at %p: %zu bytes after the beginning of memory of %zu",
              write ? "write" : "read", bytes, p, (size_t)(at - r->first), r->second);
    }
    fault("%s of %zu bytes at %p, which is no device memory", write ? "write" : "read",
          bytes, p);
}

/* ---- waiting ---- */

/* The next one that can go on in this pass, from l->turn on, or NULL; it is who
 * runs then. */
static thread *next(launch *l)
{
    for (; l->turn < l->threads; l->turn++) {
        thread *t = l->order[l->turn];
        if (t->state == READY) {
            l->now = t;
            m2c_emu_now.thread = t->index;
            return t;
        }
    }
    return nullptr;
}

/* The next one goes on, without a way over the host, which is half of what a
 * kernel costs here. */
static void give_way(thread *me)
{
    running->turn++;
    thread *t = next(running);
    if (t)
        m2c_fiber_pass(&me->fiber, &t->fiber);
    else
        m2c_fiber_leave(&me->fiber);
}

static void wait_here(enum state s, const char *file, int line)
{
    thread *t = running->now;
    t->state = s;
    t->file = file;
    t->line = line;
    give_way(t);
}

static bool same_place(const thread &t, const char *file, int line)
{
    return t.line == line && (t.file == file || strcmp(t.file, file) == 0);
}

void m2c_emu_sync(const char *file, int line)
{
    launch *l = running;
    if (++l->arrived < l->threads) {
        wait_here(AT_BLOCK, file, line);
        return;
    }
    l->arrived = 0;
    for (unsigned i = 0; i < l->threads; i++) {
        thread &t = pool[i];
        if (&t == l->now)
            continue;
        if (!same_place(t, file, line))
            fault("at the barrier of %s:%d while thread %u is at that of %s:%d", file, line,
                  i, t.file, t.line);
        t.state = READY;
    }
}

static void meet_warp(const char *file, int line)
{
    launch *l = running;
    const unsigned me = (unsigned)(l->now - pool.data()), first = me / M2C_K_WARP * M2C_K_WARP;
    warp &w = warps[me / M2C_K_WARP];
    if (++w.arrived < M2C_K_WARP) {
        wait_here(AT_WARP, file, line);
        return;
    }
    w.arrived = 0;
    for (unsigned i = first; i < first + M2C_K_WARP; i++) {
        thread &t = pool[i];
        if (&t == l->now)
            continue;
        if (!same_place(t, file, line))
            fault("at %s:%d while lane %u is at %s:%d", file, line, i - first, t.file,
                  t.line);
        t.state = READY;
    }
}

void m2c_emu_sync_warp(const char *file, int line)
{
    meet_warp(file, line);
}

const unsigned char *m2c_emu_share(const char *what, const void *v, size_t bytes)
{
    thread *t = running->now;
    const unsigned me = (unsigned)(t - pool.data());
    unsigned char (*given)[16] = warps[me / M2C_K_WARP].given[t->shared++ % 2];
    memcpy(given[me % M2C_K_WARP], v, bytes);
    meet_warp(what, (int)bytes);
    return given[0];
}

/* ---- blocks ---- */

static void thread_main(void *)
{
    launch *l = running;
    l->kernel->run(l->args);
    l = running;
    l->now->state = DONE;
    l->done++;
    give_way(l->now);
}

/* Thread k of a pass: an order of its own for each block. */
static unsigned nth(unsigned block, unsigned k, unsigned threads)
{
    switch (block % 3) {
    case 0: return k;
    case 1: return threads - 1 - k;
    default: /* odd steps meet all of a power of two; other sizes just wrap */
        return (threads & (threads - 1)) == 0 ? (k * 77 + block) % threads
                                              : (k + block) % threads;
    }
}

static const char *state_name(enum state s)
{
    return s == DONE ? "has returned" : s == AT_BLOCK ? "waits at a barrier" : "waits";
}

/* Nobody can go on: somebody waits for one who will not come. */
static void stuck(launch *l)
{
    const thread *a = nullptr, *b = nullptr;
    for (unsigned i = 0; i < l->threads; i++) {
        const thread &t = pool[i];
        if (t.state != DONE && !a)
            a = &t;
        else if (a && (t.state != a->state || t.line != a->line))
            b = &t;
        if (!b && t.state == DONE)
            b = &t;
    }
    snprintf(l->err, l->err_n,
             "%s, block (%u, %u, %u): thread %u waits at %s:%d, but thread %u %s%s%s",
             l->kernel->entry, m2c_emu_now.block.x, m2c_emu_now.block.y,
             m2c_emu_now.block.z, a->index.x, a->file, a->line, b ? b->index.x : 0,
             b ? state_name(b->state) : "?", b && b->state != DONE ? " at " : "",
             b && b->state != DONE ? b->file : "");
    l->failed = true;
}

static void run_block(launch *l, unsigned number, size_t dynamic)
{
    l->arrived = l->done = 0;
    memset(__start_m2c_shared, POISON, (size_t)(__stop_m2c_shared - __start_m2c_shared));
    if (dynamic)
        memset(m2c_emu_now.dynamic, POISON, dynamic);
    for (unsigned i = 0; i < l->threads; i++) {
        l->order[i] = &pool[nth(number, i, l->threads)];
        pool[i].state = READY;
        pool[i].shared = 0;
        warps[i / M2C_K_WARP].arrived = 0;
        m2c_fiber_begin(&pool[i].fiber, thread_main, nullptr);
    }
    while (l->done < l->threads && !l->failed) {
        l->turn = 0;
        thread *t = next(l);
        if (t)
            m2c_fiber_enter(&t->fiber); /* until the pass is over, or a fault */
        else
            stuck(l);
    }
}

static int refuse(char *err, size_t n, const m2c_emu_kernel *k, const char *why)
{
    snprintf(err, n, "%s: %s", k->entry, why);
    return -EINVAL;
}

static int prepare(unsigned threads)
{
    try {
        while (pool.size() < threads) {
            thread t = {};
            if (m2c_fiber_make(&t.fiber, STACK) < 0)
                return -ENOMEM;
            pool.push_back(t);
        }
        warps.resize(MAX_THREADS / M2C_K_WARP);
    } catch (const std::bad_alloc &) {
        return -ENOMEM;
    }
    return 0;
}

int m2c_emu_launch(const m2c_emu_kernel *k, const unsigned grid[3], const unsigned block[3],
                   size_t smem, const void *params, size_t param_bytes, char *err,
                   size_t err_n)
{
    const uint64_t threads = (uint64_t)block[0] * block[1] * block[2];
    if (param_bytes != k->arg_bytes)
        return refuse(err, err_n, k, "the parameter has another size");
    if (threads == 0 || threads > MAX_THREADS || threads % M2C_K_WARP)
        return refuse(err, err_n, k, "a block is of 1 to 32 whole warps");
    if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0 || grid[1] > 65535 || grid[2] > 65535)
        return refuse(err, err_n, k, "a grid that no card takes");
    if (smem > MAX_SHARED)
        return refuse(err, err_n, k, "more than 48 KiB of shared memory");
    if (prepare((unsigned)threads) < 0)
        return -ENOMEM;
    /* Of its exact size, so that sanitizers see what is beyond. */
    std::unique_ptr<unsigned char[]> dynamic(new (std::nothrow) unsigned char[smem + 1]);
    std::unique_ptr<unsigned char[]> args(new (std::nothrow) unsigned char[param_bytes]);
    if (!dynamic || !args)
        return -ENOMEM;
    memcpy(args.get(), params, param_bytes);
    launch l = {};
    l.kernel = k;
    l.args = args.get();
    l.threads = (unsigned)threads;
    l.err = err;
    l.err_n = err_n;
    running = &l;
    m2c_emu_now.grid_size = {grid[0], grid[1], grid[2]};
    m2c_emu_now.block_size = {block[0], block[1], block[2]};
    m2c_emu_now.dynamic = dynamic.get();
    for (unsigned i = 0; i < threads; i++)
        pool[i].index = {i % block[0], i / block[0] % block[1], i / block[0] / block[1]};
    unsigned number = 0;
    for (unsigned z = 0; z < grid[2] && !l.failed; z++)
        for (unsigned y = 0; y < grid[1] && !l.failed; y++)
            for (unsigned x = 0; x < grid[0] && !l.failed; x++) {
                m2c_emu_now.block = {x, y, z};
                run_block(&l, number++, smem);
            }
    running = nullptr;
    return l.failed ? -EIO : 0;
}
