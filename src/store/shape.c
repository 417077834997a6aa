/* SPDX-License-Identifier: MIT */
/* Stores without a file, for simulated devices: the plan of a store, and where a
 * file would have its payload. */
#include "store/store_impl.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file's head is of no interest to who only reads payload; some is there. */
enum { FIRST = 1 << 20 };

static bool is_norm(enum m2c_tensor_kind kind)
{
    return kind == M2C_T_FINAL_NORM || kind == M2C_T_ATTN_NORM || kind == M2C_T_FFN_NORM;
}

static int place(struct m2c_plan *p, enum m2c_type dense, struct m2c_err *err)
{
    for (size_t i = 0; i < p->n_dense; i++)
        m2c_plan_set_type(p, i, is_norm(p->dset[2 * i].kind) ? M2C_F32 : dense);
    int r = m2c_plan_sizes(p, err);
    uint64_t at = FIRST;
    for (size_t i = 0; i < p->n_dsets && r == 0; i++) {
        struct m2c_dset *d = &p->dset[i];
        if (d->bytes > (UINT64_C(1) << 60) - at)
            return m2c_fail(err, -EOVERFLOW, "the model's size overflows 60 bits");
        d->offset = at;
        at += (d->bytes + M2C_PAGE - 1) / M2C_PAGE * M2C_PAGE;
    }
    return r;
}

/* Two shapes are the same model when everything that a run can see is. */
static struct m2c_hash128 hash_of(const struct m2c_model_cfg *c)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "shape %s dim %u hidden %u layers %u heads %u %u of %u vocab %u ctx %u "
                     "experts %u tied %d gate %d act %s",
                     c->name, c->dim, c->hidden, c->layers, c->heads, c->kv_heads, c->head_dim,
                     c->vocab, c->ctx, c->experts, c->tied_head, c->has_gate,
                     m2c_act_name(c->act));
    return m2c_hash128(text, M2C_MIN((size_t)M2C_MAX(n, 0), sizeof text - 1));
}

int m2c_store_shape(struct m2c_store **out, const struct m2c_model_cfg *cfg,
                    const char *layout, const char *arrange, enum m2c_type dense,
                    struct m2c_err *err)
{
    struct m2c_layout l;
    enum m2c_arrange a;
    int r = m2c_model_cfg_check(cfg, err);
    if (r == 0)
        r = m2c_layout_find(layout, &l, err);
    if (r == 0)
        r = m2c_arrange_parse(arrange, &a, err);
    if (r == 0 && !m2c_dense_type_ok(dense))
        r = m2c_fail(err, -EINVAL, "dense weights of type %s", m2c_type_name(dense));
    if (r < 0)
        return r;
    struct m2c_store *s = calloc(1, sizeof *s);
    if (!s || !(s->path = strdup(cfg->name))) {
        free(s);
        return m2c_fail(err, -ENOMEM, "shape: out of memory");
    }
    s->fd = -1;
    r = m2c_plan_init(&s->plan, cfg, &l, a, "none", err);
    if (r == 0)
        r = place(&s->plan, dense, err);
    if (r < 0) {
        m2c_store_close(s);
        return r;
    }
    s->model = s->order = hash_of(cfg);
    *out = s;
    return 0;
}

bool m2c_store_has_weights(const struct m2c_store *s) { return s->fd >= 0; }

int m2c_store_no_weights(const struct m2c_store *s, struct m2c_err *err)
{
    return m2c_fail(err, -ENODATA, "%s: a shape has no weights", s->path);
}
