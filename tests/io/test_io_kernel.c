/* SPDX-License-Identifier: MIT */
/* A kernel that cuts reads short, is interrupted, has no room, fails, or forbids
 * an engine: the same for each of them. Argument: the engine; exits 77 where
 * there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/io.h"
#include "wrap.h"

enum { FILE_BYTES = 3 * 1048576 + 1234, ROOM = FILE_BYTES + 8192, CHUNK = 65536 };

static const char *engine;
static bool direct;
static char path[512];
static unsigned char content[FILE_BYTES];
static unsigned char *buf; /* ROOM bytes */

static void write_file(void)
{
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        content[i] = (unsigned char)((i * 2654435761u >> 24) ^ (i >> 12));
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(content, 1, FILE_BYTES, f), FILE_BYTES);
    assert_int_equal(fflush(f) || fsync(fileno(f)), 0);
    fclose(f);
}

static int try_open(struct m2c_io **io, unsigned retries, struct m2c_err *err)
{
    struct m2c_io_cfg cfg = {
        .direct = direct, .queue_depth = 8, .chunk = CHUNK, .retries = retries};
    return m2c_io_open(io, engine, path, &cfg, err);
}

/* The whole file through a kernel with `k`; the range's res. */
static int read_spoilt(struct knobs k, unsigned retries, struct m2c_io_counters *count,
                       struct m2c_err *err)
{
    struct m2c_io *io = NULL;
    struct m2c_io_range *out,
        r = {.bytes = FILE_BYTES, .buf = buf, .room = ROOM, .user = &r};
    if (try_open(&io, retries, err) < 0)
        fail_msg("%s", err->msg);
    memset(buf, 0, ROOM);
    memset(&spoilt, 0, sizeof spoilt);
    k.base = buf;
    knobs = k;
    assert_int_equal(m2c_io_start_range(io, &r, err), 0);
    if (m2c_io_reap_ranges(io, &out, 1, 1, M2C_IO_FOREVER, err) != 1)
        fail_msg("%s", err->msg);
    memset(&knobs, 0, sizeof knobs);
    m2c_io_counters(io, count);
    if (r.res == 0)
        assert_memory_equal(buf, content, FILE_BYTES);
    else
        assert_int_equal(m2c_io_range_fail(io, &r, err), r.res);
    m2c_io_close(io);
    return r.res;
}

/* Reads that the whole file takes when nothing goes wrong. */
enum { READS = (FILE_BYTES + CHUNK - 1) / CHUNK };

static void short_reads(void **state)
{
    (void)state;
    static const uint32_t odd[] = {0, 512, 1000};
    for (size_t i = 0; i < M2C_COUNTOF(odd); i++) {
        struct m2c_io_counters c;
        struct m2c_err err = {0};
        struct knobs k = {.short_every = 2, .short_odd = odd[i]};
        assert_int_equal(read_spoilt(k, 0, &c, &err), 0);
        assert_true(spoilt.cut >= READS / 2);
        assert_int_equal(c.requests, READS + spoilt.cut);
        assert_int_equal(c.retries, 0);
    }
}

/* A signal costs another call, never one of the retries. */
static void interruptions(void **state)
{
    (void)state;
    struct m2c_io_counters c;
    struct m2c_err err = {0};
    struct knobs k = {.eintr_every = 3, .signal_every = 2};
    assert_int_equal(read_spoilt(k, 0, &c, &err), 0);
    assert_true(spoilt.eintr >= READS / 3);
    assert_int_equal(c.requests, READS + spoilt.eintr);
    assert_int_equal(c.retries, 0);
    if (strcmp(engine, "libaio") == 0 || strcmp(engine, "io_uring") == 0)
        assert_true(spoilt.signal > 0);
}

static void no_room(void **state)
{
    (void)state;
    for (unsigned every = 2; every < 5; every++) {
        struct m2c_io_counters c;
        struct m2c_err err = {0};
        struct knobs k = {.busy_every = every};
        assert_int_equal(read_spoilt(k, 0, &c, &err), 0);
        assert_int_equal(c.requests, READS);
        if (strcmp(engine, "libaio") == 0 || strcmp(engine, "io_uring") == 0)
            assert_true(spoilt.busy > 0);
    }
}

static void again(void **state)
{
    (void)state;
    struct m2c_io_counters c;
    struct m2c_err err = {0};
    struct knobs k = {.again_every = 5};
    assert_int_equal(read_spoilt(k, 8, &c, &err), 0);
    assert_true(spoilt.again >= READS / 5);
    assert_int_equal(c.retries, spoilt.again);
}

static void expect_bad(uint64_t at, unsigned times, unsigned retries)
{
    struct m2c_io_counters c;
    struct m2c_err err = {0};
    char want[700];
    struct knobs k = {.bad = true, .bad_at = at, .bad_times = times};
    int r = read_spoilt(k, retries, &c, &err);
    assert_int_equal(spoilt.bad, M2C_MIN(times, retries + 1));
    assert_int_equal(c.retries, M2C_MIN(times, retries));
    if (times <= retries) {
        assert_int_equal(r, 0);
        return;
    }
    assert_int_equal(r, -EIO);
    snprintf(want, sizeof want, "%s: reading %d bytes at offset 0: at %llu: %s", path,
             FILE_BYTES, (unsigned long long)(at / CHUNK * CHUNK), strerror(EIO));
    assert_string_equal(err.msg, want);
    assert_memory_equal(buf, content, at / CHUNK * CHUNK);
}

static void bad_blocks(void **state)
{
    (void)state;
    static const uint64_t at[] = {0, 1000000, FILE_BYTES - 1};
    for (size_t i = 0; i < M2C_COUNTOF(at); i++)
        for (unsigned retries = 0; retries < 3; retries++)
            for (unsigned times = 1; times < 5; times++)
                expect_bad(at[i], times, retries);
}

/* All at once. */
static void a_bad_day(void **state)
{
    (void)state;
    struct m2c_io_counters c;
    struct m2c_err err = {0};
    struct knobs k = {.short_every = 3,
                      .short_odd = 7,
                      .eintr_every = 5,
                      .again_every = 7,
                      .busy_every = 3,
                      .signal_every = 2,
                      .bad = true,
                      .bad_at = 2000000,
                      .bad_times = 2};
    assert_int_equal(read_spoilt(k, 12, &c, &err), 0);
    assert_true(spoilt.cut && spoilt.eintr && spoilt.again);
    assert_int_equal(spoilt.bad, 2);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 1;
    const char *dir = getenv("M2C_BUILD");
    engine = argv[1];
    snprintf(path, sizeof path, "%s/io-kernel-%s-%ld.bin", dir ? dir : ".", engine,
             (long)getpid());
    void *mem;
    struct m2c_io *io = NULL;
    struct m2c_err err = {0};
    if (m2c_pages_alloc(ROOM, &mem) < 0)
        return 1;
    buf = mem;
    write_file();
    direct = true;
    if (try_open(&io, 0, NULL) < 0) {
        direct = false;
        if (try_open(&io, 0, &err) < 0) {
            printf("skipped: %s\n", err.msg);
            unlink(path);
            return 77;
        }
    }
    m2c_io_close(io);
    printf("%s, %s\n", engine, direct ? "direct" : "buffered");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_reads), cmocka_unit_test(interruptions),
        cmocka_unit_test(no_room),     cmocka_unit_test(again),
        cmocka_unit_test(bad_blocks),  cmocka_unit_test(a_bad_day),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    m2c_pages_free(mem, ROOM);
    return r;
}
