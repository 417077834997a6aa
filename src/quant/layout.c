/* SPDX-License-Identifier: MIT */
/* The known layouts, and the geometry of records and slots. */
#include "quant/layout.h"

#include <errno.h>
#include <string.h>

/* copies: three independent copies of every neuron, as the paper seems to have
 * it (arXiv 2410.14740 does not say how precisions are stored). planes: one
 * nested code. */
static const struct m2c_layout layouts[] = {
    {
        .name = "copies",
        .n_classes = 3,
        .n_parts = 3,
        .cls = {{.name = "f16", .parts = 1u << 0, .bits = 16, .type = M2C_F16},
                {.name = "i8", .parts = 1u << 1, .bits = 8, .type = M2C_I8},
                {.name = "i4", .parts = 1u << 2, .bits = 4, .type = M2C_I4}},
        .part = {{.name = "f16", .type = M2C_F16},
                 {.name = "i8", .type = M2C_I8},
                 {.name = "i4", .type = M2C_I4}},
    },
    {
        .name = "planes",
        .n_classes = 3,
        .n_parts = 3,
        .cls = {{.name = "i16", .parts = 7, .bits = 16, .type = M2C_P16},
                {.name = "i8", .parts = 3, .bits = 8, .type = M2C_P8},
                {.name = "i4", .parts = 1, .bits = 4, .type = M2C_I4}},
        .part = {{.name = "plane0", .type = M2C_I4},
                 {.name = "plane1", .type = M2C_D4},
                 {.name = "plane2", .type = M2C_D8}},
    },
};

int m2c_layout_find(const char *name, struct m2c_layout *out, struct m2c_err *err)
{
    const char *names[M2C_COUNTOF(layouts) + 1] = {0};
    for (size_t i = 0; i < M2C_COUNTOF(layouts); i++) {
        if (strcmp(layouts[i].name, name) == 0) {
            *out = layouts[i];
            return 0;
        }
        names[i] = layouts[i].name;
    }
    char known[256] = "";
    for (size_t i = 0; names[i]; i++) {
        strcat(known, i ? ", " : "");
        strcat(known, names[i]);
    }
    const char *near = m2c_nearest(name, names);
    return m2c_fail(err, -ENOENT, "unknown layout '%s' (known: %s)%s%s%s", name, known,
                    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* A name from a file: present, ended, of letters, digits and '_'. */
static bool name_ok(const char *name, size_t size)
{
    size_t n = 0;
    while (n < size && name[n] != 0) {
        char c = name[n++];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return n > 0 && n < size;
}

static int check_parts(const struct m2c_layout *l, struct m2c_err *err)
{
    for (uint32_t i = 0; i < l->n_parts; i++) {
        const struct m2c_part *p = &l->part[i];
        if (!name_ok(p->name, sizeof(p->name)))
            return m2c_fail(err, -EINVAL, "part %u of the layout has no proper name", i);
        if ((unsigned)p->type >= M2C_N_TYPES)
            return m2c_fail(err, -EINVAL, "part '%s' has no known type", p->name);
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(l->part[k].name, p->name) == 0)
                return m2c_fail(err, -EINVAL, "two parts are named '%s'", p->name);
    }
    return 0;
}

/* Whether the class's parts are what its type is computed from. */
static bool parts_fit(const struct m2c_layout *l, unsigned cls)
{
    static const enum m2c_type planes[] = {M2C_I4, M2C_D4, M2C_D8};
    uint32_t part[M2C_LAYOUT_PARTS];
    enum m2c_type type = l->cls[cls].type;
    unsigned n = m2c_class_parts(l, cls, part);
    bool ok = n == m2c_type_planes(type) && !m2c_type_digits(type);
    for (unsigned i = 0; i < n && ok; i++)
        ok = l->part[part[i]].type == (n > 1 ? planes[i] : type);
    return ok;
}

static unsigned count_ways(const struct m2c_layout *l)
{
    unsigned n = 0;
    for (uint32_t c = 0; c < l->n_classes; c++)
        for (uint32_t s = 0; s < l->n_classes; s++)
            n += (l->cls[c].parts & ~l->cls[s].parts) == 0;
    return n;
}

static int check_classes(const struct m2c_layout *l, struct m2c_err *err)
{
    for (uint32_t i = 0; i < l->n_classes; i++) {
        const struct m2c_class *c = &l->cls[i];
        if (!name_ok(c->name, sizeof(c->name)))
            return m2c_fail(err, -EINVAL, "class %u of the layout has no proper name", i);
        if ((unsigned)c->type >= M2C_N_TYPES)
            return m2c_fail(err, -EINVAL, "class '%s' has no known type", c->name);
        if (c->parts == 0 || c->parts >> l->n_parts != 0)
            return m2c_fail(err, -EINVAL,
                            "class '%s' needs parts %#x, but the layout has %u parts",
                            c->name, (unsigned)c->parts, (unsigned)l->n_parts);
        if (!parts_fit(l, i))
            return m2c_fail(err, -EINVAL, "class '%s' cannot be computed as %s from its parts",
                            c->name, m2c_type_name(c->type));
        if (c->bits == 0 || c->bits > 32)
            return m2c_fail(err, -EINVAL, "class '%s' has %u bits, expected 1 to 32",
                            c->name, (unsigned)c->bits);
        if (i && c->bits >= l->cls[i - 1].bits)
            return m2c_fail(err, -EINVAL, "class '%s' is not narrower than '%s' before it",
                            c->name, l->cls[i - 1].name);
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(l->cls[k].name, c->name) == 0)
                return m2c_fail(err, -EINVAL, "two classes are named '%s'", c->name);
    }
    if (count_ways(l) > M2C_LAYOUT_WAYS)
        return m2c_fail(err, -EINVAL, "classes can be read from slots in %u ways, at most %d",
                        count_ways(l), M2C_LAYOUT_WAYS);
    return 0;
}

int m2c_layout_check(const struct m2c_layout *l, struct m2c_err *err)
{
    if (!name_ok(l->name, sizeof(l->name)))
        return m2c_fail(err, -EINVAL, "the layout has no proper name");
    if (l->n_parts < 1 || l->n_parts > M2C_LAYOUT_PARTS)
        return m2c_fail(err, -EINVAL, "layout '%s' has %u parts, expected 1 to %d", l->name,
                        (unsigned)l->n_parts, M2C_LAYOUT_PARTS);
    if (l->n_classes < 1 || l->n_classes > M2C_LAYOUT_CLASSES)
        return m2c_fail(err, -EINVAL, "layout '%s' has %u classes, expected 1 to %d",
                        l->name, (unsigned)l->n_classes, M2C_LAYOUT_CLASSES);
    int rc = check_parts(l, err);
    return rc ? rc : check_classes(l, err);
}

int m2c_layout_class(const struct m2c_layout *l, const char *name)
{
    for (uint32_t i = 0; i < l->n_classes; i++)
        if (strcmp(l->cls[i].name, name) == 0)
            return (int)i;
    return -1;
}

unsigned m2c_layout_ways(const struct m2c_layout *l, struct m2c_way out[M2C_LAYOUT_WAYS])
{
    unsigned n = 0;
    for (uint32_t c = 0; c < l->n_classes && n < M2C_LAYOUT_WAYS; c++)
        out[n++] = (struct m2c_way){c, c};
    for (uint32_t c = 0; c < l->n_classes; c++)
        for (uint32_t s = 0; s < l->n_classes && n < M2C_LAYOUT_WAYS; s++)
            if (s != c && (l->cls[c].parts & ~l->cls[s].parts) == 0)
                out[n++] = (struct m2c_way){c, s};
    return n;
}

unsigned m2c_class_parts(const struct m2c_layout *l, unsigned cls,
                         uint32_t part[M2C_LAYOUT_PARTS])
{
    unsigned n = 0;
    for (uint32_t p = 0; p < l->n_parts; p++)
        if (l->cls[cls].parts & (1u << p))
            part[n++] = p;
    return n;
}

const char *m2c_arrange_name(enum m2c_arrange a)
{
    return a == M2C_ARRANGE_PART ? "part" : "neuron";
}

int m2c_arrange_parse(const char *name, enum m2c_arrange *out, struct m2c_err *err)
{
    for (int a = 0; a < M2C_N_ARRANGES; a++) {
        *out = (enum m2c_arrange)a;
        if (strcmp(name, m2c_arrange_name(*out)) == 0)
            return 0;
    }
    return m2c_fail(err, -EINVAL, "unknown arrangement '%s' (known: part, neuron)", name);
}

/* The planes of a class, in their order, and its scales. */
static struct m2c_coded planes_of(const struct m2c_layout *l, unsigned cls,
                                  const struct m2c_coded part[M2C_LAYOUT_PARTS])
{
    uint32_t list[M2C_LAYOUT_PARTS];
    unsigned n = m2c_class_parts(l, cls, list);
    struct m2c_coded out = {.scales = part[list[0]].scales};
    for (unsigned i = 0; i < n && i < M2C_COUNTOF(out.plane); i++)
        out.plane[i] = part[list[i]].plane[0];
    return out;
}

/* Classes come widest first, so that a nested one brings the parts of those
 * that it contains. */
int m2c_layout_encode(const struct m2c_layout *l, const struct m2c_quant *quant,
                      const float *x, const float *weight, size_t n,
                      const struct m2c_coded part[M2C_LAYOUT_PARTS], struct m2c_err *err)
{
    uint32_t done = 0;
    for (uint32_t c = 0; c < l->n_classes; c++) {
        if ((l->cls[c].parts & ~done) == 0)
            continue;
        struct m2c_coded to = planes_of(l, c, part);
        int r = m2c_encode_with(quant, l->cls[c].type, x, weight, n, &to, err);
        if (r < 0)
            return r;
        done |= l->cls[c].parts;
    }
    return 0;
}

void m2c_layout_decode(const struct m2c_layout *l, unsigned cls,
                       const struct m2c_coded part[M2C_LAYOUT_PARTS], size_t n, float *x)
{
    struct m2c_coded from = planes_of(l, cls, part);
    m2c_decode_planes(l->cls[cls].type, &from, n, x);
}

static void geom(enum m2c_type type, uint32_t dim, bool has_gate, size_t align,
                 struct m2c_geom *out)
{
    size_t codes = m2c_code_bytes(type, dim), scales = m2c_scale_bytes(type, dim), at = 0;
    memset(out, 0, sizeof(*out));
    for (int v = has_gate ? 0 : 1; v < M2C_LAYOUT_VECTORS; v++) {
        out->code_off[v] = (uint32_t)at;
        at = m2c_align_up(at + codes, align);
        out->scale_off[v] = (uint32_t)at;
        at = m2c_align_up(at + scales, align);
    }
    out->bytes = (uint32_t)at;
}

void m2c_record_geom(enum m2c_type type, uint32_t dim, bool has_gate, struct m2c_geom *out)
{
    geom(type, dim, has_gate, 1, out);
}

void m2c_slot_geom(enum m2c_type type, uint32_t dim, bool has_gate, struct m2c_geom *out)
{
    geom(type, dim, has_gate, M2C_SLOT_ALIGN, out);
}

void m2c_class_slot(const struct m2c_layout *l, unsigned cls, uint32_t dim, bool has_gate,
                    struct m2c_slot *out)
{
    uint32_t part[M2C_LAYOUT_PARTS];
    unsigned n = m2c_class_parts(l, cls, part);
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < n; i++) {
        struct m2c_geom g;
        m2c_slot_geom(l->part[part[i]].type, dim, has_gate, &g);
        out->part_off[part[i]] = out->bytes;
        out->bytes += g.bytes;
    }
}

/* Adds a piece, merged with the one before where both ends meet. */
static unsigned add_piece(struct m2c_segment *out, unsigned n, uint32_t src, uint32_t dst,
                          uint32_t bytes)
{
    if (bytes == 0)
        return n;
    if (n && out[n - 1].src + out[n - 1].bytes == src &&
        out[n - 1].dst + out[n - 1].bytes == dst) {
        out[n - 1].bytes += bytes;
        return n;
    }
    out[n] = (struct m2c_segment){src, dst, bytes};
    return n + 1;
}

unsigned m2c_record_to_slot(enum m2c_type type, uint32_t dim, bool has_gate,
                            struct m2c_segment out[2 * M2C_LAYOUT_VECTORS])
{
    struct m2c_geom rec, slot;
    m2c_record_geom(type, dim, has_gate, &rec);
    m2c_slot_geom(type, dim, has_gate, &slot);
    uint32_t codes = (uint32_t)m2c_code_bytes(type, dim);
    uint32_t scales = (uint32_t)m2c_scale_bytes(type, dim);
    unsigned n = 0;
    for (int v = has_gate ? 0 : 1; v < M2C_LAYOUT_VECTORS; v++) {
        n = add_piece(out, n, rec.code_off[v], slot.code_off[v], codes);
        n = add_piece(out, n, rec.scale_off[v], slot.scale_off[v], scales);
    }
    return n;
}
