/* SPDX-License-Identifier: MIT */
/* Small HDF5 files: written aside, fsynced, renamed. */
#define _GNU_SOURCE /* asprintf */
#include "store/h5file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int m2c_h5_new(struct m2c_h5_new *f, const char *path, struct m2c_err *err)
{
    *f = (struct m2c_h5_new){.file = -1};
    f->path = strdup(path);
    if (!f->path || asprintf(&f->tmp, "%s.part-%ld", path, (long)getpid()) < 0) {
        f->tmp = NULL;
        m2c_h5_drop(f);
        return m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    }
    m2c_h5_quiet_begin(&f->quiet);
    f->open = true;
    f->file = H5Fcreate(f->tmp, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (f->file < 0) {
        int r = m2c_h5_fail(err, -EIO, "%s: cannot be made", path);
        m2c_h5_drop(f);
        return r;
    }
    return 0;
}

static int sync_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

int m2c_h5_commit(struct m2c_h5_new *f, struct m2c_err *err)
{
    herr_t closed = H5Fclose(f->file);
    f->file = -1;
    int r = closed < 0 ? m2c_h5_fail(err, -EIO, "%s: cannot be written", f->path) : 0;
    int s = r == 0 ? sync_file(f->tmp) : 0;
    if (s == 0 && r == 0 && rename(f->tmp, f->path) < 0)
        s = -errno;
    if (s < 0)
        r = m2c_fail(err, s, "%s: %s", f->path, strerror(-s));
    if (r == 0) {
        free(f->tmp);
        f->tmp = NULL;
    }
    return r;
}

void m2c_h5_drop(struct m2c_h5_new *f)
{
    if (f->file >= 0 && f->open)
        H5Fclose(f->file);
    if (f->tmp)
        unlink(f->tmp);
    if (f->open)
        m2c_h5_quiet_end(&f->quiet);
    free(f->tmp);
    free(f->path);
    *f = (struct m2c_h5_new){.file = -1};
}

hid_t m2c_h5_group(hid_t file, const char *path)
{
    if (H5Lexists(file, path, H5P_DEFAULT) > 0)
        return H5Gopen2(file, path, H5P_DEFAULT);
    hid_t plist = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(plist, 1);
    hid_t g = H5Gcreate2(file, path, plist, H5P_DEFAULT, H5P_DEFAULT);
    H5Pclose(plist);
    return g;
}
