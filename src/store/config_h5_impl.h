/* SPDX-License-Identifier: MIT */
/* What a store says about its model: the shape, the layout and the hashes,
 * twice under the same names: as attributes of /config, for HDF5's tools, and
 * as `config` in the index, from which m2c reads it.
 *
 * The fields of struct m2c_model_cfg are u32, i32, f32 or f64, yes/no is a u8
 * of 0 or 1 (true or false in the index), names are strings; `act` and `rope`
 * are names; `synthetic` may be absent. The layout: `layout`, `arrange`, `group`, `quant` (the quantiser of
 * the FFN, for people), lists `class_name`, `class_parts`, `class_bits`,
 * `class_type`, `part_name`, `part_type`.
 * `model_hash`, `order_hash`: 32 hex digits. /config has `writer`, too, for
 * people. */
#ifndef M2C_STORE_CONFIG_H5_IMPL_H
#define M2C_STORE_CONFIG_H5_IMPL_H

#include "base/hash.h"
#include "ops/model.h"
#include "quant/layout.h"
#include "store/h5util_impl.h"
#include "store/index_impl.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_store_config {
    struct m2c_model_cfg cfg;
    struct m2c_layout layout;
    enum m2c_arrange arrange;
    char quant[16];
    struct m2c_hash128 model, order;
};

/* One table of fields serves both. */
struct m2c_config_field {
    const char *name;
    const struct m2c_h5_type *type; /* NULL: a string; of u8 type: a bool */
    size_t offset, size;            /* in struct m2c_model_cfg; size of a string */
    bool optional;                  /* absent: 0, or the empty string */
};
enum { M2C_CONFIG_FIELDS = 21 };
extern const struct m2c_config_field m2c_config_fields[M2C_CONFIG_FIELDS];

/* NULL: there is no such style. */
const char *m2c_rope_name(unsigned rope);

/* Creates /config in `f`. */
M2C_MUST_USE int m2c_config_write(const char *file, hid_t f,
                                  const struct m2c_store_config *c, struct m2c_err *err);
/* Overwrites the hashes of a file being made; its size does not change. */
M2C_MUST_USE int m2c_config_set_hashes(const char *file, hid_t f,
                                       struct m2c_hash128 model, struct m2c_hash128 order,
                                       struct m2c_err *err);

/* A new object; NULL: no memory. */
json_t *m2c_config_json(const struct m2c_store_config *c);
/* Everything checked, including the model's and the layout's own rules. */
M2C_MUST_USE int m2c_config_read(const struct m2c_node *index, struct m2c_store_config *c,
                                 struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
