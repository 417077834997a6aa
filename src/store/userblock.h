/* SPDX-License-Identifier: MIT */
/* The first 4096 bytes of a store, which vouch for its metadata before
 * libhdf5 parses a byte of it.
 *
 *   0    char[8]  "m2cstore"
 *   8    u32      version of the format, 1
 *   12   u32      0
 *   16   u64      bytes of the whole file
 *   24   u64      bytes of the head: where the payload begins
 *   32   u64[2]   XXH3-128, high and low half, of the bytes [4096, head)
 *   48   zeros
 *   4088 u64      XXH3-64 of the bytes [0, 4088)
 * Numbers are little-endian. Magic, version and the last eight bytes keep
 * their meaning in every version. */
#ifndef M2C_STORE_USERBLOCK_H
#define M2C_STORE_USERBLOCK_H

#include "base/hash.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { M2C_USERBLOCK = 4096, M2C_STORE_VERSION = 1 };

struct m2c_userblock {
    uint64_t file_bytes, head_bytes;
    struct m2c_hash128 digest;
};

/* Reads and checks the block, the file's length and the digest of the head.
 * `fd` is a readable file. -EINVAL says what was found instead. */
M2C_MUST_USE int m2c_userblock_check(int fd, const char *path, struct m2c_userblock *out,
                                     struct m2c_err *err);
/* Digests the head as it lies in the file and writes the block. -EIO. */
M2C_MUST_USE int m2c_userblock_seal(int fd, const char *path, uint64_t file_bytes,
                                    uint64_t head_bytes, struct m2c_err *err);

/* XXH3-128 of [4096, head_bytes). */
M2C_MUST_USE int m2c_userblock_digest(int fd, const char *path, uint64_t head_bytes,
                                      struct m2c_hash128 *out, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
