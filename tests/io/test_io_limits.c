/* SPDX-License-Identifier: MIT */
/* A file that shrinks while it is read, and systems that forbid an engine or the
 * memory it would like to lock. Argument: the engine; exits 77 where there is
 * none. */
#define _GNU_SOURCE /* setresuid, syscall numbers */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"
#include "io/io.h"

enum { FILE_BYTES = 2 * 1048576, ROUNDS = 20 };

static const char *engine;
static char path[512];
static unsigned char content[FILE_BYTES];

static void write_file(void)
{
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        content[i] = (unsigned char)(1 + (i * 2654435761u >> 24) % 255); /* no zeros */
    int fd = open(path, O_WRONLY | O_CREAT, 0644); /* O_TRUNC would flush, slowly */
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, FILE_BYTES), FILE_BYTES);
    close(fd);
}

static int open_io(struct m2c_io **io, struct m2c_err *err)
{
    struct m2c_io_cfg cfg = {.queue_depth = 8, .chunk = 65536};
    return m2c_io_open(io, engine, path, &cfg, err);
}

/* Reads are under way in all parts of the file when it is cut. What comes is
 * right up to the cut; a read beyond it fails, or was there before. That this
 * test lives to see it is the point for mappings. */
static void shrink_once(unsigned char *buf, struct m2c_rng *rng)
{
    enum { N = 16, PART = FILE_BYTES / N };
    struct m2c_io_range r[N], *out[N];
    struct m2c_io *io = NULL;
    struct m2c_err err = {0};
    uint64_t cut = m2c_rng_below(rng, FILE_BYTES);
    write_file();
    assert_int_equal(open_io(&io, &err), 0);
    for (size_t i = 0; i < N; i++) {
        r[i] = (struct m2c_io_range){
            .off = i * PART, .bytes = PART, .buf = buf + i * PART, .room = PART};
        assert_int_equal(m2c_io_start_range(io, &r[i], &err), 0);
        if (i == N / 2)
            assert_int_equal(truncate(path, (off_t)cut), 0);
    }
    assert_int_equal(m2c_io_reap_ranges(io, out, N, N, M2C_IO_FOREVER, &err), N);
    for (size_t i = 0; i < N; i++) {
        uint64_t right = cut > r[i].off ? M2C_MIN(cut - r[i].off, (uint64_t)PART) : 0;
        assert_true(r[i].res == 0 || (r[i].res == -ENODATA && right < PART));
        if (r[i].res == 0)
            assert_memory_equal(r[i].buf, content + r[i].off, right);
    }
    m2c_io_close(io);
}

static void shrinking(void **state)
{
    (void)state;
    struct m2c_rng rng;
    void *buf;
    m2c_rng_init(&rng, 11, 0);
    assert_int_equal(m2c_pages_alloc(FILE_BYTES, &buf), 0);
    for (int i = 0; i < ROUNDS; i++)
        shrink_once(buf, &rng);
    m2c_pages_free(buf, FILE_BYTES);
    write_file();
}

/* ---- what a system may forbid ---- */

/* From now on the call fails with `code`, as in a container. */
static bool forbid(unsigned call, unsigned code)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | code),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog all = {M2C_COUNTOF(rules), rules};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) == 0;
}

enum { OK, WRONG, CANNOT };

static int try_forbidden(unsigned call, unsigned code, const char *what)
{
    struct m2c_io *io = NULL;
    struct m2c_err err = {0};
    if (!forbid(call, code))
        return CANNOT;
    int r = open_io(&io, &err);
    printf("%d: %s\n", r, err.msg);
    return r == -(int)code && !io && m2c_io_probe(engine, NULL) == r &&
                   strstr(err.msg, what) && strstr(err.msg, "set ssd.engine = ")
               ? OK
               : WRONG;
}

/* As an ordinary user who may lock 64 KiB: everything is read all the same. */
static int try_unlocked(void)
{
    struct rlimit few = {65536, 65536};
    struct m2c_io *io = NULL;
    struct m2c_io_range *out, r = {.bytes = FILE_BYTES, .room = FILE_BYTES};
    if (setrlimit(RLIMIT_MEMLOCK, &few) < 0 ||
        (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0))
        return CANNOT;
    if (m2c_pages_alloc(FILE_BYTES, &r.buf) < 0)
        return CANNOT;
    int code = open_io(&io, NULL);
    if (code < 0)
        return code == -ENOMEM || code == -EACCES ? CANNOT : WRONG;
    struct m2c_io_mem mem = {r.buf, FILE_BYTES};
    bool ok = m2c_io_use_memory(io, &mem, 1) == 0 &&
              m2c_io_start_range(io, &r, NULL) == 0 &&
              m2c_io_reap_ranges(io, &out, 1, 1, M2C_IO_FOREVER, NULL) == 1 &&
              r.res == 0 && memcmp(r.buf, content, FILE_BYTES) == 0;
    m2c_io_close(io);
    m2c_pages_free(r.buf, FILE_BYTES);
    return ok ? OK : WRONG;
}

/* In a child, which then has done its service. */
static void expect(int (*fn)(void))
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int r = fn();
        fflush(stdout);
        _exit(r);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT)
        skip();
    assert_int_equal(WEXITSTATUS(status), OK);
}

static int uring_eperm(void)
{
    return try_forbidden(SYS_io_uring_setup, EPERM, "the kernel forbids it");
}

static int uring_enosys(void)
{
    return try_forbidden(SYS_io_uring_setup, ENOSYS, "this kernel has none");
}

static int mmap_eperm(void)
{
    return try_forbidden(SYS_process_vm_readv, EPERM, "process_vm_readv(2)");
}

static void forbidden(void **state)
{
    (void)state;
    if (strcmp(engine, "io_uring") == 0) {
        expect(uring_eperm);
        expect(uring_enosys);
    } else if (strcmp(engine, "mmap") == 0) {
        expect(mmap_eperm);
    } else {
        assert_int_equal(m2c_io_probe(engine, NULL), 0);
    }
}

static void unlocked(void **state)
{
    (void)state;
    expect(try_unlocked);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 1;
    const char *dir = getenv("M2C_BUILD");
    engine = argv[1];
    snprintf(path, sizeof path, "%s/io-limits-%s-%ld.bin", dir ? dir : ".", engine,
             (long)getpid());
    struct m2c_err err = {0};
    if (m2c_io_probe(engine, &err) < 0) {
        printf("skipped: %s\n", err.msg);
        return 77;
    }
    write_file();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shrinking),
        cmocka_unit_test(forbidden),
        cmocka_unit_test(unlocked),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return r;
}
