/* SPDX-License-Identifier: MIT */
/* The journal. */
#define _GNU_SOURCE /* asprintf */
#include "exp/journal.h"

#include "infer/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct done {
    struct m2c_hash128 point;
    int64_t rep;
};

struct m2c_journal {
    char *path;
    int fd, lock;
    uint64_t dropped;
    size_t n, cap;
    struct done *done;
};

static int sys_fail(struct m2c_err *err, const char *path, const char *what)
{
    int e = errno;
    return m2c_fail(err, -e, "%s: %s: %s", path, what, strerror(e));
}

static int fsync_dir(const char *path)
{
    char *dir = strdup(path);
    char *slash = dir ? strrchr(dir, '/') : NULL;
    if (slash)
        *slash = 0;
    int fd = dir ? open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(dir);
    if (fd < 0)
        return -1;
    int r = fsync(fd);
    close(fd);
    return r;
}

static int write_all(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -1;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

int m2c_write_whole(const char *path, const void *bytes, size_t n, struct m2c_err *err)
{
    char *tmp;
    if (asprintf(&tmp, "%s.tmp-%ld", path, (long)getpid()) < 0)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), r = 0;
    if (fd < 0)
        r = sys_fail(err, tmp, "cannot be made");
    if (r == 0 && (write_all(fd, bytes, n) < 0 || fsync(fd) < 0))
        r = sys_fail(err, tmp, "cannot be written");
    if (fd >= 0 && close(fd) < 0 && r == 0)
        r = sys_fail(err, tmp, "cannot be written");
    if (r == 0 && (rename(tmp, path) < 0 || fsync_dir(path) < 0))
        r = sys_fail(err, path, "cannot be put in place");
    if (r < 0)
        unlink(tmp);
    free(tmp);
    return r;
}

/* ---- reading ---- */

static int parse_line(const char *path, size_t number, const char *line, size_t n,
                      json_t **out, struct m2c_err *err)
{
    json_error_t je;
    json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, &je);
    if (!o)
        return m2c_fail(err, -EINVAL, "%s:%zu: not a record: %s", path, number, je.text);
    if (!json_is_string(json_object_get(o, "point")) ||
        !json_is_integer(json_object_get(o, "rep"))) {
        json_decref(o);
        return m2c_fail(err, -EINVAL, "%s:%zu: a record needs `point` and `rep`", path,
                        number);
    }
    *out = o;
    return 0;
}

/* Calls back for each whole line; *whole is where the last one ends. */
static int each_line(const char *path, const char *text, size_t n, size_t *whole,
                     json_t *array, struct m2c_err *err)
{
    size_t at = 0, number = 0;
    while (at < n) {
        const char *nl = memchr(text + at, '\n', n - at);
        if (!nl)
            break;
        size_t len = (size_t)(nl - (text + at));
        json_t *o = NULL;
        int r = parse_line(path, ++number, text + at, len, &o, err);
        if (r == 0 && json_array_append_new(array, o) < 0)
            r = m2c_fail(err, -ENOMEM, "%s: out of memory", path);
        if (r < 0)
            return r;
        at += len + 1;
    }
    *whole = at;
    return 0;
}

static int read_records(const char *path, json_t **out, size_t *whole, size_t *size,
                        struct m2c_err *err)
{
    char *text;
    int r = m2c_text_read(path, &text, size, err);
    if (r < 0)
        return r;
    json_t *array = json_array();
    r = array ? each_line(path, text, *size, whole, array, err)
              : m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    free(text);
    if (r < 0) {
        json_decref(array);
        return r;
    }
    *out = array;
    return 0;
}

int m2c_journal_read(const char *dir, json_t **out, struct m2c_err *err)
{
    char *path;
    size_t whole, size;
    if (asprintf(&path, "%s/results.jsonl", dir) < 0)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", dir);
    int r = read_records(path, out, &whole, &size, err);
    free(path);
    return r;
}

/* ---- opening ---- */

static int remember(struct m2c_journal *j, const json_t *record, struct m2c_err *err)
{
    struct done d = {.rep = json_integer_value(json_object_get(record, "rep"))};
    const char *hex = json_string_value(json_object_get(record, "point"));
    if (m2c_hash_parse(hex, &d.point) < 0)
        return m2c_fail(err, -EINVAL, "%s: '%s' is not a point's hash", j->path, hex);
    if (j->n == j->cap) {
        size_t cap = j->cap ? j->cap * 2 : 64;
        struct done *more = realloc(j->done, cap * sizeof *more);
        if (!more)
            return m2c_fail(err, -ENOMEM, "%s: out of memory", j->path);
        j->done = more;
        j->cap = cap;
    }
    j->done[j->n++] = d;
    return 0;
}

static int load_done(struct m2c_journal *j, struct m2c_err *err)
{
    json_t *records = NULL;
    size_t whole = 0, size = 0;
    int r = read_records(j->path, &records, &whole, &size, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < json_array_size(records) && r == 0; i++)
        r = remember(j, json_array_get(records, i), err);
    json_decref(records);
    j->dropped = size - whole;
    if (r == 0 && j->dropped && (ftruncate(j->fd, (off_t)whole) < 0 || fsync(j->fd) < 0))
        r = sys_fail(err, j->path, "the torn last line cannot be cut off");
    return r;
}

/* The config as text, without what may differ between runs of one sweep. */
static int config_text(const struct m2c_optset *config, char **out, size_t *n)
{
    FILE *f = open_memstream(out, n);
    if (!f)
        return -ENOMEM;
    int r = m2c_optset_write(config, f, true);
    return fclose(f) == 0 ? r : -ENOMEM;
}

/* First line in which two configs differ, [output] left out; false: none. */
static bool first_difference(const char *a, const char *b, char *line, size_t cap)
{
    char section[64] = "";
    while (*a || *b) {
        size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        if (n && a[0] == '[')
            snprintf(section, sizeof section, "%.*s", (int)M2C_MIN(n, (size_t)60), a);
        bool same = n == m && memcmp(a, b, n) == 0;
        if (!same && strcmp(section, "[output]") != 0) {
            snprintf(line, cap, "%s %.*s, was %.*s", section, (int)n, a, (int)m, b);
            return true;
        }
        a += n + (a[n] != 0);
        b += m + (b[m] != 0);
    }
    return false;
}

static int same_config(const char *dir, const struct m2c_optset *config, bool exists,
                       struct m2c_err *err)
{
    char *path = NULL, *now = NULL, *then = NULL;
    size_t n = 0, m = 0;
    if (asprintf(&path, "%s/config.ini", dir) < 0 || config_text(config, &now, &n) < 0) {
        free(path);
        return m2c_fail(err, -ENOMEM, "%s: out of memory", dir);
    }
    int r = 0;
    char line[512];
    if (!exists)
        r = m2c_write_whole(path, now, n, err);
    else if ((r = m2c_text_read(path, &then, &m, err)) == 0 &&
             first_difference(now, then, line, sizeof line))
        r = m2c_fail(err, -EINVAL,
                     "%s: the config has changed since: %s; use another folder", path,
                     line);
    free(path);
    free(now);
    free(then);
    return r;
}

static int lock_dir(struct m2c_journal *j, const char *dir, struct m2c_err *err)
{
    if (mkdir(dir, 0777) < 0 && errno != EEXIST)
        return sys_fail(err, dir, "cannot be made");
    j->lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->lock < 0)
        return sys_fail(err, dir, "cannot be opened");
    if (flock(j->lock, LOCK_EX | LOCK_NB) < 0)
        return m2c_fail(err, -EBUSY, "%s: another m2c-exp is writing there", dir);
    return 0;
}

int m2c_journal_open(struct m2c_journal **out, const char *dir,
                     const struct m2c_optset *config, bool resume, struct m2c_err *err)
{
    struct m2c_journal *j = calloc(1, sizeof *j);
    if (!j)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", dir);
    j->fd = j->lock = -1;
    int r = lock_dir(j, dir, err);
    if (r == 0 && asprintf(&j->path, "%s/results.jsonl", dir) < 0) {
        j->path = NULL;
        r = m2c_fail(err, -ENOMEM, "%s: out of memory", dir);
    }
    struct stat st;
    bool exists = r == 0 && stat(j->path, &st) == 0;
    if (exists && !resume && st.st_size > 0)
        r = m2c_fail(err, -EEXIST,
                     "%s: holds results already; --resume goes on with them, -o DIR "
                     "names another folder",
                     dir);
    if (r == 0)
        r = same_config(dir, config, exists && st.st_size > 0, err);
    if (r == 0 && (j->fd = open(j->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) < 0)
        r = sys_fail(err, j->path, "cannot be opened");
    if (r == 0)
        r = load_done(j, err);
    if (r == 0 && fsync_dir(j->path) < 0)
        r = sys_fail(err, dir, "cannot be synced");
    if (r < 0) {
        m2c_journal_close(j);
        return r;
    }
    *out = j;
    return 0;
}

void m2c_journal_close(struct m2c_journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    if (j->lock >= 0)
        close(j->lock);
    free(j->path);
    free(j->done);
    free(j);
}

bool m2c_journal_has(const struct m2c_journal *j, struct m2c_hash128 point, int64_t rep)
{
    for (size_t i = 0; i < j->n; i++) {
        if (j->done[i].rep == rep && m2c_hash_equal(j->done[i].point, point))
            return true;
    }
    return false;
}

int m2c_journal_add(struct m2c_journal *j, json_t *record, struct m2c_err *err)
{
    char *text = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(17));
    size_t n = text ? strlen(text) : 0;
    off_t end = lseek(j->fd, 0, SEEK_END);
    if (!text || end < 0) {
        free(text);
        return m2c_fail(err, -ENOMEM, "%s: out of memory", j->path);
    }
    text[n] = '\n'; /* in place of the NUL: one write, so a line is whole or torn */
    int r = 0;
    if (write_all(j->fd, text, n + 1) < 0 || fsync(j->fd) < 0) {
        r = sys_fail(err, j->path, "the record cannot be written");
        if (ftruncate(j->fd, end) < 0) { /* no half line before what comes next */
            r = m2c_fail_in(err, r, "and its beginning cannot be removed");
        }
    }
    free(text);
    return r == 0 ? remember(j, record, err) : r;
}

uint64_t m2c_journal_dropped(const struct m2c_journal *j) { return j->dropped; }
