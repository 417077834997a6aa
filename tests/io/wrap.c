/* SPDX-License-Identifier: MIT */
/* The calls of libc, libaio and liburing that the engines read by, spoilt. */
#define _GNU_SOURCE /* process_vm_readv */
#include "wrap.h"

#include "io/io_impl.h"
#include "m2c_config.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>
#if M2C_HAVE_LIBAIO
#include <libaio.h>
#endif
#if M2C_HAVE_URING
#include <liburing.h>
#endif

enum { BLOCK = 4096 };

struct knobs knobs;
struct spoilt spoilt;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* workers read, too */
static struct {
    unsigned reads, submits, waits;
} seen;

static bool nth(unsigned n, unsigned every)
{
    return every && n % every == 0;
}

/* What became of a read of `bytes` to `dst` that gave `res`. */
static int32_t spoil(const void *dst, uint32_t bytes, int32_t res)
{
    pthread_mutex_lock(&lock);
    uint64_t off = (uint64_t)((const unsigned char *)dst - knobs.base);
    unsigned n = ++seen.reads;
    if (knobs.bad && off <= knobs.bad_at && knobs.bad_at - off < bytes &&
        spoilt.bad < knobs.bad_times) {
        spoilt.bad++;
        res = -EIO;
    } else if (nth(n, knobs.eintr_every)) {
        spoilt.eintr++;
        res = -EINTR;
    } else if (nth(n, knobs.again_every)) {
        spoilt.again++;
        res = -EAGAIN;
    } else if (nth(n, knobs.short_every) && res >= 2 * BLOCK) {
        spoilt.cut++;
        res = (int32_t)(BLOCK + knobs.short_odd);
    }
    pthread_mutex_unlock(&lock);
    return res;
}

/* What was not to be read must not help: a read that is cut or fails leaves
 * rubbish behind it. */
static int32_t finish(void *dst, uint32_t bytes, int32_t res)
{
    int32_t now = spoil(dst, bytes, res);
    if (now != res)
        memset((unsigned char *)dst + M2C_MAX(now, 0), 0x5a,
               (size_t)M2C_MAX(res, 0) - (size_t)M2C_MAX(now, 0));
    return now;
}

static ssize_t answer(int32_t res)
{
    errno = res < 0 ? -res : 0;
    return res < 0 ? -1 : res;
}

/* ---- pread ---- */

ssize_t __real_pread64(int fd, void *buf, size_t n, off_t off);
ssize_t __wrap_pread64(int fd, void *buf, size_t n, off_t off);
ssize_t __wrap_pread64(int fd, void *buf, size_t n, off_t off)
{
    ssize_t r = __real_pread64(fd, buf, n, off);
    if (!knobs.base)
        return r;
    return answer(finish(buf, (uint32_t)n, r < 0 ? -errno : (int32_t)r));
}

/* ---- mmap: a page that cannot be had is EFAULT ---- */

ssize_t __real_process_vm_readv(pid_t pid, const struct iovec *to, unsigned long n_to,
                                const struct iovec *from, unsigned long n_from,
                                unsigned long flags);
ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec *to, unsigned long n_to,
                                const struct iovec *from, unsigned long n_from,
                                unsigned long flags);
ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec *to, unsigned long n_to,
                                const struct iovec *from, unsigned long n_from,
                                unsigned long flags)
{
    ssize_t r = __real_process_vm_readv(pid, to, n_to, from, n_from, flags);
    if (!knobs.base)
        return r;
    int32_t res =
        finish(to->iov_base, (uint32_t)to->iov_len, r < 0 ? -errno : (int32_t)r);
    return answer(res == -EIO ? -EFAULT : res);
}

/* ---- submissions and waits ---- */

#if M2C_HAVE_LIBAIO || M2C_HAVE_URING
/* How many of n are taken: none, one, or all. */
static unsigned admitted(unsigned n)
{
    unsigned k = ++seen.submits;
    if (nth(k, knobs.busy_every)) {
        spoilt.busy++;
        return 0;
    }
    return knobs.busy_every && k % knobs.busy_every == 1 ? M2C_MIN(n, 1u) : n;
}

static bool interrupted(void)
{
    if (!nth(++seen.waits, knobs.signal_every))
        return false;
    spoilt.signal++;
    return true;
}
#endif

#if M2C_HAVE_LIBAIO
int __real_io_submit(io_context_t ctx, long n, struct iocb **cb);
int __wrap_io_submit(io_context_t ctx, long n, struct iocb **cb);
int __wrap_io_submit(io_context_t ctx, long n, struct iocb **cb)
{
    unsigned k = admitted((unsigned)n);
    return k == 0 ? -EAGAIN : __real_io_submit(ctx, (long)k, cb);
}

int __real_io_getevents(io_context_t ctx, long min, long max, struct io_event *ev,
                        struct timespec *t);
int __wrap_io_getevents(io_context_t ctx, long min, long max, struct io_event *ev,
                        struct timespec *t);
int __wrap_io_getevents(io_context_t ctx, long min, long max, struct io_event *ev,
                        struct timespec *t)
{
    if (interrupted())
        return -EINTR;
    int n = __real_io_getevents(ctx, min, max, ev, t);
    for (int i = 0; i < n && knobs.base; i++) {
        const struct m2c_io_piece *p = ev[i].data;
        ev[i].res = (unsigned long)(long)finish(p->buf, p->bytes, (int32_t)ev[i].res);
    }
    return n;
}
#endif

#if M2C_HAVE_URING
int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring)
{
    return admitted(1) == 0 ? (seen.submits / knobs.busy_every % 2 ? -EAGAIN : -EBUSY)
                            : __real_io_uring_submit(ring);
}

unsigned __real_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqe,
                                        unsigned max);
unsigned __wrap_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqe,
                                        unsigned max);
unsigned __wrap_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqe,
                                        unsigned max)
{
    unsigned n = __real_io_uring_peek_batch_cqe(ring, cqe, max);
    for (unsigned i = 0; i < n && knobs.base; i++) {
        const struct m2c_io_piece *p = io_uring_cqe_get_data(cqe[i]);
        cqe[i]->res = finish(p->buf, p->bytes, cqe[i]->res);
    }
    return n;
}

int __real_io_uring_wait_cqes(struct io_uring *ring, struct io_uring_cqe **cqe,
                              unsigned n, struct __kernel_timespec *t, sigset_t *mask);
int __wrap_io_uring_wait_cqes(struct io_uring *ring, struct io_uring_cqe **cqe,
                              unsigned n, struct __kernel_timespec *t, sigset_t *mask);
int __wrap_io_uring_wait_cqes(struct io_uring *ring, struct io_uring_cqe **cqe,
                              unsigned n, struct __kernel_timespec *t, sigset_t *mask)
{
    return interrupted() ? -EINTR : __real_io_uring_wait_cqes(ring, cqe, n, t, mask);
}
#endif
