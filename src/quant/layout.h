/* SPDX-License-Identifier: MIT */
/* Layouts: precision classes as data, the parts that make a class, and how
 * a neuron's vectors lie in a part's record and in a slot.
 *
 * A part's record holds, for gate, up, down in this order (no gate: up,
 * down), the codes and then the scales of the vector, packed. A slot holds
 * the same with each codes block and each scales block on a multiple of
 * M2C_SLOT_ALIGN. Classes are listed widest first.
 *
 * A class is one part of its own type, or the planes of a nested code, each a
 * part. The slot of a class holds its parts one behind the other, so that a
 * slot serves every class whose parts it has, a neuron is widened by bringing
 * the missing parts and narrowed by leaving some out: no part is ever
 * converted, in a slot or on the way there. */
#ifndef M2C_QUANT_LAYOUT_H
#define M2C_QUANT_LAYOUT_H

#include "quant/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    M2C_LAYOUT_CLASSES = 8,
    M2C_LAYOUT_PARTS = 8,
    M2C_LAYOUT_VECTORS = 3,
    M2C_LAYOUT_WAYS = 8,
    M2C_SLOT_ALIGN = 64
};

struct m2c_class {
    char name[8];       /* "f16" */
    uint32_t parts;     /* mask: all of these are needed */
    uint32_t bits;      /* nominal bits a weight, scales aside */
    enum m2c_type type; /* what the kernels compute from */
};

struct m2c_part {
    char name[16]; /* dataset name in the store: "f16", "plane1" */
    enum m2c_type type;
};

/* How the records of a layer lie on disk: those of each part in a row, or
 * those of each neuron, its parts in their order, so that a nested class is
 * the head of a neuron's bytes. */
enum m2c_arrange { M2C_ARRANGE_PART, M2C_ARRANGE_NEURON, M2C_N_ARRANGES };

const char *m2c_arrange_name(enum m2c_arrange a); /* "part", "neuron" */
M2C_MUST_USE int m2c_arrange_parse(const char *name, enum m2c_arrange *out,
                                   struct m2c_err *err);

struct m2c_layout {
    char name[16]; /* "copies", "planes" */
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

/* Where a class's parts lie in its slot, by part; whole multiples of
 * M2C_SLOT_ALIGN. */
struct m2c_slot {
    uint32_t part_off[M2C_LAYOUT_PARTS]; /* of parts that the class has */
    uint32_t bytes;
};

/* A class as it is read from the slots of class `slot`, which has its parts. */
struct m2c_way {
    uint32_t cls, slot;
};

/* One piece of the way from a record to a slot. */
struct m2c_segment {
    uint32_t src, dst, bytes;
};

/* -ENOENT names the known layouts. */
M2C_MUST_USE int m2c_layout_find(const char *name, struct m2c_layout *out,
                                 struct m2c_err *err);
/* What a store says about itself, checked: unique names, masks that name
 * parts, parts that make the class's type, widest first, at most
 * M2C_LAYOUT_WAYS ways. -EINVAL. */
M2C_MUST_USE int m2c_layout_check(const struct m2c_layout *l, struct m2c_err *err);

/* Class by name, or -1. */
int m2c_layout_class(const struct m2c_layout *l, const char *name);

/* All ways: first each class from its own slots, in the order of classes (way c
 * is class c), then the others. Returns their number. */
unsigned m2c_layout_ways(const struct m2c_layout *l,
                         struct m2c_way out[M2C_LAYOUT_WAYS]);

/* Parts of a class in the order of planes; returns their number. */
unsigned m2c_class_parts(const struct m2c_layout *l, unsigned cls,
                         uint32_t part[M2C_LAYOUT_PARTS]);

/* One vector into all parts: part[p] has plane[0] and scales for part p. As
 * m2c_encode_with. */
M2C_MUST_USE int m2c_layout_encode(const struct m2c_layout *l,
                                   const struct m2c_quant *quant, const float *x,
                                   const float *weight, size_t n,
                                   const struct m2c_coded part[M2C_LAYOUT_PARTS],
                                   struct m2c_err *err);
/* The vector as class `cls` has it, from its parts. */
void m2c_layout_decode(const struct m2c_layout *l, unsigned cls,
                       const struct m2c_coded part[M2C_LAYOUT_PARTS], size_t n, float *x);

/* dim at most 2^24, so that nothing here overflows. */
void m2c_record_geom(enum m2c_type type, uint32_t dim, bool has_gate,
                     struct m2c_geom *out);
void m2c_slot_geom(enum m2c_type type, uint32_t dim, bool has_gate,
                   struct m2c_geom *out); /* bytes: a multiple of M2C_SLOT_ALIGN */
/* What class `cls` holds in a slot; part p within by m2c_slot_geom. */
void m2c_class_slot(const struct m2c_layout *l, unsigned cls, uint32_t dim, bool has_gate,
                    struct m2c_slot *out);

/* Pieces that bring a record into a slot, neighbours merged; at most
 * 2 · M2C_LAYOUT_VECTORS. Returns their number: 1 where both lie alike. */
unsigned m2c_record_to_slot(enum m2c_type type, uint32_t dim, bool has_gate,
                            struct m2c_segment out[2 * M2C_LAYOUT_VECTORS]);

#ifdef __cplusplus
}
#endif
#endif
