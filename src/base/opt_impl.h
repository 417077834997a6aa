/* SPDX-License-Identifier: MIT */
/* What the files of the option tables share; for src/base/opt*.c only. */
#ifndef M2C_BASE_OPT_IMPL_H
#define M2C_BASE_OPT_IMPL_H

#include "base/opt.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A parsed value, by the row's type. */
union m2c_opt_value {
    bool on;
    int64_t i;
    uint64_t bytes;
    struct m2c_size size;
    double x;
    int choice; /* ENUM, NAME */
    struct m2c_ratio ratio;
};

/* Reads `text` by the row's type, range and choices. `canon`, if not NULL, gets
 * the canonical spelling, to be freed. 0, -ENOMEM, or -EINVAL with a phrase that
 * names neither key nor text. */
M2C_MUST_USE int m2c_opt_read(const struct m2c_opt *row, const char *text,
                              union m2c_opt_value *out, char **canon,
                              struct m2c_err *err);

/* The index of `text` among the row's choices, or -1. */
int m2c_opt_choice(const struct m2c_opt *row, const char *text);
/* The canonical spelling of a value that `text` gave. `size` >= M2C_OPT_TEXT for
 * all but strings and choices. */
enum { M2C_OPT_TEXT = M2C_MAX_CLASSES * 32 };
void m2c_opt_print_value(const struct m2c_opt *row, const char *text,
                         const union m2c_opt_value *v, char *out, size_t size);

const char *m2c_opt_type_name(enum m2c_opt_type type);

/* The fewest digits that read back as x, which is finite. */
void m2c_opt_print_number(double x, char *out, size_t size);
/* A size with the largest binary suffix that divides it. */
void m2c_opt_print_bytes(uint64_t bytes, char *out, size_t size);

/* "a, b, c" of a list ended by NULL, cut to fit. */
void m2c_opt_list(const char *const *names, char *out, size_t size);

struct m2c_opt_axis {
    size_t row;
    char **values; /* canonical */
    size_t n;
};

struct m2c_optset {
    const struct m2c_opt *table;
    size_t n;
    struct m2c_opt_entry {
        char *text, *def; /* canonical */
        char *origin;     /* NULL: the default */
    } * entries;
    struct m2c_opt_axis *axes; /* at most one a row, so n places */
    size_t n_axes;
};

/* Stores a value of row i that is already canonical; takes `text`. */
M2C_MUST_USE int m2c_optset_store(struct m2c_optset *s, size_t i, char *text,
                                  const char *origin);
/* Takes `values`, an array of n texts. An axis of that row keeps its place. */
void m2c_optset_store_axis(struct m2c_optset *s, size_t row, char **values, size_t n);
void m2c_optset_drop_axis(struct m2c_optset *s, size_t row);
void m2c_opt_free_texts(char **texts, size_t n);

/* The row's index, or -EINVAL with a suggestion. Messages say `section` and
 * `key` only where they suggest another. */
M2C_MUST_USE int m2c_optset_find(const struct m2c_optset *s, const char *section,
                                 const char *key, size_t *out, struct m2c_err *err);
M2C_MUST_USE int m2c_optset_find_section(const struct m2c_optset *s, const char *section,
                                         struct m2c_err *err);
/* A key of [sweep]: "section.key", or "key" where that is plain. */
M2C_MUST_USE int m2c_optset_find_swept(const struct m2c_optset *s, const char *name,
                                       size_t *out, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
