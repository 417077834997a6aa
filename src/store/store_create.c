/* SPDX-License-Identifier: MIT */
/* The skeleton of a new store: every object, its place, no payload.
 *
 * All metadata must lie before all payload, so that one digest over one range
 * guards it. So the file is made in two sittings: the first creates all
 * objects and gives no dataset a place; the second, which aligns what it
 * allocates, places one dataset behind the other. Every offset is compared
 * with where it must be if nothing else was allocated in between. With equal
 * input the bytes are equal: no times are recorded. */
#include "store/write_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A kibibyte an object is more than libhdf5 takes: about 300 bytes a dataset,
 * 2 KiB for /config, and 30 bytes a link. */
enum {
    PAGE = M2C_HEADER_BYTES,
    OBJECT_BYTES = 1024,
    EXTRA_OBJECTS = 64,
    MAX_LINKS = 160,
    BATCH = 256
};

static uint64_t pages(uint64_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

uint64_t m2c_writer_estimate(const struct m2c_writer *w)
{
    const struct m2c_plan *p = &w->plan;
    uint64_t objects = p->n_dsets + 2 * (uint64_t)p->cfg.layers + EXTRA_OBJECTS;
    uint64_t n = w->userblock + pages(objects * OBJECT_BYTES) + pages(p->n_sums * 8) +
                 pages(w->opts->tok_n);
    for (size_t i = 0; i < p->n_dsets; i++)
        n += pages(p->dset[i].bytes);
    return n;
}

/* Property lists of the first sitting. */
struct lists {
    hid_t fcpl, fapl, gcpl, dcpl;
};

static void lists_close(const struct lists *l)
{
    const hid_t all[] = {l->fcpl, l->fapl, l->gcpl, l->dcpl};
    for (size_t i = 0; i < M2C_COUNTOF(all); i++) {
        m2c_h5_close(all[i]);
    }
}

static bool lists_open(const struct m2c_writer *w, struct lists *l)
{
    l->fcpl = H5Pcreate(H5P_FILE_CREATE);
    l->fapl = m2c_writer_access(false);
    l->gcpl = H5Pcreate(H5P_GROUP_CREATE);
    l->dcpl = H5Pcreate(H5P_DATASET_CREATE);
    /* Links stay in their group's header, which has a checksum; the heap that
     * libhdf5 would move them to has none. */
    return l->fcpl >= 0 && l->fapl >= 0 && l->gcpl >= 0 && l->dcpl >= 0 &&
           H5Pset_userblock(l->fcpl, w->userblock) >= 0 &&
           H5Pset_obj_track_times(l->fcpl, false) >= 0 &&
           H5Pset_obj_track_times(l->gcpl, false) >= 0 &&
           H5Pset_link_phase_change(l->gcpl, MAX_LINKS, 0) >= 0 &&
           H5Pset_layout(l->dcpl, H5D_CONTIGUOUS) >= 0 &&
           H5Pset_alloc_time(l->dcpl, H5D_ALLOC_TIME_LATE) >= 0 &&
           H5Pset_fill_time(l->dcpl, H5D_FILL_TIME_NEVER) >= 0 &&
           H5Pset_obj_track_times(l->dcpl, false) >= 0;
}

hid_t m2c_writer_access(bool align)
{
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
    bool ok = fapl >= 0;
#if H5_VERSION_GE(1, 10, 7)
    /* Nobody knows the temporary name, and some file systems have no locks. */
    ok = ok && H5Pset_file_locking(fapl, false, true) >= 0;
#endif
    /* The 1.8 format has checksums on its own metadata, and is the oldest
     * that has; any later library reads it. */
    ok = ok && H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0;
    if (align)
        ok = ok && H5Pset_alignment(fapl, 1, PAGE) >= 0 &&
             H5Pset_small_data_block_size(fapl, 0) >= 0;
    if (!ok && fapl >= 0) {
        m2c_h5_close(fapl);
        fapl = -1;
    }
    return fapl;
}

static int make_group(const struct m2c_writer *w, hid_t f, const struct lists *l,
                      const char *path, struct m2c_err *err)
{
    hid_t g = H5Gcreate2(f, path, H5P_DEFAULT, l->gcpl, H5P_DEFAULT);
    if (g < 0)
        return m2c_h5_fail(err, -EIO, "%s: cannot make %s", w->path, path);
    m2c_h5_close(g);
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

/* Creates a dataset that has no place yet; the caller closes *out. */
static int make_dset(const struct m2c_writer *w, hid_t f, const struct lists *l,
                     const char *path, const struct m2c_h5_type *type, int rank,
                     const hsize_t *dims, hid_t *out, struct m2c_err *err)
{
    hid_t t = m2c_h5_disk_type(type), space = H5Screate_simple(rank, dims, NULL);
    *out = t >= 0 && space >= 0
               ? H5Dcreate2(f, path, t, space, H5P_DEFAULT, l->dcpl, H5P_DEFAULT)
               : -1;
    m2c_h5_close(t);
    m2c_h5_close(space);
    return *out < 0 ? m2c_h5_fail(err, -EIO, "%s: cannot make %s", w->path, path) : 0;
}

static int make_payload_dset(const struct m2c_writer *w, hid_t f, const struct lists *l,
                             const struct m2c_dset *d, struct m2c_err *err)
{
    char path[M2C_STORE_PATH];
    const struct m2c_h5_type *type;
    hsize_t dims[3];
    hid_t id;
    m2c_dset_path(&w->plan, d, path);
    int rank = m2c_dset_shape(&w->plan, d, &type, dims);
    int rc = make_dset(w, f, l, path, type, rank, dims, &id, err);
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
    m2c_h5_close(id);
    return rc;
}

static int make_tokenizer(const struct m2c_writer *w, hid_t f, const struct lists *l,
                          struct m2c_err *err)
{
    hsize_t n = w->opts->tok_n;
    hid_t id;
    int rc = make_dset(w, f, l, "/tokenizer", &m2c_h5_u8, 1, &n, &id, err);
    if (rc)
        return rc;
    char kind[M2C_TOK_KIND] = "";
    snprintf(kind, sizeof kind, "%s", w->opts->tok_kind);
    struct m2c_h5_obj o = {id, w->path, "/tokenizer"};
    rc = m2c_h5_put_str(&o, "kind", 0, sizeof kind, kind, err);
    m2c_h5_close(id);
    return rc;
}

static int make_objects(const struct m2c_writer *w, hid_t f, const struct lists *l,
                        const struct m2c_store_config *c, struct m2c_err *err)
{
    hsize_t n = w->plan.n_sums;
    hid_t id;
    int rc = m2c_config_write(w->path, f, c, err);
    if (!rc)
        rc = make_groups(w, f, l, err);
    if (!rc)
        rc = make_dset(w, f, l, "/sums", &m2c_h5_u64, 1, &n, &id, err);
    if (!rc) {
        m2c_h5_close(id);
        if (w->opts->tok_kind)
            rc = make_tokenizer(w, f, l, err);
    }
    for (size_t i = 0; !rc && i < w->plan.n_dsets; i++) {
        if (w->plan.dset[i].bytes)
            rc = make_payload_dset(w, f, l, &w->plan.dset[i], err);
    }
    return rc;
}

static int create_objects(const struct m2c_writer *w, const struct m2c_store_config *c,
                          struct m2c_err *err)
{
    struct lists l = {-1, -1, -1, -1};
    hid_t f = -1;
    if (lists_open(w, &l))
        f = H5Fcreate(w->tmp, H5F_ACC_TRUNC, l.fcpl, l.fapl);
    int rc = f < 0 ? m2c_h5_fail(err, -EIO, "%s: cannot create %s", w->path, w->tmp)
                   : make_objects(w, f, &l, c, err);
    if (f >= 0 && H5Fclose(f) < 0 && !rc)
        rc = m2c_h5_fail(err, -EIO, "%s: cannot write the metadata", w->path);
    lists_close(&l);
    return rc;
}

/* ---- the second sitting ---- */

/* Writing an element is what makes libhdf5 allocate all of them. */
static bool write_first(hid_t d)
{
    static const uint64_t zero = 0;
    hsize_t first[3] = {0, 0, 0};
    hid_t space = H5Dget_space(d), type = H5Dget_type(d), one = H5Screate(H5S_SCALAR);
    bool ok = space >= 0 && type >= 0 && one >= 0 && H5Tget_size(type) <= sizeof zero &&
              H5Sselect_elements(space, H5S_SELECT_SET, 1, first) >= 0 &&
              H5Dwrite(d, type, one, space, H5P_DEFAULT, &zero) >= 0;
    m2c_h5_close(one);
    m2c_h5_close(type);
    m2c_h5_close(space);
    return ok;
}

/* Gives a dataset its place: *at, where the last one ended. */
static int place(const struct m2c_writer *w, hid_t f, const char *path, uint64_t bytes,
                 uint64_t *at, uint64_t *offset, struct m2c_err *err)
{
    hid_t d = H5Dopen2(f, path, H5P_DEFAULT);
    bool ok = d >= 0 && write_first(d);
    haddr_t have = ok ? H5Dget_offset(d) : HADDR_UNDEF;
    m2c_h5_close(d);
    if (have == HADDR_UNDEF)
        return m2c_h5_fail(err, -EIO, "%s: %s gets no place", w->path, path);
    if (*at == 0 && have % PAGE == 0) /* the first one: behind all metadata */
        *at = have;
    if (have != *at)
        return m2c_fail(err, -EIO, "%s: libhdf5 put %s at %" PRIu64 ", not %" PRIu64,
                        w->path, path, (uint64_t)have, *at);
    *offset = have;
    *at += pages(bytes);
    return 0;
}

static int reopen(const struct m2c_writer *w, hid_t *f, struct m2c_err *err)
{
    hid_t fapl = m2c_writer_access(true);
    *f = -1;
    if (fapl >= 0) {
        *f = H5Fopen(w->tmp, H5F_ACC_RDWR, fapl);
        m2c_h5_close(fapl);
    }
    return *f < 0 ? m2c_h5_fail(err, -EIO, "%s: cannot reopen %s", w->path, w->tmp) : 0;
}

/* Places the datasets [from, to) of the plan, and before the first of them
 * what lies in the head. */
static int place_batch(struct m2c_writer *w, size_t from, size_t to, uint64_t *at,
                       struct m2c_err *err)
{
    struct m2c_plan *p = &w->plan;
    char path[M2C_STORE_PATH];
    hsize_t size = 0;
    hid_t f;
    int rc = reopen(w, &f, err);
    if (rc)
        return rc;
    if (from == 0) {
        rc = place(w, f, "/sums", p->n_sums * 8, at, &w->at.sums, err);
        if (!rc && w->opts->tok_kind)
            rc = place(w, f, "/tokenizer", w->opts->tok_n, at, &w->at.tok, err);
        w->head_bytes = *at;
    }
    for (size_t i = from; !rc && i < to; i++) {
        struct m2c_dset *d = &p->dset[i];
        if (!d->bytes)
            continue;
        m2c_dset_path(p, d, path);
        rc = place(w, f, path, d->bytes, at, &d->offset, err);
        w->file_bytes = d->offset + d->bytes;
    }
    if (!rc && (H5Fget_filesize(f, &size) < 0 || size != w->file_bytes))
        rc = m2c_fail(err, -EIO, "%s: libhdf5 takes %llu bytes, not %" PRIu64, w->path,
                      (unsigned long long)size, w->file_bytes);
    if (H5Fclose(f) < 0 && !rc)
        rc = m2c_h5_fail(err, -EIO, "%s: cannot write the metadata", w->path);
    return rc;
}

int m2c_writer_create(struct m2c_writer *w, const struct m2c_store_config *c,
                      struct m2c_err *err)
{
    uint64_t at = 0;
    int rc = create_objects(w, c, err);
    /* libhdf5 remembers the gap before each dataset and looks through all of
     * them for the next one; closing the file makes it forget. */
    for (size_t i = 0; !rc && i < w->plan.n_dsets; i += BATCH)
        rc = place_batch(w, i, M2C_MIN(i + BATCH, w->plan.n_dsets), &at, err);
    return rc;
}
