/* SPDX-License-Identifier: MIT */
/* results.csv and results.h5 from the journal, and merging of shards. */
#define _GNU_SOURCE /* asprintf */
#include "exp/exp.h"

#include "exp/journal.h"
#include "store/results.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The union of the records' axes and figures, in the order of appearance. */
struct columns {
    json_t *axes, *figures; /* arrays of names */
};

static bool listed(const json_t *names, const char *name)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        if (strcmp(json_string_value(json_array_get(names, i)), name) == 0)
            return true;
    }
    return false;
}

static void collect(json_t *names, json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        if (!listed(names, key))
            json_array_append_new(names, json_string(key));
    }
}

static void find_columns(const json_t *records, struct columns *out)
{
    *out = (struct columns){json_array(), json_array()};
    for (size_t i = 0; i < json_array_size(records); i++) {
        json_t *r = json_array_get(records, i);
        collect(out->axes, json_object_get(r, "axes"));
        collect(out->figures, json_object_get(r, "figures"));
    }
}

/* RFC 4180: quoted where it must be. */
static void csv_text(FILE *f, const char *s)
{
    if (!s)
        s = "";
    if (!s[strcspn(s, ",\"\r\n")]) {
        fputs(s, f);
        return;
    }
    fputc('"', f);
    for (; *s; s++) {
        if (*s == '"')
            fputc('"', f);
        fputc(*s, f);
    }
    fputc('"', f);
}

static json_t *figure_value(const json_t *record, const char *name)
{
    return json_object_get(
        json_object_get(json_object_get(record, "figures"), name), "value");
}

static void csv_row(FILE *f, const json_t *r, const struct columns *c)
{
    csv_text(f, json_string_value(json_object_get(r, "point")));
    fprintf(f, ",%" JSON_INTEGER_FORMAT ",%" JSON_INTEGER_FORMAT ",",
            json_integer_value(json_object_get(r, "index")),
            json_integer_value(json_object_get(r, "rep")));
    csv_text(f, json_string_value(json_object_get(r, "status")));
    fputc(',', f);
    csv_text(f, json_string_value(json_object_get(r, "error")));
    for (size_t i = 0; i < json_array_size(c->axes); i++) {
        const char *name = json_string_value(json_array_get(c->axes, i));
        fputc(',', f);
        csv_text(f, json_string_value(json_object_get(json_object_get(r, "axes"), name)));
    }
    for (size_t i = 0; i < json_array_size(c->figures); i++) {
        json_t *v = figure_value(r, json_string_value(json_array_get(c->figures, i)));
        fputc(',', f);
        if (json_is_number(v))
            fprintf(f, "%.17g", json_number_value(v));
    }
    fputc('\n', f);
}

static int write_csv(const char *dir, const json_t *records, const struct columns *c,
                     struct m2c_err *err)
{
    char *text = NULL, *path = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f || asprintf(&path, "%s/results.csv", dir) < 0) {
        if (f)
            fclose(f);
        free(text);
        return m2c_fail(err, -ENOMEM, "results.csv: out of memory");
    }
    fputs("point,index,rep,status,error", f);
    const json_t *lists[] = {c->axes, c->figures};
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < json_array_size(lists[k]); i++) {
            fputc(',', f);
            csv_text(f, json_string_value(json_array_get(lists[k], i)));
        }
    }
    fputc('\n', f);
    for (size_t i = 0; i < json_array_size(records); i++)
        csv_row(f, json_array_get(records, i), c);
    int r = fclose(f) == 0 ? m2c_write_whole(path, text, n, err)
                           : m2c_fail(err, -ENOMEM, "results.csv: out of memory");
    free(text);
    free(path);
    return r;
}

/* ---- results.h5 ---- */

static const char *text_of(const json_t *record, const char *axis)
{
    const json_t *o = axis ? json_object_get(record, "axes") : record;
    const char *s = json_string_value(json_object_get(o, axis ? axis : "point"));
    return s ? s : "";
}

static int h5_text(struct m2c_results *h5, const json_t *records, const char *axis,
                   struct m2c_err *err)
{
    size_t n = json_array_size(records);
    const char **v = calloc(n + 1, sizeof *v);
    if (!v)
        return m2c_fail(err, -ENOMEM, "results.h5: out of memory");
    for (size_t i = 0; i < n; i++)
        v[i] = text_of(json_array_get(records, i), axis);
    int r = m2c_results_strings(h5, axis ? axis : "point", n, v, err);
    free(v);
    return r;
}

static int h5_figure(struct m2c_results *h5, const json_t *records, const char *name,
                     struct m2c_err *err)
{
    size_t n = json_array_size(records);
    double *v = calloc(n + 1, sizeof *v);
    if (!v)
        return m2c_fail(err, -ENOMEM, "results.h5: out of memory");
    for (size_t i = 0; i < n; i++) {
        const json_t *rec = json_array_get(records, i);
        const json_t *x = strcmp(name, "rep") == 0 ? json_object_get(rec, "rep")
                                                    : figure_value(rec, name);
        v[i] = json_is_number(x) ? json_number_value(x) : NAN;
    }
    int r = m2c_results_numbers(h5, name, n, v, err);
    free(v);
    return r;
}

static int h5_samples(struct m2c_results *h5, size_t row, json_t *record,
                      struct m2c_err *err)
{
    const char *name;
    json_t *list;
    int r = 0;
    json_object_foreach(json_object_get(record, "samples"), name, list) {
        size_t n = json_array_size(list);
        double *v = calloc(n + 1, sizeof *v);
        if (!v)
            return m2c_fail(err, -ENOMEM, "results.h5: out of memory");
        for (size_t i = 0; i < n; i++)
            v[i] = json_number_value(json_array_get(list, i));
        r = m2c_results_samples(h5, row, name, n, v, err);
        free(v);
        if (r < 0)
            break;
    }
    return r;
}

static int write_h5(const char *dir, const json_t *records, const struct columns *c,
                    struct m2c_err *err)
{
    char *path;
    struct m2c_results *h5 = NULL;
    if (asprintf(&path, "%s/results.h5", dir) < 0)
        return m2c_fail(err, -ENOMEM, "results.h5: out of memory");
    int r = m2c_results_open(&h5, path, err);
    if (r == 0)
        r = h5_text(h5, records, NULL, err);
    if (r == 0)
        r = h5_figure(h5, records, "rep", err);
    for (size_t i = 0; i < json_array_size(c->axes) && r == 0; i++)
        r = h5_text(h5, records, json_string_value(json_array_get(c->axes, i)), err);
    for (size_t i = 0; i < json_array_size(c->figures) && r == 0; i++)
        r = h5_figure(h5, records, json_string_value(json_array_get(c->figures, i)), err);
    for (size_t i = 0; i < json_array_size(records) && r == 0; i++)
        r = h5_samples(h5, i, json_array_get(records, i), err);
    if (r == 0)
        r = m2c_results_commit(h5, err);
    m2c_results_close(h5);
    free(path);
    return r;
}

int m2c_exp_export(const char *dir, struct m2c_err *err)
{
    json_t *records = NULL;
    int r = m2c_journal_read(dir, &records, err);
    if (r < 0)
        return r;
    struct columns c;
    find_columns(records, &c);
    r = write_csv(dir, records, &c, err);
    if (r == 0)
        r = write_h5(dir, records, &c, err);
    json_decref(c.axes);
    json_decref(c.figures);
    json_decref(records);
    return r;
}
