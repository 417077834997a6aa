/* SPDX-License-Identifier: MIT */
/* Small HDF5 files: written aside, fsynced, renamed. */
#include "store/h5file_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static hid_t create(const char *path, uint64_t userblock)
{
    hid_t fcpl = H5Pcreate(H5P_FILE_CREATE), fapl = H5Pcreate(H5P_FILE_ACCESS), f = -1;
    if (fcpl >= 0 && fapl >= 0 && H5Pset_userblock(fcpl, userblock) >= 0 &&
        H5Pset_obj_track_times(fcpl, false) >= 0 &&
        H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0)
        f = H5Fcreate(path, H5F_ACC_TRUNC, fcpl, fapl);
    m2c_h5_close(fcpl);
    m2c_h5_close(fapl);
    return f;
}

int m2c_h5_new(struct m2c_h5_new *f, const char *path, uint64_t userblock,
               struct m2c_err *err)
{
    memset(f, 0, sizeof *f);
    f->file = -1;
    f->userblock = userblock;
    int rc = m2c_part_name(path, f->tmp, err);
    if (rc)
        return rc;
    snprintf(f->path, sizeof f->path, "%s", path);
    m2c_h5_quiet_begin(&f->quiet);
    f->file = create(f->tmp, userblock);
    if (f->file < 0) {
        rc = m2c_h5_fail(err, -EIO, "%s: cannot be made", path);
        unlink(f->tmp);
        m2c_h5_quiet_end(&f->quiet);
        return rc;
    }
    f->made = true;
    return 0;
}

/* The whole file is head: all of it is digested. */
static int seal(const struct m2c_h5_new *f, int fd, const struct m2c_userblock_kind *kind,
                const json_t *index, struct m2c_err *err)
{
    struct stat st;
    if (fstat(fd, &st)) {
        int e = errno;
        return m2c_fail(err, -e, "%s: %s", f->path, strerror(e));
    }
    uint64_t n = (uint64_t)st.st_size;
    return m2c_index_write(fd, f->path, kind, index, f->userblock, n, n, err);
}

static int finish(const struct m2c_h5_new *f, const struct m2c_userblock_kind *kind,
                  const json_t *index, struct m2c_err *err)
{
    int fd = open(f->tmp, O_RDWR | O_CLOEXEC);
    int rc = fd >= 0 && kind ? seal(f, fd, kind, index, err) : 0;
    if (!rc && (fd < 0 || fsync(fd))) {
        int e = errno;
        rc = m2c_fail(err, -e, "%s: %s", f->path, strerror(e));
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

int m2c_h5_commit(struct m2c_h5_new *f, const struct m2c_userblock_kind *kind,
                  const json_t *index, struct m2c_err *err)
{
    int rc = 0;
    if (H5Fclose(f->file) < 0)
        rc = m2c_h5_fail(err, -EIO, "%s: cannot be written", f->path);
    f->file = -1;
    if (!rc)
        rc = finish(f, kind, index, err);
    if (!rc && rename(f->tmp, f->path)) {
        int e = errno;
        rc = m2c_fail(err, -e, "%s: %s", f->path, strerror(e));
    }
    if (rc)
        return rc;
    f->made = false;
    return m2c_sync_folder(f->path, err);
}

void m2c_h5_drop(struct m2c_h5_new *f)
{
    m2c_h5_close(f->file);
    f->file = -1;
    if (f->made)
        unlink(f->tmp);
    f->made = false;
    m2c_h5_quiet_end(&f->quiet);
}

static hid_t make_group(hid_t file, const char *path)
{
    hid_t gcpl = H5Pcreate(H5P_GROUP_CREATE), g = -1;
    if (gcpl >= 0 && H5Pset_obj_track_times(gcpl, false) >= 0)
        g = H5Gcreate2(file, path, H5P_DEFAULT, gcpl, H5P_DEFAULT);
    m2c_h5_close(gcpl);
    return g;
}

hid_t m2c_h5_group(hid_t file, const char *path)
{
    char part[256];
    hid_t g = -1;
    for (size_t n = 1; strlen(path) < sizeof part; n++) {
        if (path[n] != '/' && path[n] != 0)
            continue;
        memcpy(part, path, n);
        part[n] = 0;
        m2c_h5_close(g);
        g = H5Lexists(file, part, H5P_DEFAULT) > 0 ? H5Gopen2(file, part, H5P_DEFAULT)
                                                   : make_group(file, part);
        if (g < 0 || path[n] == 0)
            break;
    }
    return g;
}
