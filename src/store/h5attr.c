/* SPDX-License-Identifier: MIT */
/* Attributes of libhdf5's objects: written whole, and read only when type and
 * shape are as expected. */
#include "store/h5util_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int check_count(const struct m2c_h5_obj *o, const char *attr, hid_t space,
                       size_t n, struct m2c_err *err)
{
    hsize_t dim = 0;
    int rank = H5Sget_simple_extent_ndims(space);
    H5S_class_t cls = H5Sget_simple_extent_type(space);
    if (rank == 1)
        H5Sget_simple_extent_dims(space, &dim, NULL);
    bool ok = n == 0 ? cls == H5S_SCALAR : (rank == 1 && dim == n);
    if (ok)
        return 0;
    if (n == 0)
        return m2c_fail(err, -EINVAL, "%s: %s: attribute '%s': expected one value",
                        o->file, o->name, attr);
    return m2c_fail(err, -EINVAL, "%s: %s: attribute '%s': expected %zu values", o->file,
                    o->name, attr, n);
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

/* Opens an attribute with its type and space; all three are closed on error. */
struct attr {
    hid_t id, type, space;
};

static void attr_close(const struct attr *a)
{
    m2c_h5_close(a->space);
    m2c_h5_close(a->type);
    m2c_h5_close(a->id);
}

static int attr_open(const struct m2c_h5_obj *o, const char *attr, struct attr *a,
                     struct m2c_err *err)
{
    *a = (struct attr){-1, -1, -1};
    if (H5Aexists(o->id, attr) <= 0)
        return m2c_fail(err, -EINVAL, "%s: %s has no attribute '%s'", o->file, o->name,
                        attr);
    a->id = H5Aopen(o->id, attr, H5P_DEFAULT);
    if (a->id >= 0) {
        a->type = H5Aget_type(a->id);
        a->space = H5Aget_space(a->id);
    }
    if (a->id >= 0 && a->type >= 0 && a->space >= 0)
        return 0;
    attr_close(a);
    return m2c_h5_fail(err, -EINVAL, "%s: %s: cannot open attribute '%s'", o->file,
                       o->name, attr);
}

int m2c_h5_get(const struct m2c_h5_obj *o, const char *attr, const struct m2c_h5_type *t,
               size_t n, void *data, struct m2c_err *err)
{
    struct attr a;
    int rc = attr_open(o, attr, &a, err);
    if (rc)
        return rc;
    char what[128];
    snprintf(what, sizeof what, "%s: attribute '%s'", o->name, attr);
    rc = m2c_h5_check_type(o->file, what, a.type, t, err);
    if (!rc)
        rc = check_count(o, attr, a.space, n, err);
    if (!rc && H5Aread(a.id, a.type, data) < 0)
        rc = m2c_h5_fail(err, -EINVAL, "%s: %s: cannot read attribute '%s'", o->file,
                         o->name, attr);
    attr_close(&a);
    return rc;
}

int m2c_h5_get_count(const struct m2c_h5_obj *o, const char *attr, size_t *n,
                     struct m2c_err *err)
{
    struct attr a;
    int rc = attr_open(o, attr, &a, err);
    if (rc)
        return rc;
    hsize_t dim = 0;
    if (H5Sget_simple_extent_ndims(a.space) != 1 ||
        H5Sget_simple_extent_dims(a.space, &dim, NULL) != 1)
        rc = m2c_fail(err, -EINVAL, "%s: %s: attribute '%s': expected a list", o->file,
                      o->name, attr);
    *n = (size_t)dim;
    attr_close(&a);
    return rc;
}

int m2c_h5_get_str(const struct m2c_h5_obj *o, const char *attr, size_t n, size_t size,
                   char *data, struct m2c_err *err)
{
    struct attr a;
    int rc = attr_open(o, attr, &a, err);
    if (rc)
        return rc;
    hid_t mem = -1;
    size_t disk = H5Tget_class(a.type) == H5T_STRING ? H5Tget_size(a.type) : 0;
    if (disk == 0 || H5Tis_variable_str(a.type) != 0 || disk > size)
        rc = m2c_fail(err, -EINVAL,
                      "%s: %s: attribute '%s': expected fixed-length strings of at most "
                      "%zu bytes",
                      o->file, o->name, attr, size);
    if (!rc)
        rc = check_count(o, attr, a.space, n, err);
    if (!rc) {
        memset(data, 0, size * (n ? n : 1));
        mem = H5Tcopy(a.type); /* same padding and character set: no conversion */
        if (mem < 0 || H5Tset_size(mem, size) < 0 || H5Aread(a.id, mem, data) < 0)
            rc = m2c_h5_fail(err, -EINVAL, "%s: %s: cannot read attribute '%s'", o->file,
                             o->name, attr);
    }
    for (size_t i = 0; !rc && i < (n ? n : 1); i++) {
        if (!memchr(data + i * size, 0, size))
            rc = m2c_fail(err, -EINVAL, "%s: %s: attribute '%s' is longer than %zu bytes",
                          o->file, o->name, attr, size - 1);
    }
    m2c_h5_close(mem);
    attr_close(&a);
    return rc;
}
