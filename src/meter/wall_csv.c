/* SPDX-License-Identifier: MIT */
/* Reading the file, one row at a time: nothing of it is kept but the row before. */
#include "meter/wall_csv.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A window needs so many rows, and none further apart. */
enum { ROWS_LEAST = 10 };
static const double APART_S = 60;

/* Times are seconds since 1970, which a double holds to 0.2 us. */
struct csv {
    const char *path;
    unsigned line;
    char separator;
    int time_column, value_column;
    double time_scale, value_scale;
    bool cumulative;
    /* the row before */
    bool has_last;
    double last_s, last_value;
    /* the window and what is known of it */
    double from_s, to_s, max_w, min_w;
    bool begun, ended;
};

static int fail(const struct csv *c, struct m2c_err *err, const char *what,
                const char *field)
{
    return m2c_fail(err, -EINVAL, "%s:%u: %s, not '%.40s'", c->path, c->line, what,
                    field);
}

/* ---- fields ---- */

/* The i-th field without the blanks around it; false: there is none. */
static bool field_at(const char *line, char separator, int i, char *out, size_t size)
{
    for (; i > 0; i--) {
        line = strchr(line, separator);
        if (!line)
            return false;
        line++;
    }
    const char *end = strchr(line, separator);
    if (!end)
        end = line + strlen(line);
    while (line < end && isspace((unsigned char)*line))
        line++;
    while (end > line && isspace((unsigned char)end[-1]))
        end--;
    size_t n = (size_t)(end - line);
    if (n >= 2 && *line == '"' && end[-1] == '"') {
        line++;
        n -= 2;
    }
    if (n >= size)
        return false;
    memcpy(out, line, n);
    out[n] = 0;
    return true;
}

static bool number(const char *text, double *out)
{
    char *end;
    if (!isdigit((unsigned char)text[text[0] == '-']) ||
        text[strspn(text, "0123456789.eE+-")] != 0)
        return false;
    *out = strtod(text, &end);
    return *end == 0 && isfinite(*out);
}

/* Days from 1970 of a date of the Gregorian calendar, with years that begin in
 * March, so that the leap day is the last one. */
static double days(int year, int month, int day)
{
    int y = year - (month < 3), m = (month + 9) % 12;
    return 365.0 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* 2026-01-31T23:59:59[.5](Z|+01:00) */
static bool iso(const char *text, double *out)
{
    int y, mo, d, h, mi, n = 0, zh = 0, zm = 0;
    double s;
    char t, sign = 0;
    if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d:%n", &y, &mo, &d, &t, &h, &mi, &n) != 6 ||
        n == 0 || (t != 'T' && t != ' '))
        return false;
    char *end;
    if (!isdigit((unsigned char)text[n]))
        return false;
    s = strtod(text + n, &end);
    if (strcmp(end, "Z") != 0) {
        n = 0;
        if ((sscanf(end, "%c%2d:%2d%n", &sign, &zh, &zm, &n) != 3 || end[n]) ||
            (sign != '+' && sign != '-'))
            return false;
    }
    if (y < 1970 || y > 9998 || mo < 1 || mo > 12 || d < 1 || d > 31 || h < 0 || h > 23 ||
        mi < 0 || mi > 59 || !(s < 61) || zh < 0 || zh > 23 || zm < 0 || zm > 59)
        return false;
    double next = mo < 12 ? days(y, mo + 1, 1) : days(y + 1, 1, 1);
    if (!(days(y, mo, d) < next))
        return false;
    double zone = (sign == '-' ? -60.0 : 60.0) * (60 * zh + zm);
    *out = 86400 * days(y, mo, d) + 3600.0 * h + 60.0 * mi + s - zone;
    return true;
}

/* ---- the line of names ---- */

struct column {
    const char *name;
    double scale;
    bool cumulative;
};
static const struct column times[] = {{"time", 1, false},
                                      {"timestamp", 1, false},
                                      {"unix_s", 1, false},
                                      {"unix_ms", 1e-3, false}};
static const struct column values[] = {{"watts", 1, false},   {"power", 1, false},
                                       {"power_w", 1, false}, {"w", 1, false},
                                       {"joules", 1, true},   {"j", 1, true},
                                       {"wh", 3600, true},    {"kwh", 3.6e6, true}};

static const struct column *find(const struct csv *c, const char *line,
                                 const struct column *names, size_t n, int *at)
{
    char name[64];
    for (size_t k = 0; k < n; k++) {
        for (*at = 0; *at < 1000 && field_at(line, c->separator, *at, name, sizeof name);
             ++*at) {
            if (strcasecmp(name, names[k].name) == 0)
                return &names[k];
        }
    }
    return NULL;
}

static int read_names(struct csv *c, const char *line, struct m2c_err *err)
{
    c->separator = strchr(line, ';') ? ';' : strchr(line, '\t') ? '\t' : ',';
    const struct column *t = find(c, line, times, M2C_COUNTOF(times), &c->time_column);
    const struct column *v = find(c, line, values, M2C_COUNTOF(values), &c->value_column);
    if (!t || !v)
        return m2c_fail(err, -EINVAL,
                        "%s:%u: no column of %s among the names; expected %s", c->path,
                        c->line, t ? "power or energy" : "time",
                        t ? "watts, or joules, wh or kwh that add up"
                          : "time, timestamp, unix_s or unix_ms");
    c->time_scale = t->scale;
    c->value_scale = v->scale;
    c->cumulative = v->cumulative;
    return 0;
}

/* ---- rows ---- */

/* The stretch from the row before to this one, as far as the window has it. */
static void add(struct csv *c, double s, double value, struct m2c_wall_sum *out)
{
    double dt = s - c->last_s;
    double from = M2C_MAX(c->from_s, c->last_s), to = M2C_MIN(c->to_s, s);
    c->begun = c->begun || c->last_s <= c->from_s;
    c->ended = c->ended || s >= c->to_s;
    if (!(dt > 0) || !(to > from))
        return;
    double a = c->cumulative ? (value - c->last_value) / dt : c->last_value;
    double slope = c->cumulative ? 0 : (value - c->last_value) / dt;
    double mean = a + slope * ((from + to) / 2 - c->last_s);
    out->joules += mean * (to - from);
    out->longest_s = M2C_MAX(out->longest_s, dt);
    bool first = !(c->max_w >= c->min_w);
    double least = c->cumulative ? a : M2C_MIN(a, value);
    double most = c->cumulative ? a : M2C_MAX(a, value);
    c->min_w = first ? least : M2C_MIN(c->min_w, least);
    c->max_w = first ? most : M2C_MAX(c->max_w, most);
}

static int read_row(struct csv *c, const char *line, struct m2c_wall_sum *out,
                    struct m2c_err *err)
{
    char t[64] = "", v[64] = "";
    double s = 0, value = 0;
    if (!field_at(line, c->separator, c->time_column, t, sizeof t) ||
        !(number(t, &s) || (c->time_scale >= 1 && iso(t, &s))))
        return fail(c, err, "expected seconds since 1970, or a time with its zone", t);
    s *= c->time_scale;
    if (!(s >= 0 && s < 1e11))
        return fail(c, err, "expected a time since 1970", t);
    if (!field_at(line, c->separator, c->value_column, v, sizeof v) ||
        !number(v, &value) || !(value >= 0 && value < 1e15))
        return fail(c, err, "expected a number of at least 0", v);
    value *= c->value_scale;
    if (c->has_last && s < c->last_s)
        return fail(c, err, "expected a time that is not before the last row's", t);
    if (c->has_last && c->cumulative && value < c->last_value)
        return fail(c, err, "expected energy that adds up", v);
    if (c->has_last)
        add(c, s, value, out);
    out->rows += s >= c->from_s && s <= c->to_s;
    c->has_last = true;
    c->last_s = s;
    c->last_value = value;
    return 0;
}

static int read_all(struct csv *c, FILE *f, struct m2c_wall_sum *out, struct m2c_err *err)
{
    char *line = NULL;
    size_t room = 0;
    bool named = false;
    int r = 0;
    for (ssize_t n; r == 0 && (n = getline(&line, &room, f)) > 0;) {
        c->line++;
        if (line[n - 1] != '\n')
            break;
        line[n - 1] = 0;
        if (strlen(line) != (size_t)n - 1)
            r = m2c_fail(err, -EINVAL, "%s:%u: a byte of 0", c->path, c->line);
        else if (line[strspn(line, " \t\r")] == 0 || line[0] == '#')
            continue;
        else if (!named)
            r = read_names(c, line, err);
        else
            r = read_row(c, line, out, err);
        named = true;
    }
    if (r == 0 && ferror(f))
        r = m2c_fail(err, -EIO, "%s: %s", c->path, strerror(errno));
    if (r == 0 && !named)
        r = m2c_fail(err, -ENODATA, "%s: it has no line of names yet", c->path);
    free(line);
    return r;
}

static int judge(const struct csv *c, struct m2c_wall_sum *out, struct m2c_err *err)
{
    if (!c->ended)
        return m2c_fail(err, -ENODATA, "%s: its rows end %.3g s before the window does",
                        c->path, c->has_last ? c->to_s - c->last_s : INFINITY);
    if (!c->begun)
        return m2c_fail(err, -ERANGE, "%s: its rows begin after the window does",
                        c->path);
    if (out->rows < ROWS_LEAST)
        return m2c_fail(err, -ERANGE, "%s: %llu rows in the window, fewer than %d",
                        c->path, (unsigned long long)out->rows, ROWS_LEAST);
    if (out->longest_s > APART_S)
        return m2c_fail(err, -ERANGE, "%s: rows %.3g s apart in the window, more than %g",
                        c->path, out->longest_s, APART_S);
    out->err_j = 2 * out->longest_s * (c->max_w - c->min_w);
    return 0;
}

int m2c_wall_csv_read(FILE *f, const char *name, uint64_t from_ns, uint64_t to_ns,
                      struct m2c_wall_sum *out, struct m2c_err *err)
{
    struct csv c = {.path = name,
                    .from_s = (double)from_ns * 1e-9,
                    .to_s = (double)to_ns * 1e-9,
                    .min_w = 1,
                    .max_w = 0};
    *out = (struct m2c_wall_sum){0};
    int r = read_all(&c, f, out, err);
    return r == 0 && to_ns > 0 ? judge(&c, out, err) : r;
}

int m2c_wall_csv(const char *path, uint64_t from_ns, uint64_t to_ns,
                 struct m2c_wall_sum *out, struct m2c_err *err)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        int code = -errno;
        return m2c_fail(err, code, "%s: %s", path, strerror(-code));
    }
    int r = m2c_wall_csv_read(f, path, from_ns, to_ns, out, err);
    fclose(f);
    return r;
}
