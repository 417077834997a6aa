/* SPDX-License-Identifier: MIT */
/* Rank files. They are small: the whole ranking is in memory, and libhdf5 writes
 * the arrays. */
#include "store/rank.h"

#include "store/predict_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    for (uint32_t i = 0; i < r->n_pred; i++)
        m2c_predictor_fini(&r->pred[i]);
    free(r->layer);
    free(r);
}

const struct m2c_predictor *m2c_rank_predictor(const struct m2c_rank *r, const char *kind,
                                               uint32_t lookahead)
{
    for (uint32_t i = 0; i < r->n_pred; i++) {
        const struct m2c_predictor *p = &r->pred[i];
        if (p->lookahead == lookahead && strcmp(p->kind, kind) == 0)
            return p;
    }
    return NULL;
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

enum { ARRAYS = 4 };
static const char *const names[ARRAYS] = {"freq", "mean", "m2", "order"};

/* All of 4 bytes a neuron. */
static void *array(const struct m2c_rank *r, uint32_t l, int k)
{
    const struct m2c_rank_layer *y = &r->layer[l];
    void *const arrays[ARRAYS] = {y->freq, y->mean, y->m2, y->order};
    return arrays[k];
}

static int write_layer(const struct m2c_rank *r, uint32_t l, const struct m2c_h5_new *f,
                       uint64_t offset[ARRAYS], struct m2c_err *err)
{
    char path[32];
    snprintf(path, sizeof path, "/layers/%u", l);
    hid_t g = m2c_h5_group(f->file, path);
    if (g < 0)
        return m2c_h5_fail(err, -EIO, "%s: group %s", f->path, path);
    int e = 0;
    for (int k = 0; k < ARRAYS && e == 0; k++)
        e = m2c_h5_write_dset(f->path, g, names[k], k == 3 ? &m2c_h5_u32 : &m2c_h5_f32,
                              r->n, array(r, l, k), &offset[k], err);
    m2c_h5_close(g);
    return e;
}

static int write_meta(const struct m2c_rank *r, const struct m2c_h5_new *f,
                      const char *text, struct m2c_err *err)
{
    hid_t meta = m2c_h5_group(f->file, "/meta");
    struct m2c_h5_obj o = {meta, f->path, "/meta"};
    uint32_t shape[2] = {r->layers, r->n};
    char model[33], order[33];
    m2c_hash_hex(r->model, model);
    m2c_hash_hex(r->order, order);
    int e = meta < 0 ? m2c_h5_fail(err, -EIO, "%s: group /meta", f->path) : 0;
    if (e == 0)
        e = m2c_h5_put(&o, "version", &m2c_h5_u32, 0, &m2c_kind_rank.version, err);
    if (e == 0)
        e = m2c_h5_put(&o, "shape", &m2c_h5_u32, 2, shape, err);
    if (e == 0)
        e = m2c_h5_put(&o, "tokens", &m2c_h5_u64, 0, &r->tokens, err);
    if (e == 0)
        e = m2c_h5_put_str(&o, "model", 0, sizeof model, model, err);
    if (e == 0)
        e = m2c_h5_put_str(&o, "order", 0, sizeof order, order, err);
    if (e == 0)
        e = m2c_h5_put_str(&o, "text", 0, sizeof r->text, text, err);
    m2c_h5_close(meta);
    return e;
}

/* NULL: no memory. `offset`: [layers][ARRAYS], then those of the predictors. */
static json_t *make_index(const struct m2c_rank *r, const char *text,
                          const uint64_t *offset)
{
    char model[33], order[33];
    json_t *list = json_array();
    bool ok = list != NULL;
    m2c_hash_hex(r->model, model);
    m2c_hash_hex(r->order, order);
    for (uint32_t l = 0; ok && l < r->layers; l++, offset += ARRAYS)
        ok = json_array_append_new(list, json_pack("{s:I, s:I, s:I, s:I}", names[0],
                                                   (json_int_t)offset[0], names[1],
                                                   (json_int_t)offset[1], names[2],
                                                   (json_int_t)offset[2], names[3],
                                                   (json_int_t)offset[3])) == 0;
    if (ok)
        return json_pack("{s:I, s:I, s:I, s:s, s:s, s:s, s:o, s:o}", "layers",
                         (json_int_t)r->layers, "n", (json_int_t)r->n, "tokens",
                         (json_int_t)r->tokens, "model", model, "order", order, "text",
                         text, "offsets", list, "predictors",
                         m2c_predictors_index(r, offset));
    json_decref(list);
    return NULL;
}

static int write_file(const struct m2c_rank *r, struct m2c_h5_new *f, const char *text,
                      uint64_t *offset, struct m2c_err *err)
{
    int e = write_meta(r, f, text, err);
    for (uint32_t l = 0; l < r->layers && e == 0; l++)
        e = write_layer(r, l, f, offset + (size_t)l * ARRAYS, err);
    if (e == 0)
        e = m2c_predictors_write(r, f, offset + (size_t)r->layers * ARRAYS, err);
    if (e < 0)
        return e;
    json_t *index = make_index(r, text, offset);
    e = m2c_h5_commit(f, &m2c_kind_rank, index, err);
    json_decref(index);
    return e;
}

int m2c_rank_write(const struct m2c_rank *r, const char *path, struct m2c_err *err)
{
    struct m2c_h5_new f;
    char text[sizeof r->text] = "";
    size_t arrays = (size_t)r->layers * ARRAYS + m2c_predictors_arrays(r);
    uint64_t *offset = calloc(arrays, sizeof *offset), userblock = 0;
    if (!offset)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    for (size_t i = 0; i < arrays; i++)
        offset[i] = M2C_INDEX_NOWHERE;
    snprintf(text, sizeof text, "%s", r->text);
    m2c_index_text(text);
    json_t *index = make_index(r, text, offset);
    int e = m2c_index_room(path, index, &userblock, err);
    json_decref(index);
    if (e == 0)
        e = m2c_h5_new(&f, path, userblock, err);
    if (e == 0) {
        e = write_file(r, &f, text, offset, err);
        m2c_h5_drop(&f);
    }
    free(offset);
    return e;
}

/* ---- reading ---- */

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

static int read_layer(const struct m2c_rank *r, uint32_t l, int fd,
                      const struct m2c_node *offsets, uint64_t end, struct m2c_err *err)
{
    struct m2c_node at = m2c_node_item(offsets, l);
    size_t bytes = r->n * sizeof(uint32_t);
    for (int k = 0; k < ARRAYS; k++) {
        uint64_t offset = 0;
        int e = m2c_node_u64(&at, names[k], &offset, err);
        if (e == 0 && (offset < M2C_HEADER_BYTES || !m2c_range_ok(offset, bytes, end)))
            e = m2c_fail(err, -EINVAL,
                         "%s: index: %s: no %zu bytes of %s at offset %" PRIu64, at.file,
                         at.name, bytes, names[k], offset);
        if (e == 0)
            e = m2c_pread_all(fd, at.file, array(r, l, k), bytes, offset, err);
        if (e < 0)
            return e;
    }
    return check_layer(r, l, at.file, err);
}

static int read_meta(struct m2c_rank *r, const struct m2c_node *index,
                     struct m2c_hash128 model, struct m2c_err *err)
{
    uint32_t layers = 0, n = 0;
    int e = m2c_node_hash(index, "model", &r->model, err);
    if (e == 0 && !m2c_hash_equal(r->model, model)) {
        char have[33], want[33];
        m2c_hash_hex(r->model, have);
        m2c_hash_hex(model, want);
        e = m2c_fail(err, -EINVAL,
                     "%s: ranks the neurons of another model (%s, this one is %s)",
                     index->file, have, want);
    }
    if (e == 0)
        e = m2c_node_u32(index, "layers", &layers, err);
    if (e == 0)
        e = m2c_node_u32(index, "n", &n, err);
    if (e == 0 && (layers != r->layers || n != r->n))
        e = m2c_fail(err, -EINVAL, "%s: %u layers of %u neurons, the model has %u of %u",
                     index->file, layers, n, r->layers, r->n);
    if (e == 0)
        e = m2c_node_u64(index, "tokens", &r->tokens, err);
    if (e == 0)
        e = m2c_node_str(index, "text", sizeof r->text, r->text, err);
    if (e == 0)
        e = m2c_node_hash(index, "order", &r->order, err);
    return e;
}

static int read_rank(struct m2c_rank *r, int fd, uint64_t end,
                     const struct m2c_node *index, struct m2c_hash128 model,
                     struct m2c_err *err)
{
    struct m2c_node offsets;
    size_t n;
    int e = read_meta(r, index, model, err);
    if (e == 0)
        e = m2c_node_list(index, "offsets", r->layers, r->layers, &offsets, &n, err);
    for (uint32_t l = 0; l < r->layers && e == 0; l++)
        e = read_layer(r, l, fd, &offsets, end, err);
    return e < 0 ? e : m2c_predictors_read(r, fd, end, index, err);
}

int m2c_rank_read(struct m2c_rank **out, const char *path, struct m2c_hash128 model,
                  uint32_t layers, uint32_t n, struct m2c_err *err)
{
    struct m2c_rank *r = NULL;
    struct m2c_userblock head;
    json_t *root;
    int fd;
    int e = m2c_index_open(path, &m2c_kind_rank, &fd, &head, &root, err);
    if (e < 0)
        return e;
    struct m2c_node index = {.file = path, .v = root};
    e = m2c_rank_new(&r, layers, n);
    if (e < 0)
        e = m2c_fail(err, e, "%s: out of memory", path);
    else
        e = read_rank(r, fd, head.file_bytes, &index, model, err);
    json_decref(root);
    close(fd);
    if (e < 0) {
        m2c_rank_free(r);
        return e;
    }
    *out = r;
    return 0;
}
