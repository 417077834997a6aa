/* SPDX-License-Identifier: MIT */
/* The canonical spelling of option values: one text for one value, accepted
 * by opt_parse.c with that value. */
#include "base/opt_impl.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void m2c_opt_print_number(double x, char *out, size_t size)
{
    if (fabs(x) < 1e15 && x == (double)(int64_t)x) {
        snprintf(out, size, "%" PRId64, (int64_t)x); /* 100000, not 1e+05 */
        return;
    }
    for (int digits10 = 1; digits10 <= 17; digits10++) {
        snprintf(out, size, "%.*g", digits10, x);
        if (strtod(out, NULL) == x)
            return;
    }
}

void m2c_opt_print_bytes(uint64_t bytes, char *out, size_t size)
{
    static const char *const suffixes[] = {"", "K", "M", "G", "T"};
    size_t i = 0;
    for (; bytes && bytes % 1024 == 0 && i + 1 < M2C_COUNTOF(suffixes); i++)
        bytes /= 1024;
    snprintf(out, size, "%" PRIu64 "%s", bytes, suffixes[i]);
}

void m2c_opt_list(const char *const *names, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; names[i] && used < size; i++)
        used +=
            (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", names[i]);
}

/* Each share as written, in canonical digits: a text no longer than `size`. */
static void print_ratio(const char *text, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (const char *s = text; used < size; s += strcspn(s, ":") + 1) {
        char number[32];
        m2c_opt_print_number(strtod(s, NULL), number, sizeof number);
        used += (size_t)snprintf(out + used, size - used, "%s%s", s == text ? "" : ":",
                                 number);
        if (!strchr(s, ':'))
            return;
    }
}

void m2c_opt_print_value(const struct m2c_opt *row, const char *text,
                         const union m2c_opt_value *v, char *out, size_t size)
{
    bool is_word = row->type != M2C_OPT_BOOL && m2c_opt_choice(row, text) >= 0;
    if (is_word) {
        snprintf(out, size, "%s", text);
        return;
    }
    switch (row->type) {
    case M2C_OPT_BOOL:
        snprintf(out, size, "%s", v->on ? "on" : "off");
        return;
    case M2C_OPT_INT:
        snprintf(out, size, "%" PRId64, v->i);
        return;
    case M2C_OPT_BYTES:
        m2c_opt_print_bytes(v->bytes, out, size);
        return;
    case M2C_OPT_SIZE:
        if (!v->size.is_percent) {
            m2c_opt_print_bytes(v->size.bytes, out, size);
            return;
        }
        m2c_opt_print_number(v->size.percent, out, size - 1);
        strcat(out, "%");
        return;
    case M2C_OPT_FLOAT:
        m2c_opt_print_number(v->x, out, size);
        return;
    case M2C_OPT_RATIO:
        print_ratio(text, out, size);
        return;
    case M2C_OPT_STR:
    case M2C_OPT_ENUM:
    case M2C_OPT_NAME:
        snprintf(out, size, "%s", text);
        return;
    }
}

const char *m2c_opt_type_name(enum m2c_opt_type type)
{
    static const char *const names[] = {
        [M2C_OPT_BOOL] = "on or off",     [M2C_OPT_INT] = "whole number",
        [M2C_OPT_BYTES] = "bytes",        [M2C_OPT_SIZE] = "bytes or percentage",
        [M2C_OPT_FLOAT] = "number",       [M2C_OPT_STR] = "text",
        [M2C_OPT_ENUM] = "one of a list", [M2C_OPT_RATIO] = "ratio",
        [M2C_OPT_NAME] = "one of a list",
    };
    return (unsigned)type < M2C_COUNTOF(names) ? names[type] : NULL;
}
