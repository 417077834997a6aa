/* SPDX-License-Identifier: MIT */
/* Writing a trace file: lists are put in the order of classes, ids shortened. */
#include "store/h5file_impl.h"
#include "store/trace_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct m2c_h5_type type_u16 = {H5T_INTEGER, 2, false};

/* The arrays as they lie in the file. */
struct packed {
    uint64_t lists, n;
    size_t id_bytes;
    void *data[M2C_TRACE_ARRAYS];
    uint64_t offset[M2C_TRACE_ARRAYS];
};

static void put_int(void *array, size_t size, uint64_t at, uint32_t x)
{
    if (size == 2)
        ((uint16_t *)array)[at] = (uint16_t)x;
    else
        ((uint32_t *)array)[at] = x;
}

static void pack(const struct m2c_trace *t, struct packed *p)
{
    uint64_t at = 0;
    for (uint64_t list = 0; list < p->lists; list++) {
        for (uint32_t c = 0; c < t->n_classes; c++) {
            uint64_t before = at;
            for (uint64_t i = t->begin[list]; i < t->begin[list + 1]; i++) {
                if (t->of_class[i] != c)
                    continue;
                put_int(p->data[M2C_TRACE_ID], p->id_bytes, at, t->id[i]);
                ((uint8_t *)p->data[M2C_TRACE_SCORE])[at++] = t->score[i];
            }
            put_int(p->data[M2C_TRACE_COUNT], p->id_bytes, list * t->n_classes + c,
                    (uint32_t)(at - before));
        }
    }
}

static int pack_open(const struct m2c_trace *t, struct packed *p)
{
    p->lists = t->tokens * t->layers;
    p->n = p->lists ? t->begin[p->lists] : 0;
    p->id_bytes = m2c_trace_id_bytes(t->neurons);
    p->data[M2C_TRACE_COUNT] = calloc((size_t)p->lists * t->n_classes + 1, p->id_bytes);
    p->data[M2C_TRACE_SCALE] = calloc((size_t)p->lists + 1, sizeof(float));
    p->data[M2C_TRACE_ID] = calloc((size_t)p->n + 1, p->id_bytes);
    p->data[M2C_TRACE_SCORE] = calloc((size_t)p->n + 1, 1);
    for (int k = 0; k < M2C_TRACE_ARRAYS; k++) {
        p->offset[k] = M2C_INDEX_NOWHERE;
        if (!p->data[k])
            return -ENOMEM;
    }
    memcpy(p->data[M2C_TRACE_SCALE], t->scale, (size_t)p->lists * sizeof(float));
    pack(t, p);
    return 0;
}

static void pack_close(struct packed *p)
{
    for (int k = 0; k < M2C_TRACE_ARRAYS; k++)
        free(p->data[k]);
}

/* NULL: no memory. */
static json_t *make_index(const struct m2c_trace *t, const struct packed *p)
{
    char model[33], order[33], text[sizeof t->text], selector[sizeof t->selector];
    json_t *classes = json_array(), *parts = json_array(), *offsets = json_object();
    int bad = !classes || !parts || !offsets;
    m2c_hash_hex(t->model, model);
    m2c_hash_hex(t->order, order);
    memcpy(text, t->text, sizeof text);
    memcpy(selector, t->selector, sizeof selector);
    m2c_index_text(text);
    m2c_index_text(selector);
    for (uint32_t c = 0; c < t->n_classes && !bad; c++)
        bad = json_array_append_new(classes,
                                    json_pack("{s:s, s:I}", "name", t->cls[c].name,
                                              "parts", (json_int_t)t->cls[c].parts));
    for (uint32_t i = 0; i < t->n_parts && !bad; i++)
        bad = json_array_append_new(parts, json_integer((json_int_t)t->part_bytes[i]));
    for (int k = 0; k < M2C_TRACE_ARRAYS && !bad; k++)
        bad = json_object_set_new(offsets, m2c_trace_array(k),
                                  json_integer((json_int_t)p->offset[k]));
    if (!bad)
        return json_pack("{s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:o, s:o, s:o}",
                         "layers", (json_int_t)t->layers, "neurons",
                         (json_int_t)t->neurons, "tokens", (json_int_t)t->tokens,
                         "accesses", (json_int_t)p->n, "model", model, "order", order,
                         "text", text, "selector", selector, "classes", classes, "parts",
                         parts, "offsets", offsets);
    json_decref(classes);
    json_decref(parts);
    json_decref(offsets);
    return NULL;
}

static int write_meta(const struct m2c_trace *t, const struct m2c_h5_new *f,
                      struct m2c_err *err)
{
    hid_t meta = m2c_h5_group(f->file, "/meta");
    struct m2c_h5_obj o = {meta, f->path, "/meta"};
    uint32_t shape[3] = {t->layers, t->neurons, t->n_classes};
    char model[33], order[33];
    m2c_hash_hex(t->model, model);
    m2c_hash_hex(t->order, order);
    int e = meta < 0 ? m2c_h5_fail(err, -EIO, "%s: group /meta", f->path) : 0;
    if (e == 0)
        e = m2c_h5_put(&o, "version", &m2c_h5_u32, 0, &m2c_kind_trace.version, err);
    if (e == 0)
        e = m2c_h5_put(&o, "shape", &m2c_h5_u32, 3, shape, err);
    if (e == 0)
        e = m2c_h5_put(&o, "tokens", &m2c_h5_u64, 0, &t->tokens, err);
    if (e == 0)
        e = m2c_h5_put_str(&o, "model", 0, sizeof model, model, err);
    if (e == 0)
        e = m2c_h5_put_str(&o, "order", 0, sizeof order, order, err);
    if (e == 0)
        e = m2c_h5_put_str(&o, "text", 0, sizeof t->text, t->text, err);
    if (e == 0)
        e = m2c_h5_put_str(&o, "selector", 0, sizeof t->selector, t->selector, err);
    m2c_h5_close(meta);
    return e;
}

static int write_file(const struct m2c_trace *t, struct packed *p, struct m2c_h5_new *f,
                      struct m2c_err *err)
{
    const struct m2c_h5_type *ints = p->id_bytes == 2 ? &type_u16 : &m2c_h5_u32;
    const struct m2c_h5_type *type[M2C_TRACE_ARRAYS] = {ints, &m2c_h5_f32, ints,
                                                        &m2c_h5_u8};
    const uint64_t n[M2C_TRACE_ARRAYS] = {p->lists * t->n_classes, p->lists, p->n, p->n};
    int e = write_meta(t, f, err);
    for (int k = 0; k < M2C_TRACE_ARRAYS && e == 0; k++)
        e = m2c_h5_write_dset(f->path, f->file, m2c_trace_array(k), type[k], (size_t)n[k],
                              p->data[k], &p->offset[k], err);
    if (e < 0)
        return e;
    json_t *index = make_index(t, p);
    e = m2c_h5_commit(f, &m2c_kind_trace, index, err);
    json_decref(index);
    return e;
}

int m2c_trace_write(const struct m2c_trace *t, const char *path, struct m2c_err *err)
{
    struct packed p = {0};
    struct m2c_h5_new f;
    uint64_t userblock = 0;
    int e = 0;
    if (t->tokens == 0 || t->begin[t->tokens * t->layers] == 0)
        return m2c_fail(err, -EINVAL, "%s: nothing was recorded", path);
    if (pack_open(t, &p) < 0)
        e = m2c_fail(err, -ENOMEM, "%s: out of memory for %llu accesses", path,
                     (unsigned long long)t->n);
    if (e == 0) {
        json_t *index = make_index(t, &p);
        e = m2c_index_room(path, index, &userblock, err);
        json_decref(index);
    }
    if (e == 0)
        e = m2c_h5_new(&f, path, userblock, err);
    if (e == 0) {
        e = write_file(t, &p, &f, err);
        m2c_h5_drop(&f);
    }
    pack_close(&p);
    return e;
}
