/* SPDX-License-Identifier: MIT */
/* Stores whose digest is right and whose content is not: every object that
 * open relies on is made wrong in turn, through libhdf5, and the file sealed
 * again. Each is refused with the name of what is wrong. */
#include "store/h5sum.h"
#include "store/synth.h"

#include "store/userblock.h"

#include <hdf5.h>

#include <errno.h>
#include <math.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[160];
static uint8_t *whole;
static size_t whole_n;
static uint64_t head_n;

static int setup(void **state)
{
    (void)state;
    struct m2c_model_cfg c = synth_cfg(36, 5, 2, 9);
    struct m2c_import *im = synth_open(&c, 3, false);
    struct m2c_store_write_opts o = synth_opts(M2C_I8);
    o.tok_kind = "t";
    o.tok_bytes = "tokens";
    o.tok_n = 6;
    snprintf(path, sizeof path, "%s", synth_path("s.h5"));
    assert_int_equal(m2c_store_import(path, im, &o, NULL, NULL), 0);
    m2c_import_close(im);
    whole = synth_slurp(path, &whole_n);
    memcpy(&head_n, whole + 24, 8);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(whole);
    synth_clean();
    return 0;
}

static hid_t unsealed(void)
{
    synth_spew(path, whole, whole_n);
    hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(f >= 0);
    return f;
}

static void sealed(hid_t f)
{
    struct stat st;
    assert_true(H5Fclose(f) >= 0);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    assert_int_equal(m2c_userblock_seal(fd, path, (uint64_t)st.st_size, head_n, NULL), 0);
    close(fd);
}

/* Opens the forged file; NULL: it must be accepted. */
static void expect(const char *what, const char *word)
{
    struct m2c_store *s = NULL;
    struct m2c_err err = {0};
    int rc = m2c_store_open(&s, path, &err);
    if (!word) {
        if (rc)
            fail_msg("%s: %s", what, err.msg);
        m2c_store_close(s);
        return;
    }
    if (rc != -EINVAL || s)
        fail_msg("%s: %d, expected a refusal: %s", what, rc, err.msg);
    if (!strstr(err.msg, path) || !strstr(err.msg, word) || strchr(err.msg, '\n'))
        fail_msg("%s: not said: '%s' in: %s", what, word, err.msg);
}

/* ---- attributes ---- */

/* Replaces an attribute by n values of a type (n = 0: a scalar; no type: it
 * just goes). */
static void set_attr(hid_t f, const char *obj, const char *name, hid_t type, size_t n,
                     const void *data)
{
    hid_t o = H5Oopen(f, obj, H5P_DEFAULT);
    assert_true(o >= 0);
    assert_true(H5Adelete(o, name) >= 0);
    if (type >= 0) {
        hsize_t dim = n;
        hid_t space = n ? H5Screate_simple(1, &dim, NULL) : H5Screate(H5S_SCALAR);
        hid_t a = H5Acreate2(o, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
        assert_true(a >= 0);
        if (data)
            assert_true(H5Awrite(a, type, data) >= 0);
        H5Aclose(a);
        H5Sclose(space);
    }
    H5Oclose(o);
}

static void try_attr(const char *obj, const char *name, hid_t type, size_t n,
                     const void *data, const char *word)
{
    char what[128];
    hid_t f = unsealed();
    set_attr(f, obj, name, type, n, data);
    sealed(f);
    snprintf(what, sizeof what, "%s.%s", obj, name);
    expect(what, word);
}

static void try_u32(const char *name, uint32_t value, const char *word)
{
    try_attr("/config", name, H5T_STD_U32LE, 0, &value, word);
}

static hid_t string_type(size_t size)
{
    hid_t t = H5Tcopy(H5T_C_S1);
    H5Tset_size(t, size);
    if (size != H5T_VARIABLE)
        H5Tset_strpad(t, H5T_STR_NULLPAD);
    H5Tset_cset(t, H5T_CSET_UTF8);
    return t;
}

static void try_str(const char *name, size_t size, const char *value, const char *word)
{
    hid_t t = string_type(size);
    try_attr("/config", name, t, 0, value, word);
    H5Tclose(t);
}

static const char *const attributes[] = {"name",
                                         "arch",
                                         "dim",
                                         "hidden",
                                         "layers",
                                         "heads",
                                         "kv_heads",
                                         "head_dim",
                                         "vocab",
                                         "ctx",
                                         "experts",
                                         "tied_head",
                                         "has_gate",
                                         "act",
                                         "act_shift",
                                         "input_relu",
                                         "input_relu_shift",
                                         "norm_eps",
                                         "rope",
                                         "rope_theta",
                                         "bos",
                                         "eos",
                                         "layout",
                                         "arrange",
                                         "group",
                                         "class_name",
                                         "class_parts",
                                         "class_bits",
                                         "class_type",
                                         "part_name",
                                         "part_type",
                                         "model_hash",
                                         "order_hash"};

/* Each attribute: absent, of a foreign type, of another shape. */
static void test_attributes(void **state)
{
    (void)state;
    static const uint16_t wide[64] = {1};
    static const double two[2] = {1, 1};
    for (size_t i = 0; i < M2C_COUNTOF(attributes); i++) {
        const char *a = attributes[i];
        try_attr("/config", a, -1, 0, NULL, a);
        try_attr("/config", a, H5T_STD_U16BE, 0, wide, a);
        try_attr("/config", a, H5T_STD_U16LE, 64, wide, a);
        try_attr("/config", a, H5T_IEEE_F64LE, 2, two, a);
        hid_t vlen = string_type(H5T_VARIABLE);
        const char *text = "x";
        try_attr("/config", a, vlen, 0, &text, a);
        H5Tclose(vlen);
        try_str(a, 300, NULL, a);
    }
}

static void test_values(void **state)
{
    (void)state;
    static const char *const sizes[] = {"dim",   "hidden",   "layers",
                                        "heads", "kv_heads", "head_dim",
                                        "vocab", "ctx",      "experts"};
    for (size_t i = 0; i < M2C_COUNTOF(sizes); i++) {
        bool ctx = strcmp(sizes[i], "ctx") == 0; /* of no dataset's shape */
        try_u32(sizes[i], 0, sizes[i]);
        try_u32(sizes[i], UINT32_MAX, sizes[i]);
        try_u32(sizes[i], 3, ctx ? NULL : "");
        try_u32(sizes[i], 1u << 12, ctx ? NULL : "");
    }
    try_u32("group", 64, "group");
    const uint8_t two = 2;
    try_attr("/config", "has_gate", H5T_STD_U8LE, 0, &two, "has_gate");
    const double nan = (double)NAN, minus = -1;
    try_attr("/config", "rope_theta", H5T_IEEE_F64LE, 0, &nan, "rope_theta");
    try_attr("/config", "rope_theta", H5T_IEEE_F64LE, 0, &minus, "rope_theta");
    const float inf = INFINITY;
    try_attr("/config", "act_shift", H5T_IEEE_F32LE, 0, &inf, "act_shift");
    const int32_t far = 9;
    try_attr("/config", "eos", H5T_STD_I32LE, 0, &far, "eos");
    try_str("act", 16, "swoosh\0\0\0\0\0\0\0\0\0", "swoosh");
    try_str("rope", 16, "spiral\0\0\0\0\0\0\0\0\0", "spiral");
    try_str("arrange", 16, "neuron\0\0\0\0\0\0\0\0\0", "neuron");
    try_str("arch", 32, "gpt2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "gpt2");
    try_str("act", 4, "silu", NULL); /* ends where it ends */
    try_str("act", 16, "siluuuuuuuuuuuuu", "act");
    try_str("model_hash", 33, "0123456789abcdef0123456789abcdeg\0", "model_hash");
}

static void try_list(const char *name, size_t n, const char *value, const char *word)
{
    hid_t t = string_type(16);
    try_attr("/config", name, t, n, value, word);
    H5Tclose(t);
}

static void test_layout(void **state)
{
    (void)state;
    static const char same[3][16] = {"f16", "i8", "i8"},
                      odd[3][16] = {"f16", "../x", "i4"};
    static const char types[3][16] = {"f16", "i8", "f32"},
                      none[3][16] = {"f16", "i8", "u7"};
    static const char nine[9][16] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    static const char longer[3][16] = {"f16f16f16", "i8", "i4"};
    const uint32_t masks[3] = {1, 2, 8}, zero[3] = {1, 0, 4}, grows[3] = {8, 8, 4};
    try_list("part_name", 3, same[0], "named 'i8'");
    try_list("part_name", 3, odd[0], "name");
    try_list("part_name", 9, nine[0], "part_name");
    try_list("part_type", 3, none[0], "u7");
    try_list("part_type", 3, types[0], "/ffn/0/i4"); /* records of another size */
    try_list("class_name", 9, nine[0], "class_name");
    try_list("class_name", 3, longer[0], "f16f16f16");
    try_list("class_name", 2, same[0], "class_parts");
    try_list("class_type", 3, none[0], "u7");
    try_attr("/config", "class_parts", H5T_STD_U32LE, 3, masks, "parts");
    try_attr("/config", "class_parts", H5T_STD_U32LE, 3, zero, "parts");
    try_attr("/config", "class_bits", H5T_STD_U32LE, 3, grows, "narrower");
}

static void test_dataset_attributes(void **state)
{
    (void)state;
    const uint64_t one = 1, big = UINT64_MAX;
    hid_t t = string_type(8);
    static const char *const objects[] = {"/dense/embed", "/dense/1/wq.scales",
                                          "/ffn/1/f16"};
    for (size_t i = 0; i < M2C_COUNTOF(objects); i++) {
        try_attr(objects[i], "first_sum", H5T_STD_U64LE, 0, &big, objects[i]);
        try_attr(objects[i], "sum_block", H5T_STD_U64LE, 0, &one, objects[i]);
        try_attr(objects[i], "sum_block", -1, 0, NULL, objects[i]);
    }
    try_attr("/dense/0/wk", "type", t, 0, "bf16\0\0\0", "bf16");
    try_attr("/dense/0/wk", "type", t, 0, "f64\0\0\0\0", "f64");
    try_attr("/dense/0/wk", "type", t, 0, "f32\0\0\0\0", "/dense/0/wk");
    try_attr("/dense/0/wk", "type", t, 0, "i4\0\0\0\0\0", "/dense/0/wk");
    try_attr("/dense/0/wk", "type", -1, 0, NULL, "/dense/0/wk");
    try_attr("/tokenizer", "kind", -1, 0, NULL, "kind");
    H5Tclose(t);
}

/* ---- objects ---- */

static const char *const objects[] = {
    "/config",           "/sums", "/dense", "/dense/embed", "/dense/0/wo.scales",
    "/dense/1/ffn_norm", "/ffn",  "/ffn/1", "/ffn/1/i8"};

static void test_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < M2C_COUNTOF(objects); i++) {
        hid_t f = unsealed();
        assert_true(H5Ldelete(f, objects[i], H5P_DEFAULT) >= 0);
        sealed(f);
        expect(objects[i], objects[i]);
    }
    /* Without one the model has no tokenizer, and more is nobody's business. */
    hid_t f = unsealed();
    assert_true(H5Ldelete(f, "/tokenizer", H5P_DEFAULT) >= 0);
    H5Gclose(H5Gcreate2(f, "/more", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    sealed(f);
    expect("/more", NULL);
}

/* A dataset of the right type and shape in the place of `name`, stored in
 * another way. */
static void replace(hid_t f, const char *name, hid_t type, int rank, const hsize_t *dims,
                    hid_t dcpl)
{
    assert_true(H5Ldelete(f, name, H5P_DEFAULT) >= 0);
    hid_t s = H5Screate_simple(rank, dims, NULL);
    hid_t d = H5Dcreate2(f, name, type, s, H5P_DEFAULT, dcpl, H5P_DEFAULT);
    assert_true(d >= 0);
    H5Dclose(d);
    H5Sclose(s);
}

static void try_storage(hid_t dcpl, const char *word)
{
    const hsize_t dims[3] = {1, 5, 3 * (36 + 4)};
    hid_t f = unsealed();
    replace(f, "/ffn/0/i8", H5T_STD_U8LE, 3, dims, dcpl);
    sealed(f);
    expect("/ffn/0/i8", word);
    H5Pclose(dcpl);
}

static void test_storage(void **state)
{
    (void)state;
    const hsize_t chunk[3] = {1, 5, 3};
    hid_t p = H5Pcreate(H5P_DATASET_CREATE);
    try_storage(p, "/ffn/0/i8: has no data"); /* nothing allocated */
    p = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(p, 3, chunk);
    try_storage(p, "contiguous");
    p = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(p, H5D_COMPACT);
    try_storage(p, "contiguous");
    p = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(p, "/etc/passwd", 0, H5F_UNLIMITED);
    try_storage(p, "contiguous");
    p = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_alloc_time(p, H5D_ALLOC_TIME_EARLY);
    try_storage(p, "/ffn/0/i8"); /* a place, but not aligned, and no attributes */
}

static void try_shape(const char *name, hid_t type, int rank, const hsize_t *dims)
{
    hid_t f = unsealed(), p = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_alloc_time(p, H5D_ALLOC_TIME_EARLY);
    replace(f, name, type, rank, dims, p);
    H5Pclose(p);
    sealed(f);
    expect(name, name);
}

static void test_shapes(void **state)
{
    (void)state;
    const hsize_t record[3] = {1, 5, 121}, flat[2] = {5, 120}, more[3] = {1, 6, 120};
    const hsize_t none[1] = {0}, one[1] = {1}, huge[1] = {UINT64_C(1) << 61};
    try_shape("/ffn/0/i8", H5T_STD_U8LE, 3, record);
    try_shape("/ffn/0/i8", H5T_STD_U8LE, 2, flat);
    try_shape("/ffn/0/i8", H5T_STD_U8LE, 3, more);
    try_shape("/ffn/0/i8", H5T_STD_I8LE, 3, record);
    try_shape("/ffn/0/i8", H5T_STD_U16LE, 3, record);
    try_shape("/sums", H5T_STD_U64LE, 1, one);
    try_shape("/sums", H5T_STD_U64BE, 1, one);
    try_shape("/tokenizer", H5T_STD_U16LE, 1, one);
    try_shape("/tokenizer", H5T_STD_U8LE, 2, flat);
    try_shape("/tokenizer", H5T_STD_U8LE, 1, none);
    /* More than any file has: late allocation, so that it can be made. */
    hid_t f = unsealed();
    replace(f, "/tokenizer", H5T_STD_U8LE, 1, huge, H5P_DEFAULT);
    sealed(f);
    expect("/tokenizer", "/tokenizer");
}

/* Links may lead elsewhere, and in circles. */
static void test_links(void **state)
{
    (void)state;
    const char *other = synth_path("other.h5");
    synth_spew(other, whole, whole_n);
    hid_t f = unsealed();
    H5Ldelete(f, "/ffn/0/i8", H5P_DEFAULT);
    assert_true(H5Lcreate_external(other, "/ffn/0/i8", f, "/ffn/0/i8", H5P_DEFAULT,
                                   H5P_DEFAULT) >= 0);
    sealed(f);
    expect("external", "another file");
    f = unsealed();
    H5Ldelete(f, "/ffn/0/i8", H5P_DEFAULT);
    assert_true(H5Lcreate_soft("/ffn/0/i8", f, "/ffn/0/i8", H5P_DEFAULT, H5P_DEFAULT) >=
                0);
    sealed(f);
    expect("circle", "/ffn/0/i8");
    f = unsealed(); /* two layers share one dataset: its sums are the other's */
    H5Ldelete(f, "/ffn/0/i8", H5P_DEFAULT);
    assert_true(
        H5Lcreate_hard(f, "/ffn/1/i8", f, "/ffn/0/i8", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    sealed(f);
    expect("shared", "first_sum");
    f = unsealed();
    set_attr(f, "/ffn/1/i8", "first_sum", -1, 0, NULL);
    sealed(f);
    expect("first_sum", "first_sum");
    f = unsealed();
    H5Ldelete(f, "/dense/0", H5P_DEFAULT);
    assert_true(H5Lcreate_hard(f, "/ffn/0/i8", f, "/dense/0", H5P_DEFAULT, H5P_DEFAULT) >=
                0);
    sealed(f);
    expect("a dataset for a group", "/dense/0");
    f = unsealed();
    H5Ldelete(f, "/config", H5P_DEFAULT);
    assert_true(H5Lcreate_hard(f, "/ffn/0/i8", f, "/config", H5P_DEFAULT, H5P_DEFAULT) >=
                0);
    sealed(f);
    expect("a dataset for /config", "/config");
}

/* ---- places ---- */

static uint64_t place_of(const char *name)
{
    hid_t f = unsealed(), d = H5Dopen2(f, name, H5P_DEFAULT);
    uint64_t at = H5Dget_offset(d);
    H5Dclose(d);
    H5Fclose(f);
    return at;
}

/* /ffn/0/i8 somewhere else: its address and size are sixteen bytes of its
 * header, whose checksum is then made right. */
static void try_place(uint64_t offset, const char *word)
{
    uint64_t key[2] = {place_of("/ffn/0/i8") - 4096, 600}, to = offset - 4096;
    uint8_t *data = malloc(whole_n);
    size_t found = 0;
    assert_non_null(data);
    memcpy(data, whole, whole_n);
    for (size_t i = 4096; i + sizeof key <= head_n; i++) {
        if (memcmp(data + i, key, sizeof key) == 0) {
            memcpy(data + i, &to, 8);
            found++;
        }
    }
    assert_int_equal(found, 1);
    assert_true(h5sum_fix(data, head_n) > 10);
    synth_spew(path, data, whole_n);
    free(data);
    int fd = open(path, O_RDWR);
    assert_int_equal(m2c_userblock_seal(fd, path, whole_n, head_n, NULL), 0);
    close(fd);
    expect("/ffn/0/i8 moved", word);
}

static void test_places(void **state)
{
    (void)state;
    uint64_t own = place_of("/ffn/0/i8");
    try_place(own, NULL);
    try_place(place_of("/ffn/0/f16"), "overlap");
    try_place(place_of("/dense/embed"), "overlap");
    try_place(own + 8, "/ffn/0/i8");       /* not aligned */
    try_place(head_n - 4096, "/ffn/0/i8"); /* in the head */
    try_place(0, "/ffn/0/i8");
    try_place((whole_n + 65535) / 4096 * 4096, "/ffn/0/i8"); /* behind the end */
    try_place(UINT64_MAX - 4095, "/ffn/0/i8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attributes), cmocka_unit_test(test_values),
        cmocka_unit_test(test_layout),     cmocka_unit_test(test_dataset_attributes),
        cmocka_unit_test(test_missing),    cmocka_unit_test(test_storage),
        cmocka_unit_test(test_shapes),     cmocka_unit_test(test_links),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
