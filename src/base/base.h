/* SPDX-License-Identifier: MIT */
/* Vocabulary shared by every file: attributes, error detail, checked sizes.
 *
 * Convention: functions return int, >= 0 on success and a negative errno on
 * failure; human detail goes to struct m2c_err, written where the fault is
 * found and printed once, by the tool. */
#ifndef M2C_BASE_BASE_H
#define M2C_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define M2C_MUST_USE __attribute__((warn_unused_result))
#define M2C_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define M2C_MUST_USE
#define M2C_PRINTF(fmt, args)
#endif

#define M2C_COUNTOF(a) (sizeof(a) / sizeof((a)[0]))
#define M2C_MIN(a, b) ((a) < (b) ? (a) : (b))
#define M2C_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Detail of one failure. `msg` is one line without a final newline. Zero
 * initialised means "no error". */
struct m2c_err {
    int code; /* negative errno */
    char msg[768];
};

/* Writes the message and returns `code` (negative errno), so that a caller
 * can `return m2c_fail(err, -EINVAL, ...)`. `err` may be NULL. */
int m2c_fail(struct m2c_err *err, int code, const char *fmt, ...) M2C_PRINTF(3, 4);

/* Puts "<text>: " before the message that is there; returns err->code (or
 * `code` when err is NULL). */
int m2c_fail_in(struct m2c_err *err, int code, const char *fmt, ...) M2C_PRINTF(3, 4);

/* Sizes from files and configs: false on overflow, *out untouched then. */
static inline bool m2c_mul_size(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

static inline bool m2c_add_size(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}

/* [off, off + len) inside [0, n), without overflow. */
static inline bool m2c_range_ok(uint64_t off, uint64_t len, uint64_t n)
{
    return off <= n && len <= n - off;
}

/* Rounds up to a multiple of `align`, a power of two; the caller keeps x
 * far from SIZE_MAX. */
static inline size_t m2c_align_up(size_t x, size_t align)
{
    return (x + align - 1) & ~(align - 1);
}

/* The nearest of `names` to `word` by edit distance, or NULL when nothing is
 * near enough to be worth suggesting. `names` ends with NULL. Borrowed. */
const char *m2c_nearest(const char *word, const char *const *names);

#ifdef __cplusplus
}
#endif
#endif
