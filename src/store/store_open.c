/* SPDX-License-Identifier: MIT */
/* Opening a store, and what it says about itself.
 *
 * The user block and the digest of the head are checked first; then every
 * object that the config implies is looked up and compared with what must be
 * there: type, shape, place. Objects beside these are ignored. */
#include "store/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The least that libhdf5 keeps about a dataset; bounds what a damaged config
 * can make us allocate. */
enum { MIN_DSET_META = 64 };

int m2c_dset_shape(const struct m2c_plan *p, const struct m2c_dset *d,
                   const struct m2c_h5_type **type, hsize_t dims[3])
{
    if (d->role == M2C_DSET_PART) {
        *type = &m2c_h5_u8;
        dims[0] = p->cfg.experts;
        dims[1] = d->rows;
        dims[2] = d->cols;
        return 3;
    }
    dims[0] = d->rows;
    dims[1] = d->cols;
    if (d->role == M2C_DSET_SCALES) {
        *type = &m2c_h5_f16;
        dims[1] = m2c_scale_bytes(d->type, d->cols) / 2;
    } else if (d->type == M2C_F32) {
        *type = &m2c_h5_f32;
    } else if (d->type == M2C_F16) {
        *type = &m2c_h5_f16;
    } else if (d->type == M2C_I8) {
        *type = &m2c_h5_i8;
    } else { /* packed nibbles */
        *type = &m2c_h5_u8;
        dims[1] = m2c_code_bytes(d->type, d->cols);
    }
    return 2;
}

/* libhdf5 opens by name; the digest was taken from our descriptor. Both must
 * be one file. */
static int same_file(const struct m2c_store *s, hid_t f, struct m2c_err *err)
{
    void *handle = NULL;
    struct stat a, b;
    if (H5Fget_vfd_handle(f, H5P_DEFAULT, &handle) < 0 || !handle)
        return m2c_h5_fail(err, -EINVAL, "%s: libhdf5 has no descriptor of it", s->path);
    if (fstat(s->fd, &a) || fstat(*(const int *)handle, &b) || a.st_dev != b.st_dev ||
        a.st_ino != b.st_ino)
        return m2c_fail(err, -EINVAL, "%s: was replaced while it was opened", s->path);
    return 0;
}

static int read_types(struct m2c_store *s, hid_t f, struct m2c_err *err)
{
    for (size_t i = 0; i < s->plan.n_dense; i++) {
        const struct m2c_dset *d = &s->plan.dset[2 * i];
        if (d->rows == 0)
            continue;
        char path[M2C_STORE_PATH], name[8];
        enum m2c_type type;
        m2c_dset_path(&s->plan, d, path);
        hid_t id = H5Dopen2(f, path, H5P_DEFAULT);
        if (id < 0)
            return m2c_h5_fail(err, -EINVAL, "%s: %s: no such dataset", s->path, path);
        struct m2c_h5_obj o = {id, s->path, path};
        int rc = m2c_h5_get_str(&o, "type", 0, sizeof name, name, err);
        m2c_h5_close(id);
        if (rc)
            return rc;
        if (m2c_type_parse(name, &type) || type == M2C_BF16)
            return m2c_fail(err, -EINVAL,
                            "%s: %s: type is '%s', expected f32, f16, i8 or i4", s->path,
                            path, name);
        m2c_plan_set_type(&s->plan, i, type);
    }
    return 0;
}

static int find_dset(struct m2c_store *s, hid_t f, struct m2c_dset *d,
                     struct m2c_err *err)
{
    char path[M2C_STORE_PATH];
    const struct m2c_h5_type *type;
    hsize_t dims[3];
    hid_t id = -1;
    if (d->bytes == 0)
        return 0;
    m2c_dset_path(&s->plan, d, path);
    int rank = m2c_dset_shape(&s->plan, d, &type, dims);
    int rc = m2c_h5_open_dset(s->path, f, path, type, rank, dims, &id, &d->offset, err);
    if (rc)
        return rc;
    struct m2c_h5_obj o = {id, s->path, path};
    uint64_t first = 0, block = 0;
    rc = m2c_h5_get(&o, "first_sum", &m2c_h5_u64, 0, &first, err);
    if (!rc)
        rc = m2c_h5_get(&o, "sum_block", &m2c_h5_u64, 0, &block, err);
    m2c_h5_close(id);
    if (rc)
        return rc;
    if (first != d->first_sum || block != d->block)
        return m2c_fail(err, -EINVAL,
                        "%s: %s: first_sum, sum_block are %" PRIu64 ", %" PRIu64
                        ", expected %" PRIu64 ", %" PRIu64,
                        s->path, path, first, block, d->first_sum, d->block);
    if (d->offset % M2C_USERBLOCK || d->offset < s->head.head_bytes ||
        !m2c_range_ok(d->offset, d->bytes, s->head.file_bytes))
        return m2c_fail(
            err, -EINVAL,
            "%s: %s: %" PRIu64 " bytes at offset %" PRIu64
            " do not lie, aligned to 4096, in the payload [%" PRIu64 ", %" PRIu64 ")",
            s->path, path, d->bytes, d->offset, s->head.head_bytes, s->head.file_bytes);
    return 0;
}

static int check_overlap(const struct m2c_store *s, struct m2c_err *err)
{
    const struct m2c_plan *p = &s->plan;
    size_t n;
    const struct m2c_dset **list = m2c_plan_by_offset(p, &n);
    if (!list)
        return m2c_fail(err, -ENOMEM, "%s: no memory to check it", s->path);
    int rc = 0;
    for (size_t i = 1; !rc && i < n; i++) {
        if (list[i]->offset - list[i - 1]->offset >= list[i - 1]->bytes)
            continue;
        char a[M2C_STORE_PATH], b[M2C_STORE_PATH];
        m2c_dset_path(p, list[i - 1], a);
        m2c_dset_path(p, list[i], b);
        rc = m2c_fail(err, -EINVAL, "%s: %s and %s overlap at offset %" PRIu64, s->path,
                      a, b, list[i]->offset);
    }
    free(list);
    return rc;
}

/* Reads a 1-D dataset of the head into fresh memory; its length is bounded by
 * the head's. *n = 0: take the length that is there. */
static int read_head_dset(struct m2c_store *s, hid_t f, const char *path,
                          const struct m2c_h5_type *t, size_t *n, void **out, hid_t *id,
                          struct m2c_err *err)
{
    hsize_t dim = *n;
    uint64_t offset = 0;
    int rc = m2c_h5_open_dset(s->path, f, path, t, *n ? 1 : 0, &dim, id, &offset, err);
    if (rc)
        return rc;
    if (dim > s->head.head_bytes / t->bytes || offset < M2C_USERBLOCK ||
        !m2c_range_ok(offset, dim * t->bytes, s->head.head_bytes))
        rc = m2c_fail(err, -EINVAL,
                      "%s: %s: %llu values at offset %" PRIu64 " do not lie in the head",
                      s->path, path, (unsigned long long)dim, offset);
    *n = (size_t)dim;
    if (!rc) {
        *out = malloc(*n ? *n * t->bytes : 1);
        rc = *out ? m2c_pread_all(s->fd, s->path, *out, *n * t->bytes, offset, err)
                  : m2c_fail(err, -ENOMEM, "%s: no memory for %s", s->path, path);
    }
    if (rc)
        m2c_h5_close(*id);
    return rc;
}

static int read_tokenizer(struct m2c_store *s, hid_t f, struct m2c_err *err)
{
    if (H5Lexists(f, "/tokenizer", H5P_DEFAULT) <= 0)
        return 0;
    hid_t id;
    int rc = read_head_dset(s, f, "/tokenizer", &m2c_h5_u8, &s->tok_n, &s->tok, &id, err);
    if (rc)
        return rc;
    struct m2c_h5_obj o = {id, s->path, "/tokenizer"};
    rc = m2c_h5_get_str(&o, "kind", 0, sizeof s->tok_kind, s->tok_kind, err);
    m2c_h5_close(id);
    s->has_tok = rc == 0;
    return rc;
}

static int read_sums(struct m2c_store *s, hid_t f, struct m2c_err *err)
{
    size_t n = (size_t)s->plan.n_sums;
    void *sums = NULL;
    hid_t id;
    int rc = read_head_dset(s, f, "/sums", &m2c_h5_u64, &n, &sums, &id, err);
    s->sums = sums;
    if (!rc)
        m2c_h5_close(id);
    return rc;
}

static int read_metadata(struct m2c_store *s, hid_t f, struct m2c_err *err)
{
    struct m2c_store_config c;
    int rc = same_file(s, f, err);
    if (!rc)
        rc = m2c_config_read(s->path, f, &c, err);
    if (rc)
        return rc;
    s->model = c.model;
    s->order = c.order;
    if (c.cfg.layers > s->head.head_bytes / MIN_DSET_META)
        return m2c_fail(err, -EINVAL,
                        "%s: /config: %u layers in a head of %" PRIu64 " bytes", s->path,
                        c.cfg.layers, s->head.head_bytes);
    rc = m2c_plan_init(&s->plan, &c.cfg, &c.layout, err);
    if (!rc)
        rc = read_types(s, f, err);
    if (!rc && (rc = m2c_plan_sizes(&s->plan, err)) != 0)
        rc = m2c_fail_in(err, rc, "%s: /config", s->path);
    for (size_t i = 0; !rc && i < s->plan.n_dsets; i++)
        rc = find_dset(s, f, &s->plan.dset[i], err);
    if (!rc)
        rc = check_overlap(s, err);
    if (!rc)
        rc = read_sums(s, f, err);
    if (!rc)
        rc = read_tokenizer(s, f, err);
    return rc;
}

int m2c_store_open(struct m2c_store **out, const char *path, struct m2c_err *err)
{
    struct m2c_h5_quiet quiet;
    hid_t f = -1;
    *out = NULL;
    struct m2c_store *s = calloc(1, sizeof *s);
    if (!s)
        return m2c_fail(err, -ENOMEM, "%s: no memory to open it", path);
    s->fd = -1;
    s->path = strdup(path);
    int rc = s->path ? 0 : m2c_fail(err, -ENOMEM, "%s: no memory to open it", path);
    if (!rc) {
        s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
        if (s->fd < 0) {
            int e = errno;
            rc = m2c_fail(err, -e, "%s: %s", path, strerror(e));
        }
    }
    if (!rc)
        rc = m2c_userblock_check(s->fd, path, &s->head, err);
    if (!rc) {
        m2c_h5_quiet_begin(&quiet);
        rc = m2c_h5_open_file(path, &f, err);
        if (!rc) {
            rc = read_metadata(s, f, err);
            H5Fclose(f);
        }
        m2c_h5_quiet_end(&quiet);
    }
    if (rc) {
        m2c_store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void m2c_store_close(struct m2c_store *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    m2c_plan_fini(&s->plan);
    free(s->sums);
    free(s->tok);
    free(s->path);
    free(s);
}

const char *m2c_store_path(const struct m2c_store *s)
{
    return s->path;
}
const struct m2c_model_cfg *m2c_store_cfg(const struct m2c_store *s)
{
    return &s->plan.cfg;
}

const struct m2c_layout *m2c_store_layout(const struct m2c_store *s)
{
    return &s->plan.layout;
}

struct m2c_hash128 m2c_store_model_hash(const struct m2c_store *s)
{
    return s->model;
}
struct m2c_hash128 m2c_store_order_hash(const struct m2c_store *s)
{
    return s->order;
}

const struct m2c_geom *m2c_store_record(const struct m2c_store *s, uint32_t part)
{
    return &s->plan.geom[part];
}

void m2c_store_part(const struct m2c_store *s, uint32_t layer, uint32_t part,
                    struct m2c_store_range *out)
{
    const struct m2c_dset *d = &s->plan.dset[m2c_plan_part(&s->plan, layer, part)];
    *out = (struct m2c_store_range){d->offset, d->bytes, d->cols};
}

bool m2c_store_dense(const struct m2c_store *s, enum m2c_tensor_kind kind, uint32_t layer,
                     struct m2c_store_dense *out)
{
    size_t i;
    if (!m2c_plan_dense(&s->plan, kind, layer, &i) || s->plan.dset[2 * i].rows == 0)
        return false;
    const struct m2c_dset *d = &s->plan.dset[2 * i];
    *out = (struct m2c_store_dense){d->type, d->rows, d->cols, d->bytes, d[1].bytes};
    return true;
}

uint64_t m2c_store_dense_bytes(const struct m2c_store *s)
{
    return s->plan.dense_bytes;
}

uint64_t m2c_store_mem_bytes(const struct m2c_store *s)
{
    return s->plan.n_sums * sizeof *s->sums + s->plan.n_dsets * sizeof *s->plan.dset +
           s->tok_n;
}

bool m2c_store_tokenizer(const struct m2c_store *s, const char **kind, const void **bytes,
                         size_t *n)
{
    if (!s->has_tok)
        return false;
    *kind = s->tok_kind;
    *bytes = s->tok;
    *n = s->tok_n;
    return true;
}
