/* SPDX-License-Identifier: MIT */
/* The kernel program's tools: operands that exist twice, for the reference
 * and for the device, guards around them, and comparisons. */
#ifndef TESTS_KERNELS_TK_H
#define TESTS_KERNELS_TK_H

#include "base/rng.h"
#include "dev/dev.h"

enum { TK_GUARD = 256, TK_POISON = 0xa5, TK_MAX_OPERANDS = 32 };

/* `bytes` bytes between two guards, at an offset that is a multiple of the
 * element's size and of nothing else. */
struct tk_mem {
    struct m2c_buf ref;           /* host memory, for the reference */
    struct m2c_buf *dev, *stage;  /* the device's, and host memory to copy through */
    size_t off, bytes;
};

struct tk {
    struct m2c_dev *dev;
    struct m2c_queue *queue;
    struct m2c_rng rng;   /* of the operands */
    struct m2c_rng place; /* of the offsets, so that these can differ alone */
    struct tk_mem mem[TK_MAX_OPERANDS];
    unsigned n_mem;
    bool small;     /* shapes */
    uint32_t round; /* of this op and type, from 0; the first ones are planned */
    char fault[512]; /* the first thing found wrong in this case, or "" */
    /* The error that came nearest to its tolerance, in all cases so far. */
    struct {
        double error, tol;
    } worst;
};

/* Failures of the device or of memory end the program: exit 1. */
void tk_die(const char *fmt, ...) M2C_PRINTF(1, 2);
/* Exit 77 where the device or instruction set is not there. */
void tk_open(struct tk *t, const struct m2c_dev_cfg *cfg);
void tk_close(struct tk *t);
/* Whether the device can be opened with some of its threads: a GPU cannot. */
bool tk_takes_threads(const struct m2c_dev_cfg *cfg);

/* Begins a case: drops all operands. Operands follow from (seed, stream),
 * their offsets from `variant` too. */
void tk_begin(struct tk *t, uint64_t seed, uint64_t stream, uint64_t variant);

/* A new operand, both copies filled with TK_POISON. Until the next tk_begin. */
struct tk_mem *tk_new(struct tk *t, size_t bytes, size_t elem);
/* Drops the operands after the first n_mem: for calls made many times a case. */
void tk_release(struct tk *t, unsigned n_mem);
void *tk_host(const struct tk_mem *m);               /* the reference's copy */
struct m2c_mem tk_at(const struct tk_mem *m, bool device);
void tk_upload(struct tk *t, const struct tk_mem *m); /* the reference's copy */
/* The device's copy into `out`; broken guards become the case's fault. */
void tk_download(struct tk *t, const struct tk_mem *m, void *out);
void tk_run(struct tk *t, const struct m2c_call *call); /* to its end */

/* n floats of variance 1, a tenth of them zeros, uploaded. */
struct tk_mem *tk_floats(struct tk *t, size_t n);
uint32_t tk_below(struct tk *t, uint32_t n);
enum m2c_type tk_type(struct tk *t, enum m2c_op op); /* one that the device does op on */
/* A length in 1..max: often 1, odd, or beside a multiple of 32. */
uint32_t tk_length(struct tk *t, uint32_t max);
/* Like tk_length, but mostly a few: 1 half of the time. In round 0 one, in round 1
 * a few, in round 2 as many as go through a GEMM: three cases meet every kernel. */
uint32_t tk_rows(struct tk *t);

void tk_fault(struct tk *t, const char *fmt, ...) M2C_PRINTF(2, 3);
/* A fault unless both are finite and |got - want| <= tol. */
bool tk_near(struct tk *t, size_t i, float got, double want, double tol);
/* A fault unless the n floats have the same bits. */
bool tk_same(struct tk *t, const char *what, const float *a, const float *b, size_t n);
/* The device's copy of an f32 operand against the reference's, each element
 * within tol(ctx, i). */
typedef double (*tk_tol)(const void *ctx, size_t i);
void tk_compare(struct tk *t, const struct tk_mem *m, tk_tol tol, const void *ctx);
double tk_exact(const void *ctx, size_t i); /* 0 */

/* ---- one case of an op: operands, both runs, comparison ---- */
typedef void (*tk_case)(struct tk *t, enum m2c_type type);
extern const tk_case tk_cases[M2C_N_OPS];

void tk_ffn_up(struct tk *t, enum m2c_type type);
void tk_ffn_down(struct tk *t, enum m2c_type type);
void tk_ffn_sum(struct tk *t, enum m2c_type type);
void tk_attention(struct tk *t, enum m2c_type type);
void tk_argmax(struct tk *t, enum m2c_type type);
void tk_select(struct tk *t, enum m2c_type type);
void tk_lookup(struct tk *t, enum m2c_type type);

/* A matrix of random weights, on both sides. */
struct tk_matrix {
    struct m2c_tensor ref, dev;
};
struct tk_matrix tk_matrix(struct tk *t, enum m2c_type type, uint32_t rows, uint32_t cols);

/* One layer's FFN with random weights. Every class holds every neuron, in a
 * slot other than its id, so that a list may name any class. */
struct tk_ffn_shape {
    uint32_t dim, neurons;
    bool has_gate, packed; /* packed: the geometry of records, not of slots */
    enum m2c_act act;
    float shift;
    unsigned n_classes;
    enum m2c_type types[4];
};
struct tk_ffn {
    struct m2c_ffn_unit ref, dev;
};
void tk_ffn_shape(struct tk *t, enum m2c_type type, struct tk_ffn_shape *s);
void tk_ffn(struct tk *t, const struct tk_ffn_shape *s, struct tk_ffn *out);
/* A sorted list, each neuron in it with this probability, class and pass
 * random; returns its length. `out` has room for s->neurons. */
uint32_t tk_list(struct tk *t, const struct tk_ffn_shape *s, double active,
                 struct m2c_neuron_ref *out);
struct tk_mem *tk_list_mem(struct tk *t, const struct m2c_neuron_ref *list, uint32_t n);

/* ---- bits.c ---- */
/* One random case of "the result depends on the operands alone" for an op; t
 * has devices of 1, 2 and 3 threads. The fault is in t[0]. */
enum { TK_DEVICES = 3 };
typedef void (*tk_bits)(struct tk *t, uint64_t seed, uint64_t stream);
extern const tk_bits tk_bits_cases[M2C_N_OPS]; /* NULL: one thread does the op */

/* ---- bench.c ---- */
void tk_bench(struct tk *t);

#endif
