/* SPDX-License-Identifier: MIT */
/* libhdf5: errors as text, files, types and checked datasets. Owns no state. */
#include "store/h5util_impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const struct m2c_h5_type m2c_h5_u8 = {H5T_INTEGER, 1, false};
const struct m2c_h5_type m2c_h5_u32 = {H5T_INTEGER, 4, false};
const struct m2c_h5_type m2c_h5_u64 = {H5T_INTEGER, 8, false};
const struct m2c_h5_type m2c_h5_i8 = {H5T_INTEGER, 1, true};
const struct m2c_h5_type m2c_h5_i32 = {H5T_INTEGER, 4, true};
const struct m2c_h5_type m2c_h5_f16 = {H5T_FLOAT, 2, false};
const struct m2c_h5_type m2c_h5_f32 = {H5T_FLOAT, 4, false};
const struct m2c_h5_type m2c_h5_f64 = {H5T_FLOAT, 8, false};

void m2c_h5_quiet_begin(struct m2c_h5_quiet *q)
{
    /* Files are closed where they were opened. At exit libhdf5 would only trip,
     * with a page of text, over what a damaged file or a full disk left in it.
     * The first call decides; later ones change nothing. */
    (void)H5dont_atexit();
    /* Fails where the process uses the 1.6 error interface; then nothing of
     * its settings is touched and libhdf5 may print. */
    q->saved = H5Eget_auto2(H5E_DEFAULT, &q->fn, &q->data) >= 0;
    if (q->saved)
        H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void m2c_h5_quiet_end(const struct m2c_h5_quiet *q)
{
    if (q->saved)
        H5Eset_auto2(H5E_DEFAULT, q->fn, q->data);
}

static herr_t innermost(unsigned n, const H5E_error2_t *e, void *ctx)
{
    if (n == 0 && e->desc)
        snprintf(ctx, 160, "%s", e->desc);
    return 0;
}

int m2c_h5_fail(struct m2c_err *err, int code, const char *fmt, ...)
{
    char text[512], why[160] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, why);
    return m2c_fail(err, code, "%s%s%s%s", text, why[0] ? " (" : "", why,
                    why[0] ? ")" : "");
}

void m2c_h5_close(hid_t id)
{
    if (id < 0)
        return;
    hid_t why = H5Eget_current_stack();
    H5Idec_ref(id);
    if (why >= 0)
        H5Eset_current_stack(why);
}

hid_t m2c_h5_disk_type(const struct m2c_h5_type *t)
{
    if (t->cls == H5T_INTEGER) {
        switch (t->bytes) {
        case 1:
            return H5Tcopy(t->is_signed ? H5T_STD_I8LE : H5T_STD_U8LE);
        case 4:
            return H5Tcopy(t->is_signed ? H5T_STD_I32LE : H5T_STD_U32LE);
        default:
            return H5Tcopy(t->is_signed ? H5T_STD_I64LE : H5T_STD_U64LE);
        }
    }
    if (t->bytes == 8)
        return H5Tcopy(H5T_IEEE_F64LE);
    hid_t f = H5Tcopy(H5T_IEEE_F32LE);
    /* HDF5 1.10 has no binary16 of its own; h5py knows these fields as
     * float16. The fields come first: a smaller size must still hold them. */
    if (f >= 0 && t->bytes == 2 &&
        (H5Tset_fields(f, 15, 10, 5, 0, 10) < 0 || H5Tset_size(f, 2) < 0 ||
         H5Tset_ebias(f, 15) < 0)) {
        m2c_h5_close(f);
        return -1;
    }
    return f;
}

static const char *class_name(H5T_class_t c)
{
    return c == H5T_INTEGER  ? "integer"
           : c == H5T_FLOAT  ? "float"
           : c == H5T_STRING ? "fixed-length string"
                             : "other";
}

int m2c_h5_check_type(const char *file, const char *what, hid_t have,
                      const struct m2c_h5_type *want, struct m2c_err *err)
{
    hid_t t = m2c_h5_disk_type(want);
    if (t < 0)
        return m2c_h5_fail(err, -ENOMEM, "%s: %s: no type", file, what);
    htri_t same = H5Tequal(have, t);
    m2c_h5_close(t);
    if (same > 0)
        return 0;
    return m2c_fail(err, -EINVAL, "%s: %s: expected a little-endian %s%s of %zu bytes",
                    file, what,
                    want->cls == H5T_INTEGER && !want->is_signed ? "unsigned " : "",
                    class_name(want->cls), want->bytes);
}

/* Contiguous, in this very file (no external or soft link, no external
 * storage), not filtered. */
static int check_storage(const char *file, hid_t f, const char *path, hid_t d,
                         struct m2c_err *err)
{
    hid_t dcpl = H5Dget_create_plist(d);
    H5O_info_t root, self;
    int rc = 0;
    if (dcpl < 0 || H5Oget_info2(f, &root, H5O_INFO_BASIC) < 0 ||
        H5Oget_info2(d, &self, H5O_INFO_BASIC) < 0)
        rc = m2c_h5_fail(err, -EINVAL, "%s: %s: cannot be examined", file, path);
    else if (root.fileno != self.fileno)
        rc = m2c_fail(err, -EINVAL, "%s: %s: lies in another file", file, path);
    else if (H5Pget_layout(dcpl) != H5D_CONTIGUOUS || H5Pget_external_count(dcpl) != 0 ||
             H5Pget_nfilters(dcpl) != 0)
        rc = m2c_fail(err, -EINVAL, "%s: %s: expected plain contiguous storage", file,
                      path);
    m2c_h5_close(dcpl);
    return rc;
}

static int check_shape(const char *file, const char *path, hid_t d, int rank,
                       hsize_t *dims, struct m2c_err *err)
{
    hsize_t have[H5S_MAX_RANK] = {0};
    hid_t space = H5Dget_space(d);
    int n = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    if (n > 0)
        H5Sget_simple_extent_dims(space, have, NULL);
    m2c_h5_close(space);
    if (rank == 0 && n == 1) {
        dims[0] = have[0];
        return 0;
    }
    bool same = n == rank && n > 0;
    for (int i = 0; same && i < n; i++)
        same = have[i] == dims[i];
    if (same)
        return 0;
    char want[96] = "[n]";
    for (int i = 0, at = 0; i < rank && at < (int)sizeof want; i++)
        at += snprintf(want + at, sizeof want - (size_t)at, "[%llu]",
                       (unsigned long long)dims[i]);
    return m2c_fail(err, -EINVAL, "%s: %s: expected the shape %s", file, path, want);
}

int m2c_h5_open_dset(const char *file, hid_t f, const char *path,
                     const struct m2c_h5_type *t, int rank, hsize_t *dims, hid_t *out,
                     uint64_t *offset, struct m2c_err *err)
{
    hid_t d = H5Dopen2(f, path, H5P_DEFAULT);
    if (d < 0)
        return m2c_h5_fail(err, -EINVAL, "%s: %s: no such dataset", file, path);
    hid_t have = H5Dget_type(d);
    int rc = have < 0 ? m2c_h5_fail(err, -EINVAL, "%s: %s: has no type", file, path)
                      : m2c_h5_check_type(file, path, have, t, err);
    if (!rc)
        rc = check_storage(file, f, path, d, err);
    if (!rc)
        rc = check_shape(file, path, d, rank, dims, err);
    if (!rc) {
        /* The offset of nothing is not HADDR_UNDEF where there is a user block. */
        H5D_space_status_t status = H5D_SPACE_STATUS_ERROR;
        haddr_t at = H5Dget_offset(d);
        *offset = at;
        if (at == HADDR_UNDEF || H5Dget_space_status(d, &status) < 0 ||
            status != H5D_SPACE_STATUS_ALLOCATED)
            rc = m2c_h5_fail(err, -EINVAL, "%s: %s: has no data", file, path);
    }
    m2c_h5_close(have);
    if (rc)
        m2c_h5_close(d);
    else
        *out = d;
    return rc;
}

int m2c_h5_write_dset(const char *file, hid_t parent, const char *name,
                      const struct m2c_h5_type *t, size_t n, const void *data,
                      struct m2c_err *err)
{
    hsize_t dim = n;
    hid_t type = m2c_h5_disk_type(t), d = -1;
    hid_t space = H5Screate_simple(1, &dim, NULL);
    hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE);
    if (type >= 0 && space >= 0 && dcpl >= 0 && H5Pset_obj_track_times(dcpl, false) >= 0)
        d = H5Dcreate2(parent, name, type, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
    int rc = 0;
    if (d < 0 || (n && H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0))
        rc = m2c_h5_fail(err, -EIO, "%s: cannot write dataset '%s'", file, name);
    m2c_h5_close(d);
    m2c_h5_close(dcpl);
    m2c_h5_close(space);
    m2c_h5_close(type);
    return rc;
}

/* libhdf5 would wait for a FIFO, and has many words for a file that is absent. */
static int check_regular(const char *path, struct m2c_err *err)
{
    struct stat st;
    if (stat(path, &st)) {
        int e = errno;
        return m2c_fail(err, -e, "%s: %s", path, strerror(e));
    }
    return S_ISREG(st.st_mode) ? 0
                               : m2c_fail(err, -EINVAL, "%s: not a regular file", path);
}

int m2c_h5_open_file(const char *path, hid_t *out, struct m2c_err *err)
{
    int rc = check_regular(path, err);
    if (rc)
        return rc;
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
    hid_t f = -1;
    if (fapl >= 0) {
#if H5_VERSION_GE(1, 10, 7)
        /* Whole files are never written in place, and a read-only or network
         * file system may refuse locks. */
        H5Pset_file_locking(fapl, false, true);
#endif
        f = H5Fopen(path, H5F_ACC_RDONLY, fapl);
        m2c_h5_close(fapl);
    }
    if (f < 0)
        return m2c_h5_fail(err, -EINVAL, "%s: not readable as HDF5", path);
    *out = f;
    return 0;
}
