/* SPDX-License-Identifier: MIT */
/* Traces: which neurons each token wanted, layer by layer, at which precision
 * and with which score; for replaying eviction policies without the model.
 *
 * The file is HDF5 behind a user block (store/userblock.h), version 1; all of it
 * is guarded by the digest, and m2c reads it by its index, without libhdf5.
 *   /meta     attributes: version, shape u32 {layers, neurons a layer, classes},
 *             tokens, model and order hash, text, selector
 *   /count    u16[tokens][layers][classes]: neurons wanted at that class (u32
 *             where a layer has more than 65,535 neurons)
 *   /scale    f32[tokens][layers]: the highest score
 *   /id       u16 or u32[accesses]: the neurons, by token, layer, class, and
 *             ascending within a class
 *   /score    u8[accesses]: score / scale · 255, rounded; below 0 counts as 0
 *   index     layers, neurons, tokens, accesses, model, order, text, selector;
 *             classes: a list of {name, parts}; parts: bytes of each part of a
 *             neuron; offsets of the four datasets
 * That is 3 bytes an access (5 with u32 ids), and a few a token and layer.
 *
 * In memory an access is one neuron of a list; a list is what one token wants of
 * one layer, in ascending order. Foreign traces have one layer and lists of one
 * access, whose sizes are of the blocks' own. */
#ifndef M2C_STORE_TRACE_H
#define M2C_STORE_TRACE_H

#include "base/hash.h"
#include "ops/want.h"
#include "quant/layout.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_trace_class {
    char name[8];
    uint32_t parts; /* mask */
};

struct m2c_trace {
    struct m2c_hash128 model, order; /* zero: a foreign trace */
    char text[256], selector[32];
    uint32_t layers, neurons; /* a layer */
    uint32_t n_classes, n_parts;
    struct m2c_trace_class cls[M2C_LAYOUT_CLASSES];
    uint32_t part_bytes[M2C_LAYOUT_PARTS];
    uint64_t tokens, n;      /* n: accesses */
    uint64_t *begin;         /* [tokens · layers + 1], of list token · layers + layer */
    float *scale;            /* [tokens · layers] */
    uint32_t *id;            /* [n], below `neurons` */
    uint8_t *of_class;       /* [n] */
    uint8_t *score;          /* [n], see above */
    uint32_t *bytes;         /* [n] of a foreign trace, else NULL */
    uint64_t cap_lists, cap; /* room in the arrays while it is recorded */
};

/* Longest trace: an access is numbered by 32 bits. */
#define M2C_TRACE_MAX ((uint64_t)UINT32_MAX - 1)

/* An empty trace to be recorded. `parts`: bytes of each part of a neuron. -ENOMEM. */
M2C_MUST_USE int m2c_trace_new(struct m2c_trace **out, uint32_t layers, uint32_t neurons,
                               const struct m2c_layout *layout,
                               const uint32_t parts[M2C_LAYOUT_PARTS]);
void m2c_trace_free(struct m2c_trace *t); /* accepts NULL */
/* The next list: layer 0, 1, ... of one token after the other. wants: sorted by
 * id. -ENOMEM, -EFBIG (M2C_TRACE_MAX). */
M2C_MUST_USE int m2c_trace_add(struct m2c_trace *t, uint32_t layer,
                               const struct m2c_want *wants, uint32_t n);

/* Written aside, then renamed; a token that is not complete is left out. */
M2C_MUST_USE int m2c_trace_write(const struct m2c_trace *t, const char *path,
                                 struct m2c_err *err);
/* -EINVAL says what is wrong and where. */
M2C_MUST_USE int m2c_trace_read(struct m2c_trace **out, const char *path,
                                struct m2c_err *err);

/* Bytes of a neuron at class c: of all its parts. */
uint32_t m2c_trace_class_bytes(const struct m2c_trace *t, uint32_t c);
/* The recorded score of access i of list l. */
float m2c_trace_score(const struct m2c_trace *t, uint64_t list, uint64_t i);
/* next[i]: the next access of the same neuron, UINT32_MAX: there is none. The
 * caller frees it. -ENOMEM. */
M2C_MUST_USE int m2c_trace_next(const struct m2c_trace *t, uint32_t **next);

/* ---- other simulators' formats (trace_foreign.c) ---- */

/* One line an access: token, block, bytes, next access (-1: none), with a head;
 * block = layer · neurons + neuron. `sized`: bytes of the class, else 1. */
M2C_MUST_USE int m2c_trace_csv(const struct m2c_trace *t, bool sized, FILE *f,
                               const char *path, struct m2c_err *err);
/* libCacheSim's oracleGeneral: packed little-endian {u32 time, u64 block, u32
 * bytes, i64 next access or -1}. */
M2C_MUST_USE int m2c_trace_oracle(const struct m2c_trace *t, bool sized, FILE *f,
                                  const char *path, struct m2c_err *err);
/* Reads oracleGeneral. Blocks get dense ids in the order in which they appear;
 * the next accesses are found anew. A file cut short is refused. */
M2C_MUST_USE int m2c_trace_read_oracle(struct m2c_trace **out, const char *path,
                                       struct m2c_err *err);
/* Whether a file begins as ours do. */
bool m2c_trace_sniff(const char *path);

#ifdef __cplusplus
}
#endif
#endif
