/* SPDX-License-Identifier: MIT */
/* Layouts, and the geometry of records and slots against a twin that moves
 * bytes one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quant/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where byte b of a piece (vector v, codes or scales) is, by walking. */
struct walk {
    size_t at[M2C_LAYOUT_VECTORS][2], end;
};

static struct walk walk(enum m2c_type type, uint32_t dim, bool has_gate, size_t align)
{
    struct walk w = {0};
    for (int v = 0; v < M2C_LAYOUT_VECTORS; v++) {
        if (v == 0 && !has_gate)
            continue;
        size_t half = ((size_t)dim + 1) / 2, codes = 2 * (size_t)dim;
        bool grouped = true;
        switch (type) {
        case M2C_F32: codes = 4 * (size_t)dim; grouped = false; break;
        case M2C_I8: codes = dim; break;
        case M2C_I4: codes = half; break;
        case M2C_P16: codes = half + half + dim; break;
        case M2C_P8: codes = half + half; break;
        case M2C_D4: codes = half; grouped = false; break;
        case M2C_D8: codes = dim; grouped = false; break;
        default: grouped = false; break;
        }
        size_t scales = grouped ? 2 * (((size_t)dim + 31) / 32) : 0;
        for (int part = 0; part < 2; part++) {
            while (w.end % align)
                w.end++;
            w.at[v][part] = w.end;
            w.end += part ? scales : codes;
        }
    }
    while (w.end % align)
        w.end++;
    return w;
}

static void check_geom(const struct m2c_geom *g, const struct walk *w, bool has_gate)
{
    for (int v = has_gate ? 0 : 1; v < M2C_LAYOUT_VECTORS; v++) {
        assert_int_equal(g->code_off[v], w->at[v][0]);
        assert_int_equal(g->scale_off[v], w->at[v][1]);
    }
    if (!has_gate)
        assert_int_equal(g->code_off[0] + g->scale_off[0], 0);
    assert_int_equal(g->bytes, w->end);
}

/* A record of numbered bytes, moved by pieces, must have each byte where the
 * slot's geometry says. */
static void check_move(enum m2c_type type, uint32_t dim, bool has_gate)
{
    struct m2c_geom rec, slot;
    m2c_record_geom(type, dim, has_gate, &rec);
    m2c_slot_geom(type, dim, has_gate, &slot);
    uint8_t *r = malloc(rec.bytes), *s = malloc(slot.bytes), *taken = calloc(1, rec.bytes);
    assert_non_null(r);
    assert_non_null(s);
    assert_non_null(taken);
    for (uint32_t i = 0; i < rec.bytes; i++)
        r[i] = (uint8_t)(i * 37 + (i >> 8));
    struct m2c_segment seg[2 * M2C_LAYOUT_VECTORS];
    unsigned n = m2c_record_to_slot(type, dim, has_gate, seg);
    assert_in_range(n, 1, 2 * M2C_LAYOUT_VECTORS);
    for (unsigned i = 0; i < n; i++) {
        assert_true(seg[i].bytes > 0);
        assert_true((uint64_t)seg[i].src + seg[i].bytes <= rec.bytes);
        assert_true((uint64_t)seg[i].dst + seg[i].bytes <= slot.bytes);
        memcpy(s + seg[i].dst, r + seg[i].src, seg[i].bytes);
        for (uint32_t b = 0; b < seg[i].bytes; b++)
            taken[seg[i].src + b]++;
        if (i) /* neighbours that touch on both sides are one piece */
            assert_false(seg[i - 1].src + seg[i - 1].bytes == seg[i].src &&
                         seg[i - 1].dst + seg[i - 1].bytes == seg[i].dst);
    }
    for (uint32_t i = 0; i < rec.bytes; i++)
        assert_int_equal(taken[i], 1);
    size_t codes = m2c_code_bytes(type, dim), scales = m2c_scale_bytes(type, dim);
    for (int v = has_gate ? 0 : 1; v < M2C_LAYOUT_VECTORS; v++) {
        assert_memory_equal(r + rec.code_off[v], s + slot.code_off[v], codes);
        if (scales)
            assert_memory_equal(r + rec.scale_off[v], s + slot.scale_off[v], scales);
        assert_int_equal(slot.code_off[v] % M2C_SLOT_ALIGN, 0);
        assert_int_equal(slot.scale_off[v] % M2C_SLOT_ALIGN, 0);
    }
    assert_int_equal(slot.bytes % M2C_SLOT_ALIGN, 0);
    free(r);
    free(s);
    free(taken);
}

static void test_geometry(void **state)
{
    (void)state;
    static const uint32_t dims[] = {1, 2, 31, 32, 33, 63, 64, 65, 100, 1000, 4096, 8192};
    for (size_t d = 0; d < M2C_COUNTOF(dims); d++) {
        for (int t = 0; t < M2C_N_TYPES; t++) {
            for (int gate = 0; gate < 2; gate++) {
                struct m2c_geom g;
                enum m2c_type type = (enum m2c_type)t;
                struct walk w = walk(type, dims[d], gate, 1);
                m2c_record_geom(type, dims[d], gate, &g);
                check_geom(&g, &w, gate);
                w = walk(type, dims[d], gate, M2C_SLOT_ALIGN);
                m2c_slot_geom(type, dims[d], gate, &g);
                check_geom(&g, &w, gate);
                check_move(type, dims[d], gate);
            }
        }
    }
}

/* Where nothing is padded a record comes as one piece. */
static void test_one_piece(void **state)
{
    (void)state;
    struct m2c_segment seg[2 * M2C_LAYOUT_VECTORS];
    assert_int_equal(m2c_record_to_slot(M2C_F16, 4096, true, seg), 1);
    assert_int_equal(seg[0].bytes, 3 * 8192);
    assert_int_equal(m2c_record_to_slot(M2C_I8, 4096, true, seg), 1);
    /* Codes fill a line, scales do not: each vector is a piece. */
    assert_int_equal(m2c_record_to_slot(M2C_I8, 64, true, seg), 3);
    assert_int_equal(m2c_record_to_slot(M2C_I8, 100, true, seg), 6);
    struct m2c_geom g;
    m2c_slot_geom(M2C_F32, 1u << 24, true, &g); /* the largest: no overflow */
    assert_int_equal(g.bytes, 3u << 26);
}

static void test_copies(void **state)
{
    (void)state;
    struct m2c_layout l;
    struct m2c_err err = {0};
    assert_int_equal(m2c_layout_find("copies", &l, &err), 0);
    assert_int_equal(m2c_layout_check(&l, &err), 0);
    assert_int_equal(l.n_classes, 3);
    assert_int_equal(m2c_layout_class(&l, "f16"), 0);
    assert_int_equal(m2c_layout_class(&l, "i4"), 2);
    assert_int_equal(m2c_layout_class(&l, "i2"), -1);
    for (uint32_t i = 0; i < 3; i++) { /* a class is its own part alone */
        assert_int_equal(l.cls[i].parts, 1u << i);
        assert_int_equal(l.cls[i].type, l.part[i].type);
    }
    assert_int_equal(m2c_layout_find("copied", &l, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "did you mean 'copies'?"));
}

static void test_planes(void **state)
{
    (void)state;
    struct m2c_layout l;
    struct m2c_err err = {0};
    assert_int_equal(m2c_layout_find("planes", &l, &err), 0);
    assert_int_equal(m2c_layout_check(&l, &err), 0);
    assert_int_equal(m2c_layout_class(&l, "i16"), 0);
    for (uint32_t c = 0; c + 1 < l.n_classes; c++) /* each contains the next */
        assert_int_equal(l.cls[c + 1].parts & ~l.cls[c].parts, 0);
    struct m2c_way way[M2C_LAYOUT_WAYS];
    static const struct m2c_way want[] = {{0, 0}, {1, 1}, {2, 2}, {1, 0}, {2, 0}, {2, 1}};
    assert_int_equal(m2c_layout_ways(&l, way), 6);
    assert_memory_equal(way, want, sizeof(want));
    uint32_t part[M2C_LAYOUT_PARTS];
    assert_int_equal(m2c_class_parts(&l, 1, part), 2);
    assert_int_equal(part[1], 1);
    /* A slot of a class begins like those of the classes that it contains. */
    for (uint32_t dim = 1; dim < 200; dim += 3) {
        struct m2c_slot wide, narrow;
        struct m2c_geom g;
        uint32_t bytes = 0;
        m2c_class_slot(&l, 0, dim, true, &wide);
        m2c_class_slot(&l, 1, dim, true, &narrow);
        assert_memory_equal(wide.part_off, narrow.part_off, 2 * sizeof(uint32_t));
        for (int p = 0; p < 3; p++) {
            m2c_slot_geom(l.part[p].type, dim, true, &g);
            assert_int_equal(wide.part_off[p], bytes);
            bytes += g.bytes;
        }
        assert_int_equal(wide.bytes, bytes);
        assert_int_equal(narrow.bytes, wide.part_off[2]);
    }
    struct m2c_geom rec;
    double bits = 0;
    for (int p = 0; p < 3; p++) {
        m2c_record_geom(l.part[p].type, 4096, true, &rec);
        bits += 8.0 * rec.bytes / (3 * 4096);
    }
    assert_true(bits == 16.5);
    assert_int_equal(m2c_layout_find("copies", &l, &err), 0);
    assert_int_equal(m2c_layout_ways(&l, way), 3);
}

/* Each wrong thing that a file may say, and a word of the message. */
static void test_check(void **state)
{
    (void)state;
    struct m2c_layout good, l;
    struct m2c_err err = {0};
    assert_int_equal(m2c_layout_find("copies", &good, &err), 0);
#define REFUSED(word, ...)                                                               \
    do {                                                                                 \
        l = good;                                                                        \
        __VA_ARGS__;                                                                     \
        assert_int_equal(m2c_layout_check(&l, &err), -EINVAL);                           \
        assert_non_null(strstr(err.msg, word));                                          \
    } while (0)
    REFUSED("name", l.name[0] = 0);
    REFUSED("name", memset(l.name, 'a', sizeof(l.name)));
    REFUSED("0 parts", l.n_parts = 0);
    REFUSED("9 parts", l.n_parts = 9);
    REFUSED("0 classes", l.n_classes = 0);
    REFUSED("9 classes", l.n_classes = 9);
    REFUSED("part 1", l.part[1].name[0] = 0);
    REFUSED("part 1", l.part[1].name[0] = '/');
    REFUSED("two parts", strcpy(l.part[1].name, "f16"));
    REFUSED("known type", l.part[2].type = M2C_N_TYPES);
    REFUSED("known type", l.cls[2].type = (enum m2c_type)99);
    REFUSED("class 0", memset(l.cls[0].name, 'x', sizeof(l.cls[0].name)));
    REFUSED("two classes", strcpy(l.cls[1].name, "f16"));
    REFUSED("needs parts", l.cls[1].parts = 0);
    REFUSED("needs parts", l.cls[1].parts = 8);
    REFUSED("computed as i8", l.cls[1].parts = 3);
    REFUSED("computed as i8", l.cls[1].parts = 4);
    REFUSED("computed as d4", l.cls[1].type = l.part[1].type = M2C_D4);
    REFUSED("computed as p16", l.cls[0].type = M2C_P16);
    REFUSED("bits", l.cls[0].bits = 33);
    REFUSED("not narrower", l.cls[1].bits = 16);
    assert_int_equal(m2c_layout_find("planes", &good, &err), 0);
    REFUSED("computed as p8", l.cls[1].parts = 5);
    REFUSED("computed as p16", l.part[2].type = M2C_I8);
    REFUSED("computed as p16", l.cls[0].parts = 3);
#undef REFUSED
    /* Eight parts are in range; what is too much is nine ways to read them. */
    l = (struct m2c_layout){.name = "many", .n_classes = 8, .n_parts = 8};
    for (uint32_t i = 0; i < 8; i++) {
        char digit = (char)('0' + i);
        l.part[i] = (struct m2c_part){.name = {'p', digit}, .type = M2C_I4};
        l.cls[i] = (struct m2c_class){{'c', digit}, 1u << i, 32 - i, M2C_I4};
    }
    assert_int_equal(m2c_layout_check(&l, &err), 0);
    l.cls[1].parts = 1;
    assert_int_equal(m2c_layout_check(&l, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "10 ways"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_geometry),
        cmocka_unit_test(test_one_piece),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_planes),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
