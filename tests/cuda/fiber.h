/* SPDX-License-Identifier: MIT */
/* Fibers: stacks of their own within one thread, left and entered by hand. On
 * x86-64 a switch is a dozen instructions; elsewhere ucontext does it. */
#ifndef M2C_TESTS_CUDA_FIBER_H
#define M2C_TESTS_CUDA_FIBER_H

#include <stddef.h>

struct m2c_fiber {
    void *stack;
    size_t bytes;
    void *sp; /* x86-64: where it left off; else a ucontext_t */
    void (*run)(void *);
    void *arg;
    void *fake; /* AddressSanitizer's, of the fiber */
};

/* A stack with a guard page below it; kept until the program ends. -ENOMEM. */
int m2c_fiber_make(m2c_fiber *f, size_t stack_bytes);
/* The next m2c_fiber_enter calls run(arg), which must never return. Whatever
 * the fiber did before is forgotten. */
void m2c_fiber_begin(m2c_fiber *f, void (*run)(void *), void *arg);
void m2c_fiber_enter(m2c_fiber *f); /* returns when a fiber leaves */
void m2c_fiber_leave(m2c_fiber *f); /* from within; returns when it is entered again */
/* From within f: leaves, and enters `to` in its place. */
void m2c_fiber_pass(m2c_fiber *f, m2c_fiber *to);

#endif
