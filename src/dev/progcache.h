/* SPDX-License-Identifier: MIT */
/* Compiled device programs, kept from run to run.
 *
 * An entry is one file, <32 hex digits of the key>.prog, in one folder:
 * `dir`, or $XDG_CACHE_HOME/m2c, or $HOME/.cache/m2c. The key is the XXH3-128
 * of everything the program depends on, so an entry is never out of date:
 * another compiler, driver, device, option or source is another entry.
 *
 * Layout, little endian, version 1:
 *      0  8 bytes  "m2cprog" and a NUL
 *      8  u32      version of this layout
 *     12  u32      0
 *     16  u64 u64  the key, high half first
 *     32  u64      bytes of the program
 *     40  u64      XXH3-64 of the program
 *     48  ...      the program, to the end of the file
 * Another version is another layout altogether: its entries are not read.
 *
 * Entries are written under another name in the same folder and then renamed,
 * so that a reader sees a whole one or none, and processes may race. Every
 * field is checked on reading, and that file and folder belong to this user
 * (a program runs with the user's rights): what does not pass counts as
 * absent, and the next put replaces it. */
#ifndef M2C_DEV_PROGCACHE_H
#define M2C_DEV_PROGCACHE_H

#include "base/hash.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { M2C_PROG_SOURCES = 32 };

/* What a program depends on. Strings are not NULL ("" where there is none);
 * all are part of the key with their lengths. */
struct m2c_prog_id {
    const char *backend; /* "cuda", "opencl" */
    const char *device;  /* its name, and what code is made for: "sm_86" */
    const char *driver;  /* driver and compiler with their versions */
    const char *options; /* as given to the compiler */
    uint32_t format;     /* of what the backend keeps in an entry */
    size_t n_sources;    /* at most M2C_PROG_SOURCES: files, in order */
    const void *source[M2C_PROG_SOURCES];
    size_t source_bytes[M2C_PROG_SOURCES];
};
/* -ENOMEM. */
M2C_MUST_USE int m2c_prog_key(const struct m2c_prog_id *id, struct m2c_hash128 *out);

struct m2c_progcache;

/* `dir`: "" or NULL for the user's cache folder; it is made (0700) where it is
 * not there. Never fails for want of a folder: a cache without one holds
 * nothing, and m2c_progcache_dir says "". -ENOMEM. */
M2C_MUST_USE int m2c_progcache_open(struct m2c_progcache **out, const char *dir,
                                    struct m2c_err *err);
void m2c_progcache_close(struct m2c_progcache *c); /* accepts NULL */
const char *m2c_progcache_dir(const struct m2c_progcache *c);

/* 1: *data (for free) are the *n bytes; 0: there is no such entry, or none that
 * can be used, and `err` says why (its code is not set). -ENOMEM. */
M2C_MUST_USE int m2c_progcache_get(const struct m2c_progcache *c, struct m2c_hash128 key,
                                   void **data, size_t *n, struct m2c_err *err);
/* Puts or replaces an entry. A failure leaves what was there; the caller can go
 * on without a cache. -ENOENT without a folder. */
M2C_MUST_USE int m2c_progcache_put(const struct m2c_progcache *c, struct m2c_hash128 key,
                                   const void *data, size_t n, struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
