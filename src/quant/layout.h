/* SPDX-License-Identifier: MIT */
/* Layouts: precision classes as data, the parts that make a class, and how
 * a neuron's vectors lie in a part's record and in a slot.
 *
 * A part's record holds, for gate, up, down in this order (no gate: up,
 * down), the codes and then the scales of the vector, packed. A slot holds
 * the same with each codes block and each scales block on a multiple of
 * M2C_SLOT_ALIGN. Classes are listed widest first. */
#ifndef M2C_QUANT_LAYOUT_H
#define M2C_QUANT_LAYOUT_H

#include "base/type.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    M2C_LAYOUT_CLASSES = 8,
    M2C_LAYOUT_PARTS = 8,
    M2C_LAYOUT_VECTORS = 3,
    M2C_SLOT_ALIGN = 64
};

struct m2c_class {
    char name[8];       /* "f16" */
    uint32_t parts;     /* mask: all of these are needed */
    uint32_t bits;      /* nominal bits a weight, scales aside */
    enum m2c_type type; /* what the kernels compute from */
};

struct m2c_part {
    char name[16]; /* dataset name in the store: "f16", "i8", "i4" */
    enum m2c_type type;
};

struct m2c_layout {
    char name[16]; /* "copies" */
    uint32_t n_classes, n_parts;
    struct m2c_class cls[M2C_LAYOUT_CLASSES];
    struct m2c_part part[M2C_LAYOUT_PARTS];
};

/* Byte offsets of vector v's codes and scales, and the total. Vector 0 of a
 * model without gate has offset 0 and no bytes. */
struct m2c_geom {
    uint32_t code_off[M2C_LAYOUT_VECTORS], scale_off[M2C_LAYOUT_VECTORS];
    uint32_t bytes;
};

/* One piece of the way from a record to a slot. */
struct m2c_segment {
    uint32_t src, dst, bytes;
};

/* -ENOENT names the known layouts. */
M2C_MUST_USE int m2c_layout_find(const char *name, struct m2c_layout *out,
                                 struct m2c_err *err);
/* What a store says about itself, checked: unique names, masks that name
 * parts, widest first. -EINVAL. */
M2C_MUST_USE int m2c_layout_check(const struct m2c_layout *l, struct m2c_err *err);

/* Class by name, or -1. */
int m2c_layout_class(const struct m2c_layout *l, const char *name);

/* dim at most 2^24, so that nothing here overflows. */
void m2c_record_geom(enum m2c_type type, uint32_t dim, bool has_gate,
                     struct m2c_geom *out);
void m2c_slot_geom(enum m2c_type type, uint32_t dim, bool has_gate,
                   struct m2c_geom *out); /* bytes: a multiple of M2C_SLOT_ALIGN */

/* Pieces that bring a record into a slot, neighbours merged; at most
 * 2 · M2C_LAYOUT_VECTORS. Returns their number: 1 where both lie alike. */
unsigned m2c_record_to_slot(enum m2c_type type, uint32_t dim, bool has_gate,
                            struct m2c_segment out[2 * M2C_LAYOUT_VECTORS]);

#ifdef __cplusplus
}
#endif
#endif
