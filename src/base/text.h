/* SPDX-License-Identifier: MIT */
/* Checks of text from outside. */
#ifndef M2C_BASE_TEXT_H
#define M2C_BASE_TEXT_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Well-formed UTF-8 as RFC 3629 has it: no overlong forms, no surrogates,
 * nothing above U+10FFFF. NUL is a character like others. */
bool m2c_utf8_valid(const char *s, size_t n);
/* Bytes of the character at s (n > 0 left), 0 when it is malformed. */
size_t m2c_utf8_char(const char *s, size_t n);

/* A byte that follows the first of a character. */
static inline bool m2c_utf8_inner(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Space or tab: the blanks of configs and messages, whatever the locale. */
static inline bool m2c_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* A control character other than tab: never part of a config value. */
static inline bool m2c_is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

#ifdef __cplusplus
}
#endif
#endif
