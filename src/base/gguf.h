/* SPDX-License-Identifier: MIT */
/* The container of a GGUF file: its keys and where its tensors lie.
 *
 * It knows the format (github.com/ggml-org/ggml, docs/gguf.md, versions 2 and
 * 3, little-endian), not what keys mean or how numbers are encoded. Nothing of
 * a file is believed: sizes are held against what the file has before anything
 * is allocated, and what is kept grows with bytes that were read. Values stay in
 * the file until they are asked for. Messages name offsets; the caller puts the
 * file before them. */
#ifndef M2C_BASE_GGUF_H
#define M2C_BASE_GGUF_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As the file numbers them. */
enum m2c_gguf_value {
    M2C_GGUF_U8,
    M2C_GGUF_I8,
    M2C_GGUF_U16,
    M2C_GGUF_I16,
    M2C_GGUF_U32,
    M2C_GGUF_I32,
    M2C_GGUF_F32,
    M2C_GGUF_BOOL,
    M2C_GGUF_STRING,
    M2C_GGUF_ARRAY,
    M2C_GGUF_U64,
    M2C_GGUF_I64,
    M2C_GGUF_F64,
    M2C_GGUF_N_VALUES
};

struct m2c_gguf_kv {
    char *key;
    enum m2c_gguf_value type, elem; /* elem: of an array's elements */
    uint64_t n;                     /* elements of an array, bytes of a string, or 1 */
    uint64_t at, bytes;             /* the elements in the file */
};

enum { M2C_GGUF_DIMS = 4 };

struct m2c_gguf_tensor {
    char *name;
    uint64_t dim[M2C_GGUF_DIMS]; /* the fastest first; 1 where there is none */
    uint32_t n_dims, type;       /* type: a ggml type, unchecked */
    uint64_t at;                 /* in the file, unchecked but for overflow */
    uint64_t info_at;            /* of its description */
    bool used;                   /* for the caller */
};

struct m2c_gguf {
    int fd; /* borrowed */
    uint64_t size, data_at;
    uint32_t version, alignment;
    struct m2c_gguf_kv *kv; /* sorted by key */
    size_t n_kv;
    struct m2c_gguf_tensor *tensor; /* sorted by name */
    size_t n_tensors;
};

/* Whether bytes begin as such a file does. */
bool m2c_gguf_magic(const void *head, size_t n);

/* Reads the header of an open file of `size` bytes. *g needs no close after a
 * failure, but accepts it. */
M2C_MUST_USE int m2c_gguf_open(struct m2c_gguf *g, int fd, uint64_t size,
                               struct m2c_err *err);
void m2c_gguf_close(struct m2c_gguf *g);

/* NULL: there is none. */
const struct m2c_gguf_kv *m2c_gguf_find(const struct m2c_gguf *g, const char *key);
struct m2c_gguf_tensor *m2c_gguf_tensor(const struct m2c_gguf *g, const char *name);

/* Scalars: 1 found, 0 absent (*out untouched), -EINVAL for another type. Of
 * integers any type that holds the value counts. */
M2C_MUST_USE int m2c_gguf_uint(const struct m2c_gguf *g, const char *key, uint64_t max,
                               uint64_t *out, struct m2c_err *err);
M2C_MUST_USE int m2c_gguf_float(const struct m2c_gguf *g, const char *key, double *out,
                                struct m2c_err *err);
M2C_MUST_USE int m2c_gguf_bool(const struct m2c_gguf *g, const char *key, bool *out,
                               struct m2c_err *err);
/* A string without NUL inside, malloc'ed. */
M2C_MUST_USE int m2c_gguf_string(const struct m2c_gguf *g, const char *key, char **out,
                                 struct m2c_err *err);

/* The bytes of an array of this element type, malloc'ed; 1, 0 or -EINVAL as above. */
M2C_MUST_USE int m2c_gguf_array(const struct m2c_gguf *g, const char *key,
                                enum m2c_gguf_value elem, uint8_t **out, size_t *n,
                                struct m2c_err *err);
/* Walks the bytes of an array of strings: each call gives the next. */
void m2c_gguf_next(const uint8_t **at, const char **s, size_t *n);

/* Bytes of a value of this type; 0 for strings and arrays. */
size_t m2c_gguf_value_bytes(enum m2c_gguf_value type);

#ifdef __cplusplus
}
#endif
#endif
