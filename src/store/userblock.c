/* SPDX-License-Identifier: MIT */
/* The header of our HDF5 files. */
#include "store/userblock.h"

#include "store/file_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "stores are little-endian and read in place"
#endif

enum { CHUNK = 1 << 20, HASH_AT = M2C_HEADER_BYTES - 8 };

const struct m2c_userblock_kind m2c_kind_store = {
    {'m', '2', 'c', 's', 't', 'o', 'r', 'e'}, 2, "model store", "m2c import"};
const struct m2c_userblock_kind m2c_kind_rank = {"m2crank", 2, "rank file", "m2c rank"};
const struct m2c_userblock_kind m2c_kind_trace = {"m2ctrace", 1, "trace", "m2c trace"};
static const unsigned char hdf5_magic[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

static void put_u64(unsigned char *p, uint64_t x)
{
    memcpy(p, &x, 8);
}

static uint64_t get_u64(const unsigned char *p)
{
    uint64_t x;
    memcpy(&x, p, 8);
    return x;
}

/* XXH3-128 of [4096, head_bytes). */
static int digest(int fd, const char *path, uint64_t head_bytes, struct m2c_hash128 *out,
                  struct m2c_err *err)
{
    struct m2c_hasher *h = NULL;
    unsigned char *buf = malloc(CHUNK);
    int rc = buf ? m2c_hasher_open(&h) : -ENOMEM;
    if (rc)
        rc = m2c_fail(err, rc, "%s: no memory to digest it", path);
    for (uint64_t at = M2C_HEADER_BYTES; !rc && at < head_bytes;) {
        size_t n = (size_t)M2C_MIN((uint64_t)CHUNK, head_bytes - at);
        rc = m2c_pread_all(fd, path, buf, n, at, err);
        if (!rc)
            m2c_hasher_add(h, buf, n);
        at += n;
    }
    if (!rc)
        *out = m2c_hasher_end(h);
    m2c_hasher_close(h);
    free(buf);
    return rc;
}

int m2c_userblock_seal(int fd, const char *path, const struct m2c_userblock_kind *kind,
                       struct m2c_userblock u, struct m2c_err *err)
{
    unsigned char b[M2C_HEADER_BYTES] = {0};
    int rc = digest(fd, path, u.head_bytes, &u.digest, err);
    if (rc)
        return rc;
    memcpy(b, kind->magic, sizeof kind->magic);
    memcpy(b + 8, &kind->version, 4);
    put_u64(b + 16, u.file_bytes);
    put_u64(b + 24, u.head_bytes);
    put_u64(b + 32, u.digest.hi);
    put_u64(b + 40, u.digest.lo);
    put_u64(b + 48, u.index_bytes);
    put_u64(b + HASH_AT, m2c_hash64(b, HASH_AT));
    return m2c_pwrite_all(fd, path, b, sizeof b, 0, err);
}

/* A user block of zeros, and HDF5 behind it: nobody came to write it. */
static bool unfinished(const unsigned char *b, size_t n, int fd)
{
    unsigned char at[8];
    if (n < M2C_HEADER_BYTES || b[0] != 0 || memcmp(b, b + 1, n - 1) != 0)
        return false;
    for (uint64_t off = M2C_HEADER_BYTES; off <= 2 * M2C_INDEX_MAX; off *= 2) {
        if (pread(fd, at, 8, (off_t)off) == 8 && memcmp(at, hdf5_magic, 8) == 0)
            return true;
    }
    return false;
}

/* What a file without our magic is. */
static int foreign(const unsigned char *b, size_t n, int fd, const char *path,
                   const struct m2c_userblock_kind *kind, struct m2c_err *err)
{
    if (n == 0)
        return m2c_fail(err, -EINVAL, "%s: is empty", path);
    if (n >= 8 && memcmp(b, hdf5_magic, 8) == 0)
        return m2c_fail(
            err, -EINVAL,
            "%s: is an HDF5 file, but not a %s of this m2c (make one with %s)", path,
            kind->what, kind->maker);
    if (unfinished(b, n, fd))
        return m2c_fail(err, -EINVAL, "%s: is a %s that was never finished", path,
                        kind->what);
    return m2c_fail(err, -EINVAL, "%s: is not a %s", path, kind->what);
}

static int check_sizes(const char *path, uint64_t size, const struct m2c_userblock *u,
                       struct m2c_err *err)
{
    if (size < u->file_bytes)
        return m2c_fail(err, -EINVAL, "%s: truncated: %" PRIu64 " of %" PRIu64 " bytes",
                        path, size, u->file_bytes);
    if (size > u->file_bytes)
        return m2c_fail(err, -EINVAL, "%s: %" PRIu64 " bytes behind its end at %" PRIu64,
                        path, size - u->file_bytes, u->file_bytes);
    if (u->head_bytes <= M2C_HEADER_BYTES || u->head_bytes > u->file_bytes)
        return m2c_fail(err, -EINVAL,
                        "%s: offset 24: the head cannot end at %" PRIu64
                        " in a file of %" PRIu64 " bytes",
                        path, u->head_bytes, u->file_bytes);
    if (u->index_bytes > M2C_INDEX_MAX ||
        !m2c_range_ok(M2C_HEADER_BYTES, u->index_bytes, u->head_bytes))
        return m2c_fail(err, -EINVAL,
                        "%s: offset 48: no index of %" PRIu64
                        " bytes lies in a head of %" PRIu64 " bytes",
                        path, u->index_bytes, u->head_bytes);
    return 0;
}

static int check_version(const char *path, const struct m2c_userblock_kind *kind,
                         const unsigned char *b, struct m2c_err *err)
{
    uint32_t version;
    memcpy(&version, b + 8, 4);
    if (version == kind->version)
        return 0;
    bool old = version > 0 && version < kind->version;
    return m2c_fail(err, -EINVAL,
                    "%s: offset 8: format version %" PRIu32 ", this m2c reads %" PRIu32
                    "%s%s",
                    path, version, kind->version,
                    old ? ": make the file again with " : "", old ? kind->maker : "");
}

/* The header itself, before anything that it says is believed. */
static int check_header(int fd, const char *path, const struct m2c_userblock_kind *kind,
                        unsigned char b[M2C_HEADER_BYTES], uint64_t *size,
                        struct m2c_err *err)
{
    struct stat st;
    if (fstat(fd, &st)) {
        int e = errno;
        return m2c_fail(err, -e, "%s: %s", path, strerror(e));
    }
    if (!S_ISREG(st.st_mode))
        return m2c_fail(err, -EINVAL, "%s: %s, not a %s", path,
                        S_ISDIR(st.st_mode) ? "a directory" : "a special file",
                        kind->what);
    *size = (uint64_t)st.st_size;
    size_t n = (size_t)M2C_MIN(*size, (uint64_t)M2C_HEADER_BYTES);
    int rc = m2c_pread_all(fd, path, b, n, 0, err);
    if (rc)
        return rc;
    if (n < sizeof kind->magic || memcmp(b, kind->magic, sizeof kind->magic) != 0)
        return foreign(b, n, fd, path, kind, err);
    if (n < M2C_HEADER_BYTES)
        return m2c_fail(err, -EINVAL, "%s: truncated: %zu bytes, less than its header",
                        path, n);
    if (get_u64(b + HASH_AT) != m2c_hash64(b, HASH_AT))
        return m2c_fail(err, -EINVAL,
                        "%s: damaged: offset 0: the header of 4096 bytes does "
                        "not have the sum that it states",
                        path);
    return check_version(path, kind, b, err);
}

int m2c_userblock_check(int fd, const char *path, const struct m2c_userblock_kind *kind,
                        struct m2c_userblock *out, struct m2c_err *err)
{
    unsigned char b[M2C_HEADER_BYTES] = {0};
    uint64_t size = 0;
    struct m2c_hash128 have = {0, 0};
    int rc = check_header(fd, path, kind, b, &size, err);
    if (rc)
        return rc;
    *out = (struct m2c_userblock){.file_bytes = get_u64(b + 16),
                                  .head_bytes = get_u64(b + 24),
                                  .index_bytes = get_u64(b + 48),
                                  .digest = {get_u64(b + 32), get_u64(b + 40)}};
    rc = check_sizes(path, size, out, err);
    if (!rc)
        rc = digest(fd, path, out->head_bytes, &have, err);
    if (!rc && !m2c_hash_equal(have, out->digest))
        rc = m2c_fail(err, -EINVAL,
                      "%s: damaged: the bytes [4096, %" PRIu64
                      ") do not have the digest that the header states",
                      path, out->head_bytes);
    return rc;
}
