/* SPDX-License-Identifier: MIT */
/* Option tables: one table drives the ini file, --set, --help and the
 * recorded config.
 *
 * A table row names a key, how its text is read, its default, range and
 * choices, and where its value lies in the caller's settings struct. A
 * m2c_optset holds the text of every key with its origin (default, file:line,
 * --set), so that the resolved config can be printed, hashed and swept before
 * anything is parsed into the struct.
 *
 * Texts are kept in one canonical spelling, so that equal configs are equal
 * texts: on|off; sizes with the largest binary suffix that divides them (64M);
 * numbers in the fewest digits that read back the same. A ratio keeps its
 * scale: 1:1:2 and 25:25:50 are different texts. */
#ifndef M2C_BASE_OPT_H
#define M2C_BASE_OPT_H

#include "base/base.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum m2c_opt_type {
    M2C_OPT_BOOL,  /* on|off -> bool */
    M2C_OPT_INT,   /* int64_t */
    M2C_OPT_BYTES, /* 64M, 1.5G, 4096 (binary suffixes K M G T) -> uint64_t;
                      what is no whole number of bytes is rounded down */
    M2C_OPT_SIZE,  /* BYTES or a percentage "30%" -> struct m2c_size */
    M2C_OPT_FLOAT, /* double */
    M2C_OPT_STR,   /* const char * into the optset; "" when absent. One line of
                      UTF-8, see m2c_ini_value_fault */
    M2C_OPT_ENUM,  /* one of `choices` -> int, the index */
    M2C_OPT_RATIO, /* 25:25:50 -> struct m2c_ratio */
    M2C_OPT_NAME   /* one of `choices` -> const char *, the choice */
};

struct m2c_size {
    bool is_percent;
    uint64_t bytes; /* when not a percentage */
    double percent; /* 0 to 1000 */
};

enum { M2C_MAX_CLASSES = 8 };
struct m2c_ratio { /* any positive scale; normalised to sum 1 by the parser */
    unsigned n;
    double share[M2C_MAX_CLASSES];
};

struct m2c_opt {
    const char *section, *key;
    enum m2c_opt_type type;
    size_t offset;              /* of the value in the settings struct */
    const char *def;            /* text of the default; never NULL */
    double min, max;            /* INT, FLOAT, and the bytes of BYTES and SIZE; both 0:
                                   no range; an infinite end is open */
    const char *unit;           /* for --help, or NULL */
    const char *const *choices; /* ENUM, NAME; also words allowed besides a number
                                   for INT and FLOAT ("auto"), see `word_value` */
    double word_value;          /* what such a word stores (NAN is usual for FLOAT;
                                   a whole number for INT) */
    const char *help;           /* one line */
    const char *readers;        /* experiments that read it: "decode,ppl", "all" */
};

struct m2c_optset;

/* Start-up check of a table: names of plain characters, no key twice, types with
 * what they need, defaults that parse. -EINVAL with detail. */
M2C_MUST_USE int m2c_opt_check(const struct m2c_opt *table, size_t n,
                               struct m2c_err *err);

/* `table` (n rows) must outlive the set. -EINVAL when m2c_opt_check refuses the
 * table, -ENOMEM. */
M2C_MUST_USE int m2c_optset_open(struct m2c_optset **out, const struct m2c_opt *table,
                                 size_t n);
M2C_MUST_USE int m2c_optset_clone(const struct m2c_optset *s, struct m2c_optset **out);
void m2c_optset_close(struct m2c_optset *s); /* accepts NULL */

/* Reads an ini file (base/ini.h). [sweep] lines become axes, everything else
 * assignments. -EINVAL with file, line, key, what is allowed and the nearest
 * valid key; -ENOENT and friends when it cannot be read. Values are checked
 * now. After an error the set is as it was.
 *
 * A line of [sweep] is "section.key = a | b | c", or "key = ..." where one
 * section only has such a key. "\|" is a bar inside a value. */
M2C_MUST_USE int m2c_optset_load(struct m2c_optset *s, const char *path,
                                 struct m2c_err *err);
/* The same from an open stream; `name` goes into messages. */
M2C_MUST_USE int m2c_optset_read(struct m2c_optset *s, FILE *f, const char *name,
                                 struct m2c_err *err);
/* "section.key=value"; `origin` goes into messages ("--set"). A value with
 * '|' outside [sweep] is an error that points to [sweep], but for strings,
 * where it is a bar; "sweep.section.key=a|b" makes or replaces an axis. The
 * last word wins: an assignment to a key that has an axis drops the axis. */
M2C_MUST_USE int m2c_optset_assign(struct m2c_optset *s, const char *text,
                                   const char *origin, struct m2c_err *err);
/* One key from a program; leaves axes alone. */
M2C_MUST_USE int m2c_optset_set(struct m2c_optset *s, const char *section,
                                const char *key, const char *value, const char *origin,
                                struct m2c_err *err);

size_t m2c_optset_count(const struct m2c_optset *s);
const struct m2c_opt *m2c_optset_row(const struct m2c_optset *s, size_t i);
const char *m2c_optset_text(const struct m2c_optset *s,
                            size_t i); /* canonical spelling */
const char *m2c_optset_get(const struct m2c_optset *s, const char *section,
                           const char *key);                      /* NULL: no such key */
bool m2c_optset_is_default(const struct m2c_optset *s, size_t i); /* by value */
/* Where the value comes from: "default", "configs/x.ini:12", "--set". */
const char *m2c_optset_origin(const struct m2c_optset *s, size_t i);

/* Axes of [sweep] in the order written. */
size_t m2c_optset_axes(const struct m2c_optset *s);
const struct m2c_opt *m2c_optset_axis(const struct m2c_optset *s, size_t axis);
size_t m2c_optset_axis_len(const struct m2c_optset *s, size_t axis);
const char *m2c_optset_axis_value(const struct m2c_optset *s, size_t axis, size_t i);

/* Parses every value into `settings` at the rows' offsets. Strings point into
 * the set. */
M2C_MUST_USE int m2c_optset_apply(const struct m2c_optset *s, void *settings,
                                  struct m2c_err *err);

/* The whole resolved config as an ini file that loads back to the same set
 * (axes as [sweep] when `with_axes`). */
M2C_MUST_USE int m2c_optset_write(const struct m2c_optset *s, FILE *f, bool with_axes);
/* Every key with type, unit, default, range, choices, readers, help. */
M2C_MUST_USE int m2c_opt_help(const struct m2c_opt *table, size_t n, FILE *f);

/* The parsers alone, for command-line flags: 0 or -EINVAL with detail, a phrase
 * such as "not a whole number" before which the caller puts the flag and its
 * text. In a range INT64_MIN, INT64_MAX and infinities are open ends. */
M2C_MUST_USE int m2c_parse_bytes(const char *text, uint64_t *out, struct m2c_err *err);
M2C_MUST_USE int m2c_parse_size(const char *text, struct m2c_size *out,
                                struct m2c_err *err);
M2C_MUST_USE int m2c_parse_ratio(const char *text, struct m2c_ratio *out,
                                 struct m2c_err *err);
M2C_MUST_USE int m2c_parse_int(const char *text, int64_t min, int64_t max, int64_t *out,
                               struct m2c_err *err);
M2C_MUST_USE int m2c_parse_float(const char *text, double min, double max, double *out,
                                 struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
