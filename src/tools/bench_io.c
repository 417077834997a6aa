/* SPDX-License-Identifier: MIT */
/* m2c bench io: read a file as the tiers do. `seq`: from end to end in ranges,
 * as whole layers are read; `random`: single records from anywhere, as neurons
 * would be.
 *
 * The timing window runs from the first range started to the last one reaped.
 * Opening, allocating and touching the buffers lie outside. A range's latency
 * runs from its start to its reaping, its wait behind other ranges included. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "io/io.h"
#include "tools/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SEQ, RANDOM };
enum {
    SEQ_RANGES = 4
}; /* under way at once: a layer and what is read ahead; more where
      that is too little to keep the queue full */

struct args {
    const char *engine;
    bool buffered, json;
    int pattern;
    int64_t depth, reads, seed;
    uint64_t chunk, range, offset, limit;
};

struct slot {
    struct m2c_io_range range;
    void *buf;
    uint64_t start_ns;
};

struct bench {
    const struct args *a;
    struct m2c_io *io;
    struct slot *slots;
    unsigned n_slots;
    size_t room;           /* of each slot's buffer */
    uint64_t begin, end;   /* of the file */
    uint64_t n, n_started; /* ranges */
    uint64_t bytes;        /* of those started */
    uint64_t *lat_ns;      /* [n], in order of completion */
    struct m2c_rng rng;
};

struct result {
    uint64_t bytes, ranges, requests, registered;
    double seconds, p50_s, p99_s;
};

static int start(struct bench *b, struct slot *s, struct m2c_err *err)
{
    uint64_t size = b->a->range, off = b->begin + b->n_started * size;
    if (b->a->pattern == RANDOM) /* any record, uniformly */
        off = b->begin +
              m2c_rng_below(&b->rng, (uint32_t)((b->end - b->begin) / size)) * size;
    s->range = (struct m2c_io_range){.off = off,
                                     .bytes = M2C_MIN(size, b->end - off),
                                     .buf = s->buf,
                                     .room = b->room,
                                     .user = s};
    b->n_started++;
    b->bytes += s->range.bytes;
    s->start_ns = m2c_now_ns();
    return m2c_io_start_range(b->io, &s->range, err);
}

static int read_all(struct bench *b, struct m2c_err *err)
{
    uint64_t n_done = 0;
    int r = 0;
    for (unsigned i = 0; i < b->n_slots && b->n_started < b->n && r == 0; i++)
        r = start(b, &b->slots[i], err);
    while (n_done < b->n && r == 0) {
        struct m2c_io_range *done[64];
        int got =
            m2c_io_reap_ranges(b->io, done, 1, M2C_COUNTOF(done), M2C_IO_FOREVER, err);
        uint64_t now = m2c_now_ns();
        r = M2C_MIN(got, 0);
        for (int i = 0; i < got && r == 0; i++) {
            struct slot *s = done[i]->user;
            b->lat_ns[n_done++] = now - s->start_ns;
            if (done[i]->res < 0)
                r = m2c_io_range_fail(b->io, done[i], err);
            else if (b->n_started < b->n)
                r = start(b, s, err);
        }
    }
    return r;
}

static int plan(struct bench *b, const char *path, struct m2c_err *err)
{
    const struct args *a = b->a;
    uint64_t size = m2c_io_size(b->io);
    if (a->offset >= size)
        return m2c_fail(err, -EINVAL,
                        "%s: nothing at %" PRIu64 ", it has %" PRIu64 " bytes", path,
                        a->offset, size);
    b->begin = a->offset;
    b->end = a->limit ? b->begin + M2C_MIN(a->limit, size - b->begin) : size;
    uint64_t whole = (b->end - b->begin) / a->range;
    if (a->pattern == RANDOM && (whole == 0 || whole > UINT32_MAX))
        return m2c_fail(err, -EINVAL,
                        "%s: %" PRIu64 " records of %" PRIu64
                        " bytes to choose from, must "
                        "be 1 to %u",
                        path, whole, a->range, UINT32_MAX);
    b->n = a->pattern == RANDOM ? (uint64_t)a->reads
                                : whole + ((b->end - b->begin) % a->range != 0);
    /* what a range may need, wherever it begins */
    b->room = m2c_align_up((size_t)a->range + m2c_io_align(b->io), M2C_PAGE);
    uint64_t fill = (uint64_t)a->depth * a->chunk / a->range + 1;
    b->n_slots = (unsigned)(a->pattern == RANDOM
                                ? (uint64_t)a->depth
                                : M2C_MIN(M2C_MAX(fill, (uint64_t)SEQ_RANGES), b->n));
    b->slots = calloc(b->n_slots, sizeof *b->slots);
    b->lat_ns = calloc((size_t)b->n, sizeof *b->lat_ns);
    int r = b->slots && b->lat_ns ? 0 : -ENOMEM;
    for (unsigned i = 0; i < b->n_slots && r == 0; i++) {
        r = m2c_pages_alloc(b->room, &b->slots[i].buf);
        for (size_t at = 0; r == 0 && at < b->room; at += M2C_PAGE)
            ((volatile char *)b->slots[i].buf)[at] = 1;
    }
    return r < 0 ? m2c_fail(err, r, "%u buffers of %zu bytes: out of memory", b->n_slots,
                            b->room)
                 : 0;
}

/* As the DRAM tier does with its blocks. */
static int name_memory(struct bench *b, uint64_t *registered, struct m2c_err *err)
{
    struct m2c_io_mem *mem = calloc(b->n_slots, sizeof *mem);
    if (!mem)
        return m2c_fail(err, -ENOMEM, "%u buffers: out of memory", b->n_slots);
    for (unsigned i = 0; i < b->n_slots; i++)
        mem[i] = (struct m2c_io_mem){b->slots[i].buf, b->room};
    *registered = m2c_io_use_memory(b->io, mem, b->n_slots);
    free(mem);
    return 0;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int bench(const char *path, const struct args *a, struct result *out,
                 struct m2c_err *err)
{
    struct bench b = {.a = a};
    struct m2c_io_cfg cfg = {.direct = !a->buffered,
                             .queue_depth = (unsigned)a->depth,
                             .chunk = (uint32_t)a->chunk,
                             .retries = 1};
    m2c_rng_init(&b.rng, (uint64_t)a->seed, 0);
    int r = m2c_io_open(&b.io, a->engine, path, &cfg, err);
    if (r == 0)
        r = plan(&b, path, err);
    if (r == 0)
        r = name_memory(&b, &out->registered, err);
    if (r == 0) {
        uint64_t t0 = m2c_now_ns();
        r = read_all(&b, err);
        out->seconds = (double)(m2c_now_ns() - t0) * 1e-9;
    }
    if (r == 0) {
        struct m2c_io_counters c;
        m2c_io_counters(b.io, &c);
        qsort(b.lat_ns, (size_t)b.n, sizeof *b.lat_ns, by_value);
        out->bytes = b.bytes;
        out->ranges = b.n;
        out->requests = c.requests;
        out->p50_s = (double)b.lat_ns[(b.n - 1) / 2] * 1e-9;
        out->p99_s = (double)b.lat_ns[(b.n - 1) * 99 / 100] * 1e-9;
    }
    m2c_io_close(b.io); /* before the buffers: drains */
    for (unsigned i = 0; b.slots && i < b.n_slots; i++)
        m2c_pages_free(b.slots[i].buf, b.room);
    free(b.slots);
    free(b.lat_ns);
    return r;
}

static int print(const struct args *a, const struct result *r, const char *pattern)
{
    double rate = (double)r->bytes / r->seconds, iops = (double)r->requests / r->seconds;
    if (a->json)
        return m2c_cli_json(json_pack(
            "{s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, "
            "s:f}",
            "pattern", pattern, "engine", a->engine, "direct", !a->buffered, "depth",
            (json_int_t)a->depth, "chunk", (json_int_t)a->chunk, "range",
            (json_int_t)a->range, "bytes", (json_int_t)r->bytes, "ranges",
            (json_int_t)r->ranges, "requests", (json_int_t)r->requests,
            "registered_bytes", (json_int_t)r->registered, "seconds", r->seconds,
            "bytes_per_s", rate, "requests_per_s", iops, "range_p50_s", r->p50_s,
            "range_p99_s", r->p99_s));
    printf("%s: %" PRIu64 " ranges of %" PRIu64 " bytes, %" PRIu64
           " reads of at most %" PRIu64 ", %lld in flight (%s, %s%s)\n",
           pattern, r->ranges, a->range, r->requests, a->chunk, (long long)a->depth,
           a->engine, a->buffered ? "page cache" : "O_DIRECT",
           r->registered ? ", registered buffers" : "");
    printf(
        "%.1f MB/s, %.0f reads/s; a range takes %.0f us (p50), %.0f us (p99); %.3f s\n",
        rate * 1e-6, iops, r->p50_s * 1e6, r->p99_s * 1e6, r->seconds);
    return M2C_EXIT_OK;
}

int m2c_cmd_bench_io(int argc, char **argv)
{
    static const char *const patterns[] = {"seq", "random", NULL};
    struct args a = {.engine = "libaio", .depth = 16, .chunk = 1 << 20, .reads = 20000};
    const struct m2c_flag flags[] = {
        {.name = "--pattern",
         .kind = M2C_FLAG_ENUM,
         .dest = &a.pattern,
         .choices = patterns,
         .help = "end to end (default), or records from anywhere"},
        {.name = "--engine",
         .kind = M2C_FLAG_STR,
         .dest = &a.engine,
         .arg = "NAME",
         .help = "libaio (default), io_uring, pread or mmap (the last --buffered only)"},
        {.name = "--buffered",
         .kind = M2C_FLAG_ON,
         .dest = &a.buffered,
         .help = "through the page cache instead of O_DIRECT"},
        {.name = "--depth",
         .kind = M2C_FLAG_INT,
         .dest = &a.depth,
         .arg = "N",
         .min = 1,
         .max = 1024,
         .help = "reads in flight; default 16"},
        {.name = "--chunk",
         .kind = M2C_FLAG_BYTES,
         .dest = &a.chunk,
         .arg = "BYTES",
         .help = "of the largest single read; default 1M"},
        {.name = "--range",
         .kind = M2C_FLAG_BYTES,
         .dest = &a.range,
         .arg = "BYTES",
         .help = "asked for at once: a part of a layer (seq, default 16M), a neuron "
                 "(random, 24K)"},
        {.name = "--reads",
         .kind = M2C_FLAG_INT,
         .dest = &a.reads,
         .arg = "N",
         .min = 1,
         .max = 100000000,
         .help = "random: how many ranges; default 20000"},
        {.name = "--seed",
         .kind = M2C_FLAG_INT,
         .dest = &a.seed,
         .arg = "S",
         .min = 0,
         .max = 9007199254740992.0,
         .help = "random: of their places; default 0"},
        {.name = "--offset",
         .kind = M2C_FLAG_BYTES,
         .dest = &a.offset,
         .arg = "BYTES",
         .help = "where to begin in the file; default 0"},
        {.name = "--bytes",
         .kind = M2C_FLAG_BYTES,
         .dest = &a.limit,
         .arg = "BYTES",
         .help = "of the file from there; default all"},
        {.name = "--json",
         .kind = M2C_FLAG_ON,
         .dest = &a.json,
         .help = "one JSON object on stdout"},
    };
    const struct m2c_cli cli = {.name = "m2c bench io",
                                .args = "FILE",
                                .brief = "Reads a file as the tiers read a store",
                                .flags = flags,
                                .n_flags = M2C_COUNTOF(flags),
                                .min_args = 1,
                                .max_args = 1};
    const char *path;
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, &path, NULL, &code))
        return code;
    if (a.range == 0)
        a.range = a.pattern == RANDOM ? 24 << 10 : 16 << 20;
    if (a.range > UINT64_C(1) << 34)
        return m2c_cli_usage(&cli, "--range is %" PRIu64 ", at most 16G", a.range);
    if (a.chunk == 0 || a.chunk % M2C_PAGE || a.chunk > M2C_IO_CHUNK_MAX)
        return m2c_cli_usage(&cli, "--chunk must be a multiple of %d up to 1G", M2C_PAGE);
    struct m2c_err err = {0};
    struct result r = {0};
    if (bench(path, &a, &r, &err) < 0)
        return m2c_cli_fail(&err);
    return print(&a, &r, patterns[a.pattern]);
}
