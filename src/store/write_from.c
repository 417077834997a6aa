/* SPDX-License-Identifier: MIT */
/* A store as the source of another: dense tensors are copied as they are, FFN
 * records too where the layout stays, else the widest class is encoded again.
 * Every byte is checked against its sum as it is read.
 *
 * Neurons may come in another order; the model hash stays, the order has its
 * own. */
#include "store/write_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t id_of(const struct m2c_writer *w, uint32_t layer, uint32_t i)
{
    const uint32_t *order = w->order;
    return order ? order[(size_t)layer * w->plan.cfg.hidden + i] : i;
}

static int copy_dset(struct m2c_writer *w, const struct m2c_dset *from,
                     const struct m2c_dset *to, unsigned char *buf, struct m2c_err *err)
{
    const struct m2c_store *s = w->from;
    int rc = 0;
    for (uint64_t i = 0; i < from->n_sums && !rc; i++) {
        uint64_t at, n = m2c_plan_summed(&s->plan, from, i, &at);
        rc = m2c_writer_stopped(w, err);
        if (!rc)
            rc = m2c_pread_all(s->fd, s->path, buf, (size_t)n, from->offset + at, err);
        if (!rc)
            rc = m2c_store_check_block(s, from, i, buf, err);
        if (!rc)
            rc = m2c_pwrite_all(w->fd, w->path, buf, (size_t)n, to->offset + at, err);
        if (!rc)
            rc = m2c_writer_sums(w, to, i, &s->sums[from->first_sum + i], 1, err);
        w->done += n;
        m2c_progress_set(w->progress, w->done);
    }
    return rc;
}

int m2c_from_dense(struct m2c_writer *w, size_t i, struct m2c_err *err)
{
    unsigned char *buf = malloc(M2C_STORE_BLOCK);
    if (!buf)
        return m2c_fail(err, -ENOMEM, "%s: no memory to copy a tensor", w->path);
    int rc = 0;
    for (size_t k = 2 * i; k < 2 * i + 2 && !rc; k++)
        rc = copy_dset(w, &w->from->plan.dset[k], &w->plan.dset[k], buf, err);
    free(buf);
    return rc;
}

bool m2c_from_same(const struct m2c_writer *w)
{
    const struct m2c_layout *a = &w->from->plan.layout, *b = &w->plan.layout;
    bool same = strcmp(a->name, b->name) == 0 && a->n_parts == b->n_parts;
    for (uint32_t q = 0; same && q < a->n_parts; q++)
        same = a->part[q].type == b->part[q].type;
    return same;
}

/* Neurons [first, first + n) of the new order, those of one extent, to `rows`. */
static int read_extent(const struct m2c_writer *w, uint32_t layer, uint32_t extent,
                       uint32_t first, uint32_t n, unsigned char *rows,
                       struct m2c_err *err)
{
    const struct m2c_store *s = w->from;
    const struct m2c_dset *d = &s->plan.dset[m2c_plan_extent(&s->plan, layer, extent)];
    int rc = 0;
    for (uint32_t i = 0; i < n && !rc;) {
        uint32_t id = id_of(w, layer, first + i), run = 1;
        unsigned char *to = rows + (size_t)i * d->cols;
        while (i + run < n && id_of(w, layer, first + i + run) == id + run)
            run++;
        rc = m2c_pread_all(s->fd, s->path, to, (size_t)run * d->cols,
                           d->offset + (uint64_t)id * d->cols, err);
        if (!rc)
            rc = m2c_store_check(s, layer, extent, id, run, to, err);
        i += run;
    }
    return rc;
}

void m2c_from_rows_free(struct m2c_from_rows *r)
{
    for (uint32_t e = 0; e < M2C_LAYOUT_PARTS; e++)
        free(r->rows[e]);
    *r = (struct m2c_from_rows){0};
}

int m2c_from_rows_read(const struct m2c_writer *w, uint32_t layer, uint32_t first,
                       uint32_t n, struct m2c_from_rows *r, struct m2c_err *err)
{
    const struct m2c_plan *p = &w->from->plan;
    int rc = 0;
    r->plan = p;
    for (uint32_t e = 0; e < p->n_extents && !rc; e++) {
        const struct m2c_dset *d = &p->dset[m2c_plan_extent(p, layer, e)];
        if (!r->rows[e])
            r->rows[e] = malloc((size_t)n * d->cols);
        r->stride[e] = d->cols;
        rc = r->rows[e] ? read_extent(w, layer, e, first, n, r->rows[e], err)
                        : m2c_fail(err, -ENOMEM, "%s: no memory for %u neurons", w->path, n);
    }
    return rc;
}

const unsigned char *m2c_from_record(const struct m2c_from_rows *r, size_t i, uint32_t part)
{
    uint32_t e = m2c_plan_extent_of(r->plan, part);
    return r->rows[e] + i * r->stride[e] + r->plan->part_off[part];
}

void m2c_from_vector(const struct m2c_from_rows *r, size_t i, unsigned v, float *x)
{
    const struct m2c_plan *p = r->plan;
    struct m2c_coded part[M2C_LAYOUT_PARTS] = {0};
    for (uint32_t q = 0; q < p->layout.n_parts; q++) {
        unsigned char *rec = (unsigned char *)(uintptr_t)m2c_from_record(r, i, q);
        part[q].plane[0] = rec + p->geom[q].code_off[v];
        part[q].scales = rec + p->geom[q].scale_off[v];
    }
    m2c_layout_decode(&p->layout, 0, part, p->cfg.dim, x);
}

int m2c_check_order(const struct m2c_model_cfg *cfg, const uint32_t *order,
                    struct m2c_err *err)
{
    uint8_t *seen = malloc(cfg->hidden);
    if (!seen)
        return m2c_fail(err, -ENOMEM, "no memory to check an order");
    int rc = 0;
    for (uint32_t l = 0; l < cfg->layers && !rc; l++) {
        memset(seen, 0, cfg->hidden);
        for (uint32_t i = 0; i < cfg->hidden && !rc; i++) {
            uint32_t id = order[(size_t)l * cfg->hidden + i];
            if (id >= cfg->hidden || seen[id]++)
                rc = m2c_fail(err, -EINVAL,
                              "the order of layer %u has neuron %u at place %u, which is "
                              "there twice or not at all",
                              l, id, i);
        }
    }
    free(seen);
    return rc;
}
