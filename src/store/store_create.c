/* SPDX-License-Identifier: MIT */
/* The skeleton of a new store: every object, its place, no payload.
 *
 * All metadata must lie before all payload, so that one digest over one range
 * guards it. libhdf5 takes metadata from blocks of a size that we choose; it
 * is chosen large enough for everything, and every dataset's offset is
 * compared with where it must be if no second block was taken. If one was,
 * the file is made again with a larger block. With equal input the bytes are
 * equal: no times are recorded. */
#include "store/write_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Alignment holds for metadata, too: each object takes a page. Objects beside
 * datasets and groups: superblock, /config, link tables of large groups. */
enum { PAGE = M2C_USERBLOCK, EXTRA_OBJECTS = 64, TRIES = 6 };

static uint64_t pages(uint64_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

static uint64_t metadata_guess(const struct m2c_plan *p)
{
    return (p->n_dsets + 3 * (uint64_t)p->cfg.layers + EXTRA_OBJECTS) * PAGE;
}

uint64_t m2c_writer_estimate(const struct m2c_writer *w)
{
    const struct m2c_plan *p = &w->plan;
    uint64_t n = PAGE + metadata_guess(p) + pages(p->n_sums * 8) + pages(w->opts->tok_n);
    for (size_t i = 0; i < p->n_dsets; i++)
        n += pages(p->dset[i].bytes);
    return n;
}

/* Property lists for one file. */
struct lists {
    hid_t fcpl, fapl, gcpl, dcpl;
};

static void lists_close(const struct lists *l)
{
    const hid_t all[] = {l->fcpl, l->fapl, l->gcpl, l->dcpl};
    for (size_t i = 0; i < M2C_COUNTOF(all); i++) {
        if (all[i] >= 0)
            H5Pclose(all[i]);
    }
}

static bool lists_open(struct lists *l, uint64_t meta_block)
{
    l->fcpl = H5Pcreate(H5P_FILE_CREATE);
    l->fapl = H5Pcreate(H5P_FILE_ACCESS);
    l->gcpl = H5Pcreate(H5P_GROUP_CREATE);
    l->dcpl = H5Pcreate(H5P_DATASET_CREATE);
    if (l->fcpl < 0 || l->fapl < 0 || l->gcpl < 0 || l->dcpl < 0)
        return false;
#if H5_VERSION_GE(1, 10, 7)
    if (H5Pset_file_locking(l->fapl, false, true) < 0) /* nobody knows the name yet */
        return false;
#endif
    /* The 1.8 format has checksums on its own metadata, and is the oldest
     * that has; any later library reads it. */
    return H5Pset_userblock(l->fcpl, M2C_USERBLOCK) >= 0 &&
           H5Pset_obj_track_times(l->fcpl, false) >= 0 &&
           H5Pset_libver_bounds(l->fapl, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
           H5Pset_alignment(l->fapl, 1, PAGE) >= 0 &&
           H5Pset_meta_block_size(l->fapl, meta_block) >= 0 &&
           H5Pset_small_data_block_size(l->fapl, 0) >= 0 &&
           H5Pset_obj_track_times(l->gcpl, false) >= 0 &&
           H5Pset_link_phase_change(l->gcpl, 32, 16) >= 0 &&
           H5Pset_layout(l->dcpl, H5D_CONTIGUOUS) >= 0 &&
           H5Pset_alloc_time(l->dcpl, H5D_ALLOC_TIME_EARLY) >= 0 &&
           H5Pset_fill_time(l->dcpl, H5D_FILL_TIME_NEVER) >= 0 &&
           H5Pset_obj_track_times(l->dcpl, false) >= 0;
}

static int make_group(const struct m2c_writer *w, hid_t f, const struct lists *l,
                      const char *path, struct m2c_err *err)
{
    hid_t g = H5Gcreate2(f, path, H5P_DEFAULT, l->gcpl, H5P_DEFAULT);
    if (g < 0)
        return m2c_h5_fail(err, -EIO, "%s: cannot make %s", w->path, path);
    H5Gclose(g);
    return 0;
}

static int make_groups(const struct m2c_writer *w, hid_t f, const struct lists *l,
                       struct m2c_err *err)
{
    int rc = make_group(w, f, l, "/dense", err);
    if (!rc)
        rc = make_group(w, f, l, "/ffn", err);
    for (uint32_t i = 0; !rc && i < w->plan.cfg.layers; i++) {
        char path[M2C_STORE_PATH];
        snprintf(path, sizeof path, "/dense/%" PRIu32, i);
        rc = make_group(w, f, l, path, err);
        snprintf(path, sizeof path, "/ffn/%" PRIu32, i);
        if (!rc)
            rc = make_group(w, f, l, path, err);
    }
    return rc;
}

/* Creates a dataset with its place allocated; the caller closes *out. */
static int make_dset(const struct m2c_writer *w, hid_t f, const struct lists *l,
                     const char *path, const struct m2c_h5_type *type, int rank,
                     const hsize_t *dims, hid_t *out, uint64_t *offset, struct m2c_err *err)
{
    hid_t t = m2c_h5_disk_type(type), space = H5Screate_simple(rank, dims, NULL);
    *out = t >= 0 && space >= 0
               ? H5Dcreate2(f, path, t, space, H5P_DEFAULT, l->dcpl, H5P_DEFAULT)
               : -1;
    if (t >= 0)
        H5Tclose(t);
    if (space >= 0)
        H5Sclose(space);
    if (*out < 0)
        return m2c_h5_fail(err, -EIO, "%s: cannot make %s", w->path, path);
    haddr_t at = H5Dget_offset(*out);
    if (at != HADDR_UNDEF) {
        *offset = at;
        return 0;
    }
    H5Dclose(*out);
    return m2c_h5_fail(err, -EIO, "%s: %s got no place", w->path, path);
}

static int make_payload_dset(const struct m2c_writer *w, hid_t f, const struct lists *l,
                             struct m2c_dset *d, struct m2c_err *err)
{
    char path[M2C_STORE_PATH];
    const struct m2c_h5_type *type;
    hsize_t dims[3];
    hid_t id;
    m2c_dset_path(&w->plan, d, path);
    int rank = m2c_dset_shape(&w->plan, d, &type, dims);
    int rc = make_dset(w, f, l, path, type, rank, dims, &id, &d->offset, err);
    if (rc)
        return rc;
    struct m2c_h5_obj o = {id, w->path, path};
    char name[8] = "";
    snprintf(name, sizeof name, "%s", m2c_type_name(d->type));
    if (d->role == M2C_DSET_CODES)
        rc = m2c_h5_put_str(&o, "type", 0, sizeof name, name, err);
    if (!rc)
        rc = m2c_h5_put(&o, "first_sum", &m2c_h5_u64, 0, &d->first_sum, err);
    if (!rc)
        rc = m2c_h5_put(&o, "sum_block", &m2c_h5_u64, 0, &d->block, err);
    H5Dclose(id);
    return rc;
}

static int make_tokenizer(struct m2c_writer *w, hid_t f, const struct lists *l,
                          struct m2c_err *err)
{
    hsize_t n = w->opts->tok_n;
    hid_t id;
    int rc = make_dset(w, f, l, "/tokenizer", &m2c_h5_u8, 1, &n, &id, &w->tok_off, err);
    if (rc)
        return rc;
    char kind[M2C_TOK_KIND] = "";
    snprintf(kind, sizeof kind, "%s", w->opts->tok_kind);
    struct m2c_h5_obj o = {id, w->path, "/tokenizer"};
    rc = m2c_h5_put_str(&o, "kind", 0, sizeof kind, kind, err);
    H5Dclose(id);
    return rc;
}

static int make_objects(struct m2c_writer *w, hid_t f, const struct lists *l,
                        const struct m2c_store_config *c, struct m2c_err *err)
{
    hsize_t n = w->plan.n_sums;
    hid_t id;
    int rc = m2c_config_write(w->path, f, c, err);
    if (!rc)
        rc = make_groups(w, f, l, err);
    if (!rc)
        rc = make_dset(w, f, l, "/sums", &m2c_h5_u64, 1, &n, &id, &w->sums_off, err);
    if (!rc) {
        H5Dclose(id);
        if (w->opts->tok_kind)
            rc = make_tokenizer(w, f, l, err);
    }
    for (size_t i = 0; !rc && i < w->plan.n_dsets; i++) {
        if (w->plan.dset[i].bytes)
            rc = make_payload_dset(w, f, l, &w->plan.dset[i], err);
    }
    return rc;
}

/* true: everything lies one behind the other, from /sums on, so that all
 * metadata lies before it. */
static bool in_sequence(struct m2c_writer *w, uint64_t file_bytes)
{
    const struct m2c_plan *p = &w->plan;
    uint64_t at = w->sums_off + pages(p->n_sums * 8), end = at;
    if (w->opts->tok_kind) {
        if (w->tok_off != at)
            return false;
        at += pages(w->opts->tok_n);
    }
    w->head_bytes = at;
    for (size_t i = 0; i < p->n_dsets; i++) {
        const struct m2c_dset *d = &p->dset[i];
        if (!d->bytes)
            continue;
        if (d->offset != at)
            return false;
        end = at + d->bytes;
        at += pages(d->bytes);
    }
    w->file_bytes = end;
    return w->sums_off % PAGE == 0 && file_bytes == end;
}

static int create_once(struct m2c_writer *w, const struct m2c_store_config *c,
                       uint64_t meta_block, bool *fits, struct m2c_err *err)
{
    struct lists l = {-1, -1, -1, -1};
    hid_t f = -1;
    hsize_t size = 0;
    if (lists_open(&l, meta_block))
        f = H5Fcreate(w->tmp, H5F_ACC_TRUNC, l.fcpl, l.fapl);
    int rc = 0;
    if (f < 0)
        rc = m2c_h5_fail(err, -EIO, "%s: cannot create %s", w->path, w->tmp);
    else
        rc = make_objects(w, f, &l, c, err);
    if (!rc && H5Fget_filesize(f, &size) < 0)
        rc = m2c_h5_fail(err, -EIO, "%s: has no size", w->path);
    if (f >= 0 && H5Fclose(f) < 0 && !rc)
        rc = m2c_h5_fail(err, -EIO, "%s: cannot write the metadata", w->path);
    lists_close(&l);
    *fits = !rc && in_sequence(w, size);
    return rc;
}

int m2c_writer_create(struct m2c_writer *w, const struct m2c_store_config *c,
                      struct m2c_err *err)
{
    uint64_t meta_block = metadata_guess(&w->plan);
    for (int i = 0; i < TRIES; i++, meta_block *= 2) {
        bool fits = false;
        int rc = create_once(w, c, meta_block, &fits, err);
        if (rc || fits)
            return rc;
    }
    return m2c_fail(err, -EIO, "%s: libhdf5 %d.%d.%d does not keep its metadata together",
                    w->path, H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE);
}
