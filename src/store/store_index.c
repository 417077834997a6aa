/* SPDX-License-Identifier: MIT */
/* The index of a store: made from what the writer planned, read into what the
 * reader relies on.
 *
 *   config     store/config_h5_impl.h
 *   sums       {offset, n}
 *   tokenizer  {kind, offset, bytes}; absent without one
 *   datasets   by HDF5 path, each with `dtype` (u8, i8, f16, f32), `shape`,
 *              `offset`, `bytes`, `first_sum`, `sum_block`, and `type` as the
 *              attributes have it
 * Most of a dataset follows from the config. The reader takes its type and its
 * offset, makes the entry that it would have written, and compares. */
#include "store/store_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int m2c_dset_shape(const struct m2c_plan *p, const struct m2c_dset *d,
                   const struct m2c_h5_type **type, hsize_t dims[3])
{
    if (d->role == M2C_DSET_FFN) {
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

/* ---- writing ---- */

static json_t *dset_json(const struct m2c_plan *p, const struct m2c_dset *d)
{
    const struct m2c_h5_type *t;
    hsize_t dims[3];
    char dtype[8];
    int rank = m2c_dset_shape(p, d, &t, dims);
    snprintf(dtype, sizeof dtype, "%c%u",
             t->cls == H5T_FLOAT ? 'f'
             : t->is_signed      ? 'i'
                                 : 'u',
             (unsigned)t->bytes * 8);
    json_t *shape = json_array();
    bool ok = shape != NULL;
    for (int i = 0; ok && i < rank; i++)
        ok = json_array_append_new(shape, json_integer((json_int_t)dims[i])) == 0;
    json_t *o = json_pack("{s:s, s:o, s:I, s:I, s:I, s:I}", "dtype", dtype, "shape",
                          shape, "offset", (json_int_t)d->offset, "bytes",
                          (json_int_t)d->bytes, "first_sum", (json_int_t)d->first_sum,
                          "sum_block", (json_int_t)d->block);
    if (o && d->role == M2C_DSET_CODES)
        ok = ok &&
             json_object_set_new(o, "type", json_string(m2c_type_name(d->type))) == 0;
    if (o && ok)
        return o;
    json_decref(o);
    return NULL;
}

json_t *m2c_store_index(const struct m2c_plan *p, struct m2c_hash128 model,
                        struct m2c_hash128 order, const struct m2c_head_places *at)
{
    struct m2c_store_config c = {.cfg = p->cfg,
                                 .layout = p->layout,
                                 .arrange = p->arrange,
                                 .model = model,
                                 .order = order};
    json_t *datasets = json_object(), *index = json_object();
    bool ok = datasets && index;
    memcpy(c.quant, p->quant, sizeof c.quant);
    for (size_t i = 0; ok && i < p->n_dsets; i++) {
        char path[M2C_STORE_PATH];
        if (!p->dset[i].bytes)
            continue;
        m2c_dset_path(p, &p->dset[i], path);
        ok = json_object_set_new(datasets, path, dset_json(p, &p->dset[i])) == 0;
    }
    ok = ok && json_object_set_new(index, "config", m2c_config_json(&c)) == 0 &&
         json_object_set_new(index, "sums",
                             json_pack("{s:I, s:I}", "offset", (json_int_t)at->sums, "n",
                                       (json_int_t)p->n_sums)) == 0;
    if (ok && at->tok_kind)
        ok = json_object_set_new(index, "tokenizer",
                                 json_pack("{s:s, s:I, s:I}", "kind", at->tok_kind,
                                           "offset", (json_int_t)at->tok, "bytes",
                                           (json_int_t)at->tok_n)) == 0;
    /* Takes the datasets in any case. */
    if (json_object_set_new(index, "datasets", datasets) == 0 && ok)
        return index;
    json_decref(index);
    return NULL;
}

/* ---- reading ---- */

static int read_types(struct m2c_plan *p, const struct m2c_node *datasets,
                      struct m2c_err *err)
{
    for (size_t i = 0; i < p->n_dense; i++) {
        const struct m2c_dset *d = &p->dset[2 * i];
        if (d->rows == 0)
            continue;
        char path[M2C_STORE_PATH], name[8];
        enum m2c_type type;
        struct m2c_node n;
        m2c_dset_path(p, d, path);
        int rc = m2c_node_get(datasets, path, &n, err);
        if (!rc)
            rc = m2c_node_str(&n, "type", sizeof name, name, err);
        if (rc)
            return rc;
        if (m2c_type_parse(name, &type) || !m2c_dense_type_ok(type))
            return m2c_fail(err, -EINVAL,
                            "%s: index: %s: type is '%s', expected f32, f16, i8 or i4",
                            n.file, path, name);
        m2c_plan_set_type(p, i, type);
    }
    return 0;
}

/* Where the dataset is, and whether all the rest is as it must be. */
static int read_dset(const struct m2c_store *s, const struct m2c_node *datasets,
                     struct m2c_dset *d, struct m2c_err *err)
{
    char path[M2C_STORE_PATH];
    struct m2c_node n;
    m2c_dset_path(&s->plan, d, path);
    int rc = m2c_node_get(datasets, path, &n, err);
    if (!rc)
        rc = m2c_node_u64(&n, "offset", &d->offset, err);
    if (rc)
        return rc;
    if (d->offset % M2C_HEADER_BYTES || d->offset < s->head.head_bytes ||
        !m2c_range_ok(d->offset, d->bytes, s->head.file_bytes))
        return m2c_fail(
            err, -EINVAL,
            "%s: index: %s: %" PRIu64 " bytes at offset %" PRIu64
            " do not lie, aligned to 4096, in the payload [%" PRIu64 ", %" PRIu64 ")",
            s->path, path, d->bytes, d->offset, s->head.head_bytes, s->head.file_bytes);
    json_t *want = dset_json(&s->plan, d);
    char *text = want ? json_dumps(want, 0) : NULL;
    if (!text)
        rc = m2c_fail(err, -ENOMEM, "%s: no memory to check it", s->path);
    else if (!json_equal(want, n.v))
        rc = m2c_fail(err, -EINVAL, "%s: index: %s: expected %s", s->path, path, text);
    free(text);
    json_decref(want);
    return rc;
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
        rc = m2c_fail(err, -EINVAL, "%s: index: %s and %s overlap at offset %" PRIu64,
                      s->path, a, b, list[i]->offset);
    }
    free(list);
    return rc;
}

/* n values that lie in the head, into fresh memory. */
static int read_head(const struct m2c_store *s, const struct m2c_node *at, uint64_t n,
                     size_t size, void **out, struct m2c_err *err)
{
    uint64_t offset = 0;
    size_t bytes = 0;
    int rc = m2c_node_u64(at, "offset", &offset, err);
    if (rc)
        return rc;
    if (n > SIZE_MAX || !m2c_mul_size((size_t)n, size, &bytes) ||
        offset < M2C_HEADER_BYTES || !m2c_range_ok(offset, bytes, s->head.head_bytes))
        return m2c_fail(err, -EINVAL,
                        "%s: index: %s: %" PRIu64 " values at offset %" PRIu64
                        " do not lie in the head",
                        s->path, at->name, n, offset);
    *out = malloc(bytes + 1);
    return *out ? m2c_pread_all(s->fd, s->path, *out, bytes, offset, err)
                : m2c_fail(err, -ENOMEM, "%s: no memory for its %s", s->path, at->name);
}

static int read_sums(struct m2c_store *s, const struct m2c_node *index,
                     struct m2c_err *err)
{
    struct m2c_node at;
    uint64_t n = 0;
    void *sums = NULL;
    int rc = m2c_node_get(index, "sums", &at, err);
    if (!rc)
        rc = m2c_node_u64(&at, "n", &n, err);
    if (!rc && n != s->plan.n_sums)
        rc = m2c_fail(err, -EINVAL,
                      "%s: index: sums: %" PRIu64 " of them, expected %" PRIu64, s->path,
                      n, s->plan.n_sums);
    if (!rc)
        rc = read_head(s, &at, n, sizeof *s->sums, &sums, err);
    s->sums = sums;
    return rc;
}

static int read_tokenizer(struct m2c_store *s, const struct m2c_node *index,
                          struct m2c_err *err)
{
    struct m2c_node at;
    uint64_t n = 0;
    if (!json_object_get(index->v, "tokenizer"))
        return 0;
    int rc = m2c_node_get(index, "tokenizer", &at, err);
    if (!rc)
        rc = m2c_node_str(&at, "kind", sizeof s->tok_kind, s->tok_kind, err);
    if (!rc)
        rc = m2c_node_u64(&at, "bytes", &n, err);
    if (!rc)
        rc = read_head(s, &at, n, 1, &s->tok, err);
    s->tok_n = (size_t)n;
    s->has_tok = rc == 0;
    return rc;
}

int m2c_store_index_read(struct m2c_store *s, const json_t *root, struct m2c_err *err)
{
    struct m2c_node index = {.file = s->path, .v = root}, datasets;
    struct m2c_store_config c;
    int rc = m2c_config_read(&index, &c, err);
    if (!rc)
        rc = m2c_node_get(&index, "datasets", &datasets, err);
    if (rc)
        return rc;
    s->model = c.model;
    s->order = c.order;
    if (c.cfg.layers > json_object_size(datasets.v)) /* before we allocate for them */
        return m2c_fail(err, -EINVAL, "%s: index: %u layers in %zu datasets", s->path,
                        c.cfg.layers, json_object_size(datasets.v));
    rc = m2c_plan_init(&s->plan, &c.cfg, &c.layout, c.arrange, c.quant, err);
    if (!rc)
        rc = read_types(&s->plan, &datasets, err);
    if (!rc && (rc = m2c_plan_sizes(&s->plan, err)) != 0)
        rc = m2c_fail_in(err, rc, "%s: index", s->path);
    for (size_t i = 0; !rc && i < s->plan.n_dsets; i++) {
        if (s->plan.dset[i].bytes)
            rc = read_dset(s, &datasets, &s->plan.dset[i], err);
    }
    if (!rc)
        rc = check_overlap(s, err);
    if (!rc)
        rc = read_sums(s, &index, err);
    if (!rc)
        rc = read_tokenizer(s, &index, err);
    return rc;
}
