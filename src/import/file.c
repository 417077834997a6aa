/* SPDX-License-Identifier: MIT */
/* Files as importers read them, JSON files, and paths. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "import/import_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int m2c_import_file_open(struct m2c_import_file *f, const char *path, struct m2c_err *err)
{
    /* O_NONBLOCK: a FIFO must be refused, not waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return m2c_fail(err, -errno, "%s: %s", path, strerror(errno));
    struct stat st;
    int rc = fstat(fd, &st) ? -errno : 0;
    if (rc)
        m2c_fail(err, rc, "%s: %s", path, strerror(-rc));
    else if (!S_ISREG(st.st_mode))
        rc = m2c_fail(err, -EINVAL, "%s: not a regular file", path);
    if (rc == 0 && !(f->path = strdup(path)))
        rc = m2c_fail(err, -ENOMEM, "%s: no memory", path);
    if (rc) {
        close(fd);
        return rc;
    }
    f->fd = fd;
    f->size = (uint64_t)st.st_size;
    return 0;
}

void m2c_import_file_close(struct m2c_import_file *f)
{
    if (!f->path)
        return;
    close(f->fd);
    free(f->path);
    *f = (struct m2c_import_file){0};
}

int m2c_import_file_read(const struct m2c_import_file *f, uint64_t off, void *dst,
                         size_t n, struct m2c_err *err)
{
    uint8_t *p = dst;
    while (n > 0) {
        /* Linux moves at most 2 GiB a call anyway. */
        ssize_t got = pread(f->fd, p, M2C_MIN(n, (size_t)1 << 30), (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return m2c_fail(err, -EIO, "%s: offset %llu: %s", f->path,
                            (unsigned long long)off, strerror(errno));
        if (got == 0)
            return m2c_fail(err, -EIO, "%s: ends at byte %llu, %zu more expected",
                            f->path, (unsigned long long)off, n);
        p += got;
        off += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

int m2c_import_json_text(const char *text, size_t n, const char *path, const char *what,
                         json_t **out, struct m2c_err *err)
{
    json_error_t je;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &je);
    if (!root) {
        struct m2c_quoted why = m2c_import_quote(je.text);
        return m2c_fail(err, -EINVAL, "%s: %sline %d, column %d: %s", path, what, je.line,
                        je.column, why.s);
    }
    if (!json_is_object(root)) {
        json_decref(root);
        return m2c_fail(err, -EINVAL, "%s: %sexpected a JSON object", path, what);
    }
    *out = root;
    return 0;
}

int m2c_import_json(const char *path, uint64_t max_bytes, json_t **out,
                    struct m2c_err *err)
{
    struct m2c_import_file f = {0};
    int rc = m2c_import_file_open(&f, path, err);
    if (rc)
        return rc;
    char *text = NULL;
    if (f.size > max_bytes)
        rc = m2c_fail(err, -EINVAL, "%s: %llu bytes, expected at most %llu", path,
                      (unsigned long long)f.size, (unsigned long long)max_bytes);
    else if (!(text = malloc((size_t)f.size + 1)))
        rc = m2c_fail(err, -ENOMEM, "%s: no memory for %llu bytes", path,
                      (unsigned long long)f.size);
    if (rc == 0)
        rc = m2c_import_file_read(&f, 0, text, (size_t)f.size, err);
    if (rc == 0)
        rc = m2c_import_json_text(text, (size_t)f.size, path, "", out, err);
    free(text);
    m2c_import_file_close(&f);
    return rc;
}

char *m2c_import_join(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *path = malloc(n);
    if (path)
        snprintf(path, n, "%s%s%s", dir, dir[0] && dir[strlen(dir) - 1] == '/' ? "" : "/",
                 name);
    return path;
}

char *m2c_import_dirname(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

char *m2c_import_beside(const char *dir, const char *const *names)
{
    for (; *names; names++) {
        char *path = m2c_import_join(dir, *names);
        struct stat st;
        if (path && stat(path, &st) == 0 && S_ISREG(st.st_mode))
            return path;
        free(path);
    }
    return NULL;
}

/* Copies what fits, without cutting a UTF-8 character; control bytes become
 * question marks. */
static void copy_printable(char *dst, size_t size, const char *src, size_t n)
{
    if (n >= size) {
        n = size - 1;
        while (n > 0 && ((unsigned char)src[n] & 0xc0) == 0x80)
            n--;
    }
    for (size_t i = 0; i < n; i++)
        dst[i] = (unsigned char)src[i] < 0x20 || src[i] == 0x7f ? '?' : src[i];
    dst[n] = '\0';
}

struct m2c_quoted m2c_import_quote(const char *name)
{
    struct m2c_quoted q;
    copy_printable(q.s, sizeof q.s, name, strlen(name));
    return q;
}

void m2c_import_name(struct m2c_model_cfg *cfg, const char *path)
{
    char *real = realpath(path, NULL);
    const char *p = real ? real : path, *end = p + strlen(p);
    const char *slash = strrchr(p, '/');
    const char *base = slash ? slash + 1 : p, *dot = strrchr(base, '.');
    if (dot > base && (size_t)(end - dot) <= 5)
        end = dot;
    /* Half of all models are called model.bin: their folder knows more. */
    if (end - base == 5 && strncmp(base, "model", 5) == 0 && slash > p) {
        end = base - 1;
        base = end;
        while (base > p && base[-1] != '/')
            base--;
    }
    copy_printable(cfg->name, sizeof cfg->name, base, (size_t)(end - base));
    free(real);
}
