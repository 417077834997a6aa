/* SPDX-License-Identifier: MIT */
/* Loading the dense weights: one device buffer, filled tensor by tensor. */
#include "infer/dense.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

static uint64_t padded(uint64_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

static uint64_t tensor_bytes(const struct m2c_store *s, enum m2c_tensor_kind kind,
                             uint32_t layer)
{
    struct m2c_store_dense t;
    return m2c_store_dense(s, kind, layer, &t) ? padded(t.code_bytes) + padded(t.scale_bytes)
                                               : 0;
}

static bool is_ffn(enum m2c_tensor_kind kind)
{
    return kind == M2C_T_GATE || kind == M2C_T_UP || kind == M2C_T_DOWN;
}

uint64_t m2c_dense_bytes(const struct m2c_store *s)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(s);
    uint64_t sum = padded(m->head_dim / 2 * sizeof(float));
    for (int k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        enum m2c_tensor_kind kind = (enum m2c_tensor_kind)k;
        uint32_t copies = m2c_tensor_kind_per_layer(kind) ? m->layers : 1;
        for (uint32_t l = 0; l < copies && !is_ffn(kind); l++)
            sum += tensor_bytes(s, kind, l);
    }
    return sum;
}

/* What goes through the loader's hands. */
struct loader {
    struct m2c_dense *d;
    struct m2c_queue *queue;
    const struct m2c_store *s;
    uint64_t at; /* bytes of the buffer given out */
};

static int upload(struct loader *l, struct m2c_mem dst, const void *src, size_t bytes,
                  struct m2c_err *err)
{
    struct m2c_buf *pinned;
    int r = m2c_dev_alloc(l->d->dev, M2C_PLACE_PINNED, bytes, &pinned, err);
    if (r < 0)
        return r;
    memcpy(pinned->host, src, bytes);
    struct m2c_copy c = {dst, {pinned, 0}, bytes};
    struct m2c_event *ev = NULL;
    r = m2c_queue_copy(l->queue, &c, 1, err);
    if (r == 0)
        r = m2c_queue_record(l->queue, &ev, err);
    if (r == 0)
        r = m2c_event_wait(ev, NULL, err);
    m2c_event_free(ev);
    m2c_dev_free(l->d->dev, pinned);
    return r;
}

static int load(struct loader *l, enum m2c_tensor_kind kind, uint32_t layer,
                struct m2c_tensor *out, struct m2c_err *err)
{
    struct m2c_store_dense t;
    if (!m2c_store_dense(l->s, kind, layer, &t))
        return m2c_fail(err, -EINVAL, "%s: no tensor %s in layer %u", m2c_store_path(l->s),
                        m2c_tensor_kind_name(kind), layer);
    *out = (struct m2c_tensor){.type = t.type, .rows = t.rows, .cols = t.cols};
    out->codes = (struct m2c_mem){l->d->buf, l->at};
    l->at += padded(t.code_bytes);
    out->scales = (struct m2c_mem){l->d->buf, l->at};
    l->at += padded(t.scale_bytes);
    if (!m2c_dev_supports(l->d->dev, kind == M2C_T_EMBED ? M2C_OP_EMBED : M2C_OP_MATMUL,
                          t.type))
        return m2c_fail(err, -ENOTSUP, "device %s does not support %s weights (%s)",
                        m2c_dev_info(l->d->dev)->name, m2c_type_name(t.type),
                        m2c_tensor_kind_name(kind));
    if (m2c_dev_info(l->d->dev)->simulated) /* nothing will look at them */
        return 0;
    if (l->d->buf->host)
        return m2c_store_read_dense(l->s, kind, layer, m2c_mem_host(out->codes),
                                    m2c_mem_host(out->scales), err);
    void *codes = malloc(t.code_bytes), *scales = malloc(t.scale_bytes + 1);
    int r = codes && scales ? 0 : m2c_fail(err, -ENOMEM, "dense weights: out of memory");
    if (r == 0)
        r = m2c_store_read_dense(l->s, kind, layer, codes, scales, err);
    if (r == 0)
        r = upload(l, out->codes, codes, t.code_bytes, err);
    if (r == 0 && t.scale_bytes)
        r = upload(l, out->scales, scales, t.scale_bytes, err);
    free(codes);
    free(scales);
    return r;
}

static int load_inv_freq(struct loader *l, struct m2c_err *err)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(l->s);
    uint32_t half = m->head_dim / 2;
    float *f = calloc(half, sizeof *f);
    if (!f)
        return m2c_fail(err, -ENOMEM, "dense weights: out of memory");
    for (uint32_t j = 0; j < half; j++)
        f[j] = (float)pow(m->rope_theta, -2.0 * j / m->head_dim);
    l->d->inv_freq = (struct m2c_mem){l->d->buf, l->at};
    l->at += padded(half * sizeof *f);
    int r = upload(l, l->d->inv_freq, f, half * sizeof *f, err);
    free(f);
    return r;
}

static int load_layer(struct loader *l, uint32_t i, struct m2c_err *err)
{
    struct m2c_dense_layer *y = &l->d->layer[i];
    struct m2c_tensor norm = {0};
    int r = load(l, M2C_T_WQ, i, &y->wq, err);
    if (r == 0)
        r = load(l, M2C_T_WK, i, &y->wk, err);
    if (r == 0)
        r = load(l, M2C_T_WV, i, &y->wv, err);
    if (r == 0)
        r = load(l, M2C_T_WO, i, &y->wo, err);
    if (r == 0)
        r = load(l, M2C_T_ATTN_NORM, i, &norm, err);
    y->attn_norm = norm.codes;
    if (r == 0)
        r = load(l, M2C_T_FFN_NORM, i, &norm, err);
    y->ffn_norm = norm.codes;
    return r;
}

int m2c_dense_open(struct m2c_dense **out, struct m2c_dev *dev, struct m2c_queue *queue,
                   const struct m2c_store *s, struct m2c_err *err)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(s);
    struct m2c_dense *d = calloc(1, sizeof *d);
    if (!d || !(d->layer = calloc(m->layers, sizeof *d->layer))) {
        free(d);
        return m2c_fail(err, -ENOMEM, "dense weights: out of memory");
    }
    d->dev = dev;
    d->n_layers = m->layers;
    struct loader l = {d, queue, s, 0};
    struct m2c_tensor norm = {0};
    int r = m2c_dev_alloc(dev, M2C_PLACE_DEVICE, m2c_dense_bytes(s), &d->buf, err);
    if (r < 0)
        m2c_fail_in(err, r, "dense weights of %s", m2c_store_path(s));
    if (r == 0)
        r = load(&l, M2C_T_EMBED, 0, &d->embed, err);
    d->head = d->embed;
    if (r == 0 && !m->tied_head)
        r = load(&l, M2C_T_HEAD, 0, &d->head, err);
    if (r == 0)
        r = load(&l, M2C_T_FINAL_NORM, 0, &norm, err);
    d->final_norm = norm.codes;
    for (uint32_t i = 0; i < m->layers && r == 0; i++)
        r = load_layer(&l, i, err);
    if (r == 0)
        r = load_inv_freq(&l, err);
    if (r < 0) {
        m2c_dense_close(d);
        return r;
    }
    *out = d;
    return 0;
}

void m2c_dense_close(struct m2c_dense *d)
{
    if (!d)
        return;
    m2c_dev_free(d->dev, d->buf);
    free(d->layer);
    free(d);
}
