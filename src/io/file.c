/* SPDX-License-Identifier: MIT */
/* Opening the file: may it be read directly, and in which units. */
#define _GNU_SOURCE /* O_DIRECT, statx */
#include "io/io_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Where the kernel cannot say: the block of every file system and disk that is
 * common. Many would allow less. */
enum { DEFAULT_ALIGN = 4096 };

/* What the file says that direct reads need: 0 where it does not say, -EINVAL
 * where it cannot be read directly at all. */
static int64_t stated_align(int fd)
{
#ifdef STATX_DIOALIGN
    struct statx s;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &s) == 0 &&
        (s.stx_mask & STATX_DIOALIGN)) {
        uint32_t a = M2C_MAX(s.stx_dio_offset_align, s.stx_dio_mem_align);
        return s.stx_dio_offset_align && a < 1u << 31 && !(a & (a - 1)) ? (int64_t)a
                                                                        : -EINVAL;
    }
#else
    (void)fd;
#endif
    return 0;
}

/* Kernels since 6.6 take O_DIRECT on tmpfs and then read from memory: a figure
 * from there would not be the disk's. */
static bool in_memory(int fd)
{
    struct statfs s;
    return fstatfs(fd, &s) == 0 && ((unsigned long)s.f_type == TMPFS_MAGIC ||
                                    (unsigned long)s.f_type == RAMFS_MAGIC);
}

static int refuse(const struct m2c_io *io, struct m2c_err *err)
{
    return m2c_fail(
        err, -EINVAL,
        "%s: its file system does no direct reads (O_DIRECT); set ssd.direct = "
        "off",
        io->path);
}

static int open_direct(struct m2c_io *io, struct m2c_err *err)
{
    if (in_memory(io->fd))
        return m2c_fail(
            err, -EINVAL,
            "%s: lies in memory (tmpfs), where there are no direct reads; set "
            "ssd.direct = off",
            io->path);
    int64_t align = stated_align(io->fd);
    if (align < 0)
        return refuse(io, err);
    io->align = align ? (uint32_t)align : DEFAULT_ALIGN;
    return 0;
}

int m2c_io_open_file(struct m2c_io *io, struct m2c_err *err)
{
    struct stat st;
    io->align = 1;
    io->fd = open(io->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang */
    if (io->fd < 0 || fstat(io->fd, &st) < 0)
        return m2c_fail(err, -errno, "%s: %s", io->path, strerror(errno));
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return m2c_fail(err, -EINVAL, "%s: is neither a file nor a disk", io->path);
    if (fcntl(io->fd, F_SETFL, io->cfg.direct ? O_DIRECT : 0) < 0)
        return errno == EINVAL
                   ? refuse(io, err)
                   : m2c_fail(err, -errno, "%s: %s", io->path, strerror(errno));
    off_t size = lseek(io->fd, 0, SEEK_END); /* st_size is 0 for disks */
    if (size < 0)
        return m2c_fail(err, -errno, "%s: %s", io->path, strerror(errno));
    io->size = (uint64_t)size;
    return io->cfg.direct ? open_direct(io, err) : 0;
}
