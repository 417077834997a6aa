/* SPDX-License-Identifier: MIT */
/* /config of a store, and the table of its fields. */
#include "store/config_h5_impl.h"

#include "m2c_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 16, HEX_BYTES = 33, MAX_ATTRS = 256 };

#define AT(m) offsetof(struct m2c_model_cfg, m)
#define F(m, t) #m, &m2c_h5_##t, AT(m), 0, false
#define S(m, optional) #m, NULL, AT(m), sizeof((struct m2c_model_cfg *)0)->m, optional

const struct m2c_config_field m2c_config_fields[M2C_CONFIG_FIELDS] = {
    {S(name, false)},    {S(arch, false)},
    {F(dim, u32)},       {F(hidden, u32)},
    {F(layers, u32)},    {F(heads, u32)},
    {F(kv_heads, u32)},  {F(head_dim, u32)},
    {F(vocab, u32)},     {F(ctx, u32)},
    {F(experts, u32)},   {F(tied_head, u8)},
    {F(has_gate, u8)},   {F(act_shift, f32)},
    {F(input_relu, u8)}, {F(input_relu_shift, f32)},
    {F(norm_eps, f32)},  {F(rope_theta, f64)},
    {F(bos, i32)},       {F(eos, i32)},
    {S(synthetic, true)},
};
#undef S
#undef F
#undef AT

const char *m2c_rope_name(unsigned rope)
{
    static const char *const names[] = {
        [M2C_ROPE_HALF] = "half", [M2C_ROPE_INTERLEAVED] = "interleaved"};
    return rope < M2C_COUNTOF(names) ? names[rope] : NULL;
}

static int put_fields(const struct m2c_h5_obj *o, const struct m2c_model_cfg *cfg,
                      struct m2c_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < M2C_CONFIG_FIELDS; i++) {
        const struct m2c_config_field *f = &m2c_config_fields[i];
        const char *at = (const char *)cfg + f->offset;
        uint8_t flag;
        if (!f->type) {
            rc = m2c_h5_put_str(o, f->name, 0, f->size, at, err);
        } else if (f->type->bytes == 1) {
            flag = *(const bool *)at;
            rc = m2c_h5_put(o, f->name, f->type, 0, &flag, err);
        } else {
            rc = m2c_h5_put(o, f->name, f->type, 0, at, err);
        }
    }
    return rc;
}

static int put_name(const struct m2c_h5_obj *o, const char *attr, const char *value,
                    struct m2c_err *err)
{
    char text[NAME_BYTES] = "";
    snprintf(text, sizeof text, "%s", value);
    return m2c_h5_put_str(o, attr, 0, sizeof text, text, err);
}

static int put_layout(const struct m2c_h5_obj *o, const struct m2c_store_config *c,
                      struct m2c_err *err)
{
    const struct m2c_layout *l = &c->layout;
    char name[M2C_LAYOUT_CLASSES][NAME_BYTES] = {{0}};
    char type[M2C_LAYOUT_CLASSES][NAME_BYTES] = {{0}};
    uint32_t parts[M2C_LAYOUT_CLASSES], bits[M2C_LAYOUT_CLASSES], group = M2C_GROUP;
    for (uint32_t i = 0; i < l->n_classes; i++) {
        snprintf(name[i], NAME_BYTES, "%s", l->cls[i].name);
        snprintf(type[i], NAME_BYTES, "%s", m2c_type_name(l->cls[i].type));
        parts[i] = l->cls[i].parts;
        bits[i] = l->cls[i].bits;
    }
    int rc = put_name(o, "layout", l->name, err);
    if (!rc)
        rc = put_name(o, "arrange", m2c_arrange_name(c->arrange), err);
    if (!rc)
        rc = put_name(o, "quant", c->quant, err);
    if (!rc)
        rc = m2c_h5_put(o, "group", &m2c_h5_u32, 0, &group, err);
    if (!rc)
        rc = m2c_h5_put_str(o, "class_name", l->n_classes, NAME_BYTES, name[0], err);
    if (!rc)
        rc = m2c_h5_put(o, "class_parts", &m2c_h5_u32, l->n_classes, parts, err);
    if (!rc)
        rc = m2c_h5_put(o, "class_bits", &m2c_h5_u32, l->n_classes, bits, err);
    if (!rc)
        rc = m2c_h5_put_str(o, "class_type", l->n_classes, NAME_BYTES, type[0], err);
    memset(name, 0, sizeof name);
    memset(type, 0, sizeof type);
    for (uint32_t i = 0; i < l->n_parts; i++) {
        snprintf(name[i], NAME_BYTES, "%s", l->part[i].name);
        snprintf(type[i], NAME_BYTES, "%s", m2c_type_name(l->part[i].type));
    }
    if (!rc)
        rc = m2c_h5_put_str(o, "part_name", l->n_parts, NAME_BYTES, name[0], err);
    if (!rc)
        rc = m2c_h5_put_str(o, "part_type", l->n_parts, NAME_BYTES, type[0], err);
    return rc;
}

static int put_hash(const struct m2c_h5_obj *o, const char *attr, struct m2c_hash128 h,
                    struct m2c_err *err)
{
    char hex[HEX_BYTES];
    m2c_hash_hex(h, hex);
    return m2c_h5_put_str(o, attr, 0, sizeof hex, hex, err);
}

int m2c_config_write(const char *file, hid_t f, const struct m2c_store_config *c,
                     struct m2c_err *err)
{
    hid_t gcpl = H5Pcreate(H5P_GROUP_CREATE), g = -1;
    /* All attributes stay in the object's header, which has a checksum of its
     * own; beyond eight libhdf5 would move them to a heap that has none. */
    if (gcpl >= 0 && H5Pset_obj_track_times(gcpl, false) >= 0 &&
        H5Pset_attr_phase_change(gcpl, MAX_ATTRS, 0) >= 0)
        g = H5Gcreate2(f, "/config", H5P_DEFAULT, gcpl, H5P_DEFAULT);
    m2c_h5_close(gcpl);
    if (g < 0)
        return m2c_h5_fail(err, -EIO, "%s: cannot make /config", file);
    struct m2c_h5_obj o = {g, file, "/config"};
    static const char writer[32] = "m2c " M2C_VERSION;
    int rc = m2c_h5_put_str(&o, "writer", 0, sizeof writer, writer, err);
    if (!rc)
        rc = put_fields(&o, &c->cfg, err);
    if (!rc)
        rc = put_name(&o, "act", m2c_act_name(c->cfg.act), err);
    if (!rc)
        rc = put_name(&o, "rope", m2c_rope_name(c->cfg.rope), err);
    if (!rc)
        rc = put_layout(&o, c, err);
    if (!rc)
        rc = put_hash(&o, "model_hash", c->model, err);
    if (!rc)
        rc = put_hash(&o, "order_hash", c->order, err);
    if (H5Gclose(g) < 0 && !rc)
        rc = m2c_h5_fail(err, -EIO, "%s: cannot close /config", file);
    return rc;
}

int m2c_config_set_hashes(const char *file, hid_t f, struct m2c_hash128 model,
                          struct m2c_hash128 order, struct m2c_err *err)
{
    static const char *const names[] = {"model_hash", "order_hash"};
    const struct m2c_hash128 hash[] = {model, order};
    hid_t g = H5Gopen2(f, "/config", H5P_DEFAULT);
    int rc = g < 0 ? m2c_h5_fail(err, -EIO, "%s: cannot open /config", file) : 0;
    for (int i = 0; !rc && i < 2; i++) {
        char hex[HEX_BYTES];
        m2c_hash_hex(hash[i], hex);
        hid_t a = H5Aopen(g, names[i], H5P_DEFAULT);
        hid_t t = a >= 0 ? H5Aget_type(a) : -1;
        if (t < 0 || H5Awrite(a, t, hex) < 0)
            rc = m2c_h5_fail(err, -EIO, "%s: cannot write '%s'", file, names[i]);
        m2c_h5_close(t);
        m2c_h5_close(a);
    }
    m2c_h5_close(g);
    return rc;
}
