/* SPDX-License-Identifier: MIT */
/* Stores whose sums are all right and whose index is not: everything that open
 * relies on is made wrong in turn, and the file sealed again. Each is refused
 * with the name of what is wrong; what is not refused can be read. */
#define _GNU_SOURCE /* memfd_create */
#include "store/index_impl.h"
#include "store/synth.h"

#include "base/rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char path[160];
static uint8_t *whole;
static size_t whole_n;
static int fd = -1; /* of path */
static uint64_t head_n, index_n, hdf5_at;

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
    memcpy(&index_n, whole + 48, 8);
    hdf5_at = 4096;
    while (memcmp(whole + hdf5_at, "\x89HDF\r\n\x1a\n", 8) != 0)
        hdf5_at *= 2;
    /* Thousands of times changed: in memory. */
    fd = memfd_create("store", 0);
    assert_int_equal(pwrite(fd, whole, whole_n, 0), whole_n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(fd);
    free(whole);
    synth_clean();
    return 0;
}

static json_t *index_json(void)
{
    json_t *x = json_loadb((const char *)whole + 4096, index_n, 0, NULL);
    assert_non_null(x);
    return x;
}

static void seal(uint64_t index_bytes)
{
    struct m2c_userblock u = {
        .file_bytes = whole_n, .head_bytes = head_n, .index_bytes = index_bytes};
    assert_int_equal(m2c_userblock_seal(fd, path, &m2c_kind_store, u, NULL), 0);
}

/* The store with other text for its index. What is behind it is not restored:
 * an index that says where things are leads to none of that. */
static void forge_text(const void *text, size_t n)
{
    assert_true(n <= hdf5_at - 4096);
    assert_int_equal(pwrite(fd, text, n, 4096), n);
    seal(n);
}

static void forge(const json_t *index)
{
    char *text = json_dumps(index, JSON_COMPACT);
    assert_non_null(text);
    forge_text(text, strlen(text));
    free(text);
}

/* Reads everything that the store says it has. */
static void use(const struct m2c_store *s)
{
    struct m2c_err err = {0};
    struct m2c_store_dense d;
    uint64_t bad = 0;
    for (int k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        enum m2c_tensor_kind kind = (enum m2c_tensor_kind)k;
        if (!m2c_store_dense(s, kind, 0, &d))
            continue;
        void *codes = malloc(d.code_bytes), *scales = malloc(d.scale_bytes + 1);
        int rc = m2c_store_read_dense(s, kind, 0, codes, scales, &err);
        assert_true(rc == 0 || rc == -EIO);
        free(scales);
        free(codes);
    }
    int rc = m2c_store_verify(s, NULL, &bad, &err);
    assert_int_equal(rc, bad ? -EIO : 0);
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
        use(s);
        m2c_store_close(s);
        return;
    }
    if (rc != -EINVAL || s)
        fail_msg("%s: %d, expected a refusal: %s", what, rc, err.msg);
    if (!strstr(err.msg, path) || !strstr(err.msg, word) || strchr(err.msg, '\n'))
        fail_msg("%s: not said: '%s' in: %s", what, word, err.msg);
}

/* One value of an object of the index replaced (NULL: removed); takes it. */
static void try_value(const char *obj, const char *sub, const char *key, json_t *value,
                      const char *word)
{
    json_t *index = index_json(), *o = obj ? json_object_get(index, obj) : index;
    if (sub)
        o = json_object_get(o, sub);
    assert_non_null(json_object_get(o, key));
    if (value)
        json_object_set_new(o, key, value);
    else
        json_object_del(o, key);
    forge(index);
    json_decref(index);
    expect(key, word);
}

static void try_config(const char *key, json_t *value, const char *word)
{
    try_value("config", NULL, key, value, word);
}

/* ---- config ---- */

/* Each value: absent (older stores have no `synthetic`), and of every foreign type. */
static void test_types(void **state)
{
    (void)state;
    json_t *index = index_json(), *config = json_object_get(index, "config"), *value;
    char text[301];
    const char *key;
    memset(text, 'x', 300);
    text[300] = 0;
    json_object_foreach(config, key, value)
    {
        try_config(key, NULL, strcmp(key, "synthetic") == 0 ? NULL : key);
        try_config(key, json_null(), key);
        try_config(key, json_object(), key);
        try_config(key, json_array(), key);
        try_config(key, json_string(text), key);
        if (!json_is_string(value))
            try_config(key, json_string("1"), key);
        if (!json_is_boolean(value))
            try_config(key, json_true(), key);
        if (!json_is_integer(value) && !json_is_real(value))
            try_config(key, json_integer(1), key);
        if (json_is_integer(value)) {
            try_config(key, json_real(1), key);
            try_config(key, json_integer(INT64_MAX), key);
            try_config(key, json_integer(INT64_MIN), key);
        }
    }
    json_decref(index);
}

static void test_values(void **state)
{
    (void)state;
    static const char *const sizes[] = {"dim",   "hidden",   "layers",
                                        "heads", "kv_heads", "head_dim",
                                        "vocab", "ctx",      "experts"};
    for (size_t i = 0; i < M2C_COUNTOF(sizes); i++) {
        bool ctx = strcmp(sizes[i], "ctx") == 0; /* of no dataset's shape */
        try_config(sizes[i], json_integer(0), sizes[i]);
        try_config(sizes[i], json_integer(UINT32_MAX), sizes[i]);
        try_config(sizes[i], json_integer(3), ctx ? NULL : "");
        try_config(sizes[i], json_integer(1 << 12), ctx ? NULL : "");
    }
    try_config("group", json_integer(64), "group");
    try_config("rope_theta", json_real(-1), "rope_theta");
    try_config("act_shift", json_real(1e300), "act_shift");
    try_config("act_shift", json_integer(2), NULL); /* a number is a number */
    try_config("eos", json_integer(9), "eos");
    try_config("act", json_string("swoosh"), "swoosh");
    try_config("rope", json_string("spiral"), "spiral");
    try_config("arrange", json_string("neurons"), "known: part, neuron");
    try_config("arch", json_string("gpt2"), "gpt2");
    try_config("name", json_string("two\nlines"), "name");
    try_config("name", json_string("gr\xc3\xbc\xc3\x9f"), NULL);
    try_config("model_hash", json_string("0123456789abcdef0123456789abcdeg"),
               "model_hash");
    try_config("model_hash", json_string("0123456789abcdef0123456789abcde"),
               "model_hash");
}

static void test_layout(void **state)
{
    (void)state;
    try_config("part_name", json_pack("[sss]", "f16", "i8", "i8"), "named 'i8'");
    try_config("part_name", json_pack("[sss]", "f16", "../x", "i4"), "name");
    try_config("part_name",
               json_pack("[sssssssss]", "a", "b", "c", "d", "e", "f", "g", "h", "i"),
               "part_name");
    try_config("part_name", json_pack("[ssi]", "f16", "i8", 4), "part_name[2]");
    try_config("part_type", json_pack("[sss]", "f16", "i8", "u7"), "u7");
    try_config("part_type", json_pack("[sss]", "f16", "i8", "f32"), "cannot be computed as i4");
    try_config("quant", json_integer(3), "quant");
    try_config("class_name", json_pack("[sss]", "f16f16f16", "i8", "i4"),
               "class_name[0]");
    try_config("class_name", json_pack("[ss]", "f16", "i8"), "class_parts");
    try_config("class_type", json_pack("[sss]", "f16", "i8", "u7"), "u7");
    try_config("class_parts", json_pack("[iii]", 1, 2, 8), "parts");
    try_config("class_parts", json_pack("[iii]", 1, 0, 4), "parts");
    try_config("class_parts", json_pack("[iii]", 1, 2, -4), "class_parts[2]");
    try_config("class_bits", json_pack("[iii]", 8, 8, 4), "narrower");
}

/* ---- datasets ---- */

static const char *const objects[] = {"/dense/embed", "/dense/0/wo.scales",
                                      "/dense/1/ffn_norm", "/ffn/1/i8"};

static void test_datasets(void **state)
{
    (void)state;
    static const char *const keys[] = {"dtype", "shape",     "offset",
                                       "bytes", "first_sum", "sum_block"};
    for (size_t i = 0; i < M2C_COUNTOF(objects); i++) {
        try_value("datasets", NULL, objects[i], NULL, objects[i]);
        try_value("datasets", NULL, objects[i], json_null(), objects[i]);
        try_value("datasets", NULL, objects[i], json_array(), objects[i]);
        for (size_t k = 0; k < M2C_COUNTOF(keys); k++) {
            try_value("datasets", objects[i], keys[k], NULL, objects[i]);
            try_value("datasets", objects[i], keys[k], json_string("f32 "), objects[i]);
            try_value("datasets", objects[i], keys[k], json_integer(-4096), objects[i]);
            try_value("datasets", objects[i], keys[k], json_integer(INT64_MAX),
                      objects[i]);
        }
    }
    try_value("datasets", "/dense/0/wk", "type", json_string("bf16"), "bf16");
    try_value("datasets", "/dense/0/wk", "type", json_string("f64"), "f64");
    try_value("datasets", "/dense/0/wk", "type", json_string("f32"), "/dense/0/wk");
    try_value("datasets", "/dense/0/wk", "type", json_string("i4"), "/dense/0/wk");
    try_value("datasets", "/dense/0/wk", "type", json_integer(8), "/dense/0/wk.type");
    try_value("datasets", "/ffn/1/i8", "shape", json_pack("[iii]", 1, 5, 121),
              "/ffn/1/i8");
    try_value("datasets", "/ffn/1/i8", "shape", json_pack("[ii]", 5, 120), "/ffn/1/i8");
    /* More is nobody's business. */
    json_t *index = index_json();
    json_object_set_new(index, "more", json_true());
    json_object_set_new(json_object_get(index, "config"), "more", json_null());
    json_object_set_new(json_object_get(index, "datasets"), "/more", json_integer(1));
    forge(index);
    json_decref(index);
    expect("more", NULL);
}

static uint64_t place_of(const char *name)
{
    json_t *index = index_json();
    json_t *d = json_object_get(json_object_get(index, "datasets"), name);
    uint64_t at = (uint64_t)json_integer_value(json_object_get(d, "offset"));
    json_decref(index);
    return at;
}

static void try_place(uint64_t offset, const char *word)
{
    try_value("datasets", "/ffn/0/i8", "offset", json_integer((json_int_t)offset), word);
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
    try_place(INT64_MAX / 4096 * 4096, "/ffn/0/i8");
    try_place(UINT64_MAX - 4095, "/ffn/0/i8");
}

static void test_head(void **state)
{
    (void)state;
    static const char *const both[] = {"sums", "tokenizer"};
    static const json_int_t far[] = {0, 4095, -1, INT64_MAX, INT64_MAX - 4096};
    for (size_t i = 0; i < M2C_COUNTOF(both); i++) {
        try_value(NULL, NULL, both[i], json_true(), both[i]);
        try_value(both[i], NULL, "offset", NULL, both[i]);
        for (size_t k = 0; k < M2C_COUNTOF(far); k++)
            try_value(both[i], NULL, "offset", json_integer(far[k]), both[i]);
        try_value(both[i], NULL, "offset", json_integer((json_int_t)head_n - 5), both[i]);
    }
    try_value(NULL, NULL, "sums", NULL, "sums");
    try_value("sums", NULL, "n", json_integer(1), "sums");
    try_value("tokenizer", NULL, "bytes", json_integer(INT64_MAX), "tokenizer");
    try_value("tokenizer", NULL, "bytes", json_integer((json_int_t)head_n), "tokenizer");
    try_value("tokenizer", NULL, "kind", json_integer(1), "tokenizer.kind");
    try_value(NULL, NULL, "tokenizer", NULL, NULL); /* then it has none */
    try_value(NULL, NULL, "config", NULL, "config");
    try_value(NULL, NULL, "datasets", NULL, "datasets");
    try_value(NULL, NULL, "datasets", json_array(), "layers in 0");
}

/* ---- the text ---- */

static void test_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
    } bad[] = {{"", 0},
               {"{}", 2},
               {"[]", 2},
               {"\"x\"", 3},
               {"{\"a\":1", 6},
               {"{}x", 3},
               {"{}\0", 3},
               {"{\"a\":\"\xff\"}", 9},
               {"nul", 3},
               {"{\"a\":1e999}", 11},
               {"\xef\xbb\xbf{}", 5},
               {"{\"a\":99999999999999999999}", 26},
               {"{\"a\":\"\\u0000\"}", 14}};
    for (size_t i = 0; i < M2C_COUNTOF(bad); i++) {
        forge_text(bad[i].text, bad[i].n);
        expect(bad[i].text, "index");
    }
    char deep[6000];
    memset(deep, '[', sizeof deep);
    forge_text(deep, sizeof deep);
    expect("deep", "index");
    /* One key twice: which would count? */
    char *twice = malloc(index_n + 20);
    assert_non_null(twice);
    memcpy(twice, whole + 4096, index_n);
    memcpy(twice + index_n - 1, ",\"config\":{}}", 13);
    forge_text(twice, index_n + 12);
    expect("twice", "index");
    free(twice);
}

/* ---- every value ---- */

enum { N_EVIL = 18 };

static json_t *evil(int i)
{
    static const json_int_t numbers[] = {
        0, 1, -1, 4096, INT32_MAX, INT64_MAX, INT64_MIN, UINT32_MAX, (json_int_t)1 << 32};
    static const double reals[] = {0.5, 1e308};
    int n = (int)M2C_COUNTOF(numbers), m = n + (int)M2C_COUNTOF(reals);
    if (i < n)
        return json_integer(numbers[i]);
    if (i < m)
        return json_real(reals[i - n]);
    switch (i - m) {
    case 0:
        return json_null();
    case 1:
        return json_true();
    case 2:
        return json_string("");
    case 3:
        return json_string("f32");
    case 4:
        return json_array();
    case 5:
        return json_object();
    default:
        return json_pack("[i[s{s:n}]]", 1, "%s%n", "a");
    }
}

static size_t tried, opened;

static void try_evil(const json_t *index)
{
    struct m2c_store *s = NULL;
    struct m2c_err err = {0};
    forge(index);
    int rc = m2c_store_open(&s, path, &err);
    tried++;
    if (rc == 0) {
        opened++;
        use(s);
        m2c_store_close(s);
    } else if (rc != -EINVAL || strchr(err.msg, '\n') || !strstr(err.msg, path)) {
        fail_msg("%d: %s", rc, err.msg);
    }
}

/* Every value below `at` made each of the evil ones; of two layers one is enough. */
static void sweep(const json_t *root, json_t *at)
{
    size_t i;
    const char *key;
    json_t *v;
    json_object_foreach(at, key, v)
    {
        if (strstr(key, "/1/"))
            continue;
        json_incref(v);
        for (int e = 0; e < N_EVIL; e++) {
            json_object_set_new(at, key, evil(e));
            try_evil(root);
        }
        json_object_set_new(at, key, v);
        sweep(root, v);
    }
    json_array_foreach(at, i, v)
    {
        json_incref(v);
        for (int e = 0; e < N_EVIL; e++) {
            json_array_set_new(at, i, evil(e));
            try_evil(root);
        }
        json_array_set_new(at, i, v);
        sweep(root, v);
    }
}

static void test_every_value(void **state)
{
    (void)state;
    json_t *index = index_json();
    sweep(index, index);
    json_decref(index);
    assert_true(tried > 3000 && opened > 10 && opened < tried / 5);
}

/* Nothing of HDF5's own is looked at: with all of it replaced by noise, the
 * store opens and every sum is right. */
static void test_no_hdf5(void **state)
{
    (void)state;
    struct m2c_rng r;
    uint8_t noise[4096];
    assert_int_equal(pwrite(fd, whole, whole_n, 0), whole_n);
    json_t *index = index_json();
    uint64_t to = (uint64_t)json_integer_value(
        json_object_get(json_object_get(index, "sums"), "offset"));
    json_decref(index);
    assert_true(hdf5_at < to && to < head_n);
    m2c_rng_init(&r, 5, 0);
    for (uint64_t at = hdf5_at; at < to; at += sizeof noise) {
        size_t n = (size_t)M2C_MIN((uint64_t)sizeof noise, to - at);
        for (size_t i = 0; i < n; i++)
            noise[i] = (uint8_t)m2c_rng_u32(&r);
        assert_int_equal(pwrite(fd, noise, n, (off_t)at), n);
    }
    seal(index_n);
    struct m2c_store *s = NULL;
    struct m2c_err err = {0};
    uint64_t bad = 0;
    if (m2c_store_open(&s, path, &err) || m2c_store_verify(s, NULL, &bad, &err))
        fail_msg("%s", err.msg);
    m2c_store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),   cmocka_unit_test(test_values),
        cmocka_unit_test(test_layout),  cmocka_unit_test(test_datasets),
        cmocka_unit_test(test_places),  cmocka_unit_test(test_head),
        cmocka_unit_test(test_text),    cmocka_unit_test(test_every_value),
        cmocka_unit_test(test_no_hdf5),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
