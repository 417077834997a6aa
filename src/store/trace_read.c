/* SPDX-License-Identifier: MIT */
/* Reading a trace file by its index: whatever it says is checked before it is
 * used, and no more memory is asked for than the file has bytes for. */
#include "store/file_impl.h"
#include "store/index_impl.h"
#include "store/trace_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct raw {
    int fd;
    uint64_t end; /* bytes of the file */
    size_t id_bytes;
    uint64_t offset[M2C_TRACE_ARRAYS];
    void *data[M2C_TRACE_ARRAYS];
};

static int read_int(const struct m2c_node *in, const char *key, int64_t min, int64_t max,
                    uint64_t *out, struct m2c_err *err)
{
    struct m2c_node v;
    int64_t x = 0;
    int e = m2c_node_get(in, key, &v, err);
    if (e == 0)
        e = m2c_node_int(&v, min, max, &x, err);
    *out = (uint64_t)x;
    return e;
}

static int read_classes(struct m2c_trace *t, const struct m2c_node *index,
                        struct m2c_err *err)
{
    struct m2c_node list;
    size_t n = 0;
    uint64_t x = 0;
    int64_t bytes = 0;
    int e = m2c_node_list(index, "parts", 1, M2C_LAYOUT_PARTS, &list, &n, err);
    t->n_parts = (uint32_t)n;
    for (size_t i = 0; i < n && e == 0; i++) {
        struct m2c_node v = m2c_node_item(&list, i);
        e = m2c_node_int(&v, 1, M2C_TRACE_PART_BYTES, &bytes, err);
        t->part_bytes[i] = (uint32_t)bytes;
    }
    if (e == 0)
        e = m2c_node_list(index, "classes", 1, M2C_LAYOUT_CLASSES, &list, &n, err);
    t->n_classes = e == 0 ? (uint32_t)n : 0;
    for (size_t i = 0; e == 0 && i < n; i++) {
        struct m2c_node v = m2c_node_item(&list, i);
        e = m2c_node_str(&v, "name", sizeof t->cls[i].name, t->cls[i].name, err);
        if (e == 0)
            e = read_int(&v, "parts", 1, (1 << t->n_parts) - 1, &x, err);
        t->cls[i].parts = (uint32_t)x;
    }
    return e;
}

static int read_meta(struct m2c_trace *t, const struct m2c_node *index,
                     struct m2c_err *err)
{
    uint64_t layers = 0, neurons = 0;
    int e = read_int(index, "layers", 1, M2C_TRACE_LAYERS, &layers, err);
    if (e == 0)
        e = read_int(index, "neurons", 1, M2C_TRACE_NEURONS, &neurons, err);
    if (e == 0)
        e = read_int(index, "tokens", 1, INT64_C(1) << 40, &t->tokens, err);
    if (e == 0)
        e = read_int(index, "accesses", 1, (int64_t)M2C_TRACE_MAX, &t->n, err);
    t->layers = (uint32_t)layers;
    t->neurons = (uint32_t)neurons;
    if (e == 0 && layers * neurons > M2C_TRACE_BLOCKS)
        e = m2c_fail(err, -EINVAL, "%s: index: %u layers of %u neurons, at most %d in all",
                     index->file, t->layers, t->neurons, M2C_TRACE_BLOCKS);
    if (e == 0)
        e = m2c_node_hash(index, "model", &t->model, err);
    if (e == 0)
        e = m2c_node_hash(index, "order", &t->order, err);
    if (e == 0)
        e = m2c_node_str(index, "text", sizeof t->text, t->text, err);
    if (e == 0)
        e = m2c_node_str(index, "selector", sizeof t->selector, t->selector, err);
    return e == 0 ? read_classes(t, index, err) : e;
}

/* Array k: n elements of `size` bytes. */
static int read_array(struct raw *r, const struct m2c_node *offsets, int k, uint64_t n,
                      size_t size, struct m2c_err *err)
{
    uint64_t offset = 0;
    int e = m2c_node_u64(offsets, m2c_trace_array(k), &offset, err);
    if (e < 0)
        return e;
    r->offset[k] = offset;
    if (offset < M2C_HEADER_BYTES || n > r->end / size ||
        !m2c_range_ok(offset, n * size, r->end))
        return m2c_fail(err, -EINVAL,
                        "%s: index: no %" PRIu64 " elements of %s of %zu bytes at offset "
                        "%" PRIu64 " of %" PRIu64,
                        offsets->file, n, m2c_trace_array(k), size, offset, r->end);
    r->data[k] = malloc((size_t)n * size + 1);
    if (!r->data[k])
        return m2c_fail(err, -ENOMEM, "%s: out of memory for %s", offsets->file,
                        m2c_trace_array(k));
    return m2c_pread_all(r->fd, offsets->file, r->data[k], (size_t)n * size, offset, err);
}

static int read_arrays(struct raw *r, const struct m2c_trace *t,
                       const struct m2c_node *index, struct m2c_err *err)
{
    struct m2c_node offsets;
    r->id_bytes = m2c_trace_id_bytes(t->neurons);
    int e = m2c_node_get(index, "offsets", &offsets, err);
    uint64_t lists = t->tokens * t->layers; /* at most 2^56 */
    if (e == 0)
        e = read_array(r, &offsets, M2C_TRACE_SCALE, lists, sizeof(float), err);
    if (e == 0)
        e = read_array(r, &offsets, M2C_TRACE_COUNT, lists * t->n_classes, r->id_bytes,
                       err);
    if (e == 0)
        e = read_array(r, &offsets, M2C_TRACE_ID, t->n, r->id_bytes, err);
    if (e == 0)
        e = read_array(r, &offsets, M2C_TRACE_SCORE, t->n, 1, err);
    return e;
}

static uint32_t int_at(const struct raw *r, int k, uint64_t i)
{
    return r->id_bytes == 2 ? ((const uint16_t *)r->data[k])[i]
                            : ((const uint32_t *)r->data[k])[i];
}

static int bad_access(const struct raw *r, const char *path, uint64_t i, const char *what,
                      uint32_t value, struct m2c_err *err)
{
    return m2c_fail(err, -EINVAL,
                    "%s: access %" PRIu64 " (offset %" PRIu64 "): neuron %u %s", path, i,
                    r->offset[M2C_TRACE_ID] + i * r->id_bytes, value, what);
}

/* Merges the runs of the classes, each ascending, into one list. from[c] to
 * to[c]: the run of class c in the file. */
static int merge(struct m2c_trace *t, const struct raw *r, const char *path,
                 uint64_t list, uint64_t at, const uint32_t *count, struct m2c_err *err)
{
    uint64_t from[M2C_LAYOUT_CLASSES], to[M2C_LAYOUT_CLASSES], out = at;
    for (uint32_t c = 0; c < t->n_classes; c++) {
        from[c] = c ? to[c - 1] : at;
        to[c] = from[c] + count[c];
    }
    for (uint64_t end = to[t->n_classes - 1]; out < end; out++) {
        uint32_t best = 0, least = UINT32_MAX;
        for (uint32_t c = 0; c < t->n_classes; c++) {
            uint32_t id = from[c] < to[c] ? int_at(r, M2C_TRACE_ID, from[c]) : UINT32_MAX;
            best = id < least ? c : best;
            least = id < least ? id : least;
        }
        if (least >= t->neurons)
            return bad_access(r, path, from[best], "is not of this layer", least, err);
        if (out > at && least <= t->id[out - 1])
            return bad_access(r, path, from[best], "is twice in its list or out of order",
                              least, err);
        t->id[out] = least;
        t->of_class[out] = (uint8_t)best;
        t->score[out] = ((const uint8_t *)r->data[M2C_TRACE_SCORE])[from[best]++];
    }
    t->begin[list + 1] = out;
    return 0;
}

static int unpack(struct m2c_trace *t, const struct raw *r, const char *path,
                  struct m2c_err *err)
{
    uint64_t lists = t->tokens * t->layers, at = 0;
    for (uint64_t list = 0; list < lists; list++) {
        uint32_t count[M2C_LAYOUT_CLASSES];
        uint64_t sum = 0;
        for (uint32_t c = 0; c < t->n_classes; c++)
            sum += count[c] = int_at(r, M2C_TRACE_COUNT, list * t->n_classes + c);
        if (sum > t->n - at)
            return m2c_fail(err, -EINVAL,
                            "%s: token %" PRIu64 ", layer %" PRIu64 ": %" PRIu64
                            " neurons wanted where %" PRIu64 " accesses are left",
                            path, list / t->layers, list % t->layers, sum, t->n - at);
        float scale = ((const float *)r->data[M2C_TRACE_SCALE])[list];
        if (!(scale >= 0) || !isfinite(scale))
            return m2c_fail(err, -EINVAL,
                            "%s: token %" PRIu64 ", layer %" PRIu64 ": %g is no score",
                            path, list / t->layers, list % t->layers, (double)scale);
        t->scale[list] = scale;
        int e = merge(t, r, path, list, at, count, err);
        if (e < 0)
            return e;
        at += sum;
    }
    return at == t->n ? 0
                      : m2c_fail(err, -EINVAL,
                                 "%s: %" PRIu64 " accesses, of which %" PRIu64
                                 " belong to no token",
                                 path, t->n, t->n - at);
}

static int read_trace(struct m2c_trace *t, struct raw *r, const struct m2c_node *index,
                      struct m2c_err *err)
{
    int e = read_meta(t, index, err);
    if (e == 0)
        e = read_arrays(r, t, index, err);
    if (e < 0)
        return e;
    size_t lists = (size_t)(t->tokens * t->layers);
    t->begin = calloc(lists + 1, sizeof *t->begin);
    t->scale = calloc(lists, sizeof *t->scale);
    t->id = calloc((size_t)t->n, sizeof *t->id);
    t->of_class = calloc((size_t)t->n, 1);
    t->score = calloc((size_t)t->n, 1);
    if (!t->begin || !t->scale || !t->id || !t->of_class || !t->score)
        return m2c_fail(err, -ENOMEM, "%s: out of memory for %" PRIu64 " accesses",
                        index->file, t->n);
    return unpack(t, r, index->file, err);
}

int m2c_trace_read(struct m2c_trace **out, const char *path, struct m2c_err *err)
{
    struct m2c_userblock head;
    struct raw r = {0};
    json_t *root;
    int e = m2c_index_open(path, &m2c_kind_trace, &r.fd, &head, &root, err);
    if (e < 0)
        return e;
    struct m2c_node index = {.file = path, .v = root};
    struct m2c_trace *t = calloc(1, sizeof *t);
    r.end = head.file_bytes;
    e = t ? read_trace(t, &r, &index, err)
          : m2c_fail(err, -ENOMEM, "%s: out of memory", path);
    for (int k = 0; k < M2C_TRACE_ARRAYS; k++)
        free(r.data[k]);
    json_decref(root);
    close(r.fd);
    if (e < 0) {
        m2c_trace_free(t);
        return e;
    }
    *out = t;
    return 0;
}
