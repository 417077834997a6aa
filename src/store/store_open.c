/* SPDX-License-Identifier: MIT */
/* Opening a store, and what it says about itself. The header and the digest of
 * the head are checked first, then the index. */
#include "store/store_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int m2c_store_open(struct m2c_store **out, const char *path, struct m2c_err *err)
{
    json_t *index = NULL;
    *out = NULL;
    struct m2c_store *s = calloc(1, sizeof *s);
    if (s)
        s->path = strdup(path);
    if (!s || !s->path) {
        free(s);
        return m2c_fail(err, -ENOMEM, "%s: no memory to open it", path);
    }
    int rc = m2c_index_open(path, &m2c_kind_store, &s->fd, &s->head, &index, err);
    if (!rc)
        rc = m2c_store_index_read(s, index, err);
    json_decref(index);
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

enum m2c_arrange m2c_store_arrange(const struct m2c_store *s)
{
    return s->plan.arrange;
}

const char *m2c_store_quant(const struct m2c_store *s)
{
    return s->plan.quant;
}

uint32_t m2c_store_extents(const struct m2c_store *s)
{
    return s->plan.n_extents;
}

void m2c_store_extent(const struct m2c_store *s, uint32_t layer, uint32_t extent,
                      struct m2c_store_range *out)
{
    const struct m2c_dset *d = &s->plan.dset[m2c_plan_extent(&s->plan, layer, extent)];
    *out = (struct m2c_store_range){d->offset, d->bytes, d->cols};
}

uint32_t m2c_store_part_at(const struct m2c_store *s, uint32_t part, uint32_t *off)
{
    *off = s->plan.part_off[part];
    return m2c_plan_extent_of(&s->plan, part);
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
