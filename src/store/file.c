/* SPDX-License-Identifier: MIT */
/* Whole reads and writes, temporary names, durable renames. */
#include "store/file_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int m2c_pread_all(int fd, const char *path, void *buf, size_t n, uint64_t off,
                  struct m2c_err *err)
{
    unsigned char *p = buf;
    while (n) {
        ssize_t got = pread(fd, p, M2C_MIN(n, (size_t)1 << 30), (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int e = errno;
            return m2c_fail(err, -e, "%s: read at offset %" PRIu64 ": %s", path, off,
                            strerror(e));
        }
        if (got == 0)
            return m2c_fail(err, -EIO,
                            "%s: ends at offset %" PRIu64 ", %zu bytes missing", path,
                            off, n);
        p += got;
        off += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

int m2c_pwrite_all(int fd, const char *path, const void *buf, size_t n, uint64_t off,
                   struct m2c_err *err)
{
    const unsigned char *p = buf;
    while (n) {
        ssize_t put = pwrite(fd, p, M2C_MIN(n, (size_t)1 << 30), (off_t)off);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            int e = put < 0 ? errno : EIO;
            return m2c_fail(err, -e, "%s: write at offset %" PRIu64 ": %s", path, off,
                            strerror(e));
        }
        p += put;
        off += (uint64_t)put;
        n -= (size_t)put;
    }
    return 0;
}

int m2c_part_name(const char *path, char out[PATH_MAX], struct m2c_err *err)
{
    int n = snprintf(out, PATH_MAX, "%s.part-%ld", path, (long)getpid());
    if (n < 0 || n >= PATH_MAX)
        return m2c_fail(err, -ENAMETOOLONG, "%.100s…: the path is too long", path);
    return 0;
}

void m2c_folder_of(const char *path, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s", path);
    char *slash = strrchr(out, '/');
    if (!slash)
        strcpy(out, ".");
    else
        slash[slash == out] = 0;
}

int m2c_sync_folder(const char *path, struct m2c_err *err)
{
    char dir[PATH_MAX];
    m2c_folder_of(path, dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 ? fsync(fd) : -1;
    int e = errno;
    if (fd >= 0)
        close(fd);
    if (rc && e != EINVAL) /* some file systems cannot sync a folder */
        return m2c_fail(err, -e, "%s: %s", dir, strerror(e));
    return 0;
}
