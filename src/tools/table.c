/* SPDX-License-Identifier: MIT */
/* Printing a results folder as a table. */
#include "tools/table.h"

#include "exp/journal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct column {
    const char *figure, *title, *fmt;
    double scale;
} columns[] = {
    {"decode_tok_s", "tok/s", "%.4g", 1},
    {"ttft", "TTFT ms", "%.2f", 1e3},
    {"hit_ratio_hbm", "hit %", "%.1f", 100},
    {"hbm_bytes_moved", "HBM KiB/tok", "%.1f", 1.0 / 1024},
    {"ssd_bytes_moved", "SSD KiB/tok", "%.1f", 1.0 / 1024},
    {"active_fraction", "active %", "%.1f", 100},
    {"mean_bits", "bits", "%.1f", 1},
    {"perplexity", "ppl", "%.4f", 1},
    {"kl_mean", "KL", "%.2e", 1},
    {"energy_total", "J/tok", "%.2e", 1},
};

enum { N_COLUMNS = M2C_COUNTOF(columns), MAX_AXES = 16, CELL = 24 };

static double figure(const json_t *record, const char *name)
{
    const json_t *v = json_object_get(
        json_object_get(json_object_get(record, "figures"), name), "value");
    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* Mean over the records of one point; NAN when none has the figure. */
static double mean(const json_t *records, const char *point, const char *name)
{
    double sum = 0;
    int n = 0;
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *r = json_array_get(records, i);
        double v = figure(r, name);
        if (strcmp(json_string_value(json_object_get(r, "point")), point) == 0 &&
            !isnan(v)) {
            sum += v;
            n++;
        }
    }
    return n ? sum / n : NAN;
}

static bool seen_before(const json_t *records, size_t i, const char *point)
{
    for (size_t k = 0; k < i; k++) {
        const json_t *r = json_array_get(records, k);
        if (strcmp(json_string_value(json_object_get(r, "point")), point) == 0)
            return true;
    }
    return false;
}

/* Axis cells, or the config's system where no axis is swept. */
static void row_cells(const json_t *records, const json_t *r, char cell[][CELL],
                      size_t *n)
{
    const char *key;
    json_t *value;
    *n = 0;
    json_object_foreach(json_object_get(r, "axes"), key, value) {
        if (*n < MAX_AXES)
            snprintf(cell[(*n)++], CELL, "%.22s", json_string_value(value));
    }
    const char *point = json_string_value(json_object_get(r, "point"));
    for (size_t c = 0; c < N_COLUMNS; c++) {
        double v = mean(records, point, columns[c].figure);
        if (isnan(v))
            snprintf(cell[(*n)++], CELL, "-");
        else
            snprintf(cell[(*n)++], CELL, columns[c].fmt, v * columns[c].scale);
    }
}

static void title_cells(const json_t *r, char cell[][CELL], size_t *n)
{
    const char *key;
    json_t *value;
    *n = 0;
    json_object_foreach(json_object_get(r, "axes"), key, value) {
        (void)value;
        if (*n < MAX_AXES)
            snprintf(cell[(*n)++], CELL, "%.22s", key);
    }
    for (size_t c = 0; c < N_COLUMNS; c++)
        snprintf(cell[(*n)++], CELL, "%s", columns[c].title);
}

static void print_row(FILE *f, char cell[][CELL], size_t n, const int *width,
                      const char *error)
{
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%s%*s", i ? "  " : "", width[i], cell[i]);
    fprintf(f, "%s%s\n", error ? "  FAILED: " : "", error ? error : "");
}

int m2c_table_print(const char *dir, FILE *f, struct m2c_err *err)
{
    json_t *records = NULL;
    char cell[MAX_AXES + N_COLUMNS][CELL];
    int width[MAX_AXES + N_COLUMNS] = {0};
    size_t n = 0;
    int r = m2c_journal_read(dir, &records, err);
    if (r < 0)
        return r;
    /* once for the widths, once for the print */
    for (int pass = 0; pass < 2 && json_array_size(records); pass++) {
        title_cells(json_array_get(records, 0), cell, &n);
        for (size_t i = 0; i <= json_array_size(records); i++) {
            const char *error = NULL;
            if (i) {
                const json_t *rec = json_array_get(records, i - 1);
                const char *point = json_string_value(json_object_get(rec, "point"));
                if (seen_before(records, i - 1, point))
                    continue;
                row_cells(records, rec, cell, &n);
                error = json_string_value(json_object_get(rec, "error"));
            }
            for (size_t c = 0; c < n && pass == 0; c++)
                width[c] = M2C_MAX(width[c], (int)strlen(cell[c]));
            if (pass == 1)
                print_row(f, cell, n, width, error);
        }
    }
    fprintf(f, "%zu records in %s\n", json_array_size(records), dir);
    json_decref(records);
    return 0;
}
