/* SPDX-License-Identifier: MIT */
/* The user block of our HDF5 files: a header of 4096 bytes, which vouches for
 * the file, and an index (store/index_impl.h), from which alone it is read.
 *
 *   0    char[8]  "m2cstore", "m2crank" and a NUL, "m2ctrace"
 *   8    u32      version of the format
 *   12   u32      0
 *   16   u64      bytes of the whole file
 *   24   u64      bytes of the head: where the payload begins
 *   32   u64[2]   XXH3-128, high and low half, of the bytes [4096, head)
 *   48   u64      bytes of the index, which begins at 4096
 *   56   zeros
 *   4088 u64      XXH3-64 of the bytes [0, 4088)
 * Numbers are little-endian. Magic, version and the last eight bytes keep
 * their meaning in every version. Behind the index come zeros up to a power of
 * two, where HDF5 begins. */
#ifndef M2C_STORE_USERBLOCK_H
#define M2C_STORE_USERBLOCK_H

#include "base/hash.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { M2C_HEADER_BYTES = 4096, M2C_INDEX_MAX = 16 << 20 };

/* What a file is for, and which command makes it, for messages. */
struct m2c_userblock_kind {
    char magic[8];
    uint32_t version;
    const char *what, *maker;
};
extern const struct m2c_userblock_kind m2c_kind_store, m2c_kind_rank, m2c_kind_trace;

struct m2c_userblock {
    uint64_t file_bytes, head_bytes, index_bytes;
    struct m2c_hash128 digest;
};

/* Reads and checks the header, the file's length and the digest of the head.
 * `fd` is a readable file. -EINVAL says what was found instead. */
M2C_MUST_USE int m2c_userblock_check(int fd, const char *path,
                                     const struct m2c_userblock_kind *kind,
                                     struct m2c_userblock *out, struct m2c_err *err);
/* Digests the head as it lies in the file and writes the header with the sizes
 * of `u`. -EIO. */
M2C_MUST_USE int m2c_userblock_seal(int fd, const char *path,
                                    const struct m2c_userblock_kind *kind,
                                    struct m2c_userblock u, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
