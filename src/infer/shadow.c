/* SPDX-License-Identifier: MIT */
/* True activations from a resident copy of gate and up, at the widest class.
 *
 * A record is gate, up, down in this order, so that the shadow of a neuron is
 * the heads of its records, up to where down begins: for each part of the class
 * those of all neurons in a row. */
#include "infer/shadow.h"

#include "quant/codec.h"
#include "tier/way.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct m2c_shadow {
    struct m2c_dev *dev;
    const struct m2c_store *s;
    uint32_t n, layers;
    size_t part_off[M2C_LAYOUT_PARTS], bytes; /* of a layer */
    struct m2c_buf **buf;                     /* [layers] */
    struct m2c_buf *list, *h, *h_host, *stage; /* stage: on the way to the device */
    struct m2c_queue *queue;                   /* of loading */
    struct m2c_ffn_unit unit; /* class 0 is set for each layer */
};

/* Bytes of gate and up of a neuron in part p; 0: the widest class has it not. */
static uint32_t head_bytes(const struct m2c_store *s, uint32_t p)
{
    bool used = m2c_store_layout(s)->cls[0].parts >> p & 1;
    return used ? m2c_store_record(s, p)->code_off[2] : 0;
}

static size_t neuron_bytes(const struct m2c_store *s)
{
    size_t bytes = 0;
    for (uint32_t p = 0; p < m2c_store_layout(s)->n_parts; p++)
        bytes += head_bytes(s, p);
    return bytes;
}

uint64_t m2c_shadow_bytes(const struct m2c_store *s)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(s);
    return (uint64_t)neuron_bytes(s) * m->hidden * m->layers;
}

static enum m2c_place place_of(const struct m2c_dev *dev)
{
    return m2c_dev_info(dev)->unified ? M2C_PLACE_HOST : M2C_PLACE_DEVICE;
}

enum { RUN = 512 }; /* records read at once */

static int copy_now(struct m2c_queue *queue, const struct m2c_copy *c, struct m2c_err *err)
{
    struct m2c_event *ev = NULL;
    int r = m2c_queue_copy(queue, c, 1, err);
    if (r == 0)
        r = m2c_queue_record(queue, &ev, err);
    if (r == 0)
        r = m2c_event_wait(ev, NULL, err);
    m2c_event_free(ev);
    return r;
}

/* `bytes` of the stage to where they belong; to the end. */
static int upload(struct m2c_shadow *sh, struct m2c_mem dst, size_t bytes,
                  struct m2c_err *err)
{
    struct m2c_copy c = {dst, {sh->stage, 0}, bytes};
    return copy_now(sh->queue, &c, err);
}

/* The heads of n neurons' records that lie in `run`, from neuron `first` on. */
static int keep_heads(struct m2c_shadow *sh, uint32_t layer, uint32_t extent,
                      uint32_t first, uint32_t n, const unsigned char *run,
                      uint32_t stride, struct m2c_err *err)
{
    struct m2c_buf *buf = sh->buf[layer];
    int r = 0;
    for (uint32_t p = 0; p < m2c_store_layout(sh->s)->n_parts && r == 0; p++) {
        uint32_t off, head = head_bytes(sh->s, p);
        if (head == 0 || m2c_store_part_at(sh->s, p, &off) != extent)
            continue;
        size_t at = sh->part_off[p] + (size_t)first * head;
        unsigned char *to = buf->host ? (unsigned char *)buf->host + at : sh->stage->host;
        for (uint32_t i = 0; i < n; i++)
            memcpy(to + (size_t)i * head, run + (size_t)i * stride + off, head);
        if (!buf->host)
            r = upload(sh, (struct m2c_mem){buf, at}, (size_t)n * head, err);
    }
    return r;
}

static int read_all(int fd, const char *path, void *to, size_t bytes, uint64_t off,
                    struct m2c_err *err)
{
    for (size_t got = 0; got < bytes;) {
        ssize_t k = pread(fd, (unsigned char *)to + got, bytes - got, (off_t)(off + got));
        if (k <= 0)
            return m2c_fail(err, k < 0 ? -errno : -EIO, "%s: offset %llu: %s", path,
                            (unsigned long long)(off + got),
                            k < 0 ? strerror(errno) : "file ends early");
        got += (size_t)k;
    }
    return 0;
}

/* Reads whole records in runs, checks them, keeps their heads. */
static int load_extent(struct m2c_shadow *sh, int fd, uint32_t layer, uint32_t extent,
                       struct m2c_err *err)
{
    struct m2c_store_range range;
    m2c_store_extent(sh->s, layer, extent, &range);
    unsigned char *run = malloc((size_t)RUN * range.stride);
    if (!run)
        return m2c_fail(err, -ENOMEM, "shadow: out of memory");
    int r = 0;
    for (uint32_t first = 0; first < sh->n && r == 0; first += RUN) {
        uint32_t n = M2C_MIN((uint32_t)RUN, sh->n - first);
        r = read_all(fd, m2c_store_path(sh->s), run, (size_t)n * range.stride,
                     range.offset + (uint64_t)first * range.stride, err);
        if (r == 0)
            r = m2c_store_check(sh->s, layer, extent, first, n, run, err);
        if (r == 0)
            r = keep_heads(sh, layer, extent, first, n, run, range.stride, err);
    }
    free(run);
    return r;
}

static int load_layer(struct m2c_shadow *sh, int fd, uint32_t layer, struct m2c_err *err)
{
    uint32_t done = 0, off;
    int r = 0;
    for (uint32_t p = 0; p < m2c_store_layout(sh->s)->n_parts && r == 0; p++) {
        uint32_t x = m2c_store_part_at(sh->s, p, &off);
        if (head_bytes(sh->s, p) && !(done & (1u << x)))
            r = load_extent(sh, fd, layer, x, err);
        done |= head_bytes(sh->s, p) ? 1u << x : 0;
    }
    return r;
}

static int load(struct m2c_shadow *sh, struct m2c_err *err)
{
    int fd = open(m2c_store_path(sh->s), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return m2c_fail(err, -errno, "%s: %s", m2c_store_path(sh->s), strerror(errno));
    size_t run = (size_t)RUN * neuron_bytes(sh->s); /* at least of each part's heads */
    int r = m2c_queue_open(sh->dev, "shadow", &sh->queue, err);
    if (r == 0)
        r = m2c_dev_alloc(sh->dev, M2C_PLACE_PINNED, run, &sh->stage, err);
    for (uint32_t l = 0; l < sh->layers && r == 0; l++) {
        r = m2c_dev_alloc(sh->dev, place_of(sh->dev), sh->bytes, &sh->buf[l], err);
        if (r == 0)
            r = load_layer(sh, fd, l, err);
    }
    close(fd);
    return r;
}

/* All neurons, in runs as the stage has room for them. */
static int load_list(struct m2c_shadow *sh, struct m2c_err *err)
{
    const uint32_t run = (uint32_t)M2C_MIN(sh->stage->bytes / sizeof(struct m2c_neuron_ref),
                                           (size_t)sh->n);
    int r = 0;
    for (uint32_t first = 0; first < sh->n && r == 0; first += run) {
        uint32_t n = M2C_MIN(run, sh->n - first);
        struct m2c_neuron_ref *refs = sh->stage->host;
        for (uint32_t i = 0; i < n; i++)
            refs[i] = (struct m2c_neuron_ref){.id = first + i, .slot = first + i};
        r = upload(sh, (struct m2c_mem){sh->list, first * sizeof(*refs)}, n * sizeof(*refs),
                   err);
    }
    return r;
}

static int open_lists(struct m2c_shadow *sh, struct m2c_err *err)
{
    size_t list = sizeof(struct m2c_neuron_ref) * sh->n, h = sizeof(float) * sh->n;
    int r = m2c_dev_alloc(sh->dev, place_of(sh->dev), list, &sh->list, err);
    if (r == 0)
        r = m2c_dev_alloc(sh->dev, place_of(sh->dev), h, &sh->h, err);
    if (r == 0)
        r = m2c_dev_alloc(sh->dev, M2C_PLACE_PINNED, h, &sh->h_host, err);
    return r == 0 ? load_list(sh, err) : r;
}

int m2c_shadow_open(struct m2c_shadow **out, struct m2c_dev *dev,
                    const struct m2c_store *s, struct m2c_err *err)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(s);
    struct m2c_shadow *sh = calloc(1, sizeof *sh);
    if (!sh || !(sh->buf = calloc(m->layers, sizeof(struct m2c_buf *)))) {
        free(sh);
        return m2c_fail(err, -ENOMEM, "shadow: out of memory");
    }
    sh->dev = dev;
    sh->s = s;
    sh->n = m->hidden;
    sh->layers = m->layers;
    for (uint32_t p = 0; p < m2c_store_layout(s)->n_parts; p++) {
        sh->part_off[p] = sh->bytes;
        sh->bytes += (size_t)head_bytes(s, p) * m->hidden;
    }
    sh->unit = (struct m2c_ffn_unit){.dim = m->dim,
                                     .n_neurons = m->hidden,
                                     .has_gate = m->has_gate,
                                     .act = m->act,
                                     .act_shift = m->act_shift,
                                     .n_classes = 1};
    int r = load(sh, err);
    if (r == 0)
        r = open_lists(sh, err);
    m2c_queue_close(sh->queue);
    m2c_dev_free(dev, sh->stage);
    sh->queue = NULL;
    sh->stage = NULL;
    if (r < 0) {
        m2c_shadow_close(sh);
        return m2c_fail_in(err, r, "shadow copy of gate and up");
    }
    *out = sh;
    return 0;
}

void m2c_shadow_close(struct m2c_shadow *sh)
{
    if (!sh)
        return;
    for (uint32_t l = 0; l < sh->layers; l++)
        m2c_dev_free(sh->dev, sh->buf[l]);
    m2c_dev_free(sh->dev, sh->list);
    m2c_dev_free(sh->dev, sh->h);
    m2c_dev_free(sh->dev, sh->h_host);
    free(sh->buf);
    free(sh);
}

/* The widest class as it lies in a layer's buffer. */
static void set_class(const struct m2c_shadow *sh, const struct m2c_buf *buf,
                      struct m2c_ffn_class *out)
{
    const struct m2c_layout *layout = m2c_store_layout(sh->s);
    struct m2c_parts parts = {0};
    for (uint32_t p = 0; p < layout->n_parts; p++) {
        parts.base[p] = (struct m2c_mem){buf, sh->part_off[p]};
        parts.stride[p] = head_bytes(sh->s, p);
        parts.geom[p] = *m2c_store_record(sh->s, p);
    }
    m2c_way_class(layout, 0, &parts, out);
}

int m2c_shadow_truth(struct m2c_shadow *sh, struct m2c_queue *queue, uint32_t layer,
                     struct m2c_mem x, const float **truth, struct m2c_err *err)
{
    set_class(sh, sh->buf[layer], &sh->unit.cls[0]);
    struct m2c_call call = {.op = M2C_OP_FFN_UP};
    call.u.ffn_up = (struct m2c_ffn_up_args){.unit = &sh->unit,
                                             .x = x,
                                             .list = {sh->list, 0},
                                             .h = {sh->h, 0},
                                             .rows = 1,
                                             .n = sh->n,
                                             .pass = M2C_PASS_ANY};
    struct m2c_copy back = {{sh->h_host, 0}, {sh->h, 0}, sizeof(float) * sh->n};
    struct m2c_event *ev = NULL;
    int r = m2c_queue_launch(queue, &call, err);
    if (r == 0)
        r = m2c_queue_copy(queue, &back, 1, err);
    if (r == 0)
        r = m2c_queue_record(queue, &ev, err);
    if (r == 0)
        r = m2c_event_wait(ev, NULL, err);
    m2c_event_free(ev);
    if (r < 0)
        return r;
    float *h = sh->h_host->host;
    for (uint32_t i = 0; i < sh->n; i++)
        h[i] = fabsf(h[i]);
    *truth = h;
    return 0;
}

static void decode_gate(const struct m2c_shadow *sh, const struct m2c_buf *buf, float *out)
{
    struct m2c_ffn_class c;
    set_class(sh, buf, &c);
    const int v = sh->unit.has_gate ? 0 : 1;
    const unsigned planes = m2c_type_planes(c.type);
    for (uint32_t i = 0; i < sh->n; i++) {
        unsigned char *slot = (unsigned char *)m2c_mem_host(c.base) + i * c.stride;
        struct m2c_coded in = {{slot + c.code_off[v]}, slot + c.scale_off[v]};
        for (unsigned p = 1; p < planes; p++) {
            const struct m2c_ffn_plane *q = &c.plane[p - 1];
            in.plane[p] = (unsigned char *)m2c_mem_host(q->base) + i * q->stride + q->off[v];
        }
        m2c_decode_planes(c.type, &in, sh->unit.dim, out + (size_t)i * sh->unit.dim);
    }
}

/* Where the CPU cannot see the device's memory, from a copy of the layer that
 * lives for the call: this is for training, not for tokens. */
int m2c_shadow_gate(struct m2c_shadow *sh, struct m2c_queue *queue, uint32_t layer,
                    float *out, struct m2c_err *err)
{
    struct m2c_buf *seen = sh->buf[layer];
    int r = 0;
    if (!seen->host) {
        r = m2c_dev_alloc(sh->dev, M2C_PLACE_PINNED, sh->bytes, &seen, err);
        if (r < 0)
            return r;
        struct m2c_copy c = {{seen, 0}, {sh->buf[layer], 0}, sh->bytes};
        r = copy_now(queue, &c, err);
    }
    if (r == 0)
        decode_gate(sh, seen, out);
    if (seen != sh->buf[layer])
        m2c_dev_free(sh->dev, seen);
    return r;
}
