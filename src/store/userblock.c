/* SPDX-License-Identifier: MIT */
/* The user block of a store. */
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

enum { CHUNK = 1 << 20, HASH_AT = M2C_USERBLOCK - 8 };

static const char magic[8] = {'m', '2', 'c', 's', 't', 'o', 'r', 'e'};
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

int m2c_userblock_digest(int fd, const char *path, uint64_t head_bytes,
                         struct m2c_hash128 *out, struct m2c_err *err)
{
    struct m2c_hasher *h = NULL;
    unsigned char *buf = malloc(CHUNK);
    int rc = buf ? m2c_hasher_open(&h) : -ENOMEM;
    if (rc)
        rc = m2c_fail(err, rc, "%s: no memory to digest it", path);
    for (uint64_t at = M2C_USERBLOCK; !rc && at < head_bytes;) {
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

int m2c_userblock_seal(int fd, const char *path, uint64_t file_bytes, uint64_t head_bytes,
                       struct m2c_err *err)
{
    unsigned char b[M2C_USERBLOCK] = {0};
    struct m2c_hash128 digest = {0, 0};
    int rc = m2c_userblock_digest(fd, path, head_bytes, &digest, err);
    if (rc)
        return rc;
    uint32_t version = M2C_STORE_VERSION;
    memcpy(b, magic, sizeof magic);
    memcpy(b + 8, &version, 4);
    put_u64(b + 16, file_bytes);
    put_u64(b + 24, head_bytes);
    put_u64(b + 32, digest.hi);
    put_u64(b + 40, digest.lo);
    put_u64(b + HASH_AT, m2c_hash64(b, HASH_AT));
    return m2c_pwrite_all(fd, path, b, sizeof b, 0, err);
}

/* What a file without our magic is, for the message. */
static const char *foreign(const unsigned char *b, size_t n, int fd)
{
    unsigned char at_4096[8];
    if (n == 0)
        return "is empty";
    if (n < 8 || memcmp(b, hdf5_magic, 8) != 0) {
        if (n == M2C_USERBLOCK && b[0] == 0 && memcmp(b, b + 1, n - 1) == 0 &&
            pread(fd, at_4096, 8, M2C_USERBLOCK) == 8 &&
            memcmp(at_4096, hdf5_magic, 8) == 0)
            return "is an import that was never finished";
        return "is not a model store";
    }
    return "is an HDF5 file, but not a model store (make one with m2c import)";
}

static int check_head(int fd, const char *path, uint64_t size, struct m2c_userblock *u,
                      struct m2c_err *err)
{
    if (size < u->file_bytes)
        return m2c_fail(err, -EINVAL, "%s: truncated: %" PRIu64 " of %" PRIu64 " bytes",
                        path, size, u->file_bytes);
    if (size > u->file_bytes)
        return m2c_fail(err, -EINVAL, "%s: %" PRIu64 " bytes behind its end at %" PRIu64,
                        path, size - u->file_bytes, u->file_bytes);
    if (u->head_bytes % M2C_USERBLOCK || u->head_bytes <= M2C_USERBLOCK ||
        u->head_bytes > u->file_bytes)
        return m2c_fail(err, -EINVAL,
                        "%s: offset 24: the head cannot end at %" PRIu64
                        " in a file of %" PRIu64 " bytes",
                        path, u->head_bytes, u->file_bytes);
    struct m2c_hash128 have = {0, 0};
    int rc = m2c_userblock_digest(fd, path, u->head_bytes, &have, err);
    if (rc)
        return rc;
    if (!m2c_hash_equal(have, u->digest))
        return m2c_fail(err, -EINVAL,
                        "%s: damaged: the bytes [4096, %" PRIu64
                        ") do not have the digest that the header states",
                        path, u->head_bytes);
    return 0;
}

int m2c_userblock_check(int fd, const char *path, struct m2c_userblock *out,
                        struct m2c_err *err)
{
    struct stat st;
    unsigned char b[M2C_USERBLOCK] = {0};
    if (fstat(fd, &st)) {
        int e = errno;
        return m2c_fail(err, -e, "%s: %s", path, strerror(e));
    }
    if (!S_ISREG(st.st_mode))
        return m2c_fail(err, -EINVAL, "%s: %s, not a model store", path,
                        S_ISDIR(st.st_mode) ? "a directory" : "a special file");
    uint64_t size = (uint64_t)st.st_size;
    size_t n = (size_t)M2C_MIN(size, (uint64_t)M2C_USERBLOCK);
    int rc = m2c_pread_all(fd, path, b, n, 0, err);
    if (rc)
        return rc;
    if (n < sizeof magic || memcmp(b, magic, sizeof magic) != 0)
        return m2c_fail(err, -EINVAL, "%s: %s", path, foreign(b, n, fd));
    if (n < M2C_USERBLOCK)
        return m2c_fail(err, -EINVAL, "%s: truncated: %zu bytes, less than its header",
                        path, n);
    if (get_u64(b + HASH_AT) != m2c_hash64(b, HASH_AT))
        return m2c_fail(err, -EINVAL,
                        "%s: damaged: offset 0: the header of 4096 bytes does "
                        "not have the sum that it states",
                        path);
    uint32_t version;
    memcpy(&version, b + 8, 4);
    if (version == 0 || version > M2C_STORE_VERSION)
        return m2c_fail(err, -EINVAL,
                        "%s: offset 8: format version %" PRIu32
                        ", this m2c reads up to %d",
                        path, version, M2C_STORE_VERSION);
    *out = (struct m2c_userblock){
        get_u64(b + 16), get_u64(b + 24), {get_u64(b + 32), get_u64(b + 40)}};
    return check_head(fd, path, size, out, err);
}
