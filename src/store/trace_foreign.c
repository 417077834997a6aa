/* SPDX-License-Identifier: MIT */
/* Traces as other simulators have them: libCacheSim's csv and oracleGeneral. */
#include "store/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORD = 24 }; /* u32 time, u64 block, u32 bytes, i64 next */

static int write_fault(const char *path, struct m2c_err *err)
{
    int e = errno ? errno : EIO;
    return m2c_fail(err, -e, "%s: %s", path, strerror(e));
}

static bool put_csv(FILE *f, uint64_t time, uint64_t block, uint32_t bytes, int64_t next)
{
    return fprintf(f, "%" PRIu64 ",%" PRIu64 ",%" PRIu32 ",%" PRId64 "\n", time, block,
                   bytes, next) > 0;
}

static bool put_record(FILE *f, uint64_t time, uint64_t block, uint32_t bytes,
                       int64_t next)
{
    unsigned char r[RECORD];
    uint32_t t = (uint32_t)time;
    memcpy(r, &t, 4);
    memcpy(r + 4, &block, 8);
    memcpy(r + 12, &bytes, 4);
    memcpy(r + 16, &next, 8);
    return fwrite(r, RECORD, 1, f) == 1;
}

static int export_all(const struct m2c_trace *t, bool sized, FILE *f, const char *path,
                      bool (*put)(FILE *, uint64_t, uint64_t, uint32_t, int64_t),
                      struct m2c_err *err)
{
    uint32_t *next, bytes[M2C_LAYOUT_CLASSES] = {0};
    if (m2c_trace_next(t, &next) < 0)
        return m2c_fail(err, -ENOMEM, "%s: out of memory for %" PRIu64 " accesses", path,
                        t->n);
    for (uint32_t c = 0; c < t->n_classes; c++)
        bytes[c] = m2c_trace_class_bytes(t, c);
    bool ok = true;
    for (uint64_t list = 0; list < t->tokens * t->layers && ok; list++) {
        uint64_t base = list % t->layers * t->neurons;
        for (uint64_t i = t->begin[list]; i < t->begin[list + 1] && ok; i++) {
            uint32_t size = t->bytes ? t->bytes[i] : bytes[t->of_class[i]];
            /* 1-based times and numbers of accesses, as other tools count */
            ok = put(f, list / t->layers, base + t->id[i], sized ? size : 1,
                     next[i] == UINT32_MAX ? -1 : (int64_t)next[i] + 1);
        }
    }
    free(next);
    return ok && fflush(f) == 0 ? 0 : write_fault(path, err);
}

int m2c_trace_csv(const struct m2c_trace *t, bool sized, FILE *f, const char *path,
                  struct m2c_err *err)
{
    errno = 0;
    if (fprintf(f, "time,obj_id,obj_size,next_access_vtime\n") < 0)
        return write_fault(path, err);
    return export_all(t, sized, f, path, put_csv, err);
}

int m2c_trace_oracle(const struct m2c_trace *t, bool sized, FILE *f, const char *path,
                     struct m2c_err *err)
{
    errno = 0;
    return export_all(t, sized, f, path, put_record, err);
}

/* ---- import ---- */

/* Dense ids for foreign ones: open addressing, at most half full. */
struct ids {
    uint64_t *key;
    uint32_t *id; /* UINT32_MAX: free */
    uint64_t mask;
    uint32_t n;
};

static uint32_t dense_id(struct ids *m, uint64_t key)
{
    uint64_t at = m2c_hash64(&key, sizeof key) & m->mask;
    while (m->id[at] != UINT32_MAX && m->key[at] != key)
        at = (at + 1) & m->mask;
    if (m->id[at] == UINT32_MAX) {
        m->key[at] = key;
        m->id[at] = m->n++;
    }
    return m->id[at];
}

static int ids_open(struct ids *m, uint64_t n)
{
    uint64_t slots = 16;
    while (slots < 2 * n)
        slots *= 2;
    m->mask = slots - 1;
    m->key = calloc((size_t)slots, sizeof *m->key);
    m->id = malloc((size_t)slots * sizeof *m->id);
    if (!m->key || !m->id)
        return -ENOMEM;
    memset(m->id, 0xff, (size_t)slots * sizeof *m->id);
    return 0;
}

static int alloc_foreign(struct m2c_trace *t)
{
    size_t n = (size_t)t->n;
    t->begin = calloc(n + 1, sizeof *t->begin);
    t->scale = calloc(n + 1, sizeof *t->scale);
    t->id = calloc(n + 1, sizeof *t->id);
    t->of_class = calloc(n + 1, 1);
    t->score = calloc(n + 1, 1);
    t->bytes = calloc(n + 1, sizeof *t->bytes);
    return t->begin && t->scale && t->id && t->of_class && t->score && t->bytes ? 0
                                                                                : -ENOMEM;
}

static int read_records(struct m2c_trace *t, struct ids *m, FILE *f, const char *path,
                        struct m2c_err *err)
{
    for (uint64_t i = 0; i < t->n; i++) {
        unsigned char r[RECORD];
        uint64_t block;
        if (fread(r, RECORD, 1, f) != 1)
            return m2c_fail(err, -EIO, "%s: ends at record %" PRIu64, path, i);
        memcpy(&block, r + 4, 8);
        memcpy(&t->bytes[i], r + 12, 4);
        if (t->bytes[i] == 0)
            return m2c_fail(err, -EINVAL,
                            "%s: record %" PRIu64 " (offset %" PRIu64
                            "): a block of 0 bytes; is this oracleGeneral?",
                            path, i, i * RECORD);
        t->id[i] = dense_id(m, block);
        t->begin[i + 1] = i + 1;
        t->scale[i] = 1;
        t->score[i] = 255;
    }
    t->neurons = m->n;
    return 0;
}

static int open_foreign(const char *path, FILE **f, uint64_t *n, struct m2c_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *f = fd >= 0 && fstat(fd, &st) == 0 ? fdopen(fd, "rb") : NULL;
    if (!*f) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return m2c_fail(err, -e, "%s: %s", path, strerror(e));
    }
    *n = (uint64_t)st.st_size / RECORD;
    if (!S_ISREG(st.st_mode))
        return m2c_fail(err, -EINVAL, "%s: not a regular file", path);
    if (st.st_size == 0 || st.st_size % RECORD)
        return m2c_fail(
            err, -EINVAL,
            "%s: %lld bytes are no whole number of oracleGeneral records of %d: "
            "it is cut short, or something else",
            path, (long long)st.st_size, RECORD);
    if (*n > M2C_TRACE_MAX)
        return m2c_fail(err, -EFBIG, "%s: %" PRIu64 " accesses, at most %" PRIu64, path,
                        *n, M2C_TRACE_MAX);
    return 0;
}

int m2c_trace_read_oracle(struct m2c_trace **out, const char *path, struct m2c_err *err)
{
    struct m2c_trace *t = calloc(1, sizeof *t);
    struct ids m = {0};
    FILE *f = NULL;
    if (!t)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    t->layers = t->n_classes = t->n_parts = 1;
    t->cls[0] = (struct m2c_trace_class){"block", 1};
    t->part_bytes[0] = 1;
    int e = open_foreign(path, &f, &t->n, err);
    t->tokens = t->n;
    if (e == 0 && (alloc_foreign(t) < 0 || ids_open(&m, t->n) < 0))
        e = m2c_fail(err, -ENOMEM, "%s: out of memory for %" PRIu64 " accesses", path,
                     t->n);
    if (e == 0)
        e = read_records(t, &m, f, path, err);
    if (f)
        fclose(f);
    free(m.key);
    free(m.id);
    if (e < 0) {
        m2c_trace_free(t);
        return e;
    }
    *out = t;
    return 0;
}

bool m2c_trace_sniff(const char *path)
{
    char magic[8] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool ours = fd >= 0 && read(fd, magic, sizeof magic) == sizeof magic &&
                memcmp(magic, "m2ctrace", sizeof magic) == 0;
    if (fd >= 0)
        close(fd);
    return ours;
}
