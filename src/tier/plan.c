/* SPDX-License-Identifier: MIT */
/* What budgets come to: slots by class in a unit, layers in DRAM. */
#include "tier/dram.h"

#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool m2c_tier_split(uint64_t bytes, const struct m2c_ratio *ratio,
                    const uint64_t stride[M2C_MAX_CLASSES], uint32_t n,
                    uint32_t slots[M2C_MAX_CLASSES], uint64_t *min)
{
    double mean = 0;
    *min = 0;
    for (unsigned c = 0; c < ratio->n; c++) {
        mean += ratio->share[c] * (double)stride[c];
        *min += ratio->share[c] > 0 ? stride[c] : 0;
    }
    if (*min > bytes || mean <= 0)
        return false;
    double total = (double)bytes / mean;
    uint64_t used = 0;
    for (unsigned c = 0; c < ratio->n; c++) {
        double want = ratio->share[c] * total;
        slots[c] = want >= n ? n : (uint32_t)want;
        if (ratio->share[c] > 0 && slots[c] == 0)
            slots[c] = 1;
        used += slots[c] * stride[c];
    }
    /* The minimum of one slot can push the sum over: take back from the class
     * that has most. */
    while (used > bytes) {
        unsigned most = 0;
        for (unsigned c = 1; c < ratio->n; c++) {
            if (slots[c] > slots[most])
                most = c;
        }
        slots[most]--;
        used -= stride[most];
    }
    for (unsigned c = 0; c < ratio->n; c++) {
        uint64_t room = (bytes - used) / stride[c];
        uint32_t more = (uint32_t)M2C_MIN(room, (uint64_t)(n - slots[c]));
        if (ratio->share[c] > 0) {
            slots[c] += more;
            used += more * stride[c];
        }
    }
    return true;
}

uint32_t m2c_tier_extents(const struct m2c_store *store, uint32_t parts)
{
    uint32_t extents = 0, off;
    for (uint32_t p = 0; p < m2c_store_layout(store)->n_parts; p++) {
        if (parts & (1u << p))
            extents |= 1u << m2c_store_part_at(store, p, &off);
    }
    return extents;
}

static int plan_hbm(const struct m2c_store *store, const struct m2c_tier_cfg *cfg,
                    struct m2c_tier_plan *out, struct m2c_err *err)
{
    const struct m2c_model_cfg *model = m2c_store_cfg(store);
    const struct m2c_layout *layout = m2c_store_layout(store);
    uint64_t stride[M2C_MAX_CLASSES] = {0}, unit_min;
    struct m2c_way way[M2C_LAYOUT_WAYS];
    bool nested = m2c_layout_ways(layout, way) > layout->n_classes;
    for (unsigned c = 0; c < cfg->ratio.n; c++) {
        struct m2c_slot slot;
        m2c_class_slot(layout, c, model->dim, model->has_gate, &slot);
        stride[c] = slot.bytes;
        if (nested && cfg->ratio.share[c] > 0)
            out->spare_bytes = M2C_MAX(out->spare_bytes, stride[c]);
    }
    uint64_t spare = M2C_MIN(out->spare_bytes, cfg->hbm_bytes);
    uint64_t per_unit = (cfg->hbm_bytes - spare) / model->layers;
    bool fits = m2c_tier_split(per_unit, &cfg->ratio, stride, model->hidden, out->slots,
                               &unit_min);
    out->hbm_min = unit_min * model->layers + out->spare_bytes;
    if (!fits)
        return m2c_fail(err, -ENOSPC,
                        "hbm.bytes = %" PRIu64 ": too small for one slot of each class in "
                        "each of %u layers; the smallest that would do is %" PRIu64,
                        cfg->hbm_bytes, model->layers, out->hbm_min);
    for (unsigned c = 0; c < cfg->ratio.n; c++)
        out->unit_bytes += out->slots[c] * stride[c];
    out->hbm_bytes = out->unit_bytes * model->layers + out->spare_bytes;
    return 0;
}

static int plan_dram(const struct m2c_store *store, const struct m2c_tier_cfg *cfg,
                     struct m2c_tier_plan *out, struct m2c_err *err)
{
    const struct m2c_model_cfg *model = m2c_store_cfg(store);
    uint32_t extents = m2c_tier_extents(store, out->parts);
    for (uint32_t e = 0; e < m2c_store_extents(store); e++) {
        if (!(extents & (1u << e)))
            continue;
        struct m2c_store_range r;
        m2c_store_extent(store, 0, e, &r);
        /* a direct read is whole pages, of which the first starts at `offset` */
        out->block_bytes += m2c_align_up(r.bytes, M2C_PAGE);
    }
    uint64_t blocks = cfg->dram_bytes / out->block_bytes;
    out->blocks = (uint32_t)M2C_MIN(blocks, (uint64_t)model->layers);
    uint32_t dynamic_min = out->blocks == model->layers ? 0 : 1;
    int64_t fixed = cfg->fixed_layers;
    if (fixed == M2C_FIXED_AUTO) {
        uint32_t ahead = cfg->lookahead + 1;
        fixed = out->blocks == model->layers ? model->layers
                : out->blocks > ahead        ? out->blocks - ahead
                                             : 0;
    }
    fixed = M2C_MIN(fixed, (int64_t)model->layers);
    out->fixed = (uint32_t)fixed;
    uint64_t need = out->fixed + (out->fixed < model->layers ? 1u : 0u);
    out->dram_min = need * out->block_bytes;
    if (out->blocks < out->fixed + dynamic_min || out->blocks == 0)
        return m2c_fail(err, -ENOSPC,
                        "dram.bytes = %" PRIu64 ": too small for %u fixed layers and one "
                        "dynamic layer of %" PRIu64 " bytes; the smallest that would do is "
                        "%" PRIu64,
                        cfg->dram_bytes, out->fixed, out->block_bytes, out->dram_min);
    out->dram_bytes = out->blocks * out->block_bytes;
    return 0;
}

int m2c_tier_plan(const struct m2c_store *store, const struct m2c_tier_cfg *cfg,
                  struct m2c_tier_plan *out, struct m2c_err *err)
{
    const struct m2c_layout *layout = m2c_store_layout(store);
    memset(out, 0, sizeof *out);
    if (cfg->ratio.n != layout->n_classes)
        return m2c_fail(err, -EINVAL,
                        "precision.ratio names %u classes, the store has %u", cfg->ratio.n,
                        layout->n_classes);
    for (unsigned c = 0; c < cfg->ratio.n; c++)
        out->parts |= cfg->ratio.share[c] > 0 ? layout->cls[c].parts : 0;
    if (out->parts == 0)
        return m2c_fail(err, -EINVAL, "precision.ratio is zero for every class");
    int r = plan_dram(store, cfg, out, err);
    if (r == 0 && cfg->hbm_bytes)
        r = plan_hbm(store, cfg, out, err);
    return r;
}
