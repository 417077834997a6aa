/* SPDX-License-Identifier: MIT */
/* libhdf5: errors as text, types, attributes and datasets. Owns no state. */
#include "store/h5util_impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

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
        case 2:
            return H5Tcopy(t->is_signed ? H5T_STD_I16LE : H5T_STD_U16LE);
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

/* Creates the attribute and writes it with the type given, which it closes. */
static int put(const struct m2c_h5_obj *o, const char *attr, hid_t type, size_t n,
               const void *data, struct m2c_err *err)
{
    hsize_t dim = n;
    hid_t space = n ? H5Screate_simple(1, &dim, NULL) : H5Screate(H5S_SCALAR);
    hid_t a = -1;
    if (type >= 0 && space >= 0)
        a = H5Acreate2(o->id, attr, type, space, H5P_DEFAULT, H5P_DEFAULT);
    int rc = 0;
    if (a < 0 || H5Awrite(a, type, data) < 0)
        rc = m2c_h5_fail(err, -EIO, "%s: %s: cannot write attribute '%s'", o->file,
                         o->name, attr);
    m2c_h5_close(a);
    m2c_h5_close(space);
    m2c_h5_close(type);
    return rc;
}

int m2c_h5_put(const struct m2c_h5_obj *o, const char *attr, const struct m2c_h5_type *t,
               size_t n, const void *data, struct m2c_err *err)
{
    return put(o, attr, m2c_h5_disk_type(t), n, data, err);
}

static hid_t string_type(size_t size)
{
    hid_t t = H5Tcopy(H5T_C_S1);
    if (t >= 0 && (H5Tset_size(t, size) < 0 || H5Tset_strpad(t, H5T_STR_NULLPAD) < 0 ||
                   H5Tset_cset(t, H5T_CSET_UTF8) < 0)) {
        m2c_h5_close(t);
        return -1;
    }
    return t;
}

int m2c_h5_put_str(const struct m2c_h5_obj *o, const char *attr, size_t n, size_t size,
                   const char *data, struct m2c_err *err)
{
    return put(o, attr, string_type(size), n, data, err);
}

int m2c_h5_write_dset(const char *file, hid_t parent, const char *name,
                      const struct m2c_h5_type *t, size_t n, const void *data,
                      uint64_t *offset, struct m2c_err *err)
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
    if (!rc && offset)
        *offset = H5Dget_offset(d);
    m2c_h5_close(d);
    m2c_h5_close(dcpl);
    m2c_h5_close(space);
    m2c_h5_close(type);
    return rc;
}
