/* SPDX-License-Identifier: MIT */
/* The results folder: config.ini, and results.jsonl, which is the truth.
 *
 * One line a finished (point, repetition), appended with one write and
 * fsynced. A last line without its newline was torn by a crash and is
 * dropped on opening. The folder is locked while it is open. */
#ifndef M2C_EXP_JOURNAL_H
#define M2C_EXP_JOURNAL_H

#include "base/hash.h"
#include "base/opt.h"

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_journal;

/* Opens or makes the folder. Without `resume` a folder with results is
 * refused (-EEXIST); with it, one whose config differs is (-EINVAL naming the
 * first key). -EBUSY when another process holds it. */
M2C_MUST_USE int m2c_journal_open(struct m2c_journal **out, const char *dir,
                                  const struct m2c_optset *config, bool resume,
                                  struct m2c_err *err);
void m2c_journal_close(struct m2c_journal *j); /* accepts NULL */

bool m2c_journal_has(const struct m2c_journal *j, struct m2c_hash128 point, int64_t rep);
M2C_MUST_USE int m2c_journal_add(struct m2c_journal *j, json_t *record,
                                 struct m2c_err *err); /* borrows */
/* Bytes of a torn line that opening dropped. */
uint64_t m2c_journal_dropped(const struct m2c_journal *j);

/* Reads all records of a folder, in the order of the lines; *out is a JSON
 * array. -EINVAL with the line for anything but a torn last line. */
M2C_MUST_USE int m2c_journal_read(const char *dir, json_t **out, struct m2c_err *err);

/* Writes a file aside, fsyncs and renames it into place. */
M2C_MUST_USE int m2c_write_whole(const char *path, const void *bytes, size_t n,
                                 struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
