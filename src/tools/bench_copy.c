/* SPDX-License-Identifier: MIT */
/* m2c bench copy: batches of copies from pinned memory to a device, by size and
 * number of pieces and by each way that the backend has; the link and the
 * device's own memory by one large copy; and how much of a copy hides behind
 * work.
 *
 * The timing window is from before the first call to the event after the last;
 * allocating and a warm-up lie outside. Pieces are spread over the buffers, so
 * that none lies beside the one before. Figures are medians. */
#include "base/clock.h"
#include "dev/dev.h"
#include "tools/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPS = 101, COLS = 4096 };

struct args {
    struct m2c_dev_cfg dev;
    int64_t index, reps;
    uint64_t bytes;
    bool json;
};

struct bench {
    const struct args *a;
    struct m2c_dev *dev;
    struct m2c_queue *copy, *work;
    struct m2c_buf *pinned, *device, *other, *x, *y;
    struct m2c_copy *batch;
    json_t *rows;
};

static int finish(struct m2c_queue *q, struct m2c_err *err)
{
    struct m2c_event *ev;
    int r = m2c_queue_record(q, &ev, err);
    if (r < 0)
        return r;
    r = m2c_event_wait(ev, NULL, err);
    m2c_event_free(ev);
    return r;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- what is timed ---- */

struct job {
    size_t n_copies;  /* of the batch */
    unsigned n_works; /* products over the device's memory */
    size_t work_bytes;
};

static int work(struct bench *b, const struct job *j, struct m2c_err *err)
{
    const uint32_t rows = (uint32_t)(j->work_bytes / (COLS * sizeof(float)));
    struct m2c_tensor w = {M2C_F32, rows, COLS, {b->other, 0}, {0}};
    const struct m2c_call c = {M2C_OP_MATMUL,
                               .u.matmul = {w, {b->x, 0}, {b->y, 0}, 1, false}};
    int r = 0;
    for (unsigned i = 0; i < j->n_works && r == 0; i++)
        r = m2c_queue_launch(b->work, &c, err);
    return r;
}

/* Work first: its calls are few. */
static int once(struct bench *b, const struct job *j, struct m2c_err *err)
{
    int r = work(b, j, err);
    if (r == 0 && j->n_copies)
        r = m2c_queue_copy(b->copy, b->batch, j->n_copies, err);
    if (r == 0 && j->n_copies)
        r = finish(b->copy, err);
    return r == 0 && j->n_works ? finish(b->work, err) : r;
}

static int time_job(struct bench *b, const struct job *j, double *seconds,
                    struct m2c_err *err)
{
    double sample[REPS];
    for (int64_t i = -1; i < b->a->reps; i++) {
        uint64_t start = m2c_now_ns();
        int r = once(b, j, err);
        if (r < 0)
            return r;
        if (i >= 0)
            sample[i] = (double)(m2c_now_ns() - start) * 1e-9;
    }
    qsort(sample, (size_t)b->a->reps, sizeof(double), by_value);
    *seconds = sample[b->a->reps / 2];
    return 0;
}

static int add_row(struct bench *b, const char *what, const char *how, size_t piece,
                   size_t n, double seconds)
{
    const double bytes = (double)piece * (double)n;
    if (!b->a->json)
        printf("%-8s %-7s %10zu %7zu %9.3f %9.3f\n", what, how, piece, n,
               bytes / seconds * 1e-9, seconds * 1e6 / (double)n);
    return json_array_append_new(
        b->rows, json_pack("{s:s, s:s, s:I, s:I, s:f, s:f}", "what", what, "how", how,
                           "piece_bytes", (json_int_t)piece, "pieces", (json_int_t)n,
                           "gb_per_s", bytes / seconds * 1e-9, "us_per_copy",
                           seconds * 1e6 / (double)n));
}

/* ---- the parts ---- */

static int open_one(struct bench *b, const char *how, struct m2c_err *err)
{
    struct m2c_dev_cfg cfg = b->a->dev;
    const size_t all = (size_t)b->a->bytes;
    cfg.index = (int)b->a->index;
    cfg.copy = how;
    int r = m2c_dev_open(&b->dev, &cfg, err);
    if (r < 0)
        return r;
    struct {
        struct m2c_buf **buf;
        enum m2c_place place;
        size_t bytes;
    } bufs[] = {{&b->pinned, M2C_PLACE_PINNED, all},
                {&b->device, M2C_PLACE_DEVICE, all},
                {&b->other, M2C_PLACE_DEVICE, all},
                {&b->x, M2C_PLACE_DEVICE, COLS * sizeof(float)},
                {&b->y, M2C_PLACE_DEVICE, all / COLS}};
    for (size_t i = 0; i < M2C_COUNTOF(bufs) && r == 0; i++)
        r = m2c_dev_alloc(b->dev, bufs[i].place, bufs[i].bytes, bufs[i].buf, err);
    r = r < 0 ? r : m2c_queue_open(b->dev, "copy", &b->copy, err);
    r = r < 0 ? r : m2c_queue_open(b->dev, "work", &b->work, err);
    b->batch = r < 0 ? NULL : calloc(all / 1024 + 1, sizeof *b->batch);
    return r < 0 ? r : b->batch ? 0 : m2c_fail(err, -ENOMEM, "out of memory");
}

static void close_one(struct bench *b)
{
    m2c_dev_close(b->dev);
    free(b->batch);
    b->dev = NULL;
    b->batch = NULL;
}

static int small(struct bench *b, const char *how, struct m2c_err *err)
{
    static const size_t pieces[] = {1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10};
    static const size_t counts[] = {1, 16, 256};
    for (size_t p = 0; p < M2C_COUNTOF(pieces); p++) {
        for (size_t c = 0; c < M2C_COUNTOF(counts); c++) {
            const size_t n = counts[c], room = b->pinned->bytes / n / 64 * 64;
            if (pieces[p] > room)
                continue;
            for (size_t i = 0; i < n; i++)
                b->batch[i] = (struct m2c_copy){
                    {b->device, (n - 1 - i) * room}, {b->pinned, i * room}, pieces[p]};
            const struct job j = {.n_copies = n};
            double seconds;
            int r = time_job(b, &j, &seconds, err);
            if (r < 0)
                return r;
            if (add_row(b, "pieces", how, pieces[p], n, seconds) < 0)
                return m2c_fail(err, -ENOMEM, "out of memory");
        }
    }
    return 0;
}

static int large(struct bench *b, const char *what, struct m2c_buf *dst, struct m2c_buf *src,
                 struct m2c_err *err)
{
    const struct job j = {.n_copies = 1};
    double seconds;
    b->batch[0] = (struct m2c_copy){{dst, 0}, {src, 0}, dst->bytes};
    int r = time_job(b, &j, &seconds, err);
    if (r == 0 && add_row(b, what, "each", dst->bytes, 1, seconds) < 0)
        r = m2c_fail(err, -ENOMEM, "out of memory");
    return r;
}

/* As much work as takes the time of the copy, each alone and both at once. */
static int overlap(struct bench *b, double *hidden, struct m2c_err *err)
{
    struct job j = {.n_works = 1, .work_bytes = b->other->bytes};
    double copy, one, works, both;
    int r = time_job(b, &j, &one, err);
    b->batch[0] = (struct m2c_copy){{b->device, 0}, {b->pinned, 0}, b->device->bytes};
    j = (struct job){.n_copies = 1};
    r = r < 0 ? r : time_job(b, &j, &copy, err);
    if (r < 0)
        return r;
    j = (struct job){.n_works = (unsigned)M2C_MIN(M2C_MAX(copy / one, 1.0), 1000.0),
                     .work_bytes = b->other->bytes};
    r = time_job(b, &j, &works, err);
    j.n_copies = 1;
    r = r < 0 ? r : time_job(b, &j, &both, err);
    if (r < 0)
        return r;
    *hidden = (copy + works - both) / M2C_MIN(copy, works);
    if (!b->a->json)
        printf("copy %.3f ms, work %.3f ms, both at once %.3f ms: %.2f of the shorter is "
               "hidden\n",
               copy * 1e3, works * 1e3, both * 1e3, *hidden);
    return 0;
}

static int all(struct bench *b, double *hidden, char name[128], struct m2c_err *err)
{
    char ways[sizeof ((struct m2c_dev_info *)0)->copies], *save = NULL;
    int r = open_one(b, "auto", err);
    if (r < 0)
        return r;
    const struct m2c_dev_info *info = m2c_dev_info(b->dev);
    snprintf(name, 128, "%s", info->name);
    snprintf(ways, sizeof ways, "%s", info->copies);
    if (!b->a->json)
        printf("%s: %s\n%-8s %-7s %10s %7s %9s %9s\n", info->backend, info->name, "", "how",
               "bytes", "pieces", "GB/s", "us/copy");
    r = large(b, "link", b->device, b->pinned, err);
    r = r < 0 ? r : large(b, "back", b->pinned, b->device, err);
    r = r < 0 ? r : large(b, "device", b->other, b->device, err);
    r = r < 0 ? r : small(b, "auto", err);
    r = r < 0 ? r : overlap(b, hidden, err);
    close_one(b);
    for (char *way = strtok_r(ways, " ", &save); way && r == 0;
         way = strtok_r(NULL, " ", &save)) {
        r = open_one(b, way, err);
        r = r < 0 ? r : small(b, way, err);
        close_one(b);
    }
    return r;
}

int m2c_cmd_bench_copy(int argc, char **argv)
{
    struct args a = {.dev = {.backend = "cpu", .isa = "auto"}, .reps = 11, .bytes = 64 << 20};
    const struct m2c_flag flags[] = {
        {"--backend", 0, M2C_FLAG_STR, &a.dev.backend, "B", NULL, 0, 0,
         "of the device (default cpu)"},
        {"--platform", 0, M2C_FLAG_STR, &a.dev.platform, "WORD", NULL, 0, 0,
         "its platform, as device.platform"},
        {"--index", 0, M2C_FLAG_INT, &a.index, "N", NULL, 0, 255,
         "its number, as device.index"},
        {"--library", 0, M2C_FLAG_STR, &a.dev.library, "DIR", NULL, 0, 0,
         "where its libraries are looked for first, as device.library"},
        {"--bytes", 0, M2C_FLAG_BYTES, &a.bytes, "SIZE", NULL, 0, 0,
         "of each of three buffers (default 64M)"},
        {"--reps", 0, M2C_FLAG_INT, &a.reps, "N", NULL, 1, REPS,
         "repetitions, of which the median counts (default 11)"},
        {"--json", 0, M2C_FLAG_ON, &a.json, NULL, NULL, 0, 0, "print one JSON object"},
    };
    const struct m2c_cli cli = {.name = "m2c bench copy",
                                .args = "",
                                .brief = "Measures copies from pinned memory to a device",
                                .flags = flags,
                                .n_flags = M2C_COUNTOF(flags)};
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, NULL, NULL, &code))
        return code;
    a.bytes = a.bytes / (1 << 16) * (1 << 16);
    if (a.bytes == 0)
        return m2c_cli_usage(&cli, "--bytes: at least 64K");
    struct bench b = {.a = &a, .rows = json_array()};
    struct m2c_err err = {0};
    char name[128] = "";
    double hidden = 0;
    int r = all(&b, &hidden, name, &err);
    close_one(&b);
    if (r < 0 || !a.json) {
        json_decref(b.rows);
        return r < 0 ? m2c_cli_fail(&err) : M2C_EXIT_OK;
    }
    return m2c_cli_json(json_pack("{s:s, s:s, s:f, s:o}", "backend", a.dev.backend, "name",
                                  name, "overlap", hidden, "rows", b.rows));
}
