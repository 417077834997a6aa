/* SPDX-License-Identifier: MIT */
/* /config of a store: the model, the layout and the hashes as attributes,
 * one a field, named as in struct m2c_model_cfg.
 *
 * Numbers are u32, i32, f32 or f64, yes/no is a u8 of 0 or 1, names are
 * strings; `act` and `rope` are names. The layout: `layout`, `arrange`,
 * `group`, lists `class_name`, `class_parts`, `class_bits`, `class_type`,
 * `part_name`, `part_type`. `model_hash`, `order_hash`: 32 hex digits.
 * `writer` is for people. */
#ifndef M2C_STORE_CONFIG_H5_IMPL_H
#define M2C_STORE_CONFIG_H5_IMPL_H

#include "base/hash.h"
#include "ops/model.h"
#include "quant/layout.h"
#include "store/h5util_impl.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_store_config {
    struct m2c_model_cfg cfg;
    struct m2c_layout layout;
    struct m2c_hash128 model, order;
};

/* Creates /config in `f`. */
M2C_MUST_USE int m2c_config_write(const char *file, hid_t f,
                                  const struct m2c_store_config *c, struct m2c_err *err);
/* Everything checked, including the model's and the layout's own rules. */
M2C_MUST_USE int m2c_config_read(const char *file, hid_t f, struct m2c_store_config *c,
                                 struct m2c_err *err);
/* Overwrites the hashes of a file being made; its size does not change. */
M2C_MUST_USE int m2c_config_set_hashes(const char *file, hid_t f,
                                       struct m2c_hash128 model, struct m2c_hash128 order,
                                       struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
