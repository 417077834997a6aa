/* SPDX-License-Identifier: MIT */
/* Parts to operands. */
#include "tier/way.h"

#include <string.h>

void m2c_way_class(const struct m2c_layout *l, unsigned cls, const struct m2c_parts *p,
                   struct m2c_ffn_class *out)
{
    uint32_t part[M2C_LAYOUT_PARTS];
    unsigned n = m2c_class_parts(l, cls, part);
    *out = (struct m2c_ffn_class){.type = l->cls[cls].type,
                                  .base = p->base[part[0]],
                                  .stride = p->stride[part[0]]};
    memcpy(out->code_off, p->geom[part[0]].code_off, sizeof out->code_off);
    memcpy(out->scale_off, p->geom[part[0]].scale_off, sizeof out->scale_off);
    for (unsigned i = 1; i < n && i <= M2C_FFN_PLANES; i++) {
        struct m2c_ffn_plane *q = &out->plane[i - 1];
        q->base = p->base[part[i]];
        q->stride = p->stride[part[i]];
        memcpy(q->off, p->geom[part[i]].code_off, sizeof q->off);
    }
}

void m2c_way_slots(const struct m2c_layout *l, unsigned cls, uint32_t dim, bool has_gate,
                   struct m2c_mem base, struct m2c_parts *out)
{
    struct m2c_slot slot;
    m2c_class_slot(l, cls, dim, has_gate, &slot);
    memset(out, 0, sizeof *out);
    for (uint32_t q = 0; q < l->n_parts; q++) {
        if (!(l->cls[cls].parts & (1u << q)))
            continue;
        m2c_slot_geom(l->part[q].type, dim, has_gate, &out->geom[q]);
        out->base[q] = m2c_mem_at(base, slot.part_off[q]);
        out->stride[q] = slot.bytes;
    }
}
