/* SPDX-License-Identifier: MIT */
/* Predictors in memory and in the rank file. */
#include "store/predict_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const m2c_predictor_kinds[] = {"gate", "mlp", "rrr", NULL};

uint32_t m2c_predictor_inner(const struct m2c_predictor *p)
{
    return p->width ? p->width : p->dim;
}

static size_t narrow_floats(const struct m2c_predictor *p)
{
    return (size_t)p->width * p->dim;
}

static size_t wide_floats(const struct m2c_predictor *p)
{
    return (size_t)p->n * m2c_predictor_inner(p);
}

uint64_t m2c_predictor_bytes(const struct m2c_predictor *p)
{
    uint32_t inner = m2c_predictor_inner(p);
    uint64_t rows = p->width * (uint64_t)(m2c_code_bytes(p->type, p->dim) +
                                          m2c_scale_bytes(p->type, p->dim));
    rows += p->n * (uint64_t)(m2c_code_bytes(p->type, inner) +
                              m2c_scale_bytes(p->type, inner));
    return p->layers * (rows + p->n * sizeof(float));
}

int m2c_predictor_init(struct m2c_predictor *p, const struct m2c_predictor *shape)
{
    *p = *shape;
    p->layer = calloc(p->layers, sizeof *p->layer);
    bool ok = p->layer != NULL;
    for (uint32_t l = 0; l < p->layers && ok; l++) {
        struct m2c_predictor_layer *y = &p->layer[l];
        y->narrow = p->width ? calloc(narrow_floats(p), sizeof(float)) : NULL;
        y->wide = calloc(wide_floats(p), sizeof(float));
        y->bias = calloc(p->n, sizeof(float));
        y->recall = NAN;
        ok = y->wide && y->bias && (y->narrow || !p->width);
    }
    if (ok)
        return 0;
    m2c_predictor_fini(p);
    return -ENOMEM;
}

void m2c_predictor_fini(struct m2c_predictor *p)
{
    for (uint32_t l = 0; p->layer && l < p->layers; l++) {
        free(p->layer[l].narrow);
        free(p->layer[l].wide);
        free(p->layer[l].bias);
    }
    free(p->layer);
    p->layer = NULL;
}

/* ---- files ---- */

/* The arrays of a layer; the first is absent where width is 0. */
struct array {
    const char *name;
    float *data;
    size_t n;
};

static unsigned arrays_of(const struct m2c_predictor *p, uint32_t l, struct array a[3])
{
    const struct m2c_predictor_layer *y = &p->layer[l];
    unsigned n = 0;
    if (p->width)
        a[n++] = (struct array){"narrow", y->narrow, narrow_floats(p)};
    a[n++] = (struct array){"wide", y->wide, wide_floats(p)};
    a[n++] = (struct array){"bias", y->bias, p->n};
    return n;
}

size_t m2c_predictors_arrays(const struct m2c_rank *r)
{
    size_t n = 0;
    for (uint32_t i = 0; i < r->n_pred; i++)
        n += (size_t)r->pred[i].layers * (r->pred[i].width ? 3 : 2);
    return n;
}

static int write_layer(const struct m2c_predictor *p, uint32_t l, const char *group,
                       const struct m2c_h5_new *f, uint64_t **offset, struct m2c_err *err)
{
    char path[64];
    struct array a[3];
    unsigned n = arrays_of(p, l, a);
    snprintf(path, sizeof path, "%s/%u", group, l);
    hid_t g = m2c_h5_group(f->file, path);
    if (g < 0)
        return m2c_h5_fail(err, -EIO, "%s: group %s", f->path, path);
    int e = 0;
    for (unsigned i = 0; i < n && e == 0; i++)
        e = m2c_h5_write_dset(f->path, g, a[i].name, &m2c_h5_f32, a[i].n, a[i].data,
                              (*offset)++, err);
    m2c_h5_close(g);
    return e;
}

int m2c_predictors_write(const struct m2c_rank *r, const struct m2c_h5_new *f,
                         uint64_t *offset, struct m2c_err *err)
{
    int e = 0;
    for (uint32_t i = 0; i < r->n_pred && e == 0; i++) {
        const struct m2c_predictor *p = &r->pred[i];
        char path[40];
        snprintf(path, sizeof path, "/predictors/%s-%u", p->kind, p->lookahead);
        for (uint32_t l = 0; l < p->layers && e == 0; l++)
            e = write_layer(p, l, path, f, &offset, err);
    }
    return e;
}

static json_t *index_layers(const struct m2c_predictor *p, const uint64_t **offset)
{
    json_t *list = json_array();
    for (uint32_t l = 0; l < p->layers && list; l++) {
        struct array a[3];
        unsigned n = arrays_of(p, l, a);
        float recall = p->layer[l].recall;
        json_t *o = json_pack("{s:f}", "recall", isfinite(recall) ? (double)recall : -1.0);
        bool ok = json_array_append_new(list, o) == 0;
        for (unsigned i = 0; i < n && ok; i++)
            ok = json_object_set_new(o, a[i].name,
                                     json_integer((json_int_t)*(*offset)++)) == 0;
        if (!ok) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

json_t *m2c_predictors_index(const struct m2c_rank *r, const uint64_t *offset)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < r->n_pred && list; i++) {
        const struct m2c_predictor *p = &r->pred[i];
        char text[sizeof p->text];
        memcpy(text, p->text, sizeof text);
        m2c_index_text(text);
        json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:s, s:I, s:s, s:o}", "kind", p->kind,
                              "lookahead", (json_int_t)p->lookahead, "dim",
                              (json_int_t)p->dim, "width", (json_int_t)p->width, "type",
                              m2c_type_name(p->type), "tokens", (json_int_t)p->tokens,
                              "text", text, "layers", index_layers(p, &offset));
        if (json_array_append_new(list, o)) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

/* ---- reading ---- */

static int read_array(const struct array *a, int fd, uint64_t end, const struct m2c_node *in,
                      struct m2c_err *err)
{
    uint64_t offset = 0;
    size_t bytes = a->n * sizeof(float);
    int e = m2c_node_u64(in, a->name, &offset, err);
    if (e == 0 && (offset < M2C_HEADER_BYTES || !m2c_range_ok(offset, bytes, end)))
        e = m2c_fail(err, -EINVAL, "%s: index: %s: no %zu bytes of %s at offset %" PRIu64,
                     in->file, in->name, bytes, a->name, offset);
    if (e == 0)
        e = m2c_pread_all(fd, in->file, a->data, bytes, offset, err);
    for (size_t i = 0; i < a->n && e == 0; i++) {
        if (!isfinite(a->data[i]))
            e = m2c_fail(err, -EINVAL, "%s: %s.%s: element %zu is not a number", in->file,
                         in->name, a->name, i);
    }
    return e;
}

static int read_layer(struct m2c_predictor *p, uint32_t l, int fd, uint64_t end,
                      const struct m2c_node *layers, struct m2c_err *err)
{
    struct m2c_node in = m2c_node_item(layers, l), recall;
    struct array a[3];
    unsigned n = arrays_of(p, l, a);
    int e = m2c_node_get(&in, "recall", &recall, err);
    double v = e == 0 ? json_number_value(recall.v) : 0;
    p->layer[l].recall = v >= 0 && v <= 1 ? (float)v : NAN;
    for (unsigned i = 0; i < n && e == 0; i++)
        e = read_array(&a[i], fd, end, &in, err);
    return e;
}

static bool parse_names(struct m2c_predictor *p, const char *kind, const char *type)
{
    bool found[2] = {false, false};
    for (int k = 0; m2c_predictor_kinds[k]; k++)
        found[0] = found[0] || strcmp(kind, m2c_predictor_kinds[k]) == 0;
    for (int t = 0; t < M2C_N_TYPES && !found[1]; t++) {
        p->type = (enum m2c_type)t;
        found[1] = strcmp(type, m2c_type_name(p->type)) == 0;
    }
    memcpy(p->kind, kind, sizeof p->kind);
    return found[0] && found[1];
}

/* Sizes are bounded before anything of them is allocated: by the file, which
 * has to hold the arrays. */
static int read_shape(struct m2c_predictor *p, uint64_t end, const struct m2c_node *in,
                      struct m2c_err *err)
{
    enum { DIM_MAX = 1 << 20 };
    char type[8], kind[sizeof p->kind];
    int e = m2c_node_str(in, "kind", sizeof kind, kind, err);
    if (e == 0)
        e = m2c_node_u32(in, "lookahead", &p->lookahead, err);
    if (e == 0)
        e = m2c_node_u32(in, "dim", &p->dim, err);
    if (e == 0)
        e = m2c_node_u32(in, "width", &p->width, err);
    if (e == 0)
        e = m2c_node_str(in, "type", sizeof type, type, err);
    if (e == 0)
        e = m2c_node_u64(in, "tokens", &p->tokens, err);
    if (e == 0)
        e = m2c_node_str(in, "text", sizeof p->text, p->text, err);
    if (e < 0)
        return e;
    if (!parse_names(p, kind, type) || p->lookahead > M2C_LOOKAHEAD_MAX || p->dim == 0 ||
        p->dim > DIM_MAX || p->width > p->dim)
        return m2c_fail(err, -EINVAL,
                        "%s: index: %s: kind '%s', lookahead %u, dim %u, width %u, type '%s' "
                        "make no predictor",
                        in->file, in->name, kind, p->lookahead, p->dim, p->width, type);
    uint64_t floats = narrow_floats(p) + (uint64_t)wide_floats(p) + p->n;
    if (floats > end / sizeof(float) / p->layers)
        return m2c_fail(err, -EINVAL, "%s: index: %s: the file cannot hold its matrices",
                        in->file, in->name);
    return 0;
}

static int read_one(struct m2c_rank *r, int fd, uint64_t end, const struct m2c_node *in,
                    struct m2c_err *err)
{
    struct m2c_predictor shape = {.layers = r->layers, .n = r->n}, *p = &r->pred[r->n_pred];
    struct m2c_node layers;
    size_t n;
    int e = read_shape(&shape, end, in, err);
    if (e == 0)
        e = m2c_node_list(in, "layers", r->layers, r->layers, &layers, &n, err);
    if (e < 0)
        return e;
    if (m2c_predictor_init(p, &shape) < 0)
        return m2c_fail(err, -ENOMEM, "%s: out of memory", in->file);
    r->n_pred++;
    for (uint32_t l = 0; l < p->layers && e == 0; l++)
        e = read_layer(p, l, fd, end, &layers, err);
    return e;
}

int m2c_predictors_read(struct m2c_rank *r, int fd, uint64_t end,
                        const struct m2c_node *index, struct m2c_err *err)
{
    struct m2c_node list;
    size_t n = 0;
    if (!json_object_get(index->v, "predictors"))
        return 0;
    int e = m2c_node_list(index, "predictors", 0, M2C_PREDICTORS_MAX, &list, &n, err);
    for (size_t i = 0; i < n && e == 0; i++) {
        struct m2c_node in = m2c_node_item(&list, i);
        e = read_one(r, fd, end, &in, err);
    }
    return e;
}
