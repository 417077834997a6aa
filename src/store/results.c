/* SPDX-License-Identifier: MIT */
/* Writing results.h5: the whole table at once, column by column. */
#include "store/results.h"

#include "store/h5file_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct m2c_results {
    struct m2c_h5_new f;
};

int m2c_results_open(struct m2c_results **out, const char *path, struct m2c_err *err)
{
    struct m2c_results *r = calloc(1, sizeof *r);
    if (!r)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    int e = m2c_h5_new(&r->f, path, 0, err);
    uint32_t version = 1;
    struct m2c_h5_obj root = {r->f.file, path, "/"};
    if (e == 0)
        e = m2c_h5_put(&root, "version", &m2c_h5_u32, 0, &version, err);
    if (e < 0) {
        m2c_results_close(r);
        return e;
    }
    *out = r;
    return 0;
}

static int numbers(struct m2c_results *r, const char *group, const char *name, size_t n,
                   const double *values, struct m2c_err *err)
{
    hid_t g = m2c_h5_group(r->f.file, group);
    if (g < 0)
        return m2c_h5_fail(err, -EIO, "%s: group %s", r->f.path, group);
    int e = m2c_h5_write_dset(r->f.path, g, name, &m2c_h5_f64, n, values, NULL, err);
    m2c_h5_close(g);
    return e;
}

int m2c_results_numbers(struct m2c_results *r, const char *name, size_t n,
                        const double *values, struct m2c_err *err)
{
    return numbers(r, "/columns", name, n, values, err);
}

int m2c_results_samples(struct m2c_results *r, size_t row, const char *name, size_t n,
                        const double *values, struct m2c_err *err)
{
    char group[64];
    snprintf(group, sizeof group, "/samples/%zu", row);
    return numbers(r, group, name, n, values, err);
}

/* Variable-length strings, which h5py gives as str. */
static hid_t make_strings(hid_t group, const char *name, hid_t type, size_t n)
{
    hsize_t dims[1] = {n};
    hid_t space = H5Screate_simple(1, dims, NULL), dcpl = H5Pcreate(H5P_DATASET_CREATE);
    hid_t d = -1;
    if (group >= 0 && space >= 0 && dcpl >= 0 && H5Tset_size(type, H5T_VARIABLE) >= 0 &&
        H5Tset_cset(type, H5T_CSET_UTF8) >= 0 && H5Pset_obj_track_times(dcpl, false) >= 0)
        d = H5Dcreate2(group, name, type, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
    m2c_h5_close(dcpl);
    m2c_h5_close(space);
    return d;
}

int m2c_results_strings(struct m2c_results *r, const char *name, size_t n,
                        const char *const *values, struct m2c_err *err)
{
    hid_t g = m2c_h5_group(r->f.file, "/columns"), type = H5Tcopy(H5T_C_S1);
    hid_t d = type >= 0 ? make_strings(g, name, type, n) : -1;
    int e = 0;
    if (d < 0 || (n && H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0))
        e = m2c_h5_fail(err, -EIO, "%s: column %s", r->f.path, name);
    m2c_h5_close(d);
    m2c_h5_close(type);
    m2c_h5_close(g);
    return e;
}

int m2c_results_commit(struct m2c_results *r, struct m2c_err *err)
{
    return m2c_h5_commit(&r->f, NULL, NULL, err);
}

void m2c_results_close(struct m2c_results *r)
{
    if (!r)
        return;
    m2c_h5_drop(&r->f);
    free(r);
}
