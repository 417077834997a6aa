/* SPDX-License-Identifier: MIT */
/* The registry of quantisers, and round-to-nearest. */
#include "quant/quant_impl.h"

static const struct m2c_quant *const registry[] = {
    &m2c_quant_rtn,
    &m2c_quant_moment,
    NULL,
};

const struct m2c_plugin *const *m2c_quant_list(void)
{
    return (const struct m2c_plugin *const *)(const void *)registry;
}

const struct m2c_quant *m2c_quant_find(const char *name, struct m2c_err *err)
{
    return m2c_plugin_find((const void *const *)(const void *)registry, "quantiser", name,
                           err);
}

static uint16_t rtn_scale(enum m2c_type type, const float *x, const float *weight,
                          size_t n)
{
    (void)weight;
    return m2c_quant_amax(type, x, n);
}

const struct m2c_quant m2c_quant_rtn = {
    .p = {.name = "rtn", .desc = "round to nearest: the scale is that of the largest"},
    .scale = rtn_scale,
};
