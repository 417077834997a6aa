/* SPDX-License-Identifier: MIT */
#include "fiber.h"

#include <cerrno>
#include <cstdint>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#ifndef FIBER_ASAN
#define FIBER_ASAN 0
#endif

#if FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
static const void *host_stack; /* of who enters fibers */
static size_t host_bytes;
static bool from_host;
#endif

static void *host; /* as m2c_fiber.sp, of who entered a fiber */

int m2c_fiber_make(m2c_fiber *f, size_t stack_bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *p = mmap(nullptr, stack_bytes + page, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED || mprotect(p, page, PROT_NONE) < 0)
        return -ENOMEM;
    f->stack = (unsigned char *)p + page;
    f->bytes = stack_bytes;
    f->fake = nullptr;
    return 0;
}

/* What a fiber does first, and after each return to it. */
static void arrived(m2c_fiber *f)
{
#if FIBER_ASAN
    const void *stack; /* of whoever was left */
    size_t bytes;
    __sanitizer_finish_switch_fiber(f->fake, &stack, &bytes);
    if (from_host) {
        host_stack = stack;
        host_bytes = bytes;
    }
#else
    (void)f;
#endif
}

static void start(m2c_fiber *f)
{
    arrived(f);
    f->run(f->arg);
    __builtin_trap();
}

#if defined(__x86_64__)

/* Saves what a call must keep, puts the stack pointer at *from, and goes on
 * with `to`. */
extern "C" void m2c_fiber_switch(void **from, void *to);
extern "C" void m2c_fiber_first();
asm(".text\n"
    ".type m2c_fiber_switch, @function\n"
    "m2c_fiber_switch:\n"
    "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n"
    "    pushq %r13\n    pushq %r14\n    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n    popq %r14\n    popq %r13\n"
    "    popq %r12\n    popq %rbx\n    popq %rbp\n"
    "    ret\n"
    ".size m2c_fiber_switch, .-m2c_fiber_switch\n"
    /* A new fiber: rbx is the function, r12 its argument. */
    ".type m2c_fiber_first, @function\n"
    "m2c_fiber_first:\n"
    "    movq %r12, %rdi\n"
    "    callq *%rbx\n"
    "    ud2\n"
    ".size m2c_fiber_first, .-m2c_fiber_first\n");

void m2c_fiber_begin(m2c_fiber *f, void (*run)(void *), void *arg)
{
    f->run = run;
    f->arg = arg;
    f->fake = nullptr;
#if FIBER_ASAN
    __asan_unpoison_memory_region(f->stack, f->bytes); /* frames that were abandoned */
#endif
    void **sp = (void **)((unsigned char *)f->stack + f->bytes) - 2;
    *--sp = (void *)m2c_fiber_first; /* at a multiple of 16 plus 8: `ret` aligns */
    *--sp = nullptr;                 /* rbp */
    *--sp = (void *)start;           /* rbx */
    *--sp = f;                       /* r12 */
    for (int i = 0; i < 3; i++)
        *--sp = nullptr;
    f->sp = sp;
}

void m2c_fiber_enter(m2c_fiber *f)
{
#if FIBER_ASAN
    void *fake;
    from_host = true;
    __sanitizer_start_switch_fiber(&fake, f->stack, f->bytes);
    m2c_fiber_switch(&host, f->sp);
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#else
    m2c_fiber_switch(&host, f->sp);
#endif
}

void m2c_fiber_leave(m2c_fiber *f)
{
#if FIBER_ASAN
    __sanitizer_start_switch_fiber(&f->fake, host_stack, host_bytes);
#endif
    m2c_fiber_switch(&f->sp, host);
    arrived(f);
}

void m2c_fiber_pass(m2c_fiber *f, m2c_fiber *to)
{
#if FIBER_ASAN
    from_host = false;
    __sanitizer_start_switch_fiber(&f->fake, to->stack, to->bytes);
#endif
    m2c_fiber_switch(&f->sp, to->sp);
    arrived(f);
}

#else

#include <ucontext.h>

#include <new>

static ucontext_t *context(void *&p)
{
    if (!p)
        p = new ucontext_t;
    return (ucontext_t *)p;
}

static void start_halves(unsigned hi, unsigned lo)
{
    start((m2c_fiber *)((uintptr_t)hi << 16 << 16 | lo));
}

void m2c_fiber_begin(m2c_fiber *f, void (*run)(void *), void *arg)
{
    f->run = run;
    f->arg = arg;
    f->fake = nullptr;
#if FIBER_ASAN
    __asan_unpoison_memory_region(f->stack, f->bytes);
#endif
    ucontext_t *c = context(f->sp);
    getcontext(c);
    c->uc_stack.ss_sp = f->stack;
    c->uc_stack.ss_size = f->bytes;
    c->uc_link = nullptr;
    const uintptr_t p = (uintptr_t)f;
    makecontext(c, (void (*)())start_halves, 2, (unsigned)(p >> 16 >> 16), (unsigned)p);
}

void m2c_fiber_enter(m2c_fiber *f)
{
#if FIBER_ASAN
    void *fake;
    from_host = true;
    __sanitizer_start_switch_fiber(&fake, f->stack, f->bytes);
#endif
    swapcontext(context(host), context(f->sp));
#if FIBER_ASAN
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void m2c_fiber_leave(m2c_fiber *f)
{
#if FIBER_ASAN
    __sanitizer_start_switch_fiber(&f->fake, host_stack, host_bytes);
#endif
    swapcontext(context(f->sp), context(host));
    arrived(f);
}

void m2c_fiber_pass(m2c_fiber *f, m2c_fiber *to)
{
#if FIBER_ASAN
    from_host = false;
    __sanitizer_start_switch_fiber(&f->fake, to->stack, to->bytes);
#endif
    swapcontext(context(f->sp), context(to->sp));
    arrived(f);
}

#endif
