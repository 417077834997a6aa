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
        size_t codes = type == M2C_F32   ? 4 * (size_t)dim
                       : type == M2C_I8  ? dim
                       : type == M2C_I4  ? ((size_t)dim + 1) / 2
                                         : 2 * (size_t)dim;
        size_t scales = type == M2C_I8 || type == M2C_I4 ? 2 * (((size_t)dim + 31) / 32) : 0;
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
    REFUSED("bits", l.cls[0].bits = 33);
    REFUSED("not narrower", l.cls[1].bits = 16);
#undef REFUSED
    l = good;
    l.n_parts = 8; /* a mask of all eight parts is in range */
    for (uint32_t i = 3; i < 8; i++)
        l.part[i] = (struct m2c_part){.name = {'p', (char)('0' + i)}, .type = M2C_I4};
    l.cls[0].parts = 0xff;
    assert_int_equal(m2c_layout_check(&l, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_geometry),
        cmocka_unit_test(test_one_piece),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
