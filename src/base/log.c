/* SPDX-License-Identifier: MIT */
/* Messages and progress on one stream.
 *
 * Owns the order of what reaches the stream: a lock makes each message and
 * each state of a bar whole. Progress bars of one log nest; the innermost is
 * shown. On a terminal the bar is one line redrawn in place, elsewhere it is
 * a plain line now and then. */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TERMINAL_EVERY_NS UINT64_C(100000000)
#define PLAIN_EVERY_NS UINT64_C(5000000000)

enum { BAR_WIDTH = 20, WHAT_MAX = 48, LINE_MAX_BYTES = 160 };

struct m2c_log {
    FILE *stream;
    enum m2c_log_level level;
    bool terminal;
    pthread_mutex_t lock;
    struct m2c_progress *top; /* the bar that is shown */
};

struct m2c_progress {
    struct m2c_log *log;
    struct m2c_progress *below;
    char what[WHAT_MAX], unit[16];
    uint64_t total, start_ns;
    atomic_uint_fast64_t done, next_draw_ns;
    bool drawn;
};

int m2c_log_open(struct m2c_log **out, FILE *stream, enum m2c_log_level level)
{
    struct m2c_log *log = calloc(1, sizeof *log);
    if (!log)
        return -ENOMEM;
    if (pthread_mutex_init(&log->lock, NULL)) {
        free(log);
        return -ENOMEM;
    }
    log->stream = stream;
    log->level = level;
    int fd = fileno(stream); /* -1 for a stream in memory */
    log->terminal = fd >= 0 && isatty(fd);
    *out = log;
    return 0;
}

void m2c_log_close(struct m2c_log *log)
{
    if (!log)
        return;
    pthread_mutex_destroy(&log->lock);
    free(log);
}

static void format_amount(char *out, size_t size, double x, const char *unit)
{
    static const char *const binary[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    if (strcmp(unit, "B") != 0) {
        snprintf(out, size, x < 10 && x != (double)(uint64_t)x ? "%.1f %s" : "%.0f %s", x,
                 unit);
        return;
    }
    size_t i = 0;
    for (; x >= 1024 && i + 1 < M2C_COUNTOF(binary); i++)
        x /= 1024;
    snprintf(out, size, i == 0 || x >= 100 ? "%.0f %s" : "%.1f %s", x, binary[i]);
}

static void format_seconds(char *out, size_t size, double s)
{
    if (s < 10)
        snprintf(out, size, "%.1f s", s);
    else if (s < 120)
        snprintf(out, size, "%.0f s", s);
    else if (s < 7200)
        snprintf(out, size, "%.0f min", s / 60);
    else
        snprintf(out, size, "%.1f h", M2C_MIN(s / 3600, 99999.0));
}

/* "123 MiB of 1.2 GiB (10 %), 85 MiB/s, 12 s left" */
static void format_state(const struct m2c_progress *p, uint64_t now, char *out,
                         size_t size)
{
    char have[40], all[40], rate[40], left[24];
    uint64_t done = atomic_load(&p->done);
    double s = (double)(now - p->start_ns) * 1e-9;
    double per_s = s > 0 ? (double)done / s : 0;
    format_amount(have, sizeof have, (double)done, p->unit);
    format_amount(all, sizeof all, (double)p->total, p->unit);
    format_amount(rate, sizeof rate, per_s, p->unit);
    if (p->total == 0) {
        snprintf(out, size, "%s, %s/s", have, rate);
        return;
    }
    double share = M2C_MIN((double)done / (double)p->total, 1.0);
    int n = snprintf(out, size, "%s of %s (%d %%)", have, all, (int)(share * 100));
    if (done > 0 && done < p->total && n > 0 && (size_t)n < size) {
        format_seconds(left, sizeof left, (double)(p->total - done) / per_s);
        snprintf(out + n, size - (size_t)n, ", %s/s, %s left", rate, left);
    }
}

static void clear_bar(struct m2c_log *log)
{
    if (log->terminal && log->top && log->top->drawn)
        fputs("\r\033[K", log->stream);
}

static void draw(struct m2c_progress *p, uint64_t now)
{
    struct m2c_log *log = p->log;
    char state[LINE_MAX_BYTES], bar[BAR_WIDTH + 1] = "";
    format_state(p, now, state, sizeof state);
    p->drawn = true;
    if (!log->terminal) {
        fprintf(log->stream, "%s: %s\n", p->what, state);
        fflush(log->stream);
        return;
    }
    uint64_t done = atomic_load(&p->done);
    double share = p->total ? M2C_MIN((double)done / (double)p->total, 1.0) : 0;
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < (int)(share * BAR_WIDTH) ? '#' : '.';
    fprintf(log->stream, "\r\033[K%s [%s] %s", p->what, bar, state);
    fflush(log->stream);
}

void m2c_log(struct m2c_log *log, enum m2c_log_level level, const char *fmt, ...)
{
    if (!log || level > log->level)
        return;
    pthread_mutex_lock(&log->lock);
    clear_bar(log);
    if (level == M2C_LOG_ERROR)
        fputs("error: ", log->stream);
    else if (level == M2C_LOG_WARN)
        fputs("warning: ", log->stream);
    va_list ap;
    va_start(ap, fmt);
    vfprintf(log->stream, fmt, ap);
    va_end(ap);
    fputc('\n', log->stream);
    if (log->terminal && log->top && log->top->drawn)
        draw(log->top, m2c_now_ns());
    fflush(log->stream);
    pthread_mutex_unlock(&log->lock);
}

static uint64_t interval(const struct m2c_log *log)
{
    return log->terminal ? TERMINAL_EVERY_NS : PLAIN_EVERY_NS;
}

int m2c_progress_open(struct m2c_progress **out, struct m2c_log *log, const char *what,
                      uint64_t total, const char *unit)
{
    *out = NULL;
    if (!log || log->level < M2C_LOG_INFO)
        return 0;
    struct m2c_progress *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->log = log;
    snprintf(p->what, sizeof p->what, "%s", what);
    snprintf(p->unit, sizeof p->unit, "%s", unit);
    p->total = total;
    p->start_ns = m2c_now_ns();
    atomic_init(&p->done, 0);
    atomic_init(&p->next_draw_ns, p->start_ns + interval(log));
    pthread_mutex_lock(&log->lock);
    clear_bar(log);
    p->below = log->top;
    log->top = p;
    pthread_mutex_unlock(&log->lock);
    *out = p;
    return 0;
}

void m2c_progress_set(struct m2c_progress *p, uint64_t done)
{
    if (!p)
        return;
    atomic_store_explicit(&p->done, done, memory_order_relaxed);
    uint64_t now = m2c_now_ns(), due = atomic_load(&p->next_draw_ns);
    /* Of several threads that find it due, one draws. */
    if (now < due ||
        !atomic_compare_exchange_strong(&p->next_draw_ns, &due, now + interval(p->log)))
        return;
    pthread_mutex_lock(&p->log->lock);
    if (p->log->top == p)
        draw(p, now);
    pthread_mutex_unlock(&p->log->lock);
}

void m2c_progress_close(struct m2c_progress *p)
{
    if (!p)
        return;
    struct m2c_log *log = p->log;
    uint64_t done = atomic_load(&p->done), now = m2c_now_ns();
    char state[LINE_MAX_BYTES], took[24];
    pthread_mutex_lock(&log->lock);
    clear_bar(log);
    format_seconds(took, sizeof took, (double)(now - p->start_ns) * 1e-9);
    if (done < p->total) {
        char have[40], all[40];
        format_amount(have, sizeof have, (double)done, p->unit);
        format_amount(all, sizeof all, (double)p->total, p->unit);
        fprintf(log->stream, "%s: stopped at %s of %s after %s\n", p->what, have, all,
                took);
    } else if (p->drawn) { /* a job too short for a bar needs no end of one */
        format_state(p, now, state, sizeof state);
        fprintf(log->stream, "%s: %s in %s\n", p->what, state, took);
    }
    fflush(log->stream);
    for (struct m2c_progress **q = &log->top; *q; q = &(*q)->below) {
        if (*q == p) {
            *q = p->below;
            break;
        }
    }
    pthread_mutex_unlock(&log->lock);
    free(p);
}
