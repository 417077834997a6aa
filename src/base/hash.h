/* SPDX-License-Identifier: MIT */
/* XXH3 of blocks and streams. The 64-bit hash guards blocks against
 * corruption, the 128-bit hash names things (models, orders, points). */
#ifndef M2C_BASE_HASH_H
#define M2C_BASE_HASH_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_hash128 {
    uint64_t hi, lo;
};

uint64_t m2c_hash64(const void *data, size_t n);
struct m2c_hash128 m2c_hash128(const void *data, size_t n);
bool m2c_hash_equal(struct m2c_hash128 a, struct m2c_hash128 b);

/* 32 lower-case hex digits and a NUL, high half first. */
void m2c_hash_hex(struct m2c_hash128 h, char out[33]);
M2C_MUST_USE int m2c_hash_parse(const char *hex, struct m2c_hash128 *out); /* -EINVAL */

struct m2c_hasher; /* a stream; any split of the data gives one result */
M2C_MUST_USE int m2c_hasher_open(struct m2c_hasher **out); /* -ENOMEM */
void m2c_hasher_close(struct m2c_hasher *h);               /* accepts NULL */
void m2c_hasher_add(struct m2c_hasher *h, const void *data, size_t n);
struct m2c_hash128 m2c_hasher_end(const struct m2c_hasher *h);

#ifdef __cplusplus
}
#endif
#endif
