/* SPDX-License-Identifier: MIT */
/* Ini files, read and written so that what is written reads back the same.
 *
 *   ; a comment, # too, on a line of its own
 *   [section]
 *   key = value          ; a comment, after a blank
 *   long = first part, \
 *          second part
 *
 * Values are UTF-8 without control characters; blanks around them do not
 * count. A backslash stands for itself but for two places: at the end of a
 * line the value goes on in the next, whose indentation is dropped; and
 * before a blank, ';' or '#' it makes that character part of the value. A
 * line is at most 197 bytes, comments and blanks around it not counted, as
 * inih has it. Keys and sections keep their case. */
#ifndef M2C_BASE_INI_H
#define M2C_BASE_INI_H

#include "base/base.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One "key = value", or the start of a section (key and value NULL). Valid
 * during the call only. */
struct m2c_ini_item {
    const char *section, *key, *value;
    unsigned line; /* where it begins, from 1 */
};

/* 0, or a negative errno with detail, which ends the reading; the reader puts
 * "name:line: " before it. */
typedef int (*m2c_ini_fn)(void *ctx, const struct m2c_ini_item *item,
                          struct m2c_err *err);

/* Calls `fn` for each item in order. `name` goes into messages. -EINVAL for
 * what is no ini file, with the line; -EIO; what `fn` returned. After an
 * error of its own, `fn` may have seen later items than the faulty line. */
M2C_MUST_USE int m2c_ini_read(FILE *f, const char *name, m2c_ini_fn fn, void *ctx,
                              struct m2c_err *err);
/* The same of a file; -ENOENT and friends when it does not open. */
M2C_MUST_USE int m2c_ini_load(const char *path, m2c_ini_fn fn, void *ctx,
                              struct m2c_err *err);

/* Whether a value can be written: valid UTF-8, no control character but tab,
 * at most M2C_INI_VALUE_MAX bytes, not ending in a backslash. Returns NULL, or
 * what is wrong, as a phrase. */
enum { M2C_INI_VALUE_MAX = 1 << 20 };
const char *m2c_ini_value_fault(const char *value);

/* Writes "key = value", on several lines where it is long. The value has no
 * fault; the key is at most 64 plain characters. Errors show in ferror(f). */
void m2c_ini_write(FILE *f, const char *key, const char *value);

#ifdef __cplusplus
}
#endif
#endif
