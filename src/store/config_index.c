/* SPDX-License-Identifier: MIT */
/* `config` in the index of a store. */
#include "store/config_h5_impl.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* ---- writing ---- */

static json_t *field_json(const struct m2c_config_field *f, const void *at)
{
    if (!f->type)
        return json_string(at);
    if (f->type->cls == H5T_FLOAT)
        return json_real(f->type->bytes == 4 ? (double)*(const float *)at
                                             : *(const double *)at);
    if (f->type->bytes == 1)
        return json_boolean(*(const bool *)at);
    return json_integer(f->type->is_signed ? *(const int32_t *)at
                                           : (json_int_t) * (const uint32_t *)at);
}

/* Takes the value; a value of NULL, too, is no memory. */
static bool put(json_t *o, const char *key, json_t *value)
{
    return json_object_set_new(o, key, value) == 0;
}

static bool put_hash(json_t *o, const char *key, struct m2c_hash128 h)
{
    char hex[33];
    m2c_hash_hex(h, hex);
    return put(o, key, json_string(hex));
}

static bool put_layout(json_t *o, const struct m2c_store_config *config)
{
    const struct m2c_layout *l = &config->layout;
    json_t *name = json_array(), *parts = json_array(), *bits = json_array(),
           *type = json_array(), *part_name = json_array(), *part_type = json_array();
    bool ok = true;
    for (uint32_t i = 0; i < l->n_classes; i++) {
        const struct m2c_class *c = &l->cls[i];
        ok = ok && json_array_append_new(name, json_string(c->name)) == 0 &&
             json_array_append_new(parts, json_integer(c->parts)) == 0 &&
             json_array_append_new(bits, json_integer(c->bits)) == 0 &&
             json_array_append_new(type, json_string(m2c_type_name(c->type))) == 0;
    }
    for (uint32_t i = 0; i < l->n_parts; i++)
        ok = ok && json_array_append_new(part_name, json_string(l->part[i].name)) == 0 &&
             json_array_append_new(part_type,
                                   json_string(m2c_type_name(l->part[i].type))) == 0;
    /* Each takes its list, whatever became of the others. */
    ok &= put(o, "layout", json_string(l->name));
    ok &= put(o, "arrange", json_string(m2c_arrange_name(config->arrange)));
    ok &= put(o, "quant", json_string(config->quant));
    ok &= put(o, "group", json_integer(M2C_GROUP));
    ok &= put(o, "class_name", name);
    ok &= put(o, "class_parts", parts);
    ok &= put(o, "class_bits", bits);
    ok &= put(o, "class_type", type);
    ok &= put(o, "part_name", part_name);
    ok &= put(o, "part_type", part_type);
    return ok;
}

json_t *m2c_config_json(const struct m2c_store_config *c)
{
    json_t *o = json_object();
    bool ok = o != NULL;
    for (size_t i = 0; ok && i < M2C_CONFIG_FIELDS; i++) {
        const struct m2c_config_field *f = &m2c_config_fields[i];
        ok = put(o, f->name, field_json(f, (const char *)&c->cfg + f->offset));
    }
    ok = ok && put(o, "act", json_string(m2c_act_name(c->cfg.act))) &&
         put(o, "rope", json_string(m2c_rope_name(c->cfg.rope))) &&
         put_layout(o, c) && put_hash(o, "model_hash", c->model) &&
         put_hash(o, "order_hash", c->order);
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

/* ---- reading ---- */

static int wrong(const struct m2c_node *n, const char *expected, struct m2c_err *err)
{
    return m2c_fail(err, -EINVAL, "%s: index: %s: expected %s", n->file, n->name,
                    expected);
}

static int read_float(const struct m2c_node *n, size_t bytes, void *at,
                      struct m2c_err *err)
{
    double x = json_number_value(n->v); /* JSON has no NaN and no infinity */
    if (!json_is_number(n->v) || (bytes == 4 && fabs(x) > FLT_MAX))
        return wrong(n, bytes == 4 ? "a 32-bit float" : "a number", err);
    if (bytes == 4)
        *(float *)at = (float)x;
    else
        *(double *)at = x;
    return 0;
}

static int read_field(const struct m2c_node *config, const struct m2c_config_field *f,
                      void *at, struct m2c_err *err)
{
    struct m2c_node n;
    int64_t x = 0;
    if (f->optional && !json_object_get(config->v, f->name))
        return 0;
    int rc = m2c_node_get(config, f->name, &n, err);
    if (rc)
        return rc;
    if (!f->type)
        return m2c_node_text(&n, f->size, at, err);
    if (f->type->cls == H5T_FLOAT)
        return read_float(&n, f->type->bytes, at, err);
    if (f->type->bytes == 1) {
        *(bool *)at = json_is_true(n.v);
        return json_is_boolean(n.v) ? 0 : wrong(&n, "true or false", err);
    }
    if (f->type->is_signed) {
        rc = m2c_node_int(&n, INT32_MIN, INT32_MAX, &x, err);
        *(int32_t *)at = (int32_t)x;
    } else {
        rc = m2c_node_int(&n, 0, UINT32_MAX, &x, err);
        *(uint32_t *)at = (uint32_t)x;
    }
    return rc;
}

static int read_choices(const struct m2c_node *config, struct m2c_model_cfg *cfg,
                        struct m2c_err *err)
{
    char act[16], rope[16];
    unsigned a = 0, r = 0;
    int rc = m2c_node_str(config, "act", sizeof act, act, err);
    if (!rc)
        rc = m2c_node_str(config, "rope", sizeof rope, rope, err);
    if (rc)
        return rc;
    while (a < M2C_N_ACTS && strcmp(act, m2c_act_name((enum m2c_act)a)) != 0)
        a++;
    while (m2c_rope_name(r) && strcmp(rope, m2c_rope_name(r)) != 0)
        r++;
    if (a == M2C_N_ACTS)
        return m2c_fail(err, -EINVAL, "%s: index: there is no activation '%s'",
                        config->file, act);
    if (!m2c_rope_name(r))
        return m2c_fail(err, -EINVAL, "%s: index: there is no rope style '%s'",
                        config->file, rope);
    cfg->act = (enum m2c_act)a;
    cfg->rope = (enum m2c_rope)r;
    return 0;
}

static int read_type(const struct m2c_node *list, size_t i, enum m2c_type *out,
                     struct m2c_err *err)
{
    char name[16];
    struct m2c_node n = m2c_node_item(list, i);
    int rc = m2c_node_text(&n, sizeof name, name, err);
    if (!rc && m2c_type_parse(name, out))
        rc = m2c_fail(err, -EINVAL, "%s: index: %s: there is no type '%s'", n.file,
                      n.name, name);
    return rc;
}

static int read_item(const struct m2c_node *list, size_t i, uint32_t *out,
                     struct m2c_err *err)
{
    int64_t x = 0;
    struct m2c_node n = m2c_node_item(list, i);
    int rc = m2c_node_int(&n, 0, UINT32_MAX, &x, err);
    *out = (uint32_t)x;
    return rc;
}

static int read_classes(const struct m2c_node *config, struct m2c_layout *l,
                        struct m2c_err *err)
{
    struct m2c_node name, parts, bits, type;
    size_t n = 0;
    int rc = m2c_node_list(config, "class_name", 1, M2C_LAYOUT_CLASSES, &name, &n, err);
    if (!rc)
        rc = m2c_node_list(config, "class_parts", n, n, &parts, &n, err);
    if (!rc)
        rc = m2c_node_list(config, "class_bits", n, n, &bits, &n, err);
    if (!rc)
        rc = m2c_node_list(config, "class_type", n, n, &type, &n, err);
    for (size_t i = 0; !rc && i < n; i++) {
        struct m2c_class *c = &l->cls[i];
        struct m2c_node at = m2c_node_item(&name, i);
        rc = m2c_node_text(&at, sizeof c->name, c->name, err);
        if (!rc)
            rc = read_item(&parts, i, &c->parts, err);
        if (!rc)
            rc = read_item(&bits, i, &c->bits, err);
        if (!rc)
            rc = read_type(&type, i, &c->type, err);
    }
    l->n_classes = (uint32_t)n;
    return rc;
}

static int read_parts(const struct m2c_node *config, struct m2c_layout *l,
                      struct m2c_err *err)
{
    struct m2c_node name, type;
    size_t n = 0;
    int rc = m2c_node_list(config, "part_name", 1, M2C_LAYOUT_PARTS, &name, &n, err);
    if (!rc)
        rc = m2c_node_list(config, "part_type", n, n, &type, &n, err);
    for (size_t i = 0; !rc && i < n; i++) {
        struct m2c_node at = m2c_node_item(&name, i);
        rc = m2c_node_text(&at, sizeof l->part[i].name, l->part[i].name, err);
        if (!rc)
            rc = read_type(&type, i, &l->part[i].type, err);
    }
    l->n_parts = (uint32_t)n;
    return rc;
}

static int read_layout(const struct m2c_node *config, struct m2c_store_config *c,
                       struct m2c_err *err)
{
    struct m2c_layout *l = &c->layout;
    char arrange[16];
    uint32_t group = 0;
    int rc = m2c_node_str(config, "layout", sizeof l->name, l->name, err);
    if (!rc)
        rc = m2c_node_str(config, "arrange", sizeof arrange, arrange, err);
    if (!rc && m2c_arrange_parse(arrange, &c->arrange, err))
        rc = m2c_fail_in(err, -EINVAL, "%s: index", config->file);
    if (!rc)
        rc = m2c_node_str(config, "quant", sizeof c->quant, c->quant, err);
    if (!rc)
        rc = m2c_node_u32(config, "group", &group, err);
    if (!rc && group != M2C_GROUP)
        rc = m2c_fail(err, -EINVAL, "%s: index: group is %u, this m2c knows %d",
                      config->file, group, M2C_GROUP);
    if (!rc)
        rc = read_classes(config, l, err);
    if (!rc)
        rc = read_parts(config, l, err);
    if (!rc && m2c_layout_check(l, err))
        rc = m2c_fail_in(err, -EINVAL, "%s: index", config->file);
    return rc;
}

int m2c_config_read(const struct m2c_node *index, struct m2c_store_config *c,
                    struct m2c_err *err)
{
    struct m2c_node config;
    memset(c, 0, sizeof *c);
    int rc = m2c_node_get(index, "config", &config, err);
    for (size_t i = 0; !rc && i < M2C_CONFIG_FIELDS; i++) {
        const struct m2c_config_field *f = &m2c_config_fields[i];
        rc = read_field(&config, f, (char *)&c->cfg + f->offset, err);
    }
    if (!rc)
        rc = read_choices(&config, &c->cfg, err);
    if (!rc && m2c_model_cfg_check(&c->cfg, err))
        rc = m2c_fail_in(err, -EINVAL, "%s: index: config", config.file);
    if (!rc)
        rc = read_layout(&config, c, err);
    if (!rc)
        rc = m2c_node_hash(&config, "model_hash", &c->model, err);
    if (!rc)
        rc = m2c_node_hash(&config, "order_hash", &c->order, err);
    return rc;
}
