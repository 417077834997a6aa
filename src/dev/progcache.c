/* SPDX-License-Identifier: MIT */
/* The files of the program cache; progcache.h has their layout. Invariant:
 * what get returns is what put was given under the same key. */
#include "dev/progcache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER = 48, VERSION = 1, PATH = 1024 };

static const char magic[8] = "m2cprog";
/* No program is near this; a damaged length must not make us ask for it. */
static const uint64_t most_bytes = UINT64_C(1) << 30;

struct m2c_progcache {
    char dir[PATH];
};

/* ---- the key ---- */

static void add_block(struct m2c_hasher *h, const void *data, size_t n)
{
    uint64_t length = n;
    m2c_hasher_add(h, &length, sizeof length);
    m2c_hasher_add(h, data, n);
}

int m2c_prog_key(const struct m2c_prog_id *id, struct m2c_hash128 *out)
{
    struct m2c_hasher *h;
    int r = m2c_hasher_open(&h);
    if (r < 0)
        return r;
    const char *const text[] = {id->backend, id->device, id->driver, id->options};
    for (size_t i = 0; i < M2C_COUNTOF(text); i++)
        add_block(h, text[i], strlen(text[i]));
    const uint32_t versions[] = {VERSION, id->format};
    add_block(h, versions, sizeof versions);
    for (size_t i = 0; i < id->n_sources; i++)
        add_block(h, id->source[i], id->source_bytes[i]);
    *out = m2c_hasher_end(h);
    m2c_hasher_close(h);
    return 0;
}

/* ---- the folder ---- */

/* The user's cache folder, as the XDG base directory specification has it: the
 * environment is the only place where that is said. A relative path is to be
 * ignored. */
static void default_dir(char out[PATH])
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = 0;
    if (xdg && xdg[0] == '/')
        n = snprintf(out, PATH, "%s/m2c", xdg);
    else if (home && home[0] == '/')
        n = snprintf(out, PATH, "%s/.cache/m2c", home);
    if (n <= 0 || n >= PATH)
        out[0] = 0;
}

static void make_dir(const char *dir)
{
    char path[PATH];
    snprintf(path, sizeof path, "%s", dir);
    for (char *p = path + 1; *p; p++) {
        if (*p == '/') {
            *p = 0;
            mkdir(path, 0700); /* that it is there already is fine */
            *p = '/';
        }
    }
    mkdir(path, 0700);
}

/* Whoever can write into the folder decides what runs. */
static bool is_ours(const struct stat *st)
{
    return st->st_uid == geteuid() && !(st->st_mode & S_IWOTH);
}

int m2c_progcache_open(struct m2c_progcache **out, const char *dir, struct m2c_err *err)
{
    struct m2c_progcache *c = calloc(1, sizeof *c);
    struct stat st;
    if (!c)
        return m2c_fail(err, -ENOMEM, "program cache: out of memory");
    if (dir && dir[0] && strlen(dir) < PATH)
        snprintf(c->dir, sizeof c->dir, "%s", dir);
    else if (!dir || !dir[0])
        default_dir(c->dir);
    if (c->dir[0])
        make_dir(c->dir);
    if (c->dir[0] && (stat(c->dir, &st) < 0 || !S_ISDIR(st.st_mode) || !is_ours(&st)))
        c->dir[0] = 0;
    *out = c;
    return 0;
}

void m2c_progcache_close(struct m2c_progcache *c) { free(c); }

const char *m2c_progcache_dir(const struct m2c_progcache *c) { return c->dir; }

/* ---- entries ---- */

static void put64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static void make_header(uint8_t h[HEADER], struct m2c_hash128 key, const void *data, size_t n)
{
    memcpy(h, magic, sizeof magic);
    put64(h + 8, VERSION); /* and the u32 that is 0 */
    put64(h + 16, key.hi);
    put64(h + 24, key.lo);
    put64(h + 32, n);
    put64(h + 40, m2c_hash64(data, n));
}

static void entry_path(const struct m2c_progcache *c, struct m2c_hash128 key,
                       char out[PATH + 64])
{
    char hex[33];
    m2c_hash_hex(key, hex);
    snprintf(out, PATH + 64, "%s/%s.prog", c->dir, hex);
}

static bool read_all(int fd, void *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = read(fd, (uint8_t *)to + done, n - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

static bool write_all(int fd, const void *from, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = write(fd, (const uint8_t *)from + done, n - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

/* 0 with a reason, or 1. The header that belongs to what was read is made
 * anew and compared whole. */
static int read_entry(int fd, struct m2c_hash128 key, void **data, size_t *n,
                      struct m2c_err *why)
{
    struct stat st;
    uint8_t header[HEADER], want[HEADER];
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !is_ours(&st))
        return m2c_fail(why, 0, "it is no file that belongs to this user alone");
    if (st.st_size <= HEADER || (uint64_t)st.st_size - HEADER > most_bytes)
        return m2c_fail(why, 0, "it has %lld bytes", (long long)st.st_size);
    size_t bytes = (size_t)st.st_size - HEADER;
    uint8_t *p = malloc(bytes);
    if (!p)
        return m2c_fail(why, -ENOMEM, "program cache: no memory for %zu bytes", bytes);
    if (read_all(fd, header, HEADER) && read_all(fd, p, bytes)) {
        make_header(want, key, p, bytes);
        if (memcmp(header, want, HEADER) == 0) {
            *data = p;
            *n = bytes;
            return 1;
        }
    }
    free(p);
    return m2c_fail(why, 0, "it is damaged, or of another version");
}

int m2c_progcache_get(const struct m2c_progcache *c, struct m2c_hash128 key, void **data,
                      size_t *n, struct m2c_err *err)
{
    char path[PATH + 64];
    if (!c->dir[0])
        return m2c_fail(err, 0, "there is no folder for a program cache");
    entry_path(c, key, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (fd < 0)
        return m2c_fail(err, 0, "%s: %s", path, strerror(errno));
    int r = read_entry(fd, key, data, n, err);
    close(fd);
    return r == 1 ? 1 : m2c_fail_in(err, r, "%s", path);
}

static int write_entry(int fd, struct m2c_hash128 key, const void *data, size_t n)
{
    uint8_t header[HEADER];
    make_header(header, key, data, n);
    errno = 0;
    if (!write_all(fd, header, HEADER) || !write_all(fd, data, n))
        return errno ? -errno : -EIO;
    return 0;
}

int m2c_progcache_put(const struct m2c_progcache *c, struct m2c_hash128 key,
                      const void *data, size_t n, struct m2c_err *err)
{
    char path[PATH + 64], aside[PATH + 64];
    if (!c->dir[0])
        return m2c_fail(err, -ENOENT, "there is no folder for a program cache");
    if (n == 0 || n > most_bytes)
        return m2c_fail(err, -EINVAL, "program cache: a program of %zu bytes", n);
    entry_path(c, key, path);
    snprintf(aside, sizeof aside, "%s/aside-XXXXXX", c->dir);
    int fd = mkstemp(aside); /* 0600 */
    if (fd < 0)
        return m2c_fail(err, -errno, "%s: %s", aside, strerror(errno));
    int r = write_entry(fd, key, data, n);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && rename(aside, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(aside);
    return r < 0 ? m2c_fail(err, r, "%s: %s", path, strerror(-r)) : 0;
}
