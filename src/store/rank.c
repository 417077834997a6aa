/* SPDX-License-Identifier: MIT */
/* Rank files. They are small: the whole ranking is in memory, and libhdf5 reads
 * and writes the arrays. */
#include "store/rank.h"

#include "store/h5file_impl.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int m2c_rank_new(struct m2c_rank **out, uint32_t layers, uint32_t n)
{
    struct m2c_rank *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->layers = layers;
    r->n = n;
    r->layer = calloc(layers, sizeof *r->layer);
    bool ok = r->layer != NULL;
    for (uint32_t l = 0; l < layers && ok; l++) {
        struct m2c_rank_layer *y = &r->layer[l];
        y->freq = calloc(n, sizeof(float));
        y->mean = calloc(n, sizeof(float));
        y->m2 = calloc(n, sizeof(float));
        y->order = calloc(n, sizeof(uint32_t));
        ok = y->freq && y->mean && y->m2 && y->order;
    }
    if (!ok) {
        m2c_rank_free(r);
        return -ENOMEM;
    }
    *out = r;
    return 0;
}

void m2c_rank_free(struct m2c_rank *r)
{
    if (!r)
        return;
    for (uint32_t l = 0; r->layer && l < r->layers; l++) {
        free(r->layer[l].freq);
        free(r->layer[l].mean);
        free(r->layer[l].m2);
        free(r->layer[l].order);
    }
    free(r->layer);
    free(r);
}

struct hot {
    float freq, mean;
    uint32_t id;
};

static int hotter(const void *a, const void *b)
{
    const struct hot *x = a, *y = b;
    if (x->freq != y->freq)
        return x->freq < y->freq ? 1 : -1;
    if (x->mean != y->mean)
        return x->mean < y->mean ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

int m2c_rank_sort(struct m2c_rank *r)
{
    struct hot *h = calloc(r->n, sizeof *h);
    if (!h)
        return -ENOMEM;
    for (uint32_t l = 0; l < r->layers; l++) {
        struct m2c_rank_layer *y = &r->layer[l];
        for (uint32_t i = 0; i < r->n; i++)
            h[i] = (struct hot){y->freq[i], y->mean[i], i};
        qsort(h, r->n, sizeof *h, hotter);
        for (uint32_t i = 0; i < r->n; i++)
            y->order[i] = h[i].id;
    }
    free(h);
    return 0;
}

/* ---- files ---- */

/* Over all arrays of a layer, so that a flipped bit is not taken for a rank. */
static int layer_sum(const struct m2c_rank *r, uint32_t l, char hex[33])
{
    const struct m2c_rank_layer *y = &r->layer[l];
    struct m2c_hasher *h;
    if (m2c_hasher_open(&h))
        return -ENOMEM;
    m2c_hasher_add(h, y->freq, r->n * sizeof *y->freq);
    m2c_hasher_add(h, y->mean, r->n * sizeof *y->mean);
    m2c_hasher_add(h, y->m2, r->n * sizeof *y->m2);
    m2c_hasher_add(h, y->order, r->n * sizeof *y->order);
    m2c_hash_hex(m2c_hasher_end(h), hex);
    m2c_hasher_close(h);
    return 0;
}

static int write_layer(const struct m2c_rank *r, uint32_t l, const struct m2c_h5_new *f,
                       struct m2c_err *err)
{
    char path[32];
    snprintf(path, sizeof path, "/layers/%u", l);
    hid_t g = m2c_h5_group(f->file, path);
    if (g < 0)
        return m2c_h5_fail(err, -EIO, "%s: group %s", f->path, path);
    const struct m2c_rank_layer *y = &r->layer[l];
    int e = m2c_h5_write_dset(f->path, g, "freq", &m2c_h5_f32, r->n, y->freq, err);
    if (e == 0)
        e = m2c_h5_write_dset(f->path, g, "mean", &m2c_h5_f32, r->n, y->mean, err);
    if (e == 0)
        e = m2c_h5_write_dset(f->path, g, "m2", &m2c_h5_f32, r->n, y->m2, err);
    if (e == 0)
        e = m2c_h5_write_dset(f->path, g, "order", &m2c_h5_u32, r->n, y->order, err);
    char sum[33];
    struct m2c_h5_obj o = {g, f->path, path};
    if (e == 0 && layer_sum(r, l, sum))
        e = m2c_fail(err, -ENOMEM, "%s: out of memory", f->path);
    if (e == 0)
        e = m2c_h5_put_str(&o, "sum", 0, sizeof sum, sum, err);
    m2c_h5_close(g);
    return e;
}

int m2c_rank_write(const struct m2c_rank *r, const char *path, struct m2c_err *err)
{
    struct m2c_h5_new f;
    int e = m2c_h5_new(&f, path, err);
    if (e < 0)
        return e;
    hid_t meta = m2c_h5_group(f.file, "/meta");
    struct m2c_h5_obj o = {meta, path, "/meta"};
    uint32_t version = 1, shape[2] = {r->layers, r->n};
    char model[33], order[33];
    m2c_hash_hex(r->model, model);
    m2c_hash_hex(r->order, order);
    e = meta < 0 ? m2c_h5_fail(err, -EIO, "%s: group /meta", path) : 0;
    if (e == 0)
        e = m2c_h5_put(&o, "version", &m2c_h5_u32, 0, &version, err);
    if (e == 0)
        e = m2c_h5_put(&o, "shape", &m2c_h5_u32, 2, shape, err);
    if (e == 0)
        e = m2c_h5_put(&o, "tokens", &m2c_h5_u64, 0, &r->tokens, err);
    if (e == 0)
        e = m2c_h5_put_str(&o, "model", 0, sizeof model, model, err);
    if (e == 0)
        e = m2c_h5_put_str(&o, "order", 0, sizeof order, order, err);
    if (e == 0)
        e = m2c_h5_put_str(&o, "text", 0, sizeof r->text, r->text, err);
    m2c_h5_close(meta);
    for (uint32_t l = 0; l < r->layers && e == 0; l++)
        e = write_layer(r, l, &f, err);
    if (e == 0)
        e = m2c_h5_commit(&f, err);
    m2c_h5_drop(&f);
    return e;
}

static int read_array(hid_t file, const char *path, const char *name, uint32_t layer,
                      const struct m2c_h5_type *type, uint32_t n, void *out,
                      struct m2c_err *err)
{
    char full[64];
    snprintf(full, sizeof full, "/layers/%u/%s", layer, name);
    hsize_t dims[1] = {n};
    hid_t d = -1;
    uint64_t offset;
    int e = m2c_h5_open_dset(path, file, full, type, 1, dims, &d, &offset, err);
    if (e < 0)
        return e;
    hid_t mem = m2c_h5_disk_type(type);
    if (mem < 0 || H5Dread(d, mem, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0)
        e = m2c_h5_fail(err, -EIO, "%s: %s cannot be read", path, full);
    m2c_h5_close(mem);
    m2c_h5_close(d);
    return e;
}

static int check_sum(const struct m2c_rank *r, hid_t file, const char *path, uint32_t l,
                     struct m2c_err *err)
{
    char name[32], want[33], have[33];
    snprintf(name, sizeof name, "/layers/%u", l);
    hid_t g = H5Gopen2(file, name, H5P_DEFAULT);
    if (g < 0)
        return m2c_h5_fail(err, -EINVAL, "%s: has no %s", path, name);
    struct m2c_h5_obj o = {g, path, name};
    int e = m2c_h5_get_str(&o, "sum", 0, sizeof want, want, err);
    m2c_h5_close(g);
    if (e == 0 && layer_sum(r, l, have))
        e = m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    if (e == 0 && strcmp(have, want) != 0)
        e = m2c_fail(err, -EINVAL, "%s: damaged: %s does not have its sum", path, name);
    return e;
}

/* What a reader relies on: numbers are numbers, the order is a permutation. */
static int check_layer(const struct m2c_rank *r, uint32_t l, const char *path,
                       struct m2c_err *err)
{
    const struct m2c_rank_layer *y = &r->layer[l];
    uint8_t *seen = calloc(r->n, 1);
    if (!seen)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    int e = 0;
    for (uint32_t i = 0; i < r->n && e == 0; i++) {
        if (!(y->freq[i] >= 0 && y->freq[i] <= 1) || !isfinite(y->mean[i]) ||
            !isfinite(y->m2[i]))
            e = m2c_fail(err, -EINVAL, "%s: /layers/%u: neuron %u has impossible figures",
                         path, l, i);
        else if (y->order[i] >= r->n || seen[y->order[i]]++)
            e = m2c_fail(err, -EINVAL,
                         "%s: /layers/%u/order: element %u is no permutation's", path, l,
                         i);
    }
    free(seen);
    return e;
}

static int read_meta(struct m2c_rank *r, hid_t file, const char *path,
                     struct m2c_hash128 model, struct m2c_err *err)
{
    hid_t meta = H5Gopen2(file, "/meta", H5P_DEFAULT);
    if (meta < 0)
        return m2c_fail(err, -EINVAL, "%s: not a rank file: it has no /meta", path);
    struct m2c_h5_obj o = {meta, path, "/meta"};
    uint32_t version = 0, shape[2] = {0};
    char hex[33], want[33];
    m2c_hash_hex(model, want);
    int e = m2c_h5_get(&o, "version", &m2c_h5_u32, 0, &version, err);
    if (e == 0 && version != 1)
        e = m2c_fail(err, -EINVAL, "%s: rank file version %u, this program reads 1", path,
                     version);
    if (e == 0)
        e = m2c_h5_get_str(&o, "model", 0, sizeof hex, hex, err);
    if (e == 0 && strcmp(hex, want) != 0)
        e = m2c_fail(err, -EINVAL,
                     "%s: ranks the neurons of another model (%s, this one is %s)", path,
                     hex, want);
    if (e == 0)
        e = m2c_h5_get(&o, "shape", &m2c_h5_u32, 2, shape, err);
    if (e == 0 && (shape[0] != r->layers || shape[1] != r->n))
        e = m2c_fail(err, -EINVAL, "%s: %u layers of %u neurons, the model has %u of %u",
                     path, shape[0], shape[1], r->layers, r->n);
    if (e == 0)
        e = m2c_h5_get(&o, "tokens", &m2c_h5_u64, 0, &r->tokens, err);
    if (e == 0)
        e = m2c_h5_get_str(&o, "text", 0, sizeof r->text, r->text, err);
    if (e == 0)
        e = m2c_h5_get_str(&o, "order", 0, sizeof hex, hex, err);
    if (e == 0 && m2c_hash_parse(hex, &r->order) < 0)
        e = m2c_fail(err, -EINVAL, "%s: /meta order is not a hash", path);
    m2c_h5_close(meta);
    r->model = model;
    return e;
}

int m2c_rank_read(struct m2c_rank **out, const char *path, struct m2c_hash128 model,
                  uint32_t layers, uint32_t n, struct m2c_err *err)
{
    struct m2c_rank *r = NULL;
    struct m2c_h5_quiet quiet;
    hid_t file = -1;
    if (m2c_rank_new(&r, layers, n) < 0)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    m2c_h5_quiet_begin(&quiet);
    int e = m2c_h5_open_file(path, &file, err);
    if (e == 0)
        e = read_meta(r, file, path, model, err);
    for (uint32_t l = 0; l < layers && e == 0; l++) {
        struct m2c_rank_layer *y = &r->layer[l];
        e = read_array(file, path, "freq", l, &m2c_h5_f32, n, y->freq, err);
        if (e == 0)
            e = read_array(file, path, "mean", l, &m2c_h5_f32, n, y->mean, err);
        if (e == 0)
            e = read_array(file, path, "m2", l, &m2c_h5_f32, n, y->m2, err);
        if (e == 0)
            e = read_array(file, path, "order", l, &m2c_h5_u32, n, y->order, err);
        if (e == 0)
            e = check_sum(r, file, path, l, err);
        if (e == 0)
            e = check_layer(r, l, path, err);
    }
    m2c_h5_close(file);
    m2c_h5_quiet_end(&quiet);
    if (e < 0) {
        m2c_rank_free(r);
        return e;
    }
    *out = r;
    return 0;
}
