/* SPDX-License-Identifier: MIT */
/* Reads of real files by one engine, compared byte by byte with the pattern that
 * was written. Arguments: the engine; "direct" or "buffered". Exits 77 where the
 * build or the kernel has no such engine, or where it does no direct reads. */
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

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "io/io.h"

enum { FILE_BYTES = 3 * 1048576 + 1234, BLOCK = 4096, GUARD = 0xa5 };

static const char *engine_name;
static bool direct;
static char path[512];

static unsigned char content[FILE_BYTES];

/* Every place differs from every other that could be mistaken for it. */
static void make_content(void)
{
    for (uint64_t i = 0; i < FILE_BYTES; i++) {
        uint64_t z = (i / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        content[i] = (unsigned char)((z ^ (z >> 27)) >> (i % 8 * 8));
    }
}

static void write_file(void)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(content, 1, FILE_BYTES, f), FILE_BYTES);
    assert_int_equal(fflush(f) || fsync(fileno(f)), 0);
    fclose(f);
}

static struct m2c_io *open_io(const char *engine, unsigned depth, uint32_t chunk)
{
    struct m2c_io_cfg cfg = {.direct = direct, .queue_depth = depth, .chunk = chunk};
    struct m2c_io *io = NULL;
    struct m2c_err err = {0};
    if (m2c_io_open(&io, engine, path, &cfg, &err) < 0)
        fail_msg("%s", err.msg);
    return io;
}

/* A range with a buffer of its own, of which one block more is guarded. */
struct job {
    struct m2c_io_range range; /* first */
    struct m2c_io_span span;
    unsigned char *mem;
    size_t mem_bytes;
};

static void make_job(struct m2c_io *io, struct job *j, uint64_t off, uint64_t bytes)
{
    j->span = m2c_io_span(io, off, bytes);
    j->mem_bytes = (size_t)j->span.bytes + BLOCK;
    void *mem;
    assert_int_equal(m2c_pages_alloc(j->mem_bytes, &mem), 0);
    j->mem = memset(mem, GUARD, j->mem_bytes);
    j->range = (struct m2c_io_range){
        .off = off, .bytes = bytes, .buf = mem, .room = j->span.bytes, .user = j};
}

static void start(struct m2c_io *io, struct job *j)
{
    struct m2c_err err = {0};
    if (m2c_io_start_range(io, &j->range, &err) < 0)
        fail_msg("%s", err.msg);
}

static void check_data(const struct job *j)
{
    assert_int_equal(j->range.res, 0);
    if (j->range.bytes &&
        memcmp(j->mem + j->span.skew, content + j->range.off, (size_t)j->range.bytes))
        fail_msg("range %llu+%llu differs", (unsigned long long)j->range.off,
                 (unsigned long long)j->range.bytes);
    size_t guards = 0; /* one assertion a byte would be most of this test's time */
    for (size_t i = (size_t)j->span.bytes; i < j->mem_bytes; i++)
        guards += j->mem[i] == GUARD;
    assert_int_equal(guards, j->mem_bytes - j->span.bytes);
}

static void drop_job(struct job *j)
{
    m2c_pages_free(j->mem, j->mem_bytes);
}

static struct job *reap_one(struct m2c_io *io)
{
    struct m2c_io_range *out = NULL;
    struct m2c_err err = {0};
    if (m2c_io_reap_ranges(io, &out, 1, 1, M2C_IO_FOREVER, &err) != 1)
        fail_msg("%s", err.msg);
    return out->user;
}

/* The result of one read, its data checked where it is 0. */
static int read_one(struct m2c_io *io, uint64_t off, uint64_t bytes, struct m2c_err *err)
{
    struct job j;
    make_job(io, &j, off, bytes);
    start(io, &j);
    assert_ptr_equal(reap_one(io), &j);
    int r = j.range.res;
    if (r == 0)
        check_data(&j);
    else
        assert_int_equal(m2c_io_range_fail(io, &j.range, err), r);
    drop_job(&j);
    return r;
}

static void with_engine(void (*fn)(const char *engine))
{
    fn(engine_name);
}

/* ---- many ranges, any size ---- */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return M2C_MIN(a, b);
}

static uint64_t random_bytes(struct m2c_rng *rng, uint64_t off)
{
    uint32_t max = m2c_rng_below(rng, 4) ? 20000 : 700000;
    return min_u64(1 + m2c_rng_below(rng, max), FILE_BYTES - off);
}

static void random_load(const char *engine, unsigned depth, uint32_t chunk)
{
    enum { JOBS = 40 };
    static struct job jobs[JOBS];
    struct m2c_io *io = open_io(engine, depth, chunk);
    struct m2c_rng rng;
    m2c_rng_init(&rng, 7, depth + chunk);
    uint64_t wanted = 0, moved = 0, requests = 0;
    for (unsigned i = 0; i < JOBS; i++) {
        uint64_t off = m2c_rng_below(&rng, FILE_BYTES);
        make_job(io, &jobs[i], off, random_bytes(&rng, off));
        const struct m2c_io_span *s = &jobs[i].span;
        wanted += jobs[i].range.bytes;
        moved += min_u64(s->off + s->bytes, FILE_BYTES) - s->off;
        requests += (s->skew + jobs[i].range.bytes + chunk - 1) / chunk;
        start(io, &jobs[i]);
    }
    for (unsigned n = 0; n < JOBS;) {
        struct m2c_io_range *out[7];
        struct m2c_err err = {0};
        unsigned min = M2C_MIN(3u, JOBS - n);
        int got = m2c_io_reap_ranges(io, out, min, 7, M2C_IO_FOREVER, &err);
        assert_in_range(got, min, 7);
        for (int i = 0; i < got; i++) {
            struct job *j = out[i]->user;
            check_data(j);
            drop_job(j);
            j->range.user = NULL; /* a second completion would fail above */
        }
        n += (unsigned)got;
    }
    struct m2c_io_counters c;
    m2c_io_counters(io, &c);
    assert_int_equal(c.bytes_wanted, wanted);
    assert_int_equal(c.bytes_moved, moved);
    assert_int_equal(c.requests, requests);
    assert_int_equal(c.retries, 0);
    m2c_io_close(io);
}

static void random_of_engine(const char *engine)
{
    static const unsigned depths[] = {1, 5, 64, 200};
    static const uint32_t chunks[] = {4096, 65536, 1048576};
    for (size_t i = 0; i < M2C_COUNTOF(depths); i++)
        for (size_t k = 0; k < M2C_COUNTOF(chunks); k++)
            random_load(engine, depths[i], chunks[k]);
}

static void random_ranges(void **state)
{
    (void)state;
    with_engine(random_of_engine);
}

static void whole_of_engine(const char *engine)
{
    struct m2c_io *io = open_io(engine, 16, 65536);
    assert_int_equal(m2c_io_size(io), FILE_BYTES);
    assert_int_equal(read_one(io, 0, FILE_BYTES, NULL), 0);
    m2c_io_close(io);
}

static void whole_file(void **state)
{
    (void)state;
    with_engine(whole_of_engine);
}

/* Memory named beforehand, and reads that lie in it, across its edges and
 * elsewhere: the same bytes. */
static void named_memory(void **state)
{
    (void)state;
    enum { PIECE = 300000, PIECES = 10, ROOM = 311296 };
    struct m2c_io *io = open_io(engine_name, 6, 65536);
    struct m2c_io_range r[PIECES], *out[PIECES];
    struct m2c_err err = {0};
    void *mem;
    assert_int_equal(m2c_pages_alloc((size_t)PIECES * ROOM, &mem), 0);
    unsigned char *at = memset(mem, GUARD, (size_t)PIECES * ROOM);
    struct m2c_io_mem parts[2] = {{at + 4 * ROOM, 2 * ROOM + BLOCK}, {at, 3 * ROOM}};
    uint64_t n = m2c_io_use_memory(io, parts, 2);
    printf("%s: %llu bytes registered\n", engine_name, (unsigned long long)n);
    assert_true(n == 0 || n == 5 * ROOM + BLOCK);
    assert_true(n == 0 || strcmp(engine_name, "io_uring") == 0);
    assert_int_equal(m2c_io_use_memory(io, parts, 2), 0); /* once */
    for (size_t i = 0; i < PIECES; i++) {
        r[i] = (struct m2c_io_range){
            .off = i * PIECE, .bytes = PIECE, .buf = at + i * ROOM, .room = ROOM};
        if (m2c_io_start_range(io, &r[i], &err) < 0)
            fail_msg("%s", err.msg);
    }
    assert_int_equal(m2c_io_reap_ranges(io, out, PIECES, PIECES, M2C_IO_FOREVER, &err),
                     PIECES);
    for (size_t i = 0; i < PIECES; i++) {
        struct m2c_io_span s = m2c_io_span(io, r[i].off, r[i].bytes);
        assert_int_equal(r[i].res, 0);
        assert_memory_equal(at + i * ROOM + s.skew, content + r[i].off, PIECE);
    }
    m2c_io_close(io);
    m2c_pages_free(mem, (size_t)PIECES * ROOM);
}

/* ---- the end of the file ---- */

static void expect_end(struct m2c_io *io, uint64_t off, uint64_t bytes, uint64_t end)
{
    struct m2c_err err = {0};
    char at[64];
    snprintf(at, sizeof at, "at %llu: the file ends early",
             (unsigned long long)M2C_MAX(end, off));
    assert_int_equal(read_one(io, off, bytes, &err), -ENODATA);
    assert_non_null(strstr(err.msg, path));
    if (!strstr(err.msg, at))
        fail_msg("'%s' in '%s'", at, err.msg);
}

static void ends_of_engine(const char *engine)
{
    struct m2c_io *io = open_io(engine, 4, 65536);
    static const uint64_t tails[] = {1, 2, 511, 512, 513, 1233, 1234, 1235, 4096, 70000};
    for (size_t i = 0; i < M2C_COUNTOF(tails); i++) {
        assert_int_equal(read_one(io, FILE_BYTES - tails[i], tails[i], NULL), 0);
        assert_int_equal(read_one(io, FILE_BYTES - tails[i], 1, NULL), 0);
        expect_end(io, FILE_BYTES - tails[i], tails[i] + 1, FILE_BYTES);
        expect_end(io, FILE_BYTES - tails[i], tails[i] + 1000000, FILE_BYTES);
    }
    expect_end(io, FILE_BYTES, 1, FILE_BYTES);
    expect_end(io, FILE_BYTES + 5000000, 100000, FILE_BYTES);
    assert_int_equal(read_one(io, FILE_BYTES + 5000000, 0, NULL), 0);
    assert_int_equal(read_one(io, 100, 100, NULL), 0); /* it goes on */
    m2c_io_close(io);
}

static void ends(void **state)
{
    (void)state;
    with_engine(ends_of_engine);
}

static void truncated_of_engine(const char *engine)
{
    struct m2c_io *io = open_io(engine, 4, 65536);
    assert_int_equal(truncate(path, 1000000), 0);
    assert_int_equal(read_one(io, 999000, 1000, NULL), 0);
    expect_end(io, 999000, 1001, 1000000);
    expect_end(io, 900000, 500000, 1000000);
    expect_end(io, 2000000, 10, 1000000);
    m2c_io_close(io);
    write_file();
}

static void truncated(void **state)
{
    (void)state;
    with_engine(truncated_of_engine);
}

/* ---- spans ---- */

static void spans(void **state)
{
    (void)state;
    struct m2c_io *io = open_io(engine_name, 1, 4096);
    uint64_t a = m2c_io_align(io);
    assert_true(direct ? a >= 512 || a == 1 : a == 1);
    for (uint64_t off = 0; off < 3 * a; off += off % a == 1 && a > 3 ? a - 2 : 1)
        for (uint64_t n = 0; n < 3 * a; n += n % a == 1 && a > 3 ? a - 2 : 1) {
            struct m2c_io_span s = m2c_io_span(io, off, n);
            assert_true(s.off % a == 0 && s.bytes % a == 0 && s.off + s.skew == off);
            assert_true(s.skew < a && (n == 0 || s.skew + n <= s.bytes));
            assert_true(n == 0 ? s.bytes == 0 : s.bytes < s.skew + n + a);
        }
    struct m2c_io_span none = m2c_io_span(io, UINT64_MAX, 1);
    assert_true(none.off == 0 && none.bytes == 0 && none.skew == 0);
    none = m2c_io_span(io, 1, UINT64_MAX);
    assert_true(none.off == 0 && none.bytes == 0 && none.skew == 0);
    m2c_io_close(io);
}

/* ---- handles ---- */

static void expect_refusal(struct m2c_io *io, struct m2c_io_range r, const char *what)
{
    struct m2c_err err = {0};
    assert_int_equal(m2c_io_start_range(io, &r, &err), -EINVAL);
    if (!strstr(err.msg, what))
        fail_msg("'%s' in '%s'", what, err.msg);
}

static void callers_faults(void **state)
{
    (void)state;
    struct m2c_io *io = open_io(engine_name, 2, 4096);
    struct m2c_io_range *out[2];
    struct m2c_err err = {0};
    void *mem;
    assert_int_equal(m2c_pages_alloc(2 * BLOCK, &mem), 0);
    assert_int_equal(m2c_io_reap_ranges(io, out, 0, 2, M2C_IO_FOREVER, &err), 0);
    assert_int_equal(m2c_io_reap_ranges(io, out, 1, 2, 0, &err), 0);
    assert_int_equal(m2c_io_reap_ranges(io, out, 1, 2, M2C_IO_FOREVER, &err), -EINVAL);
    assert_int_equal(m2c_io_reap_ranges(io, out, 2, 1, M2C_IO_FOREVER, &err), -EINVAL);
    expect_refusal(io, (struct m2c_io_range){.bytes = 600, .buf = mem, .room = 599},
                   "599");
    expect_refusal(io, (struct m2c_io_range){.off = UINT64_MAX, .bytes = 1, .buf = mem},
                   "no file is so long");
    expect_refusal(io, (struct m2c_io_range){.bytes = UINT64_MAX, .buf = mem, .room = 1},
                   "no file is so long");
    if (direct && m2c_io_align(io) > 1) {
        expect_refusal(io, (struct m2c_io_range){.bytes = 1, .buf = mem, .room = 1},
                       "the buffer has 1");
        expect_refusal(io,
                       (struct m2c_io_range){
                           .bytes = 1, .buf = (unsigned char *)mem + 1, .room = BLOCK},
                       "not aligned");
    }
    m2c_pages_free(mem, 2 * BLOCK);
    m2c_io_close(io);
    m2c_io_close(NULL);
}

/* Closed with reads in flight, others not even sent: the buffers are free to
 * go right after. */
static void abandoned_of_engine(const char *engine)
{
    struct job jobs[6];
    struct m2c_io *io = open_io(engine, 3, 4096);
    for (size_t i = 0; i < M2C_COUNTOF(jobs); i++) {
        make_job(io, &jobs[i], i * 300000, 300000);
        start(io, &jobs[i]);
    }
    m2c_io_close(io);
    for (size_t i = 0; i < M2C_COUNTOF(jobs); i++)
        drop_job(&jobs[i]);
}

static void abandoned(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        with_engine(abandoned_of_engine);
}

/* Short waits: nothing is lost and nothing comes twice. */
static void polled_of_engine(const char *engine)
{
    struct m2c_io *io = open_io(engine, 8, 65536);
    struct job j;
    struct m2c_io_range *out[1];
    struct m2c_err err = {0};
    int n = 0;
    make_job(io, &j, 123, FILE_BYTES - 123);
    start(io, &j);
    for (int64_t timeout = 0; n == 0; timeout = (timeout + 1) % 100000) {
        n = m2c_io_reap_ranges(io, out, 1, 1, timeout, &err);
        assert_in_range(n, 0, 1);
    }
    check_data(&j);
    assert_int_equal(m2c_io_reap_ranges(io, out, 0, 1, 1000, &err), 0);
    drop_job(&j);
    m2c_io_close(io);
}

static void polled(void **state)
{
    (void)state;
    with_engine(polled_of_engine);
}

static bool works(void)
{
    struct m2c_io_cfg cfg = {.direct = direct, .queue_depth = 1, .chunk = 4096};
    struct m2c_io *io = NULL;
    struct m2c_err err = {0};
    int r = m2c_io_open(&io, engine_name, path, &cfg, &err);
    m2c_io_close(io);
    if (r < 0)
        printf("skipped: %s\n", err.msg);
    return r == 0;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 1;
    engine_name = argv[1];
    direct = strcmp(argv[2], "direct") == 0;
    const char *dir = getenv("M2C_BUILD");
    snprintf(path, sizeof path, "%s/io-%s-%s-%ld.bin", dir ? dir : ".", engine_name,
             argv[2], (long)getpid());
    make_content();
    write_file();
    if (!works()) {
        unlink(path);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_ranges),  cmocka_unit_test(whole_file),
        cmocka_unit_test(named_memory),   cmocka_unit_test(ends),
        cmocka_unit_test(truncated),      cmocka_unit_test(spans),
        cmocka_unit_test(callers_faults), cmocka_unit_test(abandoned),
        cmocka_unit_test(polled),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return r;
}
