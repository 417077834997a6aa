/* SPDX-License-Identifier: MIT */
/* The file as a mapping, read by page faults on worker threads.
 *
 * Who touches a page of a mapping that the file no longer has, because it was
 * truncated, or that the disk cannot deliver, is killed by SIGBUS, and a handler
 * for that would be the whole process's. So nobody here touches the mapping:
 * the kernel copies out of it (process_vm_readv(2) on this very process). The
 * same page faults happen, with their readahead, and what would have been a
 * signal is EFAULT. It also closes the gap between looking at the file's size
 * and reading: there is no moment at which a truncation could do harm. */
#define _GNU_SOURCE /* process_vm_readv */
#include "io/workers.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct map {
    struct m2c_io_workers w; /* first */
    unsigned char *at;
    size_t bytes;
};

static ssize_t copy_out(void *dst, void *src, size_t n)
{
    struct iovec to = {dst, n}, from = {src, n};
    ssize_t got = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
    return got < 0 ? -errno : got;
}

static int probe(struct m2c_err *err)
{
    char from = 1, to = 0;
    ssize_t r = copy_out(&to, &from, 1);
    return r < 0 ? m2c_fail(err, (int)r,
                            "I/O engine 'mmap': process_vm_readv(2), by which it copies "
                            "from the mapping, is refused here: %s; set ssd.engine = "
                            "pread",
                            strerror((int)-r))
                 : 0;
}

/* Of [off, off + n), the bytes that the file still has. */
static int64_t still_there(const struct m2c_io *io, uint64_t off, uint64_t n)
{
    struct stat st;
    if (fstat(io->fd, &st) < 0)
        return -errno;
    uint64_t size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : io->size;
    size = M2C_MIN(size, io->size); /* what the mapping covers */
    return off < size ? (int64_t)M2C_MIN(n, size - off) : 0;
}

static int32_t read_piece(struct m2c_io *io, const struct m2c_io_piece *p)
{
    const struct map *m = io->priv;
    int64_t n = still_there(io, p->off, p->bytes);
    while (n > 0) {
        ssize_t got = copy_out(p->buf, m->at + p->off, (size_t)n);
        /* A page that the end of the file cuts reads as zeros beyond it: what
         * counts is the size after the copy. */
        int64_t now = still_there(io, p->off, (uint64_t)n);
        if (now < 0)
            return (int32_t)now;
        if (got >= 0)
            return (int32_t)M2C_MIN((int64_t)got, now);
        if (got != -EFAULT)
            return (int32_t)got;
        if (now == n)
            return -EIO; /* the file has the page, its disk does not give it */
        n = now;
    }
    return (int32_t)n;
}

static int open_map(struct m2c_io *io, struct m2c_err *err)
{
    struct map *m = io->priv;
    if (io->cfg.direct)
        return m2c_fail(
            err, -EINVAL,
            "%s: I/O engine 'mmap' reads through the page cache; set ssd.direct "
            "= off",
            io->path);
    if (io->size > SIZE_MAX)
        return m2c_fail(err, -EFBIG, "%s: too large to be mapped here", io->path);
    if (io->size) { /* an empty file cannot be mapped, nor need it be */
        void *at = mmap(NULL, (size_t)io->size, PROT_READ, MAP_SHARED, io->fd, 0);
        if (at == MAP_FAILED)
            return m2c_fail(err, -errno, "%s: mapping %llu bytes: %s", io->path,
                            (unsigned long long)io->size, strerror(errno));
        m->at = at;
        m->bytes = (size_t)io->size;
    }
    return m2c_io_workers_open(&m->w, io, read_piece, err);
}

static void close_map(struct m2c_io *io)
{
    struct map *m = io->priv;
    m2c_io_workers_close(&m->w);
    if (m->at)
        munmap(m->at, m->bytes);
}

static int submit(struct m2c_io *io, struct m2c_io_piece **p, unsigned n)
{
    return m2c_io_workers_submit(io->priv, p, n);
}

static int reap(struct m2c_io *io, struct m2c_io_piece **out, unsigned max,
                int64_t timeout_ns)
{
    return m2c_io_workers_reap(io->priv, out, max, timeout_ns);
}

const struct m2c_io_ops m2c_io_mmap = {
    .p = {.name = "mmap",
          .desc = "page faults of a mapping, on up to 16 threads",
          .priv_size = sizeof(struct map)},
    .probe = probe,
    .open = open_map,
    .close = close_map,
    .submit = submit,
    .reap = reap,
};
