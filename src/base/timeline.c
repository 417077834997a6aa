/* SPDX-License-Identifier: MIT */
/* Chrome trace events, "JSON Object Format" of the Trace Event Format document
 * (Duerr, Gregg et al., 2016): X for spans that nest, b and e for those that
 * overlap, M for names, i for moments. Times are microseconds with three
 * decimals: all that a nanosecond clock says. */
#include "base/timeline.h"

#include "base/clock.h"
#include "m2c_config.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER = 1 << 18 };

struct m2c_timeline {
    FILE *f;
    char *path, *buffer;
    uint64_t zero_ns, token, next_id;
    unsigned pid; /* of the engine at hand, 0: none yet */
    int failed;   /* negative errno of the first write that failed */
};

static const char *const track_names[M2C_N_TRACKS] = {
    [M2C_TRACK_TOKENS] = "tokens",         [M2C_TRACK_COMPUTE] = "compute",
    [M2C_TRACK_STARVED] = "compute waits", [M2C_TRACK_COPIES] = "copies",
    [M2C_TRACK_SELECTION] = "selection",   [M2C_TRACK_TIERS] = "tier manager",
    [M2C_TRACK_WAITS] = "host waits",      [M2C_TRACK_SSD] = "ssd"};

static void note(struct m2c_timeline *t, int printed)
{
    if (printed < 0 && t->failed == 0)
        t->failed = errno ? -errno : -EIO;
}

int m2c_timeline_open(struct m2c_timeline **out, const char *path, struct m2c_err *err)
{
    struct m2c_timeline *t = calloc(1, sizeof *t);
    if (t) {
        t->path = strdup(path);
        t->buffer = malloc(BUFFER);
    }
    int r =
        t && t->path && t->buffer ? 0 : m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    if (r == 0 && !(t->f = fopen(path, "wb")))
        r = m2c_fail(err, -errno, "%s: %s", path, strerror(errno));
    if (r < 0) {
        int dropped = m2c_timeline_close(t, NULL);
        (void)dropped; /* nothing was written */
        return r;
    }
    setvbuf(t->f, t->buffer, _IOFBF, BUFFER);
    t->zero_ns = m2c_now_ns();
    note(t,
         fprintf(t->f,
                 "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"program\":\"m2c %s\"},\n"
                 "\"traceEvents\":[\n{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":0,"
                 "\"args\":{\"name\":\"m2c\"}}",
                 M2C_VERSION));
    *out = t;
    return 0;
}

int m2c_timeline_close(struct m2c_timeline *t, struct m2c_err *err)
{
    int r = 0;
    if (!t)
        return 0;
    if (t->f) {
        note(t, fputs("\n]}\n", t->f));
        note(t, fclose(t->f));
        if (t->failed)
            r = m2c_fail(err, t->failed, "%s: %s", t->path, strerror(-t->failed));
    }
    free(t->buffer);
    free(t->path);
    free(t);
    return r;
}

void m2c_timeline_begin(struct m2c_timeline *t, const char *title)
{
    if (!t)
        return;
    t->pid++;
    json_t *s = json_string(title);
    char *quoted = s ? json_dumps(s, JSON_ENCODE_ANY) : NULL;
    note(t,
         fprintf(
             t->f,
             ",\n{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%u,\"args\":{\"name\":"
             "%s}}",
             t->pid, quoted ? quoted : "\"m2c\""));
    free(quoted);
    json_decref(s);
    for (unsigned i = 0; i < M2C_N_TRACKS; i++)
        note(t, fprintf(t->f,
                        ",\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%u,\"tid\":%u,"
                        "\"args\":{\"name\":\"%s\"}},\n{\"ph\":\"M\",\"name\":"
                        "\"thread_sort_index\",\"pid\":%u,\"tid\":%u,\"args\":{"
                        "\"sort_index\":%u}}",
                        t->pid, i + 1, track_names[i], t->pid, i + 1, i));
}

void m2c_timeline_token(struct m2c_timeline *t, uint64_t position)
{
    if (t)
        t->token = position;
}

struct us {
    uint64_t whole;
    unsigned frac;
};

/* Nothing happened before the file was opened. */
static struct us us(const struct m2c_timeline *t, uint64_t ns)
{
    uint64_t at = ns > t->zero_ns ? ns - t->zero_ns : 0;
    return (struct us){at / 1000, (unsigned)(at % 1000)};
}

static void args(struct m2c_timeline *t, const struct m2c_span *s)
{
    note(t, fprintf(t->f, ",\"args\":{\"token\":%" PRIu64, t->token));
    if (s->layer != M2C_NO_LAYER)
        note(t, fprintf(t->f, ",\"layer\":%u", s->layer));
    if (s->bytes)
        note(t, fprintf(t->f, ",\"bytes\":%" PRIu64, s->bytes));
    note(t, fputs("}}", t->f));
}

void m2c_timeline_span(struct m2c_timeline *t, const struct m2c_span *s)
{
    if (!t)
        return;
    struct us from = us(t, s->from_ns), to = us(t, s->to_ns);
    unsigned tid = (unsigned)s->track + 1;
    if (s->track == M2C_TRACK_SSD) {
        uint64_t id = ++t->next_id;
        note(t, fprintf(t->f,
                        ",\n{\"ph\":\"b\",\"cat\":\"ssd\",\"name\":\"%s\",\"id\":%" PRIu64
                        ",\"pid\":%u,\"tid\":%u,\"ts\":%" PRIu64 ".%03u",
                        s->name, id, t->pid, tid, from.whole, from.frac));
        args(t, s);
        note(t, fprintf(t->f,
                        ",\n{\"ph\":\"e\",\"cat\":\"ssd\",\"name\":\"%s\",\"id\":%" PRIu64
                        ",\"pid\":%u,\"tid\":%u,\"ts\":%" PRIu64 ".%03u}",
                        s->name, id, t->pid, tid, to.whole, to.frac));
        return;
    }
    uint64_t ns = s->to_ns > s->from_ns ? s->to_ns - s->from_ns : 0;
    note(t,
         fprintf(t->f,
                 ",\n{\"ph\":\"X\",\"name\":\"%s\",\"pid\":%u,\"tid\":%u,\"ts\":%" PRIu64
                 ".%03u,\"dur\":%" PRIu64 ".%03u",
                 s->name, t->pid, tid, from.whole, from.frac, ns / 1000,
                 (unsigned)(ns % 1000)));
    args(t, s);
}

void m2c_timeline_mark(struct m2c_timeline *t, const char *name)
{
    if (!t)
        return;
    struct us at = us(t, m2c_now_ns());
    note(t, fprintf(t->f,
                    ",\n{\"ph\":\"i\",\"s\":\"p\",\"name\":\"%s\",\"pid\":%u,\"tid\":1,"
                    "\"ts\":%" PRIu64 ".%03u}",
                    name, t->pid, at.whole, at.frac));
}
