/* SPDX-License-Identifier: MIT */
/* What goes wrong: the null engine's faults, and files and configs that must be
 * refused with a message that helps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/io_impl.h"
#include "m2c_config.h"

enum { FILE_BYTES = 100000, CHUNK = 4096 };

static char path[512], fifo[520];
static unsigned char content[FILE_BYTES], buf[4][FILE_BYTES];

static void write_file(void)
{
    for (size_t i = 0; i < FILE_BYTES; i++)
        content[i] = (unsigned char)(i * 31 + i / 251);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(content, 1, FILE_BYTES, f), FILE_BYTES);
    fclose(f);
}

static struct m2c_io *open_null(struct m2c_io_cfg cfg)
{
    struct m2c_io *io = NULL;
    struct m2c_err err = {0};
    cfg.chunk = CHUNK;
    cfg.queue_depth = cfg.queue_depth ? cfg.queue_depth : 4;
    if (m2c_io_open(&io, "null", path, &cfg, &err) < 0)
        fail_msg("%s", err.msg);
    return io;
}

/* Reads quarter i of the file in the background. */
static struct m2c_io_range range_of(size_t i)
{
    memset(buf[i], 0, sizeof buf[i]);
    return (struct m2c_io_range){.off = i * (FILE_BYTES / 4),
                                 .bytes = FILE_BYTES / 4,
                                 .buf = buf[i],
                                 .room = FILE_BYTES};
}

static bool data_ok(const struct m2c_io_range *r)
{
    return memcmp(r->buf, content + r->off, (size_t)r->bytes) == 0;
}

static void start_all(struct m2c_io *io, struct m2c_io_range r[4])
{
    for (size_t i = 0; i < 4; i++) {
        r[i] = range_of(i);
        assert_int_equal(m2c_io_start_range(io, &r[i], NULL), 0);
    }
}

static void reap_all(struct m2c_io *io)
{
    struct m2c_io_range *out[4];
    struct m2c_err err = {0};
    int n = m2c_io_reap_ranges(io, out, 4, 4, M2C_IO_FOREVER, &err);
    if (n != 4)
        fail_msg("%d: %s", n, err.msg);
    assert_int_equal(m2c_io_reap_ranges(io, out, 0, 4, 0, &err), 0);
}

static struct m2c_io_counters counters(const struct m2c_io *io)
{
    struct m2c_io_counters c;
    m2c_io_counters(io, &c);
    return c;
}

/* Reads 1 to 7 are the first quarter's; every failing read is one range's. */
static void one_fails(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 28; nth++) {
        struct m2c_io_range r[4];
        struct m2c_io *io = open_null((struct m2c_io_cfg){.fail_nth = nth, .retries = 3});
        unsigned failed = 0;
        start_all(io, r);
        reap_all(io);
        for (size_t i = 0; i < 4; i++) {
            failed += r[i].res == -EIO;
            assert_true(r[i].res == -EIO || (r[i].res == 0 && data_ok(&r[i])));
        }
        assert_int_equal(failed, 1);
        assert_int_equal(counters(io).retries, 3);
        m2c_io_close(io);
    }
}

static void retries_help(void **state)
{
    (void)state;
    struct m2c_io_range r[4];
    struct m2c_io *io =
        open_null((struct m2c_io_cfg){.fail_nth = 5, .fail_times = 2, .retries = 2});
    start_all(io, r);
    reap_all(io);
    for (size_t i = 0; i < 4; i++)
        assert_true(r[i].res == 0 && data_ok(&r[i]));
    assert_int_equal(counters(io).retries, 2);
    assert_int_equal(counters(io).requests, 28 + 2);
    m2c_io_close(io);
}

/* A range that failed is not read on, and says where. */
static void failure_stops(void **state)
{
    (void)state;
    struct m2c_io *io = open_null((struct m2c_io_cfg){.fail_nth = 3, .queue_depth = 1});
    struct m2c_io_range r = {.bytes = FILE_BYTES, .buf = buf[0], .room = FILE_BYTES},
                        *out;
    struct m2c_err err = {0};
    char want[700];
    memset(buf[0], 0, sizeof buf[0]);
    assert_int_equal(m2c_io_start_range(io, &r, NULL), 0);
    assert_int_equal(m2c_io_reap_ranges(io, &out, 1, 1, M2C_IO_FOREVER, NULL), 1);
    assert_memory_equal(buf[0], content, 8192);
    for (size_t i = 8192; i < FILE_BYTES; i++)
        assert_int_equal(buf[0][i], 0);
    assert_int_equal(m2c_io_range_fail(io, &r, &err), -EIO);
    snprintf(want, sizeof want, "%s: reading 100000 bytes at offset 0: at 8192: %s", path,
             strerror(EIO));
    assert_string_equal(err.msg, want);
    m2c_io_close(io);
}

static void short_reads(void **state)
{
    (void)state;
    struct m2c_io_range r[4];
    struct m2c_io_cfg cfg = {.queue_depth = 3, .chunk = 16384, .short_reads = 4096};
    struct m2c_io *io = NULL;
    assert_int_equal(m2c_io_open(&io, "null", path, &cfg, NULL), 0);
    start_all(io, r);
    reap_all(io);
    for (size_t i = 0; i < 4; i++)
        assert_true(r[i].res == 0 && data_ok(&r[i]));
    assert_int_equal(counters(io).requests, 4 * 7); /* 25000 bytes in 4096s */
    assert_int_equal(counters(io).bytes_moved, FILE_BYTES);
    m2c_io_close(io);
}

static void busy(void **state)
{
    (void)state;
    for (unsigned every = 2; every < 6; every++) {
        struct m2c_io_range r[4];
        struct m2c_io *io =
            open_null((struct m2c_io_cfg){.busy_every = every, .queue_depth = 2});
        start_all(io, r);
        reap_all(io);
        for (size_t i = 0; i < 4; i++)
            assert_true(r[i].res == 0 && data_ok(&r[i]));
        m2c_io_close(io);
    }
    /* An engine that takes nothing costs time, not the processor or the caller. */
    struct m2c_io *io = open_null((struct m2c_io_cfg){.busy_every = 1});
    struct m2c_io_range r = range_of(0), *out;
    uint64_t t0 = m2c_now_ns();
    assert_int_equal(m2c_io_start_range(io, &r, NULL), 0);
    assert_int_equal(m2c_io_reap_ranges(io, &out, 1, 1, 20000000, NULL), 0);
    assert_true(m2c_now_ns() - t0 >= 20000000);
    m2c_io_close(io);
}

/* What the reap blocked for. Time that the machine gives to others between the
 * lines here is not waited for, so the sign of a wait may take some trials. */
static uint64_t delayed_wait_ns(void)
{
    struct m2c_io_range r[4], *out[4];
    struct m2c_io_cfg cfg = {.delay_ns = 5000000, .queue_depth = 28};
    struct m2c_io *io = open_null(cfg);
    uint64_t t0 = m2c_now_ns();
    start_all(io, r);
    int n = m2c_io_reap_ranges(io, out, 1, 4, 1000, NULL);
    bool early = m2c_now_ns() - t0 < cfg.delay_ns;
    assert_in_range(n, 0, early ? 0 : 4);
    n += m2c_io_reap_ranges(io, out, 4 - (unsigned)n, 4, M2C_IO_FOREVER, NULL);
    assert_int_equal(n, 4);
    uint64_t passed = m2c_now_ns() - t0, wait = counters(io).wait_ns;
    assert_true(passed >= cfg.delay_ns && wait <= passed);
    for (size_t i = 0; i < 4; i++)
        assert_true(r[i].res == 0 && data_ok(&r[i]));
    m2c_io_close(io);
    return wait;
}

static void delays(void **state)
{
    (void)state;
    int trials = 1;
    while (delayed_wait_ns() < 3000000)
        assert_true(trials++ < 50);
}

/* One read hangs: the others come, the wait for it ends in time, and so does
 * the handle. */
static void never(void **state)
{
    (void)state;
    struct m2c_io_range r[4], *out[4];
    struct m2c_err err = {0};
    struct m2c_io *io = open_null((struct m2c_io_cfg){.never_nth = 9, .queue_depth = 8});
    start_all(io, r);
    uint64_t t0 = m2c_now_ns();
    assert_int_equal(m2c_io_reap_ranges(io, out, 4, 4, 30000000, &err), 3);
    assert_true(m2c_now_ns() - t0 >= 30000000);
    m2c_io_close(io);
}

/* ---- opening ---- */

static void refused(const char *engine, const char *file, struct m2c_io_cfg cfg, int code,
                    const char *what)
{
    struct m2c_io *io = NULL;
    struct m2c_err err = {0};
    int r = m2c_io_open(&io, engine, file, &cfg, &err);
    assert_int_equal(r, code);
    assert_null(io);
    if (!strstr(err.msg, what))
        fail_msg("'%s' in '%s'", what, err.msg);
}

static void refusals(void **state)
{
    (void)state;
    struct m2c_io_cfg ok = {.queue_depth = 4, .chunk = 4096}, c = ok;
    refused("pred", path, ok, -ENOENT, "did you mean 'pread'?");
    if (!M2C_HAVE_LIBAIO)
        refused("libaio", path, ok, -ENOTSUP, "built without libaio");
    if (!M2C_HAVE_URING)
        refused("io_uring", path, ok, -ENOTSUP, "built without liburing");
    c.direct = true;
    if (m2c_io_probe("mmap", NULL) == 0)
        refused("mmap", path, c, -EINVAL, "set ssd.direct = off");
    c = ok;
    for (const struct m2c_plugin *const *p = m2c_io_list(); *p; p++) {
        if (m2c_io_probe((*p)->name, NULL) < 0 ||
            strcmp((*p)->name, "sim") == 0) /* needs no file */
            continue;
        refused((*p)->name, "no/such/file", ok, -ENOENT, "no/such/file: ");
        refused((*p)->name, "/", ok, -EINVAL, "neither a file nor a disk");
        refused((*p)->name, fifo, ok, -EINVAL, "neither a file nor a disk");
    }
    c.queue_depth = 0;
    refused("null", path, c, -EINVAL, "ssd.queue_depth is 0");
    c.queue_depth = M2C_IO_DEPTH_MAX + 1;
    refused("null", path, c, -EINVAL, "must be 1 to 4096");
    c = ok;
    c.chunk = 0;
    refused("null", path, c, -EINVAL, "ssd.chunk is 0");
    c.chunk = 5000;
    refused("null", path, c, -EINVAL, "ssd.chunk is 5000");
    c.chunk = M2C_IO_CHUNK_MAX + 4096u;
    refused("null", path, c, -EINVAL, "ssd.chunk is");
}

static bool is_tmpfs(const char *dir)
{
    struct statfs s;
    return statfs(dir, &s) == 0 && (unsigned long)s.f_type == TMPFS_MAGIC;
}

/* procfs takes no O_DIRECT; tmpfs takes it in new kernels and reads memory. */
static void no_direct(void **state)
{
    (void)state;
    struct m2c_io_cfg c = {.direct = true, .queue_depth = 4, .chunk = 4096};
    if (access("/proc/version", R_OK) == 0)
        refused("pread", "/proc/version", c, -EINVAL, "set ssd.direct = off");
    char shm[64];
    snprintf(shm, sizeof shm, "/dev/shm/m2c-io-%ld", (long)getpid());
    int fd = is_tmpfs("/dev/shm") ? open(shm, O_CREAT | O_EXCL | O_WRONLY, 0600) : -1;
    if (fd < 0)
        return;
    close(fd);
    refused("pread", shm, c, -EINVAL, "set ssd.direct = off");
    unlink(shm);
}

static void tables(void **state)
{
    (void)state;
    const struct m2c_io_ops *none[] = {NULL}, *two[] = {&m2c_io_pread, NULL, NULL};
    struct m2c_io_ops bad = m2c_io_null;
    struct m2c_err err = {0};
    assert_int_equal(m2c_io_check(none, &err), 0);
    two[1] = &bad;
    assert_int_equal(m2c_io_check(two, &err), 0);
    bad.reap = NULL;
    assert_int_equal(m2c_io_check(two, &err), -EINVAL);
    assert_string_equal(err.msg, "I/O engine 'null' lacks a mandatory hook");
    bad = m2c_io_null;
    bad.p.name = "pread";
    assert_int_equal(m2c_io_check(two, &err), -EINVAL);
    memset(&bad, 0, sizeof bad);
    assert_int_equal(m2c_io_check(two, &err), -EINVAL);
}

int main(void)
{
    const char *dir = getenv("M2C_BUILD");
    snprintf(path, sizeof path, "%s/io-faults-%ld.bin", dir ? dir : ".", (long)getpid());
    snprintf(fifo, sizeof fifo, "%s.fifo", path);
    write_file();
    if (mkfifo(fifo, 0600) < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_fails),     cmocka_unit_test(retries_help),
        cmocka_unit_test(failure_stops), cmocka_unit_test(short_reads),
        cmocka_unit_test(busy),          cmocka_unit_test(delays),
        cmocka_unit_test(never),         cmocka_unit_test(refusals),
        cmocka_unit_test(no_direct),     cmocka_unit_test(tables),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    unlink(fifo);
    return r;
}
