/* SPDX-License-Identifier: MIT */
/* m2c bench io: read a file from end to end, as the DRAM tier reads a layer:
 * ranges of some size, cut into chunks, so many in flight. Nothing but the
 * reads is timed; buffers are allocated and touched before. */
#include "base/clock.h"
#include "base/mem.h"
#include "io/io.h"
#include "tools/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { RANGES = 4 }; /* under way at once: a layer and what is read ahead */

struct args {
    const char *engine;
    bool buffered, json;
    int64_t depth;
    uint64_t chunk, range, limit;
};

struct bench {
    struct m2c_io *io;
    struct m2c_io_range range[RANGES];
    void *buf[RANGES];
    size_t room;
};

static int start(struct bench *b, int i, uint64_t off, uint64_t bytes, struct m2c_err *err)
{
    b->range[i] = (struct m2c_io_range){
        .off = off, .bytes = bytes, .buf = b->buf[i], .room = b->room, .user = &b->range[i]};
    return m2c_io_start_range(b->io, &b->range[i], err);
}

/* Reads [0, size) in ranges, a new one as soon as one is done. */
static int read_all(struct bench *b, uint64_t size, uint64_t range, struct m2c_err *err)
{
    uint64_t at = 0;
    unsigned pending = 0;
    int r = 0;
    for (int i = 0; i < RANGES && at < size && r == 0; i++) {
        uint64_t n = M2C_MIN(range, size - at);
        r = start(b, i, at, n, err);
        at += n;
        pending++;
    }
    while (pending && r == 0) {
        struct m2c_io_range *done = NULL;
        r = m2c_io_reap_ranges(b->io, &done, 1, 1, M2C_IO_FOREVER, err);
        if (r <= 0)
            return r < 0 ? r : m2c_fail(err, -EIO, "no read completes");
        r = done->res < 0 ? m2c_io_range_fail(b->io, done, err) : 0;
        pending--;
        if (r == 0 && at < size) {
            uint64_t n = M2C_MIN(range, size - at);
            r = start(b, (int)(done - b->range), at, n, err);
            at += n;
            pending++;
        }
    }
    return r;
}

static int bench(const char *path, const struct args *a, double *seconds, uint64_t *bytes,
                 struct m2c_err *err)
{
    struct bench b = {.room = m2c_align_up(a->range, M2C_PAGE)};
    struct m2c_io_cfg cfg = {.direct = !a->buffered,
                             .queue_depth = (unsigned)a->depth,
                             .chunk = (uint32_t)a->chunk,
                             .retries = 1};
    int r = m2c_io_open(&b.io, a->engine, path, &cfg, err);
    for (int i = 0; i < RANGES && r == 0; i++) {
        r = m2c_pages_alloc(b.room, &b.buf[i]);
        for (size_t at = 0; r == 0 && at < b.room; at += M2C_PAGE)
            ((volatile char *)b.buf[i])[at] = 1;
        if (r < 0)
            m2c_fail(err, r, "%zu bytes of buffers: out of memory", b.room);
    }
    if (r == 0) {
        uint64_t size = m2c_io_size(b.io);
        *bytes = a->limit ? M2C_MIN(a->limit, size) : size;
        uint64_t t0 = m2c_now_ns();
        r = read_all(&b, *bytes, a->range, err);
        *seconds = (double)(m2c_now_ns() - t0) * 1e-9;
    }
    m2c_io_close(b.io);
    for (int i = 0; i < RANGES; i++)
        m2c_pages_free(b.buf[i], b.room);
    return r;
}

int m2c_cmd_bench_io(int argc, char **argv)
{
    struct args a = {.engine = "libaio", .depth = 16, .chunk = 1 << 20, .range = 16 << 20};
    const struct m2c_flag flags[] = {
        {.name = "--engine", .kind = M2C_FLAG_STR, .dest = &a.engine, .arg = "NAME",
         .help = "libaio (default) or pread"},
        {.name = "--buffered", .kind = M2C_FLAG_ON, .dest = &a.buffered,
         .help = "through the page cache instead of O_DIRECT"},
        {.name = "--depth", .kind = M2C_FLAG_INT, .dest = &a.depth, .arg = "N", .min = 1,
         .max = 1024, .help = "chunks in flight; default 16"},
        {.name = "--chunk", .kind = M2C_FLAG_BYTES, .dest = &a.chunk, .arg = "BYTES",
         .help = "of a read; default 1M"},
        {.name = "--range", .kind = M2C_FLAG_BYTES, .dest = &a.range, .arg = "BYTES",
         .help = "asked for at once, such as a part of a layer; default 16M"},
        {.name = "--bytes", .kind = M2C_FLAG_BYTES, .dest = &a.limit, .arg = "BYTES",
         .help = "read no more than this; default the whole file"},
        {.name = "--json", .kind = M2C_FLAG_ON, .dest = &a.json,
         .help = "one JSON object on stdout"},
    };
    const struct m2c_cli cli = {.name = "m2c bench io",
                                .args = "FILE",
                                .brief = "Reads a file as the DRAM tier reads a store",
                                .flags = flags,
                                .n_flags = M2C_COUNTOF(flags),
                                .min_args = 1,
                                .max_args = 1};
    const char *path;
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, &path, NULL, &code))
        return code;
    if (a.range == 0 || a.range % M2C_PAGE)
        return m2c_cli_usage(&cli, "--range must be a multiple of %d", M2C_PAGE);
    struct m2c_err err = {0};
    double seconds = 0;
    uint64_t bytes = 0;
    if (bench(path, &a, &seconds, &bytes, &err) < 0)
        return m2c_cli_fail(&err);
    double rate = (double)bytes / seconds;
    if (a.json)
        return m2c_cli_json(json_pack("{s:I, s:f, s:f}", "bytes", (json_int_t)bytes,
                                      "seconds", seconds, "bytes_per_s", rate));
    printf("%" PRIu64 " bytes in %.3f s: %.1f MB/s (%s, %s, %" PRIu64
           "-byte reads, %lld in flight)\n",
           bytes, seconds, rate * 1e-6, a.engine, a.buffered ? "page cache" : "O_DIRECT",
           a.chunk, (long long)a.depth);
    return M2C_EXIT_OK;
}
