/* SPDX-License-Identifier: MIT */
/* A model goes into a store and comes out again: every record and every dense
 * tensor is what the codec makes of the source, the file is laid out as
 * promised, and its identity depends on what it should depend on. */
#include "store/synth.h"

#include "quant/codec.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct m2c_store *open_store(const char *path)
{
    struct m2c_store *s = NULL;
    struct m2c_err err = {0};
    if (m2c_store_open(&s, path, &err))
        fail_msg("open: %s", err.msg);
    return s;
}

static void read_at(const char *path, void *buf, size_t n, uint64_t off)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, buf, n, (off_t)off), n);
    close(fd);
}

/* Codes and scales of one vector, where the record must have them next. */
static size_t expect_vector(enum m2c_type type, const float *x, uint32_t dim,
                            const uint8_t *rec)
{
    uint8_t want[4096];
    size_t codes = m2c_code_bytes(type, dim), scales = m2c_scale_bytes(type, dim);
    assert_int_equal(m2c_encode(type, x, dim, want, want + codes, NULL), 0);
    assert_memory_equal(rec, want, codes + scales);
    return codes + scales;
}

static void expect_record(const struct m2c_import *im, uint32_t l, uint32_t i,
                          enum m2c_type type, const uint8_t *rec, size_t stride)
{
    const struct m2c_model_cfg *c = &im->cfg;
    const float *down = synth_tensor(im, M2C_T_DOWN, l);
    float col[1024];
    size_t at = 0;
    for (uint32_t r = 0; r < c->dim; r++)
        col[r] = down[(size_t)r * c->hidden + i];
    if (c->has_gate)
        at += expect_vector(type, synth_tensor(im, M2C_T_GATE, l) + (size_t)i * c->dim,
                            c->dim, rec);
    at += expect_vector(type, synth_tensor(im, M2C_T_UP, l) + (size_t)i * c->dim, c->dim,
                        rec + at);
    at += expect_vector(type, col, c->dim, rec + at);
    assert_int_equal(at, stride);
}

static void expect_ffn(const struct m2c_store *s, const struct m2c_import *im)
{
    const struct m2c_layout *layout = m2c_store_layout(s);
    assert_int_equal(layout->n_parts, 3);
    for (uint32_t l = 0; l < im->cfg.layers; l++) {
        for (uint32_t q = 0; q < layout->n_parts; q++) {
            struct m2c_store_range r;
            m2c_store_extent(s, l, q, &r);
            assert_int_equal(r.offset % 4096, 0);
            assert_int_equal(r.bytes, (uint64_t)r.stride * im->cfg.hidden);
            assert_int_equal(r.stride, m2c_store_record(s, q)->bytes);
            uint8_t *rec = malloc(r.bytes);
            assert_non_null(rec);
            read_at(m2c_store_path(s), rec, r.bytes, r.offset);
            for (uint32_t i = 0; i < im->cfg.hidden; i++)
                expect_record(im, l, i, layout->part[q].type, rec + (size_t)i * r.stride,
                              r.stride);
            assert_int_equal(m2c_store_check(s, l, q, 0, im->cfg.hidden, rec, NULL), 0);
            free(rec);
        }
    }
}

static void expect_dense(const struct m2c_store *s, const struct m2c_import *im,
                         enum m2c_tensor_kind kind, uint32_t layer, enum m2c_type type,
                         uint64_t *total)
{
    struct m2c_store_dense d;
    struct m2c_err err = {0};
    uint32_t rows, cols;
    if (!m2c_tensor_shape(&im->cfg, kind, &rows, &cols)) {
        assert_false(m2c_store_dense(s, kind, layer, &d));
        return;
    }
    assert_true(m2c_store_dense(s, kind, layer, &d));
    assert_int_equal(d.type, m2c_tensor_kind_is_norm(kind) ? M2C_F32 : type);
    assert_true(d.rows == rows && d.cols == cols);
    size_t cb = m2c_code_bytes(d.type, cols), sb = m2c_scale_bytes(d.type, cols);
    assert_int_equal(d.code_bytes, cb * rows);
    assert_int_equal(d.scale_bytes, sb * rows);
    uint8_t *codes = malloc(d.code_bytes), *scales = malloc(d.scale_bytes + 1);
    uint8_t *want = malloc(cb + sb);
    assert_true(codes && scales && want);
    if (m2c_store_read_dense(s, kind, layer, codes, sb ? scales : NULL, &err))
        fail_msg("%s", err.msg);
    const float *w = synth_tensor(im, kind, layer);
    for (uint32_t r = 0; r < rows; r++) {
        assert_int_equal(
            m2c_encode(d.type, w + (size_t)r * cols, cols, want, want + cb, NULL), 0);
        assert_memory_equal(codes + r * cb, want, cb);
        assert_memory_equal(scales + r * sb, want + cb, sb);
    }
    *total += d.code_bytes + d.scale_bytes;
    free(want);
    free(scales);
    free(codes);
}

static void round_trip(const struct m2c_model_cfg *cfg, enum m2c_type dense)
{
    const char *path = synth_path("a.h5");
    struct m2c_import *im = synth_open(cfg, 7, false);
    synth_import(path, im, dense);
    struct m2c_store *s = open_store(path);
    uint64_t bad = 9, total = 0;
    struct m2c_err err = {0};
    assert_memory_equal(m2c_store_cfg(s)->name, cfg->name, sizeof cfg->name);
    assert_int_equal(m2c_store_cfg(s)->has_gate, cfg->has_gate);
    assert_true(m2c_store_cfg(s)->rope_theta == cfg->rope_theta);
    assert_true(m2c_store_cfg(s)->norm_eps == cfg->norm_eps);
    assert_true(m2c_store_cfg(s)->act_shift == cfg->act_shift);
    assert_int_equal(m2c_store_cfg(s)->act, cfg->act);
    assert_int_equal(m2c_store_cfg(s)->rope, cfg->rope);
    assert_int_equal(m2c_store_cfg(s)->eos, cfg->eos);
    expect_ffn(s, im);
    for (int k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        enum m2c_tensor_kind kind = (enum m2c_tensor_kind)k;
        if (kind == M2C_T_GATE || kind == M2C_T_UP || kind == M2C_T_DOWN)
            continue;
        uint32_t layers = m2c_tensor_kind_per_layer(kind) ? cfg->layers : 1;
        for (uint32_t l = 0; l < layers; l++)
            expect_dense(s, im, kind, l, dense, &total);
    }
    assert_int_equal(total, m2c_store_dense_bytes(s));
    if (m2c_store_verify(s, NULL, &bad, &err))
        fail_msg("verify: %s", err.msg);
    assert_int_equal(bad, 0);
    m2c_store_close(s);
    m2c_import_close(im);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const enum m2c_type types[] = {M2C_F32, M2C_F16, M2C_I8, M2C_I4};
    for (size_t i = 0; i < M2C_COUNTOF(types); i++) {
        struct m2c_model_cfg c = synth_cfg(64, 50, 2, 40);
        round_trip(&c, types[i]);
        c = synth_cfg(100, 33, 3, 7); /* a short last group everywhere */
        c.tied_head = false;
        c.act = M2C_ACT_RELU;
        c.act_shift = 0.25f;
        c.input_relu = true;
        c.input_relu_shift = 1;
        c.rope = M2C_ROPE_INTERLEAVED;
        c.eos = -1;
        round_trip(&c, types[i]);
        c = synth_cfg(4, 1, 1, 1); /* one neuron, one token */
        c.has_gate = false;
        c.bos = c.eos = -1;
        round_trip(&c, types[i]);
    }
}

/* More than one chunk of rows, more than one block of sums, and a layer's
 * neurons in several chunks. */
static void test_chunks(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(260, 6000, 1, 9000);
    round_trip(&c, M2C_I8);
    c.has_gate = false;
    round_trip(&c, M2C_F32);
}

/* More layers than links fit a header, and more datasets than one batch. */
static void test_many_layers(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(4, 2, 170, 3);
    round_trip(&c, M2C_F16);
}

/* A name may come from a file's: it need not be UTF-8, and must not end a line. */
static void test_name(void **state)
{
    (void)state;
    static const char *const names[][2] = {{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
                                           {"gr\xfc\xdf e", "gr?? e"},
                                           {"a\nb\"\\\x7f\xc3", "a?b\"\\??"}};
    for (size_t i = 0; i < M2C_COUNTOF(names); i++) {
        struct m2c_model_cfg c = synth_cfg(4, 1, 1, 3);
        snprintf(c.name, sizeof c.name, "%s", names[i][0]);
        struct m2c_import *im = synth_open(&c, 1, false);
        synth_import(synth_path("n.h5"), im, M2C_F32);
        m2c_import_close(im);
        struct m2c_store *s = open_store(synth_path("n.h5"));
        assert_string_equal(m2c_store_cfg(s)->name, names[i][1]);
        m2c_store_close(s);
    }
}

static void test_same_bytes(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(32, 20, 2, 10);
    struct m2c_import *im = synth_open(&c, 1, false);
    const char *a = synth_path("a.h5"), *b = synth_path("b.h5");
    synth_import(a, im, M2C_I8);
    sleep(1); /* a time in the file would show */
    synth_import(b, im, M2C_I8);
    size_t na, nb;
    uint8_t *x = synth_slurp(a, &na), *y = synth_slurp(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(x, y, na);
    free(x);
    free(y);
    m2c_import_close(im);
}

static struct m2c_hash128 hash_of(struct m2c_import *im, enum m2c_type dense)
{
    synth_import(synth_path("h.h5"), im, dense);
    struct m2c_store *s = open_store(synth_path("h.h5"));
    struct m2c_hash128 h = m2c_store_model_hash(s);
    m2c_store_close(s);
    return h;
}

static void test_model_hash(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(32, 20, 2, 10);
    struct m2c_import *im = synth_open(&c, 1, false);
    struct m2c_hash128 h = hash_of(im, M2C_F32);
    assert_true(m2c_hash_equal(h, hash_of(im, M2C_I4)));
    /* What changes no number changes no hash. */
    strcpy(im->cfg.name, "other");
    im->cfg.ctx = 99;
    im->cfg.eos = -1;
    assert_true(m2c_hash_equal(h, hash_of(im, M2C_F16)));
    for (int i = 0; i < 7; i++) {
        struct m2c_model_cfg *m = &im->cfg;
        *m = c;
        m->act = i == 0 ? M2C_ACT_GELU : c.act;
        m->rope_theta += i == 1 ? 1e-9 : 0;
        m->act_shift = i == 2 ? 0x1p-140f : 0;
        m->input_relu = i == 3;
        m->input_relu_shift = i == 4 ? 0.5f : 0;
        m->norm_eps = i == 5 ? 1e-6f : c.norm_eps;
        m->rope = i == 6 ? M2C_ROPE_INTERLEAVED : c.rope;
        assert_false(m2c_hash_equal(h, hash_of(im, M2C_F32)));
    }
    im->cfg = c;
    /* One weight of each tensor, too little to change any code. */
    for (int k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        enum m2c_tensor_kind kind = (enum m2c_tensor_kind)k;
        uint32_t rows, cols;
        if (!m2c_tensor_shape(&im->cfg, kind, &rows, &cols))
            continue;
        uint32_t l = m2c_tensor_kind_per_layer(kind) ? 1 : 0;
        float old = synth_tensor(im, kind, l)[(size_t)rows * cols - 1];
        synth_poke(im, kind, l, rows - 1, cols - 1, old * (1 + 0x1p-22f));
        assert_false(m2c_hash_equal(h, hash_of(im, M2C_I4)));
        synth_poke(im, kind, l, rows - 1, cols - 1, old);
    }
    assert_true(m2c_hash_equal(h, hash_of(im, M2C_F32)));
    m2c_import_close(im);
}

static void test_tokenizer(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(32, 20, 1, 10);
    struct m2c_import *im = synth_open(&c, 1, false);
    struct m2c_store_write_opts o = synth_opts(M2C_F32);
    const char *path = synth_path("t.h5"), *kind;
    const void *bytes;
    size_t n;
    uint8_t tok[10000];
    for (size_t i = 0; i < sizeof tok; i++)
        tok[i] = (uint8_t)(i * 7);
    o.tok_kind = "sentencepiece";
    o.tok_bytes = tok;
    o.tok_n = sizeof tok;
    o.overwrite = true;
    assert_int_equal(m2c_store_import(path, im, &o, NULL, NULL), 0);
    struct m2c_store *s = open_store(path);
    assert_true(m2c_store_tokenizer(s, &kind, &bytes, &n));
    assert_string_equal(kind, "sentencepiece");
    assert_int_equal(n, sizeof tok);
    assert_memory_equal(bytes, tok, n);
    assert_true(m2c_store_mem_bytes(s) > n);
    m2c_store_close(s);
    synth_import(path, im, M2C_F32);
    s = open_store(path);
    assert_false(m2c_store_tokenizer(s, &kind, &bytes, &n));
    m2c_store_close(s);
    m2c_import_close(im);
}

static int teardown(void **state)
{
    (void)state;
    synth_clean();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_many_layers), cmocka_unit_test(test_name),
        cmocka_unit_test(test_same_bytes),  cmocka_unit_test(test_model_hash),
        cmocka_unit_test(test_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
