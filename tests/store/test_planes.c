/* SPDX-License-Identifier: MIT */
/* Stores of every layout and arrangement: each neuron as each class has it,
 * against the source's weights; what a byte of damage is called; bits a weight
 * on disk; and stores made of stores. */
#include "store/synth.h"

#include "base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const layouts[] = {"copies", "planes"};
static const char *const arranges[] = {"part", "neuron"};

static struct m2c_store *open_store(const char *path)
{
    struct m2c_store *s = NULL;
    struct m2c_err err = {0};
    if (m2c_store_open(&s, path, &err))
        fail_msg("open: %s", err.msg);
    return s;
}

static void make(const char *path, struct m2c_import *im, const char *layout,
                 const char *arrange, const char *quant, const float *moments)
{
    struct m2c_store_write_opts o = synth_opts(M2C_I4);
    struct m2c_err err = {0};
    o.layout = layout;
    o.arrange = arrange;
    o.quant = quant;
    o.moments = moments;
    o.overwrite = true;
    if (m2c_store_import(path, im, &o, NULL, &err))
        fail_msg("import: %s", err.msg);
}

static void remake(const char *path, const struct m2c_store *src, const char *layout,
                   const char *arrange, const uint32_t *order)
{
    struct m2c_store_write_opts o = {
        .layout = layout, .arrange = arrange, .overwrite = true};
    struct m2c_err err = {0};
    if (m2c_store_relayout(path, src, &o, order, NULL, &err))
        fail_msg("relayout: %s", err.msg);
}

/* All extents of a layer as they lie in the file. */
struct layer {
    uint8_t *bytes[M2C_LAYOUT_PARTS];
    struct m2c_store_range range[M2C_LAYOUT_PARTS];
};

static void read_layer(const struct m2c_store *s, uint32_t l, struct layer *out)
{
    int fd = open(m2c_store_path(s), O_RDONLY);
    assert_true(fd >= 0);
    for (uint32_t x = 0; x < m2c_store_extents(s); x++) {
        struct m2c_store_range *r = &out->range[x];
        m2c_store_extent(s, l, x, r);
        assert_int_equal(r->offset % 4096, 0);
        assert_int_equal(r->bytes, (uint64_t)r->stride * m2c_store_cfg(s)->hidden);
        out->bytes[x] = malloc(r->bytes);
        assert_non_null(out->bytes[x]);
        assert_int_equal(pread(fd, out->bytes[x], r->bytes, (off_t)r->offset), r->bytes);
        assert_int_equal(
            m2c_store_check(s, l, x, 0, m2c_store_cfg(s)->hidden, out->bytes[x], NULL), 0);
    }
    close(fd);
}

static void free_layer(const struct m2c_store *s, struct layer *l)
{
    for (uint32_t x = 0; x < m2c_store_extents(s); x++)
        free(l->bytes[x]);
}

/* Vector v of neuron i as class c has it. */
static void vector_of(const struct m2c_store *s, const struct layer *l, uint32_t i,
                      unsigned v, unsigned c, float *out)
{
    struct m2c_coded part[M2C_LAYOUT_PARTS] = {0};
    for (uint32_t q = 0; q < m2c_store_layout(s)->n_parts; q++) {
        uint32_t off, x = m2c_store_part_at(s, q, &off);
        const struct m2c_geom *g = m2c_store_record(s, q);
        uint8_t *rec = l->bytes[x] + (size_t)i * l->range[x].stride + off;
        part[q].plane[0] = rec + g->code_off[v];
        part[q].scales = rec + g->scale_off[v];
    }
    m2c_layout_decode(m2c_store_layout(s), c, part, m2c_store_cfg(s)->dim, out);
}

static float source(const struct m2c_import *im, uint32_t l, uint32_t i, unsigned v,
                    uint32_t k)
{
    static const enum m2c_tensor_kind kinds[] = {M2C_T_GATE, M2C_T_UP, M2C_T_DOWN};
    const float *w = synth_tensor(im, kinds[v], l);
    return v == 2 ? w[(size_t)k * im->cfg.hidden + i] : w[(size_t)i * im->cfg.dim + k];
}

/* What may be added to the bound of a code: nothing; what a scale cuts off that
 * does not go by the largest value (nested codes are never cut off); what the
 * codes that these were made from had lost. */
enum how { AS_CODED, CUT_OFF, TWICE };

static float slack(enum how how, bool nested, float amax)
{
    switch (how) {
    case CUT_OFF: return nested ? 0 : 0.5f * amax;
    case TWICE: return amax * 0x1p-11f + 2 * m2c_plane_bound(M2C_P16, amax);
    case AS_CODED: break;
    }
    return 0;
}

/* Every class of every neuron within the bound of its code. */
static void expect(const struct m2c_store *s, const struct m2c_import *im, enum how how)
{
    const struct m2c_layout *layout = m2c_store_layout(s);
    uint32_t dim = im->cfg.dim;
    float y[512];
    bool nested = strcmp(layout->name, "planes") == 0;
    for (uint32_t l = 0; l < im->cfg.layers; l++) {
        struct layer layer;
        read_layer(s, l, &layer);
        for (uint32_t i = 0; i < im->cfg.hidden; i++) {
            for (unsigned v = im->cfg.has_gate ? 0 : 1; v < 3; v++) {
                for (unsigned c = 0; c < layout->n_classes; c++) {
                    vector_of(s, &layer, i, v, c, y);
                    for (uint32_t k = 0; k < dim; k++) {
                        enum m2c_type type = layout->cls[c].type;
                        float x = source(im, l, i, v, k), amax = 0;
                        for (uint32_t j = k / 32 * 32; j < M2C_MIN(dim, k / 32 * 32 + 32); j++)
                            amax = fmaxf(amax, fabsf(source(im, l, i, v, j)));
                        float bound = nested ? m2c_plane_bound(type, amax)
                                             : m2c_code_bound(type, type == M2C_F16
                                                                        ? fabsf(x)
                                                                        : amax);
                        if (!(fabsf(x - y[k]) <= bound + slack(how, nested, amax)))
                            fail_msg("layer %u, neuron %u, vector %u, class %u, %u: %g is %g",
                                     l, i, v, c, k, (double)x, (double)y[k]);
                    }
                }
            }
        }
        free_layer(s, &layer);
    }
}

static void whole(const struct m2c_store *s)
{
    uint64_t bad = 9;
    struct m2c_err err = {0};
    if (m2c_store_verify(s, NULL, &bad, &err))
        fail_msg("verify: %s", err.msg);
}

static void test_layouts(void **state)
{
    (void)state;
    struct m2c_model_cfg shapes[] = {synth_cfg(64, 50, 2, 10), synth_cfg(100, 33, 1, 7),
                                     synth_cfg(4, 1, 1, 1)};
    shapes[1].has_gate = false;
    shapes[2].bos = shapes[2].eos = -1;
    float moments[3 * 100];
    for (size_t i = 0; i < M2C_COUNTOF(moments); i++)
        moments[i] = (float)(i % 13);
    for (size_t c = 0; c < M2C_COUNTOF(shapes); c++) {
        struct m2c_import *im = synth_open(&shapes[c], 3, false);
        for (unsigned k = 0; k < 8; k++) {
            bool rtn = k / 4 == 0;
            make(synth_path("a.h5"), im, layouts[k % 2], arranges[k / 2 % 2],
                 rtn ? "rtn" : "moment", rtn ? NULL : moments);
            struct m2c_store *s = open_store(synth_path("a.h5"));
            assert_string_equal(m2c_store_layout(s)->name, layouts[k % 2]);
            assert_string_equal(m2c_arrange_name(m2c_store_arrange(s)), arranges[k / 2 % 2]);
            assert_string_equal(m2c_store_quant(s), rtn ? "rtn" : "moment");
            assert_int_equal(m2c_store_extents(s), k / 2 % 2 ? 1 : 3);
            expect(s, im, rtn ? AS_CODED : CUT_OFF);
            whole(s);
            m2c_store_close(s);
        }
        m2c_import_close(im);
    }
}

/* What the disk holds of the FFN, padding and sums included. */
static void test_bits(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(2048, 512, 1, 4);
    struct m2c_import *im = synth_open(&c, 1, true);
    for (unsigned a = 0; a < 2; a++) {
        make(synth_path("a.h5"), im, "planes", arranges[a], NULL, NULL);
        struct m2c_store *s = open_store(synth_path("a.h5"));
        double bytes = 0;
        for (uint32_t x = 0; x < m2c_store_extents(s); x++) {
            struct m2c_store_range r;
            m2c_store_extent(s, 0, x, &r);
            bytes += (double)((r.bytes + 4095) / 4096 * 4096);
        }
        bytes += 8.0 * 3 * c.hidden; /* sums of three parts */
        double bits = 8 * bytes / (3.0 * c.hidden * c.dim);
        print_message("planes by %s: %.4f bits a weight\n", arranges[a], bits);
        assert_true(bits >= 16.5 && bits <= 16.6);
        m2c_store_close(s);
    }
    m2c_import_close(im);
}

/* One changed byte of a neuron's second part. */
static void test_damage(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(64, 9, 1, 3);
    struct m2c_import *im = synth_open(&c, 2, false);
    make(synth_path("a.h5"), im, "planes", "neuron", NULL, NULL);
    struct m2c_store *s = open_store(synth_path("a.h5"));
    struct m2c_store_range r;
    struct m2c_err err = {0};
    uint32_t off;
    assert_int_equal(m2c_store_part_at(s, 1, &off), 0);
    assert_int_equal(off, m2c_store_record(s, 0)->bytes);
    m2c_store_extent(s, 0, 0, &r);
    off_t at = (off_t)(r.offset + 4 * r.stride + off + 3);
    uint8_t byte, *all = malloc(r.bytes);
    int fd = open(synth_path("a.h5"), O_RDWR);
    assert_true(fd >= 0 && all != NULL);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 16;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    uint64_t bad = 0;
    assert_int_equal(m2c_store_verify(s, NULL, &bad, &err), -EIO);
    assert_int_equal(bad, 1);
    assert_non_null(strstr(err.msg, "/ffn/0/neurons plane1 of record 4 "));
    assert_int_equal(pread(fd, all, r.bytes, (off_t)r.offset), r.bytes);
    assert_int_equal(m2c_store_check(s, 0, 0, 0, 4, all, &err), 0);
    assert_int_equal(m2c_store_check(s, 0, 0, 5, 4, all + 5 * r.stride, &err), 0);
    assert_int_equal(m2c_store_check(s, 0, 0, 4, 1, all + 4 * r.stride, &err), -EIO);
    assert_int_equal(m2c_store_check(s, 0, 0, 8, 2, all, &err), -EINVAL);
    close(fd);
    /* nor is it copied into another store */
    struct m2c_store_write_opts o = {.layout = "planes", .arrange = "part"};
    assert_int_equal(m2c_store_relayout(synth_path("b.h5"), s, &o, NULL, NULL, &err), -EIO);
    assert_int_equal(synth_files("b.h5"), 0);
    free(all);
    m2c_store_close(s);
    m2c_import_close(im);
}

static void same_bytes(const char *a, const char *b)
{
    size_t na, nb;
    uint8_t *x = synth_slurp(a, &na), *y = synth_slurp(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(x, y, na);
    free(x);
    free(y);
}

/* There and back again is the same file, and so is the import itself. */
static void test_relayout(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(96, 70, 2, 11);
    struct m2c_import *im = synth_open(&c, 5, false);
    for (unsigned l = 0; l < 2; l++) {
        make(synth_path("part.h5"), im, layouts[l], "part", NULL, NULL);
        make(synth_path("neuron.h5"), im, layouts[l], "neuron", NULL, NULL);
        struct m2c_store *s = open_store(synth_path("part.h5"));
        remake(synth_path("b.h5"), s, layouts[l], "neuron", NULL);
        same_bytes(synth_path("b.h5"), synth_path("neuron.h5"));
        struct m2c_store *t = open_store(synth_path("b.h5"));
        remake(synth_path("a.h5"), t, layouts[l], "part", NULL);
        same_bytes(synth_path("a.h5"), synth_path("part.h5"));
        /* to the other layout: as good as its widest class is */
        remake(synth_path("a.h5"), s, layouts[!l], "part", NULL);
        struct m2c_store *u = open_store(synth_path("a.h5"));
        assert_true(m2c_hash_equal(m2c_store_model_hash(u), m2c_store_model_hash(s)));
        assert_true(m2c_hash_equal(m2c_store_order_hash(u), m2c_store_order_hash(s)));
        expect(u, im, TWICE);
        whole(u);
        m2c_store_close(u);
        m2c_store_close(t);
        m2c_store_close(s);
    }
    m2c_import_close(im);
}

static void shuffle(uint32_t *order, uint32_t n, uint64_t seed)
{
    struct m2c_rng rng;
    m2c_rng_init(&rng, seed, 0);
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t i = 0; i + 1 < n; i++) {
        uint32_t j = i + m2c_rng_below(&rng, n - i), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
}

static void test_order(void **state)
{
    (void)state;
    enum { N = 40, LAYERS = 2 };
    struct m2c_model_cfg c = synth_cfg(64, N, LAYERS, 5);
    struct m2c_import *im = synth_open(&c, 6, false);
    uint32_t order[LAYERS * N], back[LAYERS * N];
    for (uint32_t l = 0; l < LAYERS; l++) {
        shuffle(order + l * N, N, l);
        for (uint32_t i = 0; i < N; i++)
            back[l * N + order[l * N + i]] = i;
    }
    make(synth_path("a.h5"), im, "planes", "part", NULL, NULL);
    struct m2c_store *s = open_store(synth_path("a.h5"));
    remake(synth_path("b.h5"), s, "planes", "neuron", order);
    struct m2c_store *t = open_store(synth_path("b.h5"));
    assert_true(m2c_hash_equal(m2c_store_model_hash(s), m2c_store_model_hash(t)));
    assert_false(m2c_hash_equal(m2c_store_order_hash(s), m2c_store_order_hash(t)));
    whole(t);
    for (uint32_t l = 0; l < LAYERS; l++) {
        struct layer a, b;
        float x[64], y[64];
        read_layer(s, l, &a);
        read_layer(t, l, &b);
        for (uint32_t i = 0; i < N; i++) {
            for (unsigned v = 0; v < 3; v++) {
                vector_of(t, &b, i, v, 0, y);
                vector_of(s, &a, order[l * N + i], v, 0, x);
                assert_memory_equal(x, y, sizeof x);
            }
        }
        free_layer(s, &a);
        free_layer(t, &b);
    }
    /* undone, the records are the old ones, but the order was made twice */
    remake(synth_path("c.h5"), t, "planes", "part", back);
    struct m2c_store *u = open_store(synth_path("c.h5"));
    expect(u, im, AS_CODED);
    m2c_store_close(u);
    m2c_store_close(t);
    struct m2c_err err = {0};
    struct m2c_store_write_opts o = {.layout = "planes", .arrange = "part"};
    order[N + 3] = order[N + 4];
    assert_int_equal(m2c_store_relayout(synth_path("d.h5"), s, &o, order, NULL, &err),
                     -EINVAL);
    assert_non_null(strstr(err.msg, "layer 1"));
    order[N + 3] = N;
    assert_int_equal(m2c_store_relayout(synth_path("d.h5"), s, &o, order, NULL, &err),
                     -EINVAL);
    assert_int_equal(synth_files("d.h5"), 0);
    m2c_store_close(s);
    m2c_import_close(im);
}

static void test_refused(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(64, 9, 1, 3);
    struct m2c_import *im = synth_open(&c, 2, false);
    struct m2c_err err = {0};
    struct m2c_store_write_opts o = synth_opts(M2C_F32);
    o.quant = "rnt";
    assert_int_equal(m2c_store_import(synth_path("x.h5"), im, &o, NULL, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "did you mean 'rtn'?"));
    o.quant = "moment";
    assert_int_equal(m2c_store_import(synth_path("x.h5"), im, &o, NULL, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "moments"));
    o = synth_opts(M2C_P16);
    assert_int_equal(m2c_store_import(synth_path("x.h5"), im, &o, NULL, &err), -EINVAL);
    /* what no class of the layout holds, by its place in the source */
    o = synth_opts(M2C_F32);
    o.layout = "planes";
    synth_poke(im, M2C_T_DOWN, 0, 63, 8, NAN);
    assert_int_equal(m2c_store_import(synth_path("x.h5"), im, &o, NULL, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "down of layer 0, row 63, column 8: nan does not fit p16"));
    synth_poke(im, M2C_T_DOWN, 0, 63, 8, 65504.0f * 7.1f);
    assert_int_equal(m2c_store_import(synth_path("x.h5"), im, &o, NULL, &err), -EINVAL);
    assert_int_equal(synth_files("x.h5"), 0);
    m2c_import_close(im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts), cmocka_unit_test(test_bits),
        cmocka_unit_test(test_damage),  cmocka_unit_test(test_relayout),
        cmocka_unit_test(test_order),   cmocka_unit_test(test_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    synth_clean();
    return failed;
}
