/* SPDX-License-Identifier: MIT */
/* A set as an ini file, and the help of a table. */
#include "base/opt_impl.h"

#include "base/ini.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Whether row i is the first of its section, whose rows may lie apart. */
static bool begins_section(const struct m2c_opt *table, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (strcmp(table[j].section, table[i].section) == 0)
            return false;
    }
    return true;
}

/* "a | b", bars of the values escaped; to be freed. */
static char *axis_text(const struct m2c_opt_axis *axis)
{
    size_t size = 1;
    for (size_t i = 0; i < axis->n; i++)
        size += 2 * strlen(axis->values[i]) + 3;
    char *text = malloc(size), *to = text;
    if (!text)
        return NULL;
    for (size_t i = 0; i < axis->n; i++) {
        if (i) {
            memcpy(to, " | ", 3);
            to += 3;
        }
        for (const char *p = axis->values[i]; *p; p++) {
            if (*p == '|')
                *to++ = '\\';
            *to++ = *p;
        }
    }
    *to = 0;
    return text;
}

static int write_axes(const struct m2c_optset *s, FILE *f)
{
    fputs("\n[sweep]\n", f);
    for (size_t i = 0; i < s->n_axes; i++) {
        const struct m2c_opt *row = &s->table[s->axes[i].row];
        char name[64], *text = axis_text(&s->axes[i]);
        if (!text)
            return -ENOMEM;
        snprintf(name, sizeof name, "%s.%s", row->section, row->key);
        m2c_ini_write(f, name, text);
        free(text);
    }
    return 0;
}

static int finish(FILE *f)
{
    if (fflush(f))
        return -errno;
    return ferror(f) ? -EIO : 0;
}

int m2c_optset_write(const struct m2c_optset *s, FILE *f, bool with_axes)
{
    for (size_t i = 0; i < s->n; i++) {
        if (!begins_section(s->table, i))
            continue;
        fprintf(f, "%s[%s]\n", i ? "\n" : "", s->table[i].section);
        for (size_t j = i; j < s->n; j++) {
            if (strcmp(s->table[j].section, s->table[i].section) == 0)
                m2c_ini_write(f, s->table[j].key, s->entries[j].text);
        }
    }
    int rc = with_axes && s->n_axes ? write_axes(s, f) : 0;
    return rc ? rc : finish(f);
}

static void print_end(const struct m2c_opt *row, double x, char *out, size_t size)
{
    bool bytes = row->type == M2C_OPT_BYTES || row->type == M2C_OPT_SIZE;
    if (bytes && x >= 0 && x < 0x1p63)
        m2c_opt_print_bytes((uint64_t)x, out, size);
    else
        m2c_opt_print_number(x, out, size);
}

static void help_range(const struct m2c_opt *row, FILE *f)
{
    char lo[40], hi[40];
    if (row->min == 0 && row->max == 0)
        return;
    print_end(row, row->min, lo, sizeof lo);
    print_end(row, row->max, hi, sizeof hi);
    if (isinf(row->max))
        fprintf(f, ", at least %s", lo);
    else if (isinf(row->min))
        fprintf(f, ", at most %s", hi);
    else
        fprintf(f, ", %s to %s", lo, hi);
}

static void help_row(const struct m2c_opt *row, FILE *f)
{
    bool listed = row->type == M2C_OPT_ENUM || row->type == M2C_OPT_NAME;
    bool worded = row->type == M2C_OPT_INT || row->type == M2C_OPT_FLOAT;
    char list[400];
    fprintf(f, "  %s = ", row->key);
    if (row->choices && (listed || worded))
        m2c_opt_list(row->choices, list, sizeof list);
    if (listed && row->choices)
        fputs(list, f);
    else
        fputs(m2c_opt_type_name(row->type), f);
    if (row->unit)
        fprintf(f, " [%s]", row->unit);
    help_range(row, f);
    if (worded && row->choices)
        fprintf(f, ", or one of: %s", list);
    fprintf(f, "\n      %s\n      default: %s; read by: %s\n", row->help,
            row->def[0] ? row->def : "(empty)", row->readers);
}

int m2c_opt_help(const struct m2c_opt *table, size_t n, FILE *f)
{
    for (size_t i = 0; i < n; i++) {
        if (!begins_section(table, i))
            continue;
        fprintf(f, "%s[%s]\n", i ? "\n" : "", table[i].section);
        for (size_t j = i; j < n; j++) {
            if (strcmp(table[j].section, table[i].section) == 0)
                help_row(&table[j], f);
        }
    }
    return finish(f);
}
